//! Choosing an endpoint: pure functions of loads, weights, `now` and `rng`.
//!
//! A [`Picker`] is built per worker when a configuration is compiled and asked once per attempt. It
//! knows endpoints by their index only. Which of them must not be chosen because they were tried
//! before the caller says with each pick; which are out of use, or take less than their share, the
//! endpoints themselves know ([`EndpointLoad::share`]).

use std::sync::Arc;

use fastrand::Rng;
use weir_config::model::Balance;

use super::load::EndpointLoad;
use crate::clock::Tick;

pub mod hash;
mod least_request;
mod p2c;
mod peak_ewma;
mod prequal;
mod random;
mod round_robin;
#[cfg(test)]
mod tests;
mod weights;

use least_request::LeastRequest;
use p2c::P2c;
use peak_ewma::PeakEwma;
use prequal::Prequal;
use random::Random;
use round_robin::RoundRobin;

/// Something with a load: what a slice of endpoints is made of.
pub trait Candidate {
    /// The load that all workers share.
    fn load(&self) -> &EndpointLoad;
}

impl Candidate for Arc<EndpointLoad> {
    fn load(&self) -> &EndpointLoad {
        self
    }
}

impl<C: Candidate + ?Sized> Candidate for &C {
    fn load(&self) -> &EndpointLoad {
        (**self).load()
    }
}

/// One worker's way to choose among the endpoints of one upstream.
#[derive(Debug)]
pub struct Picker(Policy);

#[derive(Debug)]
enum Policy {
    P2c(P2c),
    PeakEwma(PeakEwma),
    Prequal(Box<Prequal>),
    LeastRequest(LeastRequest),
    RoundRobin(RoundRobin),
    Random(Random),
}

impl Picker {
    /// A picker for endpoints of these weights (each at least 1). `rng` only sets where a rotation
    /// begins, so that workers do not walk in step.
    pub fn new(balance: Balance, weights: &[u32], rng: &mut Rng) -> Self {
        Self(match balance {
            // Where a key decides, a request without one is as any other.
            Balance::P2c | Balance::Rendezvous | Balance::Ring | Balance::Maglev => {
                Policy::P2c(P2c::new(weights))
            }
            Balance::PeakEwma => Policy::PeakEwma(PeakEwma::new(weights)),
            Balance::Prequal => Policy::Prequal(Box::new(Prequal::new(weights))),
            Balance::LeastRequest => Policy::LeastRequest(LeastRequest::new(weights)),
            Balance::RoundRobin => Policy::RoundRobin(RoundRobin::new(weights, rng)),
            Balance::Random => Policy::Random(Random::new(weights)),
        })
    }

    /// The index of the endpoint to ask; `None` when all are excluded. `endpoints` has the length
    /// and order of the weights that the picker was built from.
    pub fn pick<C: Candidate>(
        &mut self,
        endpoints: &[C],
        excluded: impl Fn(usize) -> bool,
        now: Tick,
        rng: &mut Rng,
    ) -> Option<usize> {
        match &mut self.0 {
            Policy::P2c(policy) => policy.pick(endpoints, excluded, now, rng),
            Policy::PeakEwma(policy) => policy.pick(endpoints, excluded, now, rng),
            Policy::Prequal(policy) => policy.pick(endpoints, excluded, now, rng),
            Policy::LeastRequest(policy) => policy.pick(endpoints, excluded, now, rng),
            Policy::RoundRobin(policy) => policy.pick(excluded),
            Policy::Random(policy) => policy.pick(excluded, rng),
        }
    }
}

impl Picker {
    /// The same, among endpoints some of which are out of use or take only a part of their share.
    /// One that is out is asked when there is no other left: better than nobody.
    pub fn pick_in_use<C: Candidate>(
        &mut self,
        endpoints: &[C],
        excluded: impl Fn(usize) -> bool,
        now: Tick,
        rng: &mut Rng,
    ) -> Option<usize> {
        let dice = rng.u32(..);
        let load = |index: usize| endpoints[index].load();
        let absent = |index: usize| excluded(index) || !load(index).takes_part(index, dice);
        let out = |index: usize| excluded(index) || load(index).share() == 0;
        self.pick(endpoints, absent, now, rng)
            .or_else(|| self.pick(endpoints, out, now, rng))
            .or_else(|| self.pick(endpoints, excluded, now, rng))
    }
}

/// Whether `second` should take a request that the draw gave to `first`: if with this request on
/// top it still is no busier, in requests per weight, than `first` is now.
///
/// With equal weights this is "the one with fewer in flight". With unequal ones an idle upstream is
/// shared by weight, because the draw decides; comparing `(in_flight + 1) / weight` instead would
/// leave a light endpoint without any request until the heavy ones are loaded.
fn is_relief(first: (u32, u32), second: (u32, u32)) -> bool {
    let ((first_load, first_weight), (second_load, second_weight)) = (first, second);
    (u64::from(second_load) + 1) * u64::from(first_weight)
        <= u64::from(first_load) * u64::from(second_weight)
}
