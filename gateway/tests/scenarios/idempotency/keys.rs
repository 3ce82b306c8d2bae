//! Keys that are none, and keys that are nobody's.

use super::{ALICE, ask, counting, is_replayed, keyed, post, problem, request, route};
use crate::support::{eventually, gateway::Setup};

#[test]
fn malformed_keys_are_refused_before_anything_is_sent() {
    let (origin, gateway) = keyed("");
    let long = "x".repeat(256);
    let huge = "x".repeat(1 << 20);
    let keys: [&str; 11] =
        ["", "\"\"", "a b", "\"a", "a\"", "\"a\"b", "\"a\";p=1", "a\tb", "kéy", "a,b", &long];
    for key in keys {
        let answer = post(&mut gateway.client(), key, "x");
        assert_eq!(answer.status, 400, "{key:?}");
        assert_eq!(problem(&answer), "idempotency-key-malformed", "{key:?}");
    }
    let twice = format!("{ALICE}Idempotency-Key: a\r\nIdempotency-Key: a\r\n");
    let answer = ask(&mut gateway.client(), "/", &twice, "x");
    assert_eq!((answer.status, problem(&answer)), (400, "idempotency-key-malformed".into()));
    for byte in ["\u{1}", "\u{7f}"] {
        let answer = post(&mut gateway.client(), &format!("\"a{byte}\""), "x");
        assert_eq!(answer.status, 400, "no field is like that");
    }
    let mut client = gateway.client();
    client.send(request("/", &format!("{ALICE}Idempotency-Key: {huge}\r\n"), "x").as_bytes());
    assert_eq!(client.answer("POST").unwrap().status, 431, "no head is that long");
    assert!(origin.seen().is_empty());
    let longest = "x".repeat(255);
    assert_eq!(post(&mut gateway.client(), &longest, "x").status, 201);
    assert_eq!(post(&mut gateway.client(), "\"a \\\" b\"", "x").status, 201);
    let line = gateway.access_line("\"flag\":\"IK\"");
    assert_eq!(line["idempotency"], "refused", "{line}");
}

#[test]
fn a_key_may_be_required() {
    let (origin, gateway) = keyed("required: true");
    let answer = ask(&mut gateway.client(), "/", ALICE, "x");
    assert_eq!((answer.status, problem(&answer)), (400, "idempotency-key-missing".into()));
    assert!(origin.seen().is_empty());
    let mut client = gateway.client();
    assert_eq!(client.get("/").unwrap().status, 201, "of no GET");
    assert_eq!(post(&mut client, "k", "x").status, 201);
}

#[test]
fn a_key_without_an_identity_is_refused_and_says_how_to_opt_in() {
    let (origin, gateway) = keyed("");
    for fields in ["Idempotency-Key: k\r\n", "Authorization: \r\nIdempotency-Key: k\r\n"] {
        let answer = ask(&mut gateway.client(), "/", fields, "x");
        assert_eq!((answer.status, problem(&answer)), (400, "idempotency-key-unscoped".into()));
        assert!(answer.text().contains("scope: none"));
    }
    assert!(origin.seen().is_empty());
    assert_eq!(ask(&mut gateway.client(), "/", "", "x").status, 201, "without a key all is well");
}

#[test]
fn nobody_gets_what_somebody_else_asked_for() {
    let (origin, gateway) = keyed("");
    let mut client = gateway.client();
    let bob = "Authorization: Bearer bob\r\nIdempotency-Key: k\r\n";
    assert_eq!(post(&mut client, "k", "x").text(), "payment 1");
    assert_eq!(ask(&mut client, "/payments", bob, "x").text(), "payment 2");
    assert_eq!(post(&mut client, "k", "x").text(), "payment 1");
    assert_eq!(ask(&mut client, "/payments", bob, "x").text(), "payment 2");
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn a_scope_is_what_the_route_says() {
    let (origin, gateway) = keyed("scope: [\"header:x-tenant\", \"cookie:sid\"]");
    let mut client = gateway.client();
    let mut of = |fields: &str| {
        let answer = ask(&mut client, "/", &format!("{fields}Idempotency-Key: k\r\n"), "x");
        (answer.status, is_replayed(&answer))
    };
    assert_eq!(of("X-Tenant: a\r\n"), (400, false), "a part is missing");
    assert_eq!(of("X-Tenant: a\r\nCookie: sid=1\r\n"), (201, false));
    assert_eq!(of("X-Tenant: a\r\nCookie: x=y; sid=1\r\n"), (201, true));
    assert_eq!(of("X-Tenant: a\r\nCookie: sid=2\r\n"), (201, false));
    assert_eq!(of("X-Tenant: b\r\nCookie: sid=1\r\n"), (201, false));
    assert_eq!(of("X-Tenant: asid\r\nCookie: sid=1\r\n"), (201, false));
    assert_eq!(origin.seen().len(), 4);
    let gateway = route(&origin, "scope: none");
    let fields = "Idempotency-Key: k\r\n";
    assert!(!is_replayed(&ask(&mut gateway.client(), "/", fields, "x")));
    assert!(is_replayed(&ask(&mut gateway.client(), "/", fields, "x")));
}

#[test]
fn routes_have_keys_of_their_own() {
    let origin = counting();
    let yaml = format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         timeouts: {{ drain: 2s }}\nupstreams: {{ origin: {{ endpoints: [\"{}\"] }} }}\nroutes:\n  \
         - {{ match: \"/a/**\", to: origin, idempotency: true }}\n  \
         - {{ match: \"/b/**\", to: origin, idempotency: true }}\n",
        origin.address
    );
    let gateway = Setup::yaml(&yaml).start();
    let mut client = gateway.client();
    let fields = format!("{ALICE}Idempotency-Key: k\r\n");
    assert_eq!(ask(&mut client, "/a/x", &fields, "x").text(), "payment 1");
    assert_eq!(ask(&mut client, "/b/x", &fields, "x").text(), "payment 2");
    assert_eq!(ask(&mut client, "/a/x", &fields, "x").text(), "payment 1");
    // Routes without names have numbers, which move when one comes before them.
    let file = std::fs::read_to_string(&gateway.file).unwrap();
    let more = file.replace("routes:\n", "routes:\n  - { match: /c, respond: 204 }\n");
    std::fs::write(&gateway.file, more).unwrap();
    let loads = || gateway.admin("GET", "/status").json()["config"]["loads"].clone();
    assert!(eventually(|| loads() == 2));
    assert_eq!(ask(&mut client, "/a/x", &fields, "x").text(), "payment 1");
    assert_eq!(ask(&mut client, "/b/x", &fields, "x").text(), "payment 2");
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn other_methods_have_no_keys_unless_they_are_named() {
    let (origin, gateway) = keyed("");
    let mut client = gateway.client();
    let mut of = |method: &str| {
        let head =
            format!("{method} /x HTTP/1.1\r\nHost: weir.test\r\n{ALICE}Idempotency-Key: k\r\n");
        client.send(format!("{head}\r\n").as_bytes());
        is_replayed(&client.answer(method).unwrap())
    };
    assert_eq!(["GET", "GET", "HEAD", "PUT", "PUT"].map(&mut of), [false; 5]);
    assert_eq!(origin.seen().len(), 5);
    let gateway = route(&origin, "methods: [GET, DELETE]");
    client = gateway.client();
    let mut of = |method: &str| {
        let head = format!(
            "{method} /x HTTP/1.1\r\nHost: weir.test\r\n{ALICE}Idempotency-Key: {method}\r\n"
        );
        client.send(format!("{head}\r\n").as_bytes());
        is_replayed(&client.answer(method).unwrap())
    };
    let replayed = ["GET", "GET", "DELETE", "DELETE", "POST", "POST"].map(&mut of);
    assert_eq!(replayed, [false, true, false, true, false, false]);
}
