//! Short runs of every scenario. The long ones are the `sim` example's.

use super::{
    Network, SECOND, World,
    scenario::{Options, Scenario},
};
use crate::swim::Params;

fn options(nodes: usize, runs: u64, seconds: u64) -> Options {
    Options { nodes, seed: 1, runs, loss: 0.0, seconds, params: Params::default() }
}

fn check(scenario: Scenario, options: &Options) {
    let report = scenario.run(options);
    assert!(report.broken.is_empty(), "{scenario:?} {options:?}\n{report:#?}");
}

#[test]
fn steady() {
    check(Scenario::Steady, &options(32, 1, 30));
    check(Scenario::Steady, &options(500, 1, 10));
}

#[test]
fn crash() {
    check(Scenario::Crash, &options(8, 6, 0));
    check(Scenario::Crash, &options(128, 6, 0));
    check(Scenario::Crash, &Options { loss: 0.1, ..options(128, 6, 0) });
}

#[test]
fn crashes() {
    check(Scenario::Crashes, &options(100, 2, 0));
}

#[test]
fn loss() {
    check(Scenario::Loss, &Options { loss: 0.1, ..options(128, 1, 60) });
    check(Scenario::Loss, &Options { loss: 0.2, ..options(64, 1, 30) });
}

#[test]
fn partition() {
    check(Scenario::Partition, &options(64, 1, 600));
}

#[test]
fn pause() {
    check(Scenario::Pause, &options(64, 4, 0));
}

#[test]
fn starve() {
    check(Scenario::Starve, &options(64, 4, 0));
}

#[test]
fn flipflop() {
    check(Scenario::Flipflop, &options(64, 1, 0));
}

#[test]
fn bootstrap() {
    check(Scenario::Bootstrap, &options(200, 1, 0));
}

#[test]
fn churn() {
    check(Scenario::Churn, &options(64, 2, 60));
    check(Scenario::Churn, &Options { loss: 0.1, seed: 7, ..options(64, 1, 60) });
}

/// A run is its seed's: twice the same, to the last packet.
#[test]
fn a_seed_names_a_run() {
    let run = |seed| {
        let network = Network { loss: 0.1, double: 0.05, corrupt: 0.05, ..Network::default() };
        let mut world = World::settled(Params::default(), network, 20, seed);
        world.run(5 * SECOND);
        world.crash(3);
        world.run(20 * SECOND);
        (world.traffic, world.seen)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).0, run(2).0);
}
