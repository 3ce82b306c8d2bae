//! The pool of views: sixteen places, searched without a branch.
//!
//! One array for each field, so that a search compares four places in an instruction; the data is
//! as good as random, and a loop with branches would guess wrong at every other place.

use std::{array, time::Duration};

use crate::clock::Tick;

/// Views kept (the paper's pool).
pub(super) const POOL: usize = 16;
/// A view is forgotten after this time (the paper's).
const AGE: Duration = Duration::from_secs(1);
const AGE_UNITS: u32 = (AGE.as_nanos() >> UNIT_BITS) as u32;
/// Ages are kept in units of 2^14 ns, 16 microseconds. They wrap after 70 s, when all is forgotten.
const UNIT_BITS: u32 = 14;
/// Endpoint of a free place.
const NOBODY: u32 = u32::MAX;
/// What takes no longer than the fastest times this is as fast: among such the requests in flight
/// decide. The paper takes the fastest, which by chance of a few samples may be any of equals.
const CLEARLY: f32 = 1.5;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Views {
    endpoint: [u32; POOL],
    /// Requests in flight for an average weight, with those sent since. None of a free place is
    /// ever the least.
    in_flight: [f32; POOL],
    /// Expected latency at that in nanoseconds.
    latency: [f32; POOL],
    seen: [u32; POOL],
    /// For how many requests it may still be chosen.
    uses: [u32; POOL],
    /// When the ages were last looked at.
    looked: Tick,
}

/// What was seen of an endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) endpoint: u32,
    pub(super) in_flight: f32,
    pub(super) latency: f32,
    pub(super) uses: u32,
}

impl Views {
    pub(super) fn new() -> Self {
        Self {
            endpoint: [NOBODY; POOL],
            in_flight: [f32::INFINITY; POOL],
            latency: [0.0; POOL],
            seen: [0; POOL],
            uses: [0; POOL],
            looked: Tick::ZERO,
        }
    }

    pub(super) fn endpoint(&self, place: usize) -> usize {
        self.endpoint[place] as usize
    }

    /// Forgets what is old. Looks every quarter of that age: views get a little older in between.
    pub(super) fn expire(&mut self, now: Tick) {
        let since = now.since(self.looked);
        if since < AGE / 4 {
            return;
        }
        self.looked = now;
        let now = units(now);
        for place in 0..POOL {
            if since > AGE || now.wrapping_sub(self.seen[place]) > AGE_UNITS {
                self.forget(place);
            }
        }
    }

    /// Takes in a view, in place of an earlier one of the endpoint or else of the oldest; where.
    pub(super) fn put(&mut self, view: View, now: Tick) -> usize {
        let (known, free) = (places(&self.endpoint, view.endpoint), places(&self.endpoint, NOBODY));
        let place = match (known, free) {
            (0, 0) => self.oldest(units(now)),
            (0, free) => first(free),
            (known, _) => first(known),
        };
        self.endpoint[place] = view.endpoint;
        self.in_flight[place] = view.in_flight;
        self.latency[place] = view.latency;
        self.uses[place] = view.uses;
        self.seen[place] = units(now);
        place
    }

    /// Where the best view is, given that those with more than `limit` in flight are hot; `drawn`
    /// stays unless another is better by a request of `weight`, or is good while it is not.
    pub(super) fn choose(&self, drawn: usize, limit: f32, weight: impl Fn(usize) -> f32) -> usize {
        let latency = self.each(
            |in_flight, latency, _| {
                if in_flight <= limit { latency } else { f32::INFINITY }
            },
        );
        let fastest = least(&latency);
        // With none cold all are as good.
        let (limit, bound) = if fastest == f32::INFINITY {
            (f32::MAX, f32::INFINITY)
        } else {
            (limit, fastest * CLEARLY)
        };
        let good = self.each(|in_flight, latency, _| {
            if in_flight <= limit && latency <= bound { in_flight } else { f32::INFINITY }
        });
        let fewest = least(&good);
        let best = first(places(&good, fewest));
        let relief = fewest + weight(self.endpoint(best)) <= self.in_flight[drawn];
        if relief || good[drawn] == f32::INFINITY { best } else { drawn }
    }

    /// Counts a request of `weight` in.
    pub(super) fn spend(&mut self, place: usize, weight: f32) {
        self.in_flight[place] += weight;
        self.uses[place] -= 1;
        if self.uses[place] == 0 {
            self.forget(place);
        }
    }

    /// Lets go of the oldest view.
    pub(super) fn drop_oldest(&mut self) {
        self.forget(self.oldest(units(self.looked)));
    }

    /// Lets go of the worst: the busiest of the hot, else the slowest of the cold.
    pub(super) fn drop_worst(&mut self, limit: f32) {
        let idleness =
            self.each(|in_flight, _, endpoint| if endpoint == NOBODY { 0.0 } else { -in_flight });
        let busiest = least(&idleness);
        let worst = if -busiest > limit {
            places(&idleness, busiest)
        } else {
            let speed =
                self.each(|_, latency, endpoint| if endpoint == NOBODY { 0.0 } else { -latency });
            places(&speed, least(&speed))
        };
        self.forget(first(worst));
    }

    pub(super) fn forget(&mut self, place: usize) {
        self.endpoint[place] = NOBODY;
        self.in_flight[place] = f32::INFINITY;
    }

    fn oldest(&self, now: u32) -> usize {
        let ages: [u32; POOL] = array::from_fn(|place| {
            let free = self.endpoint[place] == NOBODY;
            if free { 0 } else { now.wrapping_sub(self.seen[place]) }
        });
        let oldest = ages.iter().fold(0, |oldest, &age| oldest.max(age));
        first(places(&ages, oldest))
    }

    /// A figure of each place, of in-flight count, latency and endpoint.
    fn each(&self, figure: impl Fn(f32, f32, u32) -> f32) -> [f32; POOL] {
        array::from_fn(|place| {
            figure(self.in_flight[place], self.latency[place], self.endpoint[place])
        })
    }
}

fn units(now: Tick) -> u32 {
    (now.nanos() >> UNIT_BITS) as u32
}

/// The least of sixteen, four at a time.
fn least(values: &[f32; POOL]) -> f32 {
    let mut lanes = [f32::INFINITY; 4];
    for row in values.chunks_exact(4) {
        for (least, &value) in lanes.iter_mut().zip(row) {
            *least = if value < *least { value } else { *least };
        }
    }
    let less = |one: f32, other: f32| if one < other { one } else { other };
    less(less(lanes[0], lanes[1]), less(lanes[2], lanes[3]))
}

/// The places of a value, one bit each.
fn places<T: PartialEq + Copy>(values: &[T; POOL], value: T) -> u32 {
    (0..POOL).fold(0, |bits, place| bits | u32::from(values[place] == value) << place)
}

/// The first of some places; the first of all when there are none.
fn first(places: u32) -> usize {
    places.trailing_zeros() as usize % POOL
}
