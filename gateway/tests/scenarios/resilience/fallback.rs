//! What stands in for an upstream that cannot answer.

use std::{net::SocketAddr, thread, time::Duration};

use super::{count, line, nobody, said};
use crate::support::{
    client::{get, post},
    gateway::{Gateway, Setup},
    origin::{Next, Origin},
};

/// A route to `main` with this fallback, and an upstream `spare` beside it.
fn before(main: SocketAddr, spare: SocketAddr, fallback: &str) -> Gateway {
    Setup::yaml(&format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [{{ bind: \"$LISTEN\" }}]\n\
         upstreams:\n  main: {{ endpoints: [\"{main}\"], outlier: off }}\n  \
         spare: {{ endpoints: [\"{spare}\"] }}\n\
         routes:\n  - {{ name: r, match: {{ path: \"/**\" }}, to: main, fallback: {fallback} }}\n"
    ))
    .start()
}

#[test]
fn another_upstream_takes_over() {
    let spare = Origin::echo();
    let gateway = before(nobody(), spare.address, "spare");
    assert_eq!(gateway.client().get("/x").unwrap().text(), "GET /x 0");
    let line = line(&gateway, "/x");
    assert_eq!((&line["fallback"], &line["upstream"]), (&true.into(), &"spare".into()), "{line}");
    assert_eq!(said(&line), ["connect_refused", "connect_refused", "200"]);
    assert_eq!((&line["stopped"], line.get("flag")), (&"attempts".into(), None), "{line}");
    let mut client = gateway.client();
    client.send(post("/p", "hello").as_bytes());
    assert_eq!(client.answer("POST").unwrap().text(), "POST /p 5", "nothing of it was sent");
    assert_eq!(spare.seen()[0].field("x-weir-attempts"), Some("3"));
    assert_eq!(count(&gateway, "weir_fallbacks_total", &["spare"]), 2.0);
    assert_eq!(count(&gateway, "weir_requests_total", &["spare", "2xx"]), 2.0);
}

#[test]
fn what_may_have_been_acted_on_does_not_move() {
    let main = Origin::start(|x| {
        x.read_body()?;
        Ok(Next::Reset)
    });
    let spare = Origin::echo();
    let gateway = before(main.address, spare.address, "{ to: spare }");
    for (method, status) in [("GET", 200), ("PUT", 200), ("POST", 502)] {
        let mut client = gateway.client();
        let request = match method {
            "GET" => get("/GET"),
            _ => post(&format!("/{method}"), "hello").replacen("POST", method, 1),
        };
        client.send(request.as_bytes());
        assert_eq!(client.answer(method).unwrap().status, status, "{method}");
    }
    assert_eq!(spare.completed("/PUT").body.len(), 5);
    assert!(spare.seen_at("/POST").is_empty());
    assert!(line(&gateway, "/POST")["fallback"].is_null());
}

#[test]
fn a_fixed_response_says_what_it_stands_for() {
    let fixed = "{ respond: { status: 200, body: later, headers: { x-kind: sorry } } }";
    let gateway = before(nobody(), nobody(), fixed);
    let answer = gateway.client().get("/x").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "later"));
    assert_eq!(answer.field("x-kind"), Some("sorry"));
    assert_eq!(answer.field("proxy-status"), Some("weir; error=connection_refused"));
    let line = line(&gateway, "/x");
    assert_eq!((&line["fallback"], &line["flag"]), (&true.into(), &"UF".into()), "{line}");
    let tree: serde_json::Value = gateway.admin("GET", "/upstreams").json();
    assert_eq!(tree["upstreams"][0]["recent_failures"], serde_json::json!([]), "no client failed");
}

#[test]
fn an_answer_of_the_upstream_stays() {
    let main = Origin::start(|x| x.reply(503, "", "mine"));
    let spare = Origin::echo();
    let gateway = before(main.address, spare.address, "spare");
    let answer = gateway.client().get("/x").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (503, "mine"));
    assert!(spare.seen().is_empty());
    assert_eq!(count(&gateway, "weir_fallbacks_total", &[]), 0.0);
}

#[test]
fn when_both_fail_the_latter_tells_why() {
    let spare = Origin::start(|_| Ok(Next::Reset));
    let gateway = before(nobody(), spare.address, "spare");
    let answer = gateway.client().get("/x").unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(answer.field("proxy-status"), Some("weir; error=connection_terminated"));
    let line = line(&gateway, "/x");
    assert_eq!(said(&line)[..2], ["connect_refused", "connect_refused"], "{line}");
    assert_eq!(said(&line)[2..], ["upstream_reset", "upstream_reset"], "{line}");
    let tree: serde_json::Value = gateway.admin("GET", "/upstreams").json();
    assert_eq!(tree["upstreams"][1]["recent_failures"][0]["status"], 502);
}

/// An origin that never answers.
fn mute() -> Origin {
    Origin::start(|x| {
        x.closed();
        Ok(Next::Close)
    })
}

#[test]
fn another_upstream_has_the_whole_time_to_answer() {
    let main = mute();
    let spare = Origin::start(|x| {
        thread::sleep(Duration::from_millis(500));
        x.echo()
    });
    let keys = "{ to: spare }, retry: off, timeout: { headers: 2s }";
    let gateway = before(main.address, spare.address, keys);
    assert_eq!(gateway.client().get("/x").unwrap().text(), "GET /x 0");
    let line = line(&gateway, "/x");
    assert_eq!(said(&line), ["headers_timeout", "200"], "{line}");
    let took = line["upstream_ms"].as_f64().unwrap();
    assert!((490.0..1_950.0).contains(&took), "what came before is none of its time: {line}");
}

#[test]
fn when_the_time_is_over_nobody_else_is_asked_or_blamed() {
    let (main, spare) = (mute(), Origin::echo());
    let keys = "spare, retry: off, timeout: { headers: 300ms, total: 300ms }";
    let gateway = before(main.address, spare.address, keys);
    assert_eq!(gateway.client().get("/x").unwrap().status, 504);
    let line = line(&gateway, "/x");
    assert_eq!(said(&line), ["deadline_passed"], "{line}");
    assert_eq!((&line["upstream"], line.get("fallback")), (&"main".into(), None), "{line}");
    assert_eq!(spare.connections(), 0);
    let tree: serde_json::Value = gateway.admin("GET", "/upstreams").json();
    assert_eq!(tree["upstreams"][0]["recent_failures"][0]["status"], 504);
    assert_eq!(tree["upstreams"][1]["endpoints"][0]["failures"], 0);
}
