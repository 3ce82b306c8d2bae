//! Second tries: when there are some, where they go, and why there are no more of them.

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{Moody, count, endpoints, is_first, line, nobody, said};
use crate::support::{
    answer::End,
    client::{get, post},
    gateway::Setup,
    h2_origin::H2Origin,
    origin::{Next, Origin},
};

/// Neither balance nor ejection gets in the way.
const PLAIN: &str = "balance: round_robin, outlier: off";

#[test]
fn a_503_is_asked_elsewhere_and_told_of() {
    let (bad, good) = (Moody::start(503), Origin::echo());
    let gateway = Setup::to(&[bad.origin.address, good.address]).upstream(PLAIN).start();
    for n in 0..20 {
        let answer = gateway.client().get(&format!("/{n}")).unwrap();
        assert_eq!(answer.status, 200, "{n}");
        assert_eq!(answer.field("x-weir-attempts"), None, "that is between us and the upstream");
    }
    let failed = bad.origin.seen();
    assert!((5..=15).contains(&failed.len()), "{} of 20 to the bad one", failed.len());
    assert!(failed.iter().all(|seen| seen.field("x-weir-attempts").is_none()));
    assert_eq!(good.seen().len(), 20);
    for seen in good.seen() {
        let again = failed.iter().any(|first| first.target == seen.target);
        assert_eq!(seen.field("x-weir-attempts"), again.then_some("2"), "{}", seen.target);
    }
    let line = line(&gateway, &failed[0].target);
    assert_eq!((said(&line), &line["attempts"]), (vec!["503", "200"], &2.into()), "{line}");
    assert_eq!(line["tried"][0]["endpoint"], bad.origin.address.to_string());
    assert_eq!(line["tried"][1]["endpoint"], good.address.to_string());
    assert!(line["tried"][0]["ms"].as_f64().unwrap() < 1e4 && line["stopped"].is_null(), "{line}");
    let retries = |outcome| count(&gateway, "weir_retries_total", &[outcome]);
    assert_eq!((retries("success"), retries("failure")), (failed.len() as f64, 0.0));
    assert_eq!(count(&gateway, "weir_retry_stops_total", &[]), 0.0);
}

#[test]
fn nobody_there_costs_no_request_of_any_method() {
    let good = Origin::echo();
    let gateway = Setup::to(&[nobody(), good.address]).upstream(PLAIN).start();
    for n in 0..10 {
        assert_eq!(gateway.client().get(&format!("/g{n}")).unwrap().status, 200);
        let mut client = gateway.client();
        client.send(post(&format!("/p{n}"), "hello").as_bytes());
        assert_eq!(client.answer("POST").unwrap().text(), format!("POST /p{n} 5"));
    }
    assert_eq!(good.seen().len(), 20);
    assert!(count(&gateway, "weir_retries_total", &["success"]) > 5.0);
}

#[test]
fn a_connection_that_breaks_is_for_what_does_no_harm_twice() {
    let origin = Origin::start(|x| if is_first(x) { Ok(Next::Reset) } else { x.echo() });
    let gateway = Setup::to(&[origin.address]).upstream(PLAIN).start();
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "QUERY"] {
        let mut client = gateway.client();
        client.send(get(&format!("/{method}")).replacen("GET", method, 1).as_bytes());
        assert_eq!(client.answer(method).unwrap().status, 200, "{method}");
        let seen = origin.seen_at(&format!("/{method}")).len();
        assert!((2..=3).contains(&seen), "{method}: {seen}, a kept connection replaced or not");
    }
    for method in ["POST", "PATCH", "BREW"] {
        let mut client = gateway.client();
        client.send(get(&format!("/{method}")).replacen("GET", method, 1).as_bytes());
        assert_eq!(client.answer(method).unwrap().status, 502, "{method}");
        assert_eq!(origin.seen_at(&format!("/{method}")).len(), 1);
        let line = line(&gateway, &format!("/{method}"));
        assert_eq!((said(&line), &line["stopped"]), (vec!["upstream_reset"], &"unsafe".into()));
    }
}

/// Why a request with these keys of its route is not tried again.
fn stopped(retry: &str, request: &str, script: fn(&mut crate::support::origin::Exchange)) -> Value {
    let origin = Origin::start(move |x| {
        x.read_body()?;
        script(x);
        Ok(Next::Keep)
    });
    let gateway = Setup::to(&[origin.address]).upstream(PLAIN).route(retry).start();
    let mut client = gateway.client();
    client.send(request.as_bytes());
    let method = request.split(' ').next().unwrap();
    let answer = client.answer(method).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (503, "busy"), "the last answer as it is");
    let line = line(&gateway, "/x");
    let reason = format!("reason=\"{}\"", line["stopped"].as_str().unwrap());
    assert_eq!(count(&gateway, "weir_retry_stops_total", &[&reason]), 1.0, "{reason}");
    line
}

#[test]
fn every_reason_not_to_try_again_has_its_name() {
    let busy = |x: &mut crate::support::origin::Exchange| {
        x.reply(503, "", "busy").unwrap();
    };
    let later = |x: &mut crate::support::origin::Exchange| {
        x.reply(503, "Retry-After: 30\r\n", "busy").unwrap();
    };
    let plain = get("/x");
    let long = "b".repeat(100_000);
    let put = post("/x", &long).replacen("POST", "PUT", 1);
    let slow = "retry: { backoff: { base: 3600s, max: 3600s } }, timeout: { total: 5s }";
    let none = "retry: { budget: { percent: 0%, min_per_sec: 0 } }";
    for (retry, request, script, reason, attempts) in [
        ("retry: off", &plain, busy as fn(&mut _), "off", 1),
        ("retry: { on: [connect, reset] }", &plain, busy, "final", 1),
        ("retry: 3", &plain, busy, "attempts", 3),
        ("retry: 3", &post("/x", "hello"), busy, "unsafe", 1),
        ("retry: 3", &put, busy, "body", 1),
        ("retry: 3", &plain, later, "retry_after", 1),
        (slow, &plain, busy, "deadline", 1),
        (none, &plain, busy, "budget", 1),
    ] {
        let line = stopped(retry, request, script);
        assert_eq!(line["stopped"], reason, "{retry}: {line}");
        assert_eq!((said(&line), &line["attempts"]), (vec!["503"; attempts], &attempts.into()));
    }
}

#[test]
fn an_endpoint_that_asks_for_a_short_rest_gets_it() {
    let origin = Origin::start(|x| match is_first(x) {
        true => x.reply(503, "Retry-After: 1\r\n", ""),
        false => x.echo(),
    });
    let gateway = Setup::to(&[origin.address])
        .upstream(PLAIN)
        .route("retry: { backoff: { base: 1ms, max: 5s } }")
        .start();
    let began = Instant::now();
    assert_eq!(gateway.client().get("/x").unwrap().status, 200);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1), "{took:?}");
}

#[test]
fn the_budget_bounds_them() {
    let bad = Moody::start(503);
    let gateway = Setup::to(&[bad.origin.address])
        .upstream(PLAIN)
        .route(
            "retry: { attempts: 5, backoff: { base: 1ms, max: 1ms }, \
             budget: { percent: 10%, min_per_sec: 0, window: 60s } }",
        )
        .start();
    for n in 0..100 {
        assert_eq!(gateway.client().get(&format!("/{n}")).unwrap().status, 503);
    }
    let seen = bad.origin.seen().len();
    assert!((105..=110).contains(&seen), "{seen} attempts for 100 requests");
    assert_eq!(count(&gateway, "weir_retries_total", &["failure"]), (seen - 100) as f64);
    assert!(count(&gateway, "weir_retry_stops_total", &["budget"]) >= 90.0);
    let tree: Value = gateway.admin("GET", "/routes").json();
    let retry = &tree["routes"][0]["retry"];
    assert_eq!((&retry["attempts"], &retry["budget"]["requests"]), (&5.into(), &100.into()));
    assert_eq!(retry["budget"]["retries"], seen - 100, "{retry}");
}

#[test]
fn nobody_is_asked_twice_while_there_is_another() {
    let bad = [Moody::start(503), Moody::start(503), Moody::start(503)];
    for balance in ["p2c", "round_robin", "random", "least_request", "peak_ewma", "prequal"] {
        let gateway = Setup::to(&bad.each_ref().map(|one| one.origin.address))
            .upstream(&format!("balance: {balance}, outlier: off"))
            .route("retry: { attempts: 6, backoff: { base: 1ms, max: 1ms }, budget: 100% }")
            .start();
        let path = |n| format!("/{balance}{n}");
        for n in 0..5 {
            assert_eq!(gateway.client().get(&path(n)).unwrap().status, 503);
        }
        for line in (0..5).map(|n| line(&gateway, &path(n))) {
            let tried = line["tried"].as_array().unwrap();
            let names: Vec<_> = tried.iter().map(|one| one["endpoint"].as_str().unwrap()).collect();
            assert_eq!(names.len(), 6, "{line}");
            assert_eq!(names[..3].iter().collect::<HashSet<_>>().len(), 3, "{line}");
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "not twice in a row: {line}");
        }
    }
}

#[test]
fn a_connection_outlives_an_answer_that_is_tried_again() {
    let origin = Origin::start(|x| match is_first(x) {
        true => x.reply(503, "", &"sorry".repeat(2000)),
        false => x.echo(),
    });
    let gateway = Setup::to(&[origin.address]).upstream(PLAIN).start();
    let mut client = gateway.client();
    for n in 0..10 {
        assert_eq!(client.get(&format!("/{n}")).unwrap().status, 200);
    }
    assert_eq!(origin.seen().len(), 20);
    // The rest of an answer may still be on its way when the next attempt begins.
    assert!(origin.connections() <= 4, "{} connections", origin.connections());
}

#[test]
fn over_http2_as_well() {
    let origins = [H2Origin::start(100), H2Origin::start(100)];
    let gateway = Setup::to(&origins.each_ref().map(|origin| origin.address))
        .upstream("protocol: h2, outlier: off")
        .start();
    let seen =
        |path: &str| origins.iter().map(|origin| origin.seen(path).len()).collect::<Vec<_>>();
    for (path, name) in [("/once/503", "503"), ("/once/refuse", "upstream_refused")] {
        assert_eq!(gateway.client().get(path).unwrap().text(), format!("GET {path} 0"));
        assert_eq!(seen(path), [1, 1], "{path}: one each");
        assert_eq!(said(&line(&gateway, path)), [name, "200"]);
    }
    // Refused unseen: nobody has acted on it.
    let mut client = gateway.client();
    client.send(post("/once/refuse", "hello").as_bytes());
    assert_eq!(client.answer("POST").unwrap().text(), "POST /once/refuse 5");
    client.send(post("/once/503", "hello").as_bytes());
    assert_eq!(client.answer("POST").unwrap().status, 503);
}

#[test]
fn the_latest_failed_requests_are_shown() {
    let bad = Moody::start(503);
    let gateway = Setup::to(&[bad.origin.address]).upstream(PLAIN).route("retry: off").start();
    assert_eq!(gateway.client().get("/missing").unwrap().status, 503);
    bad.set(404);
    assert_eq!(gateway.client().get("/fine").unwrap().status, 404);
    bad.set(500);
    for n in 0..20 {
        assert_eq!(gateway.client().get(&format!("/{n}")).unwrap().status, 500);
    }
    let tree: Value = gateway.admin("GET", "/upstreams").json();
    let recent = tree["upstreams"][0]["recent_failures"].as_array().unwrap();
    assert_eq!(recent.len(), 16);
    let line = line(&gateway, "/19");
    let latest = &recent[0];
    for key in ["id", "status", "route", "stopped", "tried"] {
        assert_eq!(latest[key], line[key], "{key}: {latest} {line}");
    }
    assert!(latest["at"].as_f64().unwrap() > 1e9 && latest["error"].is_null(), "{latest}");
    assert!(recent.iter().all(|one| one["status"] == 500), "those before are forgotten");
}

#[test]
fn a_wish_for_rest_holds_for_who_made_it() {
    let later = Origin::start(|x| x.reply(503, "Retry-After: 30\r\n", ""));
    let busy = Moody::start(503);
    let gateway = Setup::to(&[later.address, busy.origin.address])
        .upstream(PLAIN)
        .route("retry: { attempts: 3, backoff: { base: 1ms, max: 1ms } }")
        .start();
    for n in 0..10 {
        assert_eq!(gateway.client().get(&format!("/{n}")).unwrap().status, 503);
    }
    for n in 0..10 {
        let line = line(&gateway, &format!("/{n}"));
        assert_eq!(line["stopped"], "attempts", "there was always another to ask: {line}");
    }
}

#[test]
fn an_attempt_that_none_can_follow_is_not_cut_short() {
    let origin = Origin::start(|x| {
        x.read_body()?;
        thread::sleep(Duration::from_millis(1_200));
        x.echo()
    });
    let gateway = Setup::to(&[origin.address])
        .upstream(PLAIN)
        .route("retry: { attempt_timeout: 600ms, buffer: 1KiB }")
        .start();
    let put = |length: usize| post("/x", &"b".repeat(length)).replacen("POST", "PUT", 1);
    let long = put(2000);
    let (head, body) = long.split_once("\r\n\r\n").unwrap();
    let chunked = head.replacen("Content-Length: 2000", "Transfer-Encoding: chunked", 1);
    assert_ne!(chunked, head);
    let chunked = format!("{chunked}\r\n\r\n7d0\r\n{body}\r\n0\r\n\r\n");
    for (request, attempts) in [(&long, 1), (&chunked, 1), (&put(500), 2)] {
        let before = origin.seen().len();
        let mut client = gateway.client();
        client.send(request.as_bytes());
        assert_eq!(client.answer("PUT").unwrap().status, 200);
        assert_eq!(origin.seen().len() - before, attempts);
    }
}

#[test]
fn an_impatient_attempt_costs_no_http2_connection() {
    let origin = H2Origin::start(100);
    let gateway = Setup::to(&[origin.address])
        .upstream("protocol: h2, outlier: off")
        .route("retry: { attempt_timeout: 500ms, budget: 100% }")
        .start();
    let mut client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.get("/once/stall").unwrap().status, 200);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_http2_stream_that_is_reset_is_an_attempt() {
    let origin = H2Origin::start(100);
    let gateway = Setup::to(&[origin.address])
        .upstream("protocol: h2, outlier: off")
        .route("retry: off")
        .start();
    let mut client = gateway.client();
    assert_eq!(client.get("/x").unwrap().status, 200);
    assert_eq!(client.get("/reset").unwrap().status, 502);
    assert_eq!(origin.seen("/reset").len(), 1, "the policy says once");
    assert_eq!(endpoints(&gateway)[0]["failures"], 1);
}

#[test]
fn an_answer_that_breaks_off_is_told_of() {
    let origin = Origin::start(|x| {
        if x.target() == "/twice" && is_first(x) {
            return x.reply(503, "", "");
        }
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart")?;
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).upstream(PLAIN).start();
    for (path, wanted) in
        [("/x", vec!["upstream_body_broken"]), ("/twice", vec!["503", "upstream_body_broken"])]
    {
        assert_eq!(gateway.client().get(path).unwrap().end, End::Truncated);
        let line = line(&gateway, path);
        assert_eq!((said(&line), &line["stopped"]), (wanted, &"final".into()), "{line}");
        let tree: Value = gateway.admin("GET", "/upstreams").json();
        assert_eq!(tree["upstreams"][0]["recent_failures"][0]["tried"], line["tried"]);
    }
}
