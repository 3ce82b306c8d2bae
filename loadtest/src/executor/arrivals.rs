//! Executors that begin iterations by the clock.

use std::time::Duration;

use crate::options::{Executor, Pool, Saturation, Scenario, Stage};

/// The starts of an arrival-rate scenario. Each is computed from its number alone, so that errors
/// do not add up.
#[derive(Debug)]
pub struct Arrivals {
    begin: Duration,
    /// From its begin to its regular end.
    length: Duration,
    graceful_stop: Duration,
    pool: Pool,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// The `n`-th begins after `n * time_unit / rate`, the first at once.
    Constant { rate: u64, time_unit_ns: u128 },
    /// The `n`-th begins when the integral of the rate reaches `n + 1`.
    Ramping { ramps: Vec<Ramp>, time_unit_ns: u128 },
}

/// A stage. Areas are twice the integral of iterations per time unit over nanoseconds, whole
/// numbers: twice the number of iterations times the time unit.
#[derive(Debug)]
struct Ramp {
    from: u64,
    to: u64,
    begin_ns: u128,
    length_ns: u128,
    area_before: u128,
}

impl Ramp {
    fn area(&self) -> u128 {
        u128::from(self.from + self.to) * self.length_ns
    }

    /// The nanoseconds from the begin of the scenario to where `area` has passed.
    fn time(&self, area: u128) -> u128 {
        let area = area.saturating_sub(self.area_before) as f64;
        let (from, to) = (self.from as f64, self.to as f64);
        let root = (from * from + area * (to - from) / self.length_ns as f64).max(0.0).sqrt();
        let ns = (area / (from + root)).round() as u128;
        self.begin_ns + ns.min(self.length_ns)
    }
}

impl Arrivals {
    /// The schedule of `scenario`, which has an arrival-rate executor; of any other, an empty one.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let idle = Pool { pre_allocated_vus: 0, max_vus: 0, on_saturation: Saturation::Drop };
        let (length, pool, shape) = match &scenario.executor {
            Executor::ConstantArrivalRate { rate, time_unit, duration, pool } => {
                let time_unit_ns = time_unit.as_nanos();
                (*duration, *pool, Shape::Constant { rate: *rate, time_unit_ns })
            }
            Executor::RampingArrivalRate { start_rate, time_unit, stages, pool } => {
                let length = stages.iter().map(|stage| stage.duration).sum();
                let time_unit_ns = time_unit.as_nanos();
                let ramps = ramps(*start_rate, stages);
                (length, *pool, Shape::Ramping { ramps, time_unit_ns })
            }
            _ => (Duration::ZERO, idle, Shape::Constant { rate: 0, time_unit_ns: 1 }),
        };
        let (begin, graceful_stop) = (scenario.start_time, scenario.graceful_stop);
        Self { begin, length, graceful_stop, pool, shape }
    }

    /// When the `n`-th iteration should begin, counted from 0; none when there are fewer.
    pub fn start(&self, n: u64) -> Option<Duration> {
        if n >= self.len() {
            return None;
        }
        let ns = match &self.shape {
            Shape::Constant { rate, time_unit_ns } => {
                u128::from(n) * time_unit_ns / u128::from(*rate)
            }
            Shape::Ramping { ramps, time_unit_ns } => {
                let area = 2 * time_unit_ns * (u128::from(n) + 1);
                let reaches = |ramp: &&Ramp| ramp.area_before + ramp.area() >= area;
                ramps.iter().find(reaches)?.time(area)
            }
        };
        Some(self.begin + Duration::from_nanos(u64::try_from(ns).ok()?))
    }

    /// How many iterations should begin. At a constant rate, as in k6, one more than rate times
    /// duration: the first begins at once and the last just at the end.
    pub fn len(&self) -> u64 {
        let count = match &self.shape {
            Shape::Constant { rate: 0, .. } => 0,
            Shape::Constant { rate, time_unit_ns } => {
                self.length.as_nanos() * u128::from(*rate) / (*time_unit_ns).max(1) + 1
            }
            Shape::Ramping { ramps, time_unit_ns } => {
                let area = ramps.last().map_or(0, |ramp| ramp.area_before + ramp.area());
                area / (2 * (*time_unit_ns).max(1))
            }
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Whether none should.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Iterations per second that should begin at `now`.
    pub fn rate(&self, now: Duration) -> f64 {
        let Some(ns) = now.checked_sub(self.begin).filter(|since| *since <= self.length) else {
            return 0.0;
        };
        let ns = ns.as_nanos();
        let (rate, time_unit_ns) = match &self.shape {
            Shape::Constant { rate, time_unit_ns } => (*rate as f64, time_unit_ns),
            Shape::Ramping { ramps, time_unit_ns } => {
                let ramp = ramps.iter().find(|ramp| ns <= ramp.begin_ns + ramp.length_ns);
                let rate = ramp.map_or(0.0, |ramp| {
                    let share = (ns - ramp.begin_ns) as f64 / ramp.length_ns.max(1) as f64;
                    ramp.from as f64 + (ramp.to as f64 - ramp.from as f64) * share
                });
                (rate, time_unit_ns)
            }
        };
        rate * 1e9 / *time_unit_ns as f64
    }

    /// The VUs for it.
    pub fn pool(&self) -> Pool {
        self.pool
    }

    /// When it begins.
    pub fn begin(&self) -> Duration {
        self.begin
    }

    /// Its regular end: an iteration that waits for a VU then never begins.
    pub fn end(&self) -> Duration {
        self.begin + self.length
    }

    /// When iterations still running are interrupted.
    pub fn deadline(&self) -> Duration {
        self.end() + self.graceful_stop
    }
}

fn ramps(start_rate: u64, stages: &[Stage]) -> Vec<Ramp> {
    let (mut from, mut begin_ns, mut area_before) = (start_rate, 0, 0);
    let mut ramps = Vec::with_capacity(stages.len());
    for Stage { duration, target } in stages {
        let length_ns = duration.as_nanos();
        let ramp = Ramp { from, to: *target, begin_ns, length_ns, area_before };
        area_before += ramp.area();
        begin_ns += length_ns;
        from = *target;
        ramps.push(ramp);
    }
    ramps
}
