//! 0-RTT: refused unless asked for, marked when forwarded, and never for what is not safe.

use serde_json::{Value, json};

use super::{Aioquic, EVERY_PROTOCOL, edge, edge_of, field, identity};
use crate::support::{
    assert_none,
    certificates::Authority,
    gateway::{Gateway, Setup},
    origin::Origin,
};

const EARLY: &str = "early_data: true";

fn early(origin: &Origin) -> Setup {
    Setup::to(&[origin.address]).listener(&format!("{EVERY_PROTOCOL}, {EARLY}"))
}

/// A client that has a session ticket of this gateway; how much early data it allows.
fn returning(gateway: &Gateway) -> Option<(Aioquic, u64)> {
    let mut client = Aioquic::connect(gateway)?;
    client.assert_serves("/first");
    let early = client.run("ticket", json!({}))["early"].as_u64().unwrap();
    client.run("finish", json!({}));
    Some((client, early))
}

/// Comes back with a ticket and sends `request` in 0-RTT; the connection's state and the answer.
fn again(client: &mut Aioquic, gateway: &Gateway, ticket: usize, request: Value) -> (Value, Value) {
    let state =
        client.open(gateway, json!({ "ticket": ticket, "early": Value::Array(vec![request]) }));
    let stream = state["streams"][0].as_u64().unwrap();
    let answer = client.answer(stream);
    (state, answer)
}

#[test]
fn without_early_data_a_session_resumes_and_nothing_is_early() {
    let origin = Origin::echo();
    let gateway = edge(origin.address);
    let Some((mut client, early)) = returning(&gateway) else { return };
    assert_eq!(early, 0, "the ticket offers early data");
    let (state, answer) = again(&mut client, &gateway, 0, json!({ "path": "/again" }));
    assert_eq!((&state["early_accepted"], &answer["status"]), (&json!(false), &json!(200)));
    assert_eq!(origin.completed("/again").field("early-data"), None);
}

#[test]
fn early_data_that_was_not_offered_is_refused_and_its_request_served_later() {
    let origin = Origin::echo();
    let gateway = edge(origin.address);
    let Some((mut client, _)) = returning(&gateway) else { return };
    let forced = json!({ "ticket": 0, "force": true, "early": [{ "path": "/forced" }] });
    let state = client.open(&gateway, forced);
    assert_eq!((&state["established"], &state["early_accepted"]), (&json!(true), &json!(false)));
    let answer = client.answer(state["streams"][0].as_u64().unwrap());
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!(origin.completed("/forced").field("early-data"), None);
    assert_eq!(origin.seen_at("/forced").len(), 1);
}

#[test]
fn a_safe_request_is_accepted_early_and_marked() {
    let origin = Origin::echo();
    let gateway = edge_of(early(&origin));
    let Some((mut client, early)) = returning(&gateway) else { return };
    assert!(early > 0, "the ticket offers no early data");
    assert_eq!(origin.completed("/first").field("early-data"), None);
    let (state, answer) = again(&mut client, &gateway, 0, json!({ "path": "/early" }));
    assert_eq!((&state["resumed"], &state["early_accepted"]), (&json!(true), &json!(true)));
    assert_eq!((&answer["status"], &answer["text"]), (&json!(200), &json!("GET /early 0")));
    assert_eq!(origin.completed("/early").all("early-data"), ["1"]);
    client.assert_serves("/late");
    assert_eq!(origin.completed("/late").field("early-data"), None);
}

#[test]
fn an_unsafe_request_is_too_early_and_works_afterwards() {
    let origin = Origin::echo();
    let gateway = edge_of(early(&origin));
    let Some((mut client, _)) = returning(&gateway) else { return };
    let post = json!({ "path": "/order", "method": "POST", "text": "one" });
    let (state, answer) = again(&mut client, &gateway, 0, post.clone());
    assert_eq!(state["early_accepted"], true, "{state}");
    assert_eq!(answer["status"], 425, "{answer}");
    assert!(field(&answer, "proxy-status").is_some_and(|why| why.contains("weir")), "{answer}");
    assert!(origin.seen_at("/order").is_empty(), "an early POST reached the origin");
    let answer = client.fetch(post);
    assert_eq!((&answer["status"], &answer["text"]), (&json!(200), &json!("POST /order 3")));
    assert_eq!(origin.completed("/order").field("early-data"), None);
}

#[test]
fn a_ticket_buys_early_data_once() {
    let origin = Origin::echo();
    let gateway = edge_of(early(&origin));
    let Some((mut client, _)) = returning(&gateway) else { return };
    let (first, _) = again(&mut client, &gateway, 0, json!({ "path": "/once" }));
    assert_eq!(first["early_accepted"], true, "{first}");
    for _ in 0..4 {
        let (second, answer) = again(&mut client, &gateway, 0, json!({ "path": "/twice" }));
        assert_eq!(second["early_accepted"], false, "a replay was accepted: {second}");
        assert_eq!(answer["status"], 200, "{answer}");
    }
    let marked = |seen: &crate::support::seen::Seen| seen.field("early-data").is_some();
    assert!(!origin.seen_at("/twice").iter().any(marked), "a replay was served early");
}

#[test]
fn tickets_of_another_process_are_refused_and_the_request_served_later() {
    let origin = Origin::echo();
    let authority = Authority::new();
    let before = early(&origin).within(identity(&authority)).start();
    let Some((mut client, _)) = returning(&before) else { return };
    drop(before);
    let after = early(&origin).within(identity(&authority)).start();
    let (state, answer) = again(&mut client, &after, 0, json!({ "path": "/after" }));
    assert_eq!((&state["resumed"], &state["early_accepted"]), (&json!(false), &json!(false)));
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!(origin.completed("/after").field("early-data"), None);
}

#[test]
fn many_early_requests_over_several_returns_are_all_accepted() {
    let origin = Origin::echo();
    let gateway = edge_of(early(&origin));
    let Some((mut client, _)) = returning(&gateway) else { return };
    let mut failures = Vec::new();
    for n in 0..6 {
        let ticket = client.run("ticket", json!({}))["tickets"].as_u64().unwrap() - 1;
        let paths = (0..20).map(|m| json!({ "path": format!("/{n}/{m}") }));
        let requests: Vec<Value> = paths.collect();
        let state = client.open(&gateway, json!({ "ticket": ticket, "early": requests }));
        if state["early_accepted"] != true {
            failures.push(format!("return {n}: {state}"));
        }
        for (m, stream) in state["streams"].as_array().unwrap().iter().enumerate() {
            let answer = client.answer(stream.as_u64().unwrap());
            if answer["text"] != format!("GET /{n}/{m} 0") {
                failures.push(format!("{n}/{m}: {answer}"));
            }
        }
        client.run("fresh", json!({ "than": ticket + 1 }));
    }
    assert_none(&failures);
}

/// What is early may be somebody else's replay, whatever it proves: credentials make no difference.
#[test]
fn credentials_do_not_make_an_unsafe_request_early() {
    let origin = Origin::echo();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"secret");
    let sha256: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let keys = format!("keys: [{{ name: ann, sha256: {sha256} }}]");
    let auth = format!("name: api, auth: {{ api_key: {{ query: key, {keys} }} }}");
    let gateway = edge_of(early(&origin).route(&auth));
    let mut client = Aioquic::connect(&gateway).unwrap();
    client.assert_serves("/first?key=secret");
    client.run("ticket", json!({}));
    client.run("finish", json!({}));
    let post = json!({ "path": "/order?key=secret", "method": "POST", "text": "one" });
    let (state, answer) = again(&mut client, &gateway, 0, post.clone());
    assert_eq!((&state["early_accepted"], &answer["status"]), (&json!(true), &json!(425)));
    assert!(origin.seen_at("/order?key=secret").is_empty(), "an early POST reached the origin");
    assert_eq!(client.fetch(post)["status"], 200, "after the handshake it may");
    for (path, status) in [("/in?key=secret", 200), ("/out?key=guess", 401), ("/out", 401)] {
        let ticket = client.run("ticket", json!({}))["tickets"].as_u64().unwrap() - 1;
        let ticket = usize::try_from(ticket).unwrap();
        let (state, answer) = again(&mut client, &gateway, ticket, json!({ "path": path }));
        assert_eq!((&state["early_accepted"], &answer["status"]), (&json!(true), &json!(status)));
        client.run("fresh", json!({ "than": ticket + 1 }));
    }
    assert_eq!(origin.completed("/in?key=secret").all("early-data"), ["1"]);
    assert!(origin.seen_at("/out").is_empty() && origin.seen_at("/out?key=guess").is_empty());
}
