//! A server: so many cores, shared equally by the requests that are at it, at most one core each.

use std::{cmp::Reverse, collections::BinaryHeap};

use weir_gateway::clock::Tick;

/// See the module's page. Work is counted in nanoseconds of an undisturbed core.
#[derive(Debug)]
pub(crate) struct Server {
    /// Cores it may use at present.
    cores: f64,
    /// How fast each of them is at present; 1 is undisturbed.
    speed: f64,
    /// Work that a request has got that has been here from the beginning.
    served: f64,
    at: Tick,
    /// By how much must have been `served` when they are done. As bits: positive numbers keep their
    /// order.
    running: BinaryHeap<Reverse<(u64, usize)>>,
    /// Requests in `running` that nobody waits for any more.
    gone: usize,
    /// Changes with each event, so that a time of completion foreseen before it is known as stale.
    pub(crate) version: u64,
}

impl Server {
    pub(crate) fn new(cores: f64, speed: f64) -> Self {
        Self {
            cores,
            speed,
            served: 0.0,
            at: Tick::ZERO,
            running: BinaryHeap::new(),
            gone: 0,
            version: 0,
        }
    }

    pub(crate) fn change(&mut self, cores: f64, speed: f64, now: Tick) {
        self.advance(now);
        (self.cores, self.speed) = (cores, speed);
    }

    pub(crate) fn arrive(&mut self, request: usize, work: f64, now: Tick) {
        self.advance(now);
        self.running.push(Reverse(((self.served + work).to_bits(), request)));
    }

    /// Whoever sent a request has given up, and it is dropped.
    pub(crate) fn cancel(&mut self, now: Tick) {
        self.advance(now);
        self.gone += 1;
    }

    /// The request that is done now.
    pub(crate) fn finish(&mut self, now: Tick) -> Option<usize> {
        self.advance(now);
        self.running.pop().map(|Reverse((_, request))| request)
    }

    /// When the next request will be done, as things are. `waits` tells those that somebody waits
    /// for.
    pub(crate) fn next(&mut self, waits: impl Fn(usize) -> bool) -> Option<Tick> {
        while let Some(&Reverse((done, request))) = self.running.peek() {
            if waits(request) {
                let left = (f64::from_bits(done) - self.served).max(0.0);
                return Some(Tick::from_nanos(
                    self.at.nanos() + (left / self.rate()).ceil() as u64,
                ));
            }
            self.running.pop();
            self.gone -= 1;
        }
        None
    }

    fn advance(&mut self, now: Tick) {
        self.served += now.nanos_since(self.at) as f64 * self.rate();
        self.at = now;
        self.version += 1;
    }

    /// Work that each request gets in a nanosecond.
    fn rate(&self) -> f64 {
        let requests = (self.running.len() - self.gone).max(1);
        self.speed * (self.cores / requests as f64).min(1.0)
    }
}
