//! Two gateways with one store.

use super::{counting, is_replayed, post, problem};
use crate::support::{
    eventually,
    gateway::{Gateway, Setup},
    origin::Origin,
    redis::Server,
};

fn gateway(origin: &Origin, server: &Server, keys: &str) -> Gateway {
    let yaml = format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         timeouts: {{ drain: 2s }}\nredis: {{ url: \"{}\" }}\n\
         upstreams: {{ origin: {{ endpoints: [\"{}\"] }} }}\n\
         routes: [{{ name: api, to: origin, idempotency: {{ store: redis{keys} }} }}]\n",
        server.url(),
        origin.address
    );
    Setup::yaml(&yaml).start()
}

#[test]
fn what_one_ran_the_other_replays() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = counting();
    let (one, other) = (gateway(&origin, &server, ""), gateway(&origin, &server, ""));
    let first = post(&mut one.client(), "k", "x");
    assert_eq!((first.status, first.text().as_str()), (201, "payment 1"));
    for gateway in [&other, &one] {
        let again = post(&mut gateway.client(), "k", "x");
        assert_eq!(
            (again.status, again.text().as_str(), is_replayed(&again)),
            (201, "payment 1", true)
        );
        assert_eq!(
            (again.field("location"), again.field("etag")),
            (Some("/payments/1"), Some("\"1\""))
        );
        let different = post(&mut gateway.client(), "k", "y");
        assert_eq!((different.status, problem(&different)), (422, "idempotency-key-reused".into()));
    }
    let line = one.access_line("\"idempotency\":\"first\"");
    let path = format!("/idempotency/{}", line["idempotency_record"].as_str().unwrap());
    assert_eq!(other.admin("GET", &path).json()["state"], "done");
    assert_eq!(other.admin("DELETE", &path).status, 200);
    assert_eq!(one.admin("GET", &path).status, 404);
    assert_eq!(post(&mut one.client(), "k", "x").text(), "payment 2", "as it was told");
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn without_its_server_a_key_is_refused_or_ignored() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = counting();
    let strict = gateway(&origin, &server, "");
    let lax = gateway(&origin, &server, ", on_store_failure: pass");
    assert_eq!(post(&mut strict.client(), "k", "x").text(), "payment 1");
    drop(server);
    for _ in 0..3 {
        let answer = post(&mut strict.client(), "k2", "x");
        assert_eq!(
            (answer.status, problem(&answer)),
            (503, "idempotency-store-unavailable".into())
        );
    }
    assert_eq!(origin.seen().len(), 1);
    let answer = post(&mut lax.client(), "k2", "x");
    assert_eq!((answer.status, answer.field("idempotency-status")), (201, Some("ignored")));
    let record = "0".repeat(64);
    let asked = || strict.admin("GET", &format!("/idempotency/{record}")).status == 503;
    assert!(eventually(asked));
}
