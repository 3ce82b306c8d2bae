use std::time::Duration;

use weir_config::model::Balance;
use weir_gateway::clock::Tick;

use crate::{
    run::{Outcomes, TIMEOUT, run},
    scenario::{Kind, Scenario, ramp, ten},
    server::Server,
};

const SEED: u64 = 1;

fn of(scenario: &Scenario, balance: Balance) -> Outcomes {
    run(scenario, balance, SEED)
}

fn p99(outcomes: &Outcomes) -> Duration {
    outcomes.quantile(0.99)
}

fn at(millis: u64) -> Tick {
    Tick::from_nanos(millis * 1_000_000)
}

#[test]
fn a_server_is_shared_by_all_who_are_there() {
    let mut server = Server::new(2.0, 0.5);
    let next = |server: &mut Server| server.next(|request| request != 9);
    assert_eq!(next(&mut server), None);
    // Alone, and with one other, each has a core at half speed.
    server.arrive(1, 10e6, at(0));
    assert_eq!(next(&mut server), Some(at(20)));
    server.arrive(2, 8e6, at(0));
    assert_eq!(next(&mut server), Some(at(16)));
    // Four at two cores: a quarter of the speed.
    server.arrive(3, 50e6, at(8));
    server.arrive(9, 1e6, at(8));
    server.cancel(at(8));
    server.arrive(4, 50e6, at(8));
    assert_eq!(next(&mut server), Some(at(24)));
    assert_eq!(server.finish(at(24)), Some(2));
    server.change(20.0, 1.0, at(24));
    assert_eq!(next(&mut server), Some(at(26)));
    assert_eq!(server.finish(at(26)), Some(1));
}

#[test]
fn the_papers_ordering_comes_out() {
    let overload = ramp(1.27, 30, 8);
    let [random, round_robin, p2c, least_request, prequal] = [
        Balance::Random,
        Balance::RoundRobin,
        Balance::P2c,
        Balance::LeastRequest,
        Balance::Prequal,
    ]
    .map(|balance| of(&overload, balance));
    for blind in [&random, &round_robin] {
        assert!(blind.errors > 0, "who does not look runs into time-outs");
        assert!(p99(blind) >= TIMEOUT / 2, "{:?}", p99(blind));
    }
    assert_eq!(prequal.errors + p2c.errors + least_request.errors, 0);
    let [by_latency, by_load, by_two] = [&prequal, &least_request, &p2c].map(p99);
    assert!(by_latency < by_load && by_load < by_two, "{by_latency:?} {by_load:?} {by_two:?}");
    assert!(by_two * 2 < p99(&round_robin), "{by_two:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let short = ramp(0.93, 10, 4);
    let [one, other] = [SEED, SEED].map(|seed| run(&short, Balance::Prequal, seed));
    assert_eq!((one.requests, &one.spread), (other.requests, &other.spread));
    assert_eq!(one.quantile(0.999), other.quantile(0.999));
    assert_ne!(run(&short, Balance::Prequal, SEED + 1).spread, one.spread);
}

/// A shorter run of one of the scenarios with ten servers.
fn short(kind: Kind) -> Scenario {
    let scenario = ten(kind);
    Scenario { until: scenario.from + Duration::from_secs(8), ..scenario }
}

#[test]
fn who_fails_at_once_attracts_nothing() {
    let failing = short(Kind::OneFailing);
    let errors = |balance| {
        let outcomes = of(&failing, balance);
        outcomes.errors as f64 / outcomes.requests as f64
    };
    assert!(errors(Balance::RoundRobin) > 0.09);
    for balance in [Balance::P2c, Balance::LeastRequest, Balance::PeakEwma, Balance::Prequal] {
        assert!(errors(balance) < 0.01, "{balance:?}: {}", errors(balance));
    }
}

#[test]
fn who_is_slow_gets_little() {
    let slow = short(Kind::OneSlow);
    for balance in [Balance::P2c, Balance::LeastRequest, Balance::PeakEwma, Balance::Prequal] {
        let outcomes = of(&slow, balance);
        let share = outcomes.spread[0] as f64 / outcomes.requests as f64;
        assert!(outcomes.errors == 0 && share < 0.05, "{balance:?}: {share}");
    }
    assert!(of(&slow, Balance::Prequal).spread[0] < of(&slow, Balance::P2c).spread[0]);
}

#[test]
fn who_is_new_gets_its_share_once_warm() {
    let fresh = short(Kind::OneFresh);
    for balance in [Balance::P2c, Balance::LeastRequest, Balance::PeakEwma, Balance::Prequal] {
        let outcomes = of(&fresh, balance);
        let share = outcomes.spread[0] as f64 / outcomes.requests as f64;
        assert!((0.01..0.12).contains(&share), "{balance:?}: {share}");
    }
}
