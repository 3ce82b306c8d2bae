//! SIGTERM: GOAWAY, what is under way ends well, and then the connection does.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;

use super::{Aioquic, EVERY_PROTOCOL, NO_ERROR, edge, edge_of};
use crate::support::{eventually, gateway::Setup, origin::Origin};

/// H3_REQUEST_REJECTED (RFC 9114 8.1).
const REQUEST_REJECTED: u64 = 0x10b;
/// The greatest id that a request's stream can have.
const EVERY_STREAM: u64 = (1 << 62) - 4;

fn slow() -> Origin {
    Origin::start(|x| {
        if x.target().starts_with("/slow") {
            thread::sleep(Duration::from_millis(700));
        }
        x.echo()
    })
}

#[test]
fn requests_under_way_are_answered() {
    let origin = slow();
    let mut gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let streams: Vec<u64> =
        (0..5).map(|n| client.send(json!({ "path": format!("/slow/{n}") }))).collect();
    assert!(eventually(|| origin.seen_at("/slow").len() == 5));
    gateway.signal(Signal::TERM);
    let state = client.run("goaway", json!({}));
    assert!(state["goaways"][0].is_u64(), "{state}");
    for (n, &stream) in streams.iter().enumerate() {
        let answer = client.answer(stream);
        assert_eq!(answer["text"], format!("GET /slow/{n} 0"), "{answer}");
    }
    let state = client.run("ended", json!({}));
    assert_eq!(state["end"]["code"], NO_ERROR, "{state}");
    assert!(state["end"]["frame"].is_null(), "an error of the transport: {state}");
    // First "no more", then which the last one was (RFC 9114 5.2).
    assert_eq!(state["goaways"], json!([EVERY_STREAM, streams[4] + 4]), "{state}");
    assert_eq!(gateway.wait(Duration::from_secs(5)).unwrap().code(), Some(0));
}

#[test]
fn idle_connections_are_told_and_end_at_once() {
    let origin = slow();
    let mut gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    client.assert_serves("/x");
    gateway.signal(Signal::TERM);
    let state = client.run("ended", json!({}));
    assert_eq!(state["end"]["code"], NO_ERROR, "{state}");
    assert!(!state["goaways"].as_array().unwrap().is_empty(), "no GOAWAY: {state}");
    assert_eq!(gateway.wait(Duration::from_secs(5)).unwrap().code(), Some(0));
}

#[test]
fn a_connection_that_is_quiet_for_too_long_is_told_and_ended() {
    let origin = slow();
    let setup = Setup::to(&[origin.address]).listener(EVERY_PROTOCOL);
    let gateway = edge_of(setup.timeouts("keep_alive: 1s"));
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let start = Instant::now();
    client.assert_serves("/slow");
    let state = client.run("ended", json!({}));
    assert_eq!(state["end"]["code"], NO_ERROR, "{state}");
    assert!(!state["goaways"].as_array().unwrap().is_empty(), "no GOAWAY: {state}");
    let took = start.elapsed();
    // Seven tenths for the answer, then a second of quiet.
    assert!((Duration::from_millis(1_600)..Duration::from_secs(9)).contains(&took), "{took:?}");
}

#[test]
fn a_request_on_its_way_while_the_gateway_says_goodbye_is_not_lost() {
    for _ in 0..3 {
        let origin = slow();
        let mut gateway = edge(origin.address);
        let Some(mut client) = Aioquic::connect(&gateway) else { return };
        client.assert_serves("/x");
        gateway.signal(Signal::TERM);
        let answer = client.fetch(json!({ "path": "/slow" }));
        // Served, or surely not begun; never half done.
        let served = answer["status"] == 200 && answer["ended"] == true;
        let refused = answer["reset"] == REQUEST_REJECTED && answer["status"].is_null();
        let ended = answer["end"]["code"] == NO_ERROR && origin.seen_at("/slow").is_empty();
        assert!(served || refused || ended, "{answer}");
        assert_eq!(gateway.wait(Duration::from_secs(5)).unwrap().code(), Some(0));
    }
}
