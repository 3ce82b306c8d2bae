//! Twenty instances and three gateways: one is killed, all are restarted in turn.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{
    AGREEMENT, Instance, Place, agree,
    clients::{Clients, owner},
    endpoints, gateway, names, settle,
};
use crate::support::{gateway::Gateway, scaled};

const INSTANCES: usize = 20;
const KEYS: usize = 1000;
/// How long gateways may take to hear that instances go, on a machine that has other things to do.
const TOLD: Duration = Duration::from_secs(5);

fn three() -> [Gateway; 3] {
    let places = [(); 3].map(|()| Place::direct());
    let seeds = places.map(|place| place.advertise);
    [0, 1, 2].map(|number| gateway(number, places[number], &seeds))
}

fn instances(gateways: &[Gateway; 3]) -> Vec<Instance> {
    let seeds: Vec<_> = gateways.iter().map(membership).collect();
    (0..INSTANCES).map(|number| Instance::start(number, Place::direct(), &seeds)).collect()
}

/// Where a gateway speaks to members.
fn membership(gateway: &Gateway) -> std::net::SocketAddr {
    let members = gateway.admin("GET", "/members").json();
    members["membership"]["address"].as_str().unwrap().parse().unwrap()
}

/// How far apart gateways may take the same change. On a quiet machine that is 1 s.
fn apart_max() -> Duration {
    Duration::from_millis(scaled("CLUSTER_APART_MS", 5_000))
}

#[test]
fn a_killed_instance_and_a_rolling_restart_fail_no_request() {
    let gateways = three();
    let all: Vec<&Gateway> = gateways.iter().collect();
    let mut instances = instances(&gateways);
    let everybody = names(&instances);
    settle(&all, &everybody);
    agree(&all, KEYS);

    let clients = Clients::start(&all, Duration::from_millis(3));
    let mut dead = instances.swap_remove(7);
    dead.process.kill();
    let (apart, took) = settle(&all, &names(&instances));
    println!(
        "killed: out everywhere after {took:?}, {apart:?} between the first gateway and the last"
    );
    assert!(apart < apart_max(), "{apart:?}");
    let differed = agree(&all, KEYS);
    assert!(differed < apart_max(), "{differed:?}");
    dead.begin_again();
    instances.push(dead);
    settle(&all, &everybody);
    println!("{} requests, none failed", clients.finish());

    let clients = Clients::start(&all, Duration::from_millis(3));
    for batch in instances.chunks_mut(5) {
        restart(&all, batch, &everybody);
    }
    println!("{} requests during the restart, none failed", clients.finish());
    agree(&all, KEYS);
}

/// Ends these as they are meant to be ended, and starts them again.
fn restart(gateways: &[&Gateway], batch: &mut [Instance], everybody: &BTreeSet<String>) {
    let ending = names(&*batch);
    batch.iter().for_each(|instance| instance.process.signal(Signal::INT));
    let left = everybody.difference(&ending).cloned().collect();
    let (apart, took) = settle(gateways, &left);
    println!("told to stop: out everywhere after {took:?}, {apart:?} apart");
    assert!(apart < apart_max() && took < TOLD, "{took:?}, {apart:?} apart");
    for instance in &mut *batch {
        let code = instance.process.wait(AGREEMENT);
        assert_eq!(code, Some(0), "{}", instance.process.log());
        instance.begin_again();
    }
    settle(gateways, everybody);
}

#[test]
fn a_key_stays_with_its_instance_when_others_come_and_go() {
    let gateways = three();
    let all: Vec<&Gateway> = gateways.iter().collect();
    let seeds: Vec<_> = gateways.iter().map(membership).collect();
    let start = |number| Instance::start(number, Place::direct(), &seeds);
    let mut instances: Vec<Instance> = (0..3).map(start).collect();
    settle(&all, &names(&instances));
    let ask = || {
        let mut client = None;
        let owners = (0..200).map(|key| owner(gateways[0].listen, &mut client, key).unwrap());
        owners.collect::<Vec<_>>()
    };
    let before = ask();
    instances.push(start(3));
    let began = Instant::now();
    settle(&all, &names(&instances));
    println!("a newcomer is everywhere after {:?}", began.elapsed());
    let after = ask();
    let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
    for (old, new) in moved {
        assert_eq!(new, "api-3", "a key moved from {old} to {new}, who was there before");
    }
    assert!(after.iter().any(|owner| owner == "api-3"));
    assert_eq!(endpoints(&gateways[1]).len(), 4);
}
