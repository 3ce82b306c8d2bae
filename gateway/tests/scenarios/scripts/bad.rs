//! Scripts that throw, recurse, allocate and loop without end, and return nonsense: each answered,
//! each told, and nobody else concerned.

use std::time::{Duration, Instant};

use super::{get, routes, with};
use crate::support::origin::Origin;

/// Time enough for all but what takes all there is.
fn bounds(what: &str) -> &'static str {
    match what.contains("runs for longer") {
        true => "timeout: 20ms\nmemory: 4MiB\nsteps: 1000000000",
        false => "timeout: 10s\nmemory: 4MiB\nsteps: 1000000000",
    }
}

/// Name, what the hook does, and what is said of that.
const BAD: &[(&str, &str, &str)] = &[
    ("throw", "error('boom')", ":1: boom"),
    ("nil", "return req.nothing.more", ":1: attempt to index nil"),
    ("recurse", "local function f() return 1 + f() end return f()", "it uses more memory"),
    (
        "allocate",
        "local t = {} while true do t[#t + 1] = ('x'):rep(999) .. #t end",
        "it uses more memory",
    ),
    ("loop", "while true do end", ":1: it runs for longer"),
    ("stubborn", "while true do pcall(function() while true do end end) end", "it runs for longer"),
    ("number", "return 5", "`on_request` returned a number"),
    ("status", "return { status = 99 }", "a status is a whole number from 200 to 599, not 99"),
    ("word", "return { status = 'ok' }", "not a string"),
    ("name", "return { headers = { ['x\\r\\ny'] = '1' } }", "is no header name"),
    ("value", "return { headers = { x = 'a\\r\\nset-cookie: b' } }", "line ends included"),
    (
        "length",
        "return { headers = { ['content-length'] = '5' } }",
        "written by the gateway itself",
    ),
    ("body", "return { body = {} }", "`body` of a response is a string"),
    ("key", "return { stauts = 200 }", "`stauts` is no part of a response"),
    ("set", "req.headers:set('a b', 'c')", ":1: `a b` is no header name"),
    ("method", "req.method = 'A B'", "is no method"),
    ("head", "req.method = 'HEAD'", "is no method"),
    ("path", "req.path = '/../../etc'", "is no path"),
    ("query", "req.query = 'a b'", "a query holds visible ASCII"),
    ("client", "req.client_ip = '1.2.3.4'", "client_ip"),
    ("global", "leaked = 1", "readonly"),
];

fn body(line: &str) -> String {
    format!("function on_request(req) {line} end")
}

#[test]
fn each_fails_alone_and_is_told() {
    let origin = Origin::echo();
    let keys: Vec<_> = BAD
        .iter()
        .map(|(name, line, what)| (format!("/{name}"), with(bounds(what), &body(line))))
        .collect();
    let mut all: Vec<_> =
        keys.iter().map(|(path, keys)| (path.as_str(), keys.as_str(), "")).collect();
    all.push(("/**", "", "function on_response(req, res) res.headers:set('x-by', 'lua') end"));
    let gateway = routes([&origin, &origin], &all);
    for round in 0..2 {
        for (name, _, what) in BAD {
            let answer = get(&gateway, &format!("/{name}"));
            assert_eq!(answer.status, 500, "{name}");
            assert_eq!(answer.field("proxy-status"), Some("weir; error=proxy_internal_error"));
            assert_eq!(answer.text(), "500 the script of this route failed (SC)\n");
            let told = crate::support::eventually(|| gateway.log().contains(what));
            assert!(told, "{round} {name}: {what}\n{}", gateway.log());
        }
        let good = get(&gateway, "/good");
        assert_eq!((good.status, good.field("x-by")), (200, Some("lua")));
    }
    assert!(origin.seen().iter().all(|seen| seen.target == "/good"));
    let line = gateway.access_line("/loop");
    assert_eq!((line["script"].as_str(), line["flag"].as_str()), (Some("timeout"), Some("SC")));
    let metrics = gateway.admin("GET", "/metrics").text();
    assert!(metrics.contains(r#"outcome="memory"} 2"#), "{metrics}");
}

#[test]
fn what_may_fail_passes() {
    let origin = Origin::echo();
    let keys = with(
        "on_error: pass\ntimeout: 20ms\nmemory: 4MiB",
        r#"
        function on_request(req)
          req.headers:set("x-a", "1")
          req.path = "/elsewhere"
          req:upstream("other")
          if req.query == "loop" then while true do end end
          error("boom")
        end
        function on_response(req, res)
          res.headers:set("x-b", "1")
          res.status = 404
          error("again")
        end"#,
    );
    let other = Origin::echo();
    let keys = format!("strip_prefix: /v1\n{keys}");
    let gateway = routes([&origin, &other], &[("/v1/**", &keys, "")]);
    for target in ["/v1/a", "/v1/a?loop"] {
        let answer = get(&gateway, target);
        assert_eq!((answer.status, answer.field("x-b")), (200, None), "{target}");
    }
    let seen = origin.seen_at("/a");
    assert_eq!((seen.len(), seen[0].field("x-a")), (2, None));
    assert!(other.seen().is_empty(), "what the hook chose is forgotten with it");
}

#[test]
fn responses_that_a_script_cannot_handle_are_errors() {
    let origin = Origin::echo();
    let keys = with("", "function on_response(req, res) return 5 end");
    let gateway = routes([&origin, &origin], &[("/**", &keys, "")]);
    let mut client = gateway.client();
    for _ in 0..2 {
        let answer = client.get("/a").unwrap();
        assert_eq!(answer.status, 500);
        assert!(answer.field("x-request-id").is_some());
    }
    let told = || gateway.log().contains("`on_response` returned a number");
    assert!(crate::support::eventually(told));
}

#[test]
fn a_log_hook_that_fails_concerns_nobody() {
    let origin = Origin::echo();
    let keys = with(
        "timeout: 20ms",
        "function on_log(req, res) if req.path == '/wait' then \
        weir.http({ upstream = 'other' }) end while true do end end",
    );
    let gateway = routes([&origin, &origin], &[("/**", &keys, "")]);
    for target in ["/a", "/wait", "/b"] {
        assert_eq!(get(&gateway, target).status, 200);
    }
    assert!(crate::support::eventually(|| {
        let log = gateway.log();
        log.contains("nothing can be waited for in `on_log`") && log.contains("it runs for longer")
    }));
}

/// On the one worker there is, while a script loops for two seconds.
#[test]
fn others_keep_their_latency_while_a_script_loops() {
    let origin = Origin::echo();
    let looping = with("timeout: 2s\nsteps: 1000000000", &body("while true do end"));
    let gateway = routes([&origin, &origin], &[("/loop", &looping, ""), ("/**", "", "")]);
    let mut client = gateway.client();
    assert_eq!(client.get("/warm").unwrap().status, 200);
    let mut stuck = gateway.client();
    let began = Instant::now();
    stuck.send(b"GET /loop HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut answered = 0;
    while began.elapsed() < Duration::from_secs(1) {
        assert_eq!(client.get("/fast").unwrap().status, 200);
        answered += 1;
    }
    // Not one would be, were the worker its own; each waits for a few slices of a millisecond.
    assert!(answered >= 5, "{answered}");
    assert_eq!(stuck.answer("GET").unwrap().status, 500);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_call_over_http_1_is_told_by_the_status() {
    let origin = Origin::echo();
    let script = "function on_response(req, res) error('boom') end";
    let gateway = routes([&origin, &origin], &[("/**", "", script)]);
    let fields = "Content-Type: application/grpc\r\n";
    let answer = super::ask(&mut gateway.client(), "GET", "/", fields);
    assert_eq!((answer.status, answer.field("grpc-status")), (500, None));
}
