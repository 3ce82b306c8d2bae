//! Many requests with one key at several gateways.

use std::{collections::HashSet, thread, time::Duration};

use super::{backend, gateway, pay};
use crate::{
    idempotency::is_replayed,
    support::{gateway::Gateway, redis::Server},
};

#[test]
fn a_hundred_through_three_gateways_run_once() {
    let Some(server) = Server::start(&[]) else { return };
    let (origin, runs) = backend(Duration::from_millis(300));
    let gateways = [(); 3].map(|()| gateway(&origin, &server, "wait: 20s"));
    let clients = (0..100).map(|i| gateways[i % 3].client()).collect::<Vec<_>>();
    let answers: Vec<_> = thread::scope(|scope| {
        let ask = |mut client| scope.spawn(move || pay(&mut client, "/k"));
        let asked: Vec<_> = clients.into_iter().map(ask).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let bodies: HashSet<_> = answers.iter().map(|a| (a.status, a.text())).collect();
    assert_eq!(bodies, HashSet::from([(201, "/k run 1".to_owned())]));
    assert_eq!(answers.iter().filter(|answer| !is_replayed(answer)).count(), 1);
    assert_eq!(runs.lock().unwrap()["/k"], 1);
}

#[test]
fn a_first_request_asks_the_server_twice_and_a_replay_once() {
    let Some(server) = Server::start(&[]) else { return };
    let (origin, _runs) = backend(Duration::ZERO);
    let gateway = gateway(&origin, &server, "");
    let calls = |gateway: &Gateway, target: &str| {
        let before = server.calls();
        let answer = pay(&mut gateway.client(), target);
        (answer.status, server.calls() - before)
    };
    // The first of each script on a connection, of each worker, may be more.
    for i in 0..20 {
        calls(&gateway, &format!("/warm{i}"));
    }
    for i in 0..5 {
        assert_eq!(calls(&gateway, &format!("/{i}")), (201, 2));
        assert_eq!(calls(&gateway, &format!("/{i}")), (201, 1));
    }
}
