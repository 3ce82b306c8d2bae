//! Sets of keys that somebody else serves, and does not.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::*;
use crate::support::{eventually, gateway::free_port, origin::Next};

/// A server of keys whose answer can be changed.
fn server(first: &str) -> (Origin, Arc<Mutex<(u16, String)>>) {
    let answer = Arc::new(Mutex::new((200, first.to_owned())));
    let shared = answer.clone();
    let origin = Origin::start(move |exchange| {
        let (status, body) = shared.lock().unwrap().clone();
        exchange.reply(status, "Content-Type: application/json\r\n", &body)
    });
    (origin, answer)
}

fn start(keys: SocketAddr) -> (Origin, Gateway) {
    guarded(&format!(
        "auth: {{ jwt: {{ jwks: {{ from: \"http://{keys}/keys?x=1\", refresh: 1s, timeout: 3s }}, \
         algorithms: [ES256] }} }}"
    ))
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    once(gateway, "/", &bearer(token)).status
}

#[test]
fn a_set_is_fetched_and_followed_when_it_changes() {
    let (one, two) = (Issuer::new("k1"), Issuer::new("k2"));
    let (keys, answer) = server(&set(&[&one]));
    let (_origin, gateway) = start(keys.address);
    assert_eq!(status(&gateway, &one.token("ann")), 200);
    assert_eq!(keys.seen()[0].target, "/keys?x=1");
    // Rotated: the new key passes, and what was signed by the old one does not any more.
    let old = one.token("ann");
    assert_eq!(status(&gateway, &old), 200);
    *answer.lock().unwrap() = (200, set(&[&two]));
    assert!(eventually(|| status(&gateway, &two.token("bob")) == 200));
    assert_eq!(status(&gateway, &old), 401, "not even where it was remembered");
}

#[test]
fn the_last_good_set_stays_while_the_server_is_down() {
    let issuer = Issuer::new("k1");
    let (keys, answer) = server(&set(&[&issuer]));
    let (_origin, gateway) = start(keys.address);
    assert_eq!(status(&gateway, &issuer.token("ann")), 200);
    for broken in [(500, "no"), (200, "no JSON"), (200, "{\"keys\":[]}"), (302, "")] {
        let before = keys.seen().len();
        *answer.lock().unwrap() = (broken.0, broken.1.to_owned());
        assert!(eventually(|| keys.seen().len() > before + 1), "it is asked again");
        assert_eq!(status(&gateway, &issuer.token("bob")), 200, "{broken:?}");
    }
    let log = gateway.log();
    assert_eq!(log.matches("no fetch; the last stay in use").count(), 1, "{log}");
    let metrics = gateway.admin("GET", "/metrics").text();
    let label = format!("url=\"http://{}/keys\"", keys.address);
    assert!(metrics.contains(&format!("weir_jwks_keys{{{label}}} 1")), "{metrics}");
    assert!(metrics.contains(&format!("weir_jwks_fetches_total{{{label},outcome=\"failure\"}}")));
}

#[test]
fn a_server_that_is_down_at_the_start_is_a_503_until_it_comes() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let issuer = Issuer::new("k1");
    let (_origin, gateway) = start(address);
    let answer = once(&gateway, "/down", &bearer(&issuer.token("ann")));
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert_eq!(once(&gateway, "/", "").status, 401, "without a token nothing is missing");
    assert!(eventually(|| gateway.log().contains("no token can pass")), "{}", gateway.log());
    let line = gateway.access_line("/down");
    assert_eq!(line["auth"], "jwt: the keys of tokens could not be fetched");
    let body = set(&[&issuer]);
    let _keys = Origin::at(address, move |exchange| exchange.reply(200, "", &body));
    assert!(eventually(|| status(&gateway, &issuer.token("ann")) == 200));
}

#[test]
fn names_of_keys_that_are_made_up_have_nobody_fetch() {
    let issuer = Issuer::new("k1");
    let body = set(&[&issuer]);
    let keys = Origin::start(move |exchange| exchange.reply(200, "", &body));
    let (origin, gateway) = guarded(&format!(
        "auth: {{ jwt: {{ jwks: \"http://{}/keys\", algorithms: [ES256] }} }}",
        keys.address
    ));
    assert_eq!(status(&gateway, &issuer.token("ann")), 200);
    let claims = json!({ "exp": now() + 60 });
    let mut client = gateway.client();
    for n in 0..50 {
        let forged = issuer.sign_as(&format!("forged-{n}"), &claims);
        assert_eq!(get(&mut client, "/forged", &bearer(&forged)).status, 401);
    }
    assert!(keys.seen().len() <= 2, "{} fetches", keys.seen().len());
    assert!(origin.seen_at("/forged").is_empty());
}

#[test]
fn a_slow_server_of_keys_is_waited_for_within_bounds() {
    let issuer = Issuer::new("k1");
    let body = set(&[&issuer]);
    let keys = Origin::start(move |exchange| {
        std::thread::sleep(Duration::from_millis(700));
        exchange.reply(200, "", &body)?;
        Ok(Next::Close)
    });
    let (_origin, gateway) = start(keys.address);
    assert_eq!(status(&gateway, &issuer.token("ann")), 200);
}

#[test]
fn a_key_that_is_replaced_under_its_name_is_noticed() {
    let (one, two) = (Issuer::new("k"), Issuer::new("k"));
    let (keys, answer) = server(&set(&[&one]));
    // The next fetch of itself is far away, the first that may be asked for is not.
    let (_origin, gateway) = guarded(&format!(
        "auth: {{ jwt: {{ jwks: {{ from: \"http://{}/keys\", refresh: 10m }}, algorithms: [ES256] }} }}",
        keys.address
    ));
    assert_eq!(status(&gateway, &one.token("ann")), 200);
    *answer.lock().unwrap() = (200, set(&[&two]));
    assert!(eventually(|| status(&gateway, &two.token("bob")) == 200), "{}", gateway.log());
    let fetched = keys.seen().len();
    assert_eq!(fetched, 2, "as soon as one could be asked for, and not again and again");
    // Who forges signatures has nobody fetch more often than that.
    let forger = Issuer::new("k");
    for _ in 0..20 {
        assert_eq!(status(&gateway, &forger.token("eve")), 401);
    }
    assert!(keys.seen().len() <= fetched + 1, "{} fetches", keys.seen().len());
}
