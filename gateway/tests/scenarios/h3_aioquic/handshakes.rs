//! How a connection begins: versions, Retry, certificates.

use serde_json::json;

use super::{Aioquic, EVERY_PROTOCOL, edge, edge_of, identity};
use crate::support::{certificates::Authority, gateway::Setup, origin::Origin};

/// QUIC version 2 (RFC 9369), which aioquic speaks.
const VERSION_2: u32 = 0x6b33_43cf;
/// A version nobody speaks (RFC 9000 15).
const RESERVED: u32 = 0x1a2a_3a4a;

#[test]
fn an_unknown_version_is_answered_with_those_known() {
    let origin = Origin::echo();
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::start() else { return };
    for first in [RESERVED, VERSION_2] {
        let state = client.open(&gateway, json!({ "versions": [first, 1] }));
        assert_eq!((&state["established"], &state["version"]), (&json!(true), &json!(1)));
        assert_eq!(state["negotiated"], true, "{state}");
        client.assert_serves("/x");
    }
    let state = client.open(&gateway, json!({ "versions": [RESERVED] }));
    assert_eq!(state["established"], false, "{state}");
    assert!(state["end"]["reason"].as_str().unwrap().contains("version"), "{state}");
}

#[test]
fn a_client_is_asked_to_prove_its_address() {
    let origin = Origin::echo();
    let listener = Setup::to(&[origin.address]).listener(EVERY_PROTOCOL);
    let gateway = edge_of(listener.limits("h3: { half_open: 0 }"));
    let Some(mut client) = Aioquic::start() else { return };
    for _ in 0..3 {
        let state = client.open(&gateway, json!({}));
        assert_eq!((&state["established"], &state["retries"]), (&json!(true), &json!(1)));
        client.assert_serves("/x");
    }
}

#[test]
fn by_default_nobody_is_asked() {
    let origin = Origin::echo();
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::start() else { return };
    let state = client.open(&gateway, json!({}));
    assert_eq!((&state["established"], &state["retries"]), (&json!(true), &json!(0)));
}

#[test]
fn a_client_proves_who_it_is() {
    let origin = Origin::echo();
    let (edge, clients) = (Authority::new(), Authority::new());
    let dir = identity(&edge);
    clients.write(&dir.path().join("clients.pem"));
    clients.issue(&["alice"]).write(dir.path(), "alice");
    Authority::new().issue(&["mallory"]).write(dir.path(), "mallory");
    let tls = "tls: { cert: $DIR/edge.pem, key: $DIR/edge.key, client_ca: $DIR/clients.pem }";
    let listener = format!("{tls}, protocols: [h1, h2, h3]");
    let gateway = Setup::to(&[origin.address]).listener(&listener).within(dir).start();
    let Some(mut client) = Aioquic::start() else { return };
    let file = |name: &str| gateway.dir().join(name);
    let alice = json!({ "cert": file("alice.pem"), "key": file("alice.key") });
    assert_eq!(client.open(&gateway, alice)["established"], true);
    client.assert_serves("/alice");
    // A client is done before the gateway has judged its certificate.
    let mallory = json!({ "cert": file("mallory.pem"), "key": file("mallory.key") });
    for nobody in [mallory, json!({})] {
        client.open(&gateway, nobody.clone());
        let state = client.run("ended", json!({}));
        let code = state["end"]["code"].as_u64().unwrap();
        assert!((0x100..0x200).contains(&code), "no TLS alert for {nobody}: {state}");
    }
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_client_that_distrusts_the_certificate_harms_nobody() {
    let origin = Origin::echo();
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::start() else { return };
    let state = client.open(&gateway, json!({ "name": "other.test" }));
    assert_eq!(state["established"], false, "{state}");
    client.open(&gateway, json!({}));
    client.assert_serves("/x");
}

#[test]
fn keys_are_renewed() {
    let origin = Origin::echo();
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    for n in 0..4 {
        client.run("renew", json!({}));
        client.assert_serves(&format!("/{n}"));
    }
    let up = json!({ "path": "/up", "method": "POST", "size": 200_000, "open": true });
    let stream = client.send(up);
    for more in (0..3).rev() {
        client.run("renew", json!({}));
        client.run("write", json!({ "stream": stream, "size": 200_000, "open": more > 0 }));
        client.run("alive", json!({}));
    }
    assert_eq!(client.answer(stream)["text"], "POST /up 800000");
}
