//! A network that parts between gateways, and heals.

use std::{thread, time::Duration};

use super::{Instance, agree, clients::Clients, gateway, names, relay::Relay, settle};
use crate::support::gateway::Gateway;

const GATEWAYS: usize = 3;
const INSTANCES: usize = 8;

/// One gateway and half of the instances on one side, two and the others on the other.
fn side(member: usize) -> usize {
    if member < GATEWAYS { member.min(1) } else { (member - GATEWAYS) % 2 }
}

#[test]
fn a_partition_between_gateways_fails_no_request_and_heals() {
    let relay = Relay::start(GATEWAYS + INSTANCES, side);
    let seeds: Vec<_> = (0..GATEWAYS).map(|member| relay.place(member).advertise).collect();
    let gateways: Vec<Gateway> =
        (0..GATEWAYS).map(|number| gateway(number, relay.place(number), &seeds)).collect();
    let all: Vec<&Gateway> = gateways.iter().collect();
    let start = |number| Instance::start(number, relay.place(GATEWAYS + number), &seeds);
    let instances: Vec<Instance> = (0..INSTANCES).map(start).collect();
    let everybody = names(&instances);
    settle(&all, &everybody);
    agree(&all, 200);

    let clients = Clients::start(&all, Duration::from_millis(3));
    relay.cut(true);
    let half = |side| names(instances.iter().skip(side).step_by(2));
    let (_, took) = settle(&all[..1], &half(0));
    settle(&all[1..], &half(1));
    println!("each side is alone after {took:?} or more; {} dropped", relay.dropped());
    // Each half agrees with itself, and answers.
    agree(&all[1..], 200);
    thread::sleep(Duration::from_secs(2));
    assert!(relay.dropped() > 0);

    relay.cut(false);
    let (apart, took) = settle(&all, &everybody);
    println!("healed after {took:?}, {apart:?} apart");
    agree(&all, 200);
    println!("{} requests, none failed", clients.finish());
}
