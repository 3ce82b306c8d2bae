//! What a client is told, before and after it comes too often.

use super::{get, limited, listed, standing};
use crate::support::{client::post, gateway::Setup, origin::Origin};

#[test]
fn a_burst_passes_and_then_the_client_is_told_everything() {
    let (origin, gateway) = limited("rate_limit: { name: per-ip, rate: 3/m }");
    let mut client = gateway.client();
    for left in [2, 1, 0] {
        let answer = get(&mut client, "/a", "");
        assert_eq!(answer.status, 200);
        assert_eq!(listed(&answer, "ratelimit-policy"), "\"per-ip\";q=3;w=60");
        let (remaining, reset) = standing(&answer, "per-ip");
        assert_eq!(remaining, left);
        assert!(reset.is_some_and(|reset| (1..=60).contains(&reset)), "{reset:?}");
        assert_eq!(answer.field("retry-after"), None);
    }
    let answer = get(&mut client, "/a", "");
    assert_eq!(answer.status, 429);
    assert_eq!(answer.field("proxy-status"), Some("weir; error=http_request_denied"));
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
    assert_eq!(answer.field("connection"), None, "the connection is kept");
    assert!(answer.field("x-request-id").is_some() && answer.field("date").is_some());
    assert_eq!(listed(&answer, "ratelimit-policy"), "\"per-ip\";q=3;w=60");
    let (remaining, reset) = standing(&answer, "per-ip");
    let retry_after: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert_eq!(remaining, 0);
    assert!((18..=22).contains(&retry_after), "{retry_after}");
    assert!(reset.is_some_and(|reset| (1..=retry_after).contains(&reset)), "{reset:?}");
    let problem = answer.json();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!((&problem["title"], &problem["status"]), (&"Too Many Requests".into(), &429.into()));
    assert_eq!(problem["violated-policies"][0], "per-ip");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("\"per-ip\"") && detail.contains(&retry_after.to_string()), "{detail}");
    assert_eq!(origin.seen_at("/a").len(), 3);
}

#[test]
fn who_takes_no_json_gets_a_line_of_text() {
    let (_origin, gateway) = limited("rate_limit: { rate: 1/m }");
    let mut client = gateway.client();
    assert_eq!(get(&mut client, "/", "").status, 200);
    let answer = get(&mut client, "/", "Accept: text/plain\r\n");
    assert_eq!(answer.status, 429);
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.text(), "429 too many requests (RL)\n");
    assert!(answer.field("retry-after").is_some());
    let head = "HEAD / HTTP/1.1\r\nHost: weir.test\r\n\r\n";
    client.send(head.as_bytes());
    let answer = client.answer("HEAD").unwrap();
    assert_eq!((answer.status, answer.body.len()), (429, 0));
    assert_eq!(get(&mut client, "/", "").status, 429, "nothing of a body was sent to HEAD");
}

#[test]
fn a_denied_upload_goes_nowhere_and_the_connection_lives() {
    let (origin, gateway) = limited("rate_limit: { rate: 1/m }");
    let mut client = gateway.client();
    client.send(post("/up", "first").as_bytes());
    assert_eq!(client.answer("POST").unwrap().text(), "POST /up 5");
    for _ in 0..3 {
        client.send(post("/up", &"x".repeat(10_000)).as_bytes());
        assert_eq!(client.answer("POST").unwrap().status, 429);
    }
    assert_eq!(origin.seen_at("/up").len(), 1);
}

#[test]
fn a_rate_of_none_admits_nobody_and_says_no_time() {
    let (origin, gateway) = limited("rate_limit: 0/s");
    let answer = get(&mut gateway.client(), "/", "");
    assert_eq!((answer.status, answer.field("retry-after")), (429, None));
    assert_eq!(listed(&answer, "ratelimit"), "\"default\";r=0");
    assert!(origin.seen().is_empty());
}

#[test]
fn what_the_upstream_says_of_its_own_limits_stays() {
    let origin = Origin::start(|x| {
        let fields = "RateLimit-Policy: \"origin\";q=5;w=1\r\nRateLimit: \"origin\";r=1;t=1\r\n";
        x.reply(200, fields, "")
    });
    let setup = Setup::to(&[origin.address]).route("rate_limit: { name: edge, rate: 9/m }");
    let gateway = setup.start();
    let answer = get(&mut gateway.client(), "/", "");
    assert_eq!(listed(&answer, "ratelimit-policy"), "\"origin\";q=5;w=1, \"edge\";q=9;w=60");
    assert_eq!(standing(&answer, "origin"), (1, Some(1)));
    assert_eq!(standing(&answer, "edge").0, 8);
}

#[test]
fn a_route_may_keep_its_limits_to_itself() {
    let (_origin, gateway) = limited(
        "rate_limit: 1/m, headers: { response: { remove: [ratelimit, ratelimit-policy] } }",
    );
    let answer = get(&mut gateway.client(), "/", "");
    assert_eq!((answer.status, answer.field("ratelimit")), (200, None));
}

#[test]
fn every_response_of_the_route_tells() {
    let yaml = "workers: 2\nadmin: { bind: \"$ADMIN\" }\nlisteners: [\"$LISTEN\"]\n\
        timeouts: { drain: 2s }\nupstreams: { none: { endpoints: [\"127.0.0.1:1\"] } }\nroutes:\n  \
        - { match: /fixed, respond: { status: 200, body: x }, rate_limit: 2/m }\n  \
        - { match: /moved, redirect: /fixed, rate_limit: 2/m }\n  \
        - { match: /down, to: none, rate_limit: 2/m }\n  \
        - { match: /free, respond: { status: 200, body: x } }\n";
    let gateway = Setup::yaml(yaml).start();
    let mut client = gateway.client();
    for (target, status) in [("/fixed", 200), ("/moved", 308), ("/down", 502)] {
        for (left, status) in [(1, status), (0, status), (0, 429)] {
            let answer = get(&mut client, target, "");
            assert_eq!(answer.status, status, "{target}");
            assert_eq!(standing(&answer, "default").0, left, "{target}");
        }
    }
    let free = get(&mut client, "/free", "");
    assert!(listed(&free, "ratelimit").is_empty() && listed(&free, "ratelimit-policy").is_empty());
    assert_eq!(get(&mut client, "/none", "").status, 404);
}
