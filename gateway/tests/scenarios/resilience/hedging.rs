//! A second attempt beside a slow first one.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{count, endpoints, is_first, line, said};
use crate::support::{
    client::post,
    eventually,
    gate::Gate,
    gateway::{Gateway, Setup},
    h2_origin::H2Origin,
    origin::{Exchange, Next, Origin},
};

/// Two origins by one script, before them a gateway whose route has these keys.
fn before(
    keys: &str,
    script: impl Fn(&mut Exchange) -> std::io::Result<Next> + Clone + Send + Sync + 'static,
) -> ([Origin; 2], Gateway) {
    let origins = [Origin::start(script.clone()), Origin::start(script)];
    let gateway = Setup::to(&origins.each_ref().map(|origin| origin.address)).route(keys).start();
    (origins, gateway)
}

/// Says nothing until the gateway goes away.
fn stall(x: &mut Exchange) -> std::io::Result<Next> {
    assert!(x.closed(), "a loser is given up");
    Ok(Next::Close)
}

fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

#[test]
fn the_second_wins_and_the_first_is_given_up() {
    let (origins, gateway) = before("retry: { hedge: 50ms }", |x| match is_first(x) {
        true => stall(x),
        false => x.echo(),
    });
    for n in 0..5 {
        let began = Instant::now();
        assert_eq!(gateway.client().get(&format!("/{n}")).unwrap().status, 200);
        let took = began.elapsed();
        assert!((Duration::from_millis(50)..Duration::from_secs(5)).contains(&took), "{took:?}");
    }
    let line = line(&gateway, "/0");
    assert_eq!((said(&line), &line["attempts"]), (vec!["dropped", "200"], &2.into()), "{line}");
    assert_ne!(line["tried"][0]["endpoint"], line["tried"][1]["endpoint"]);
    assert_eq!(line["endpoint"], line["tried"][1]["endpoint"]);
    assert_eq!(count(&gateway, "weir_hedges_total", &["won"]), 5.0);
    assert_eq!(origins.iter().map(|origin| origin.seen().len()).sum::<usize>(), 10);
    let endpoints = endpoints(&gateway);
    for endpoint in &endpoints {
        assert_eq!((&endpoint["failures"], &endpoint["in_flight"]), (&0.into(), &0.into()));
    }
    let longest = |one: &serde_json::Value| one["latency_seconds"]["max"].as_f64().unwrap_or(0.0);
    let longest = endpoints.iter().map(longest).fold(0.0, f64::max);
    assert!(longest > 0.045, "what is given up counts with its time: {longest}");
}

#[test]
fn a_breaker_hears_of_losers_that_are_slow_already() {
    let script: fn(&mut Exchange) -> std::io::Result<Next> = |x| match is_first(x) {
        true => stall(x),
        false => x.echo(),
    };
    let origins = [Origin::start(script), Origin::start(script)];
    for (over, all) in [("40ms", true), ("20s", false)] {
        let breaker = format!(
            "outlier: off, breaker: {{ min_requests: 100, window: 60s, open: 60s, \
             slow: {{ over: {over}, rate: 50% }} }}"
        );
        let setup = Setup::to(&origins.each_ref().map(|origin| origin.address));
        let gateway = setup.upstream(&breaker).route("retry: { hedge: 50ms }").start();
        for n in 0..5 {
            assert_eq!(gateway.client().get(&format!("/{n}")).unwrap().status, 200);
        }
        let counts = |name: &str| {
            let count = |one: &serde_json::Value| one["breaker"][name].as_u64().unwrap();
            endpoints(&gateway).iter().map(count).sum::<u64>()
        };
        // Of what was given up sooner nobody knows.
        assert_eq!(counts("requests"), if all { 10 } else { 5 });
        assert!(if all { counts("slow") >= 5 } else { counts("slow") == 0 }, "{}", counts("slow"));
    }
}

#[test]
fn the_first_may_still_win() {
    let second = Gate::default();
    let (_origins, gateway) = before("retry: { hedge: 50ms }", move |x| match is_first(x) {
        true => {
            second.pass();
            x.echo()
        }
        false => {
            second.open();
            stall(x)
        }
    });
    assert_eq!(gateway.client().get("/x").unwrap().text(), "GET /x 0");
    let line = line(&gateway, "/x");
    assert_eq!(said(&line), ["dropped", "200"]);
    assert_eq!(line["endpoint"], line["tried"][1]["endpoint"], "{line}");
    let hedges = |outcome| count(&gateway, "weir_hedges_total", &[outcome]);
    assert_eq!((hedges("won"), hedges("lost")), (0.0, 1.0));
    assert_eq!(count(&gateway, "weir_retries_total", &[]), 0.0);
}

#[test]
fn a_quick_answer_is_alone() {
    let (origins, gateway) = before("retry: { hedge: 2s }", Exchange::echo);
    for n in 0..10 {
        assert_eq!(gateway.client().get(&format!("/{n}")).unwrap().status, 200);
    }
    assert_eq!(origins.iter().map(|origin| origin.seen().len()).sum::<usize>(), 10);
    assert!(line(&gateway, "/3")["tried"].is_null());
}

#[test]
fn what_may_do_harm_twice_or_has_a_body_is_alone() {
    let (origins, gateway) = before("retry: { hedge: 20ms }", |x| {
        pause(150);
        x.echo()
    });
    for method in ["POST", "PUT"] {
        let mut client = gateway.client();
        client.send(post("/x", "hello").replacen("POST", method, 1).as_bytes());
        assert_eq!(client.answer(method).unwrap().status, 200);
    }
    assert_eq!(origins.iter().map(|origin| origin.seen().len()).sum::<usize>(), 2);
}

#[test]
fn an_answer_that_would_be_tried_again_does_not_win() {
    let (second, failed) = (Gate::default(), Gate::default());
    let (_origins, gateway) = before("retry: { hedge: 50ms }", move |x| match is_first(x) {
        true => {
            second.pass();
            let next = x.reply(503, "", "busy");
            failed.open();
            next
        }
        false => {
            second.open();
            failed.pass();
            pause(500);
            x.echo()
        }
    });
    assert_eq!(gateway.client().get("/x").unwrap().text(), "GET /x 0");
    assert_eq!(said(&line(&gateway, "/x")), ["503", "200"]);
}

#[test]
fn when_both_fail_that_was_two_attempts() {
    let (second, failed) = (Gate::default(), Gate::default());
    let (origins, gateway) =
        before("retry: { attempts: 3, hedge: 50ms, backoff: { base: 1ms, max: 1ms } }", move |x| {
            match x.seen.field("x-weir-attempts") {
                None => {
                    second.pass();
                    failed.open();
                    Ok(Next::Reset)
                }
                Some("2") => {
                    second.open();
                    failed.pass();
                    pause(500);
                    x.reply(503, "", "busy")
                }
                _ => x.echo(),
            }
        });
    assert_eq!(gateway.client().get("/x").unwrap().text(), "GET /x 0");
    let line = line(&gateway, "/x");
    assert_eq!(said(&line), ["upstream_reset", "503", "200"], "{line}");
    assert_eq!(line["attempts"], 3);
    assert_eq!(origins.iter().map(|origin| origin.seen().len()).sum::<usize>(), 3);
}

#[test]
fn the_budget_holds_for_it() {
    let none = "retry: { hedge: 20ms, budget: { percent: 0%, min_per_sec: 0 } }";
    let (origins, gateway) = before(none, |x| {
        pause(150);
        x.echo()
    });
    assert_eq!(gateway.client().get("/x").unwrap().status, 200);
    assert_eq!(origins.iter().map(|origin| origin.seen().len()).sum::<usize>(), 1);
}

#[test]
fn p95_needs_samples() {
    let keys = "retry: { hedge: p95, attempt_timeout: 2s }";
    let (_origins, gateway) = before(keys, |x| match is_first(x) && x.target() == "/stall" {
        true => stall(x),
        false => x.echo(),
    });
    let began = Instant::now();
    assert_eq!(gateway.client().get("/stall").unwrap().status, 200);
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(count(&gateway, "weir_hedges_total", &[]), 0.0);
    let mut client = gateway.client();
    for n in 0..150 {
        assert_eq!(client.get(&format!("/{n}")).unwrap().status, 200);
    }
    // It is read once a second at most.
    pause(1100);
    assert_eq!(gateway.client().get("/stall").unwrap().status, 200);
    // Before the first one's time was over.
    assert_eq!(count(&gateway, "weir_hedges_total", &["won"]), 1.0);
}

#[test]
fn over_http2_the_loser_is_a_stream_that_is_reset() {
    let origins = [H2Origin::start(100), H2Origin::start(100)];
    let gateway = Setup::to(&origins.each_ref().map(|origin| origin.address))
        .upstream("protocol: h2")
        .route("retry: { hedge: 50ms }")
        .start();
    for _ in 0..3 {
        let answer = gateway.client().get("/once/stall").unwrap();
        assert_eq!(answer.text(), "GET /once/stall 0");
    }
    let given_up = || origins.iter().map(H2Origin::given_up).sum::<usize>();
    assert!(eventually(|| given_up() == 3), "{}", given_up());
    assert!(origins.iter().map(H2Origin::connections).sum::<usize>() <= 4, "connections last");
}
