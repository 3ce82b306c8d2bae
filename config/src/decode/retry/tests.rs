#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{Diagnostics, Loaded, load_str, model::Route};

fn load(keys: &str) -> Result<Loaded, Diagnostics> {
    let file = format!(
        "listeners: [\":80\"]\n\
         upstreams: {{ a: {{ endpoints: [\"127.0.0.1:1\", \"127.0.0.1:2\"] }} }}\n\
         routes: [{{ to: a{keys} }}]"
    );
    load_str("weir.yaml", &file, &|_| None)
}

fn route(keys: &str) -> Route {
    let mut loaded = load(keys).unwrap_or_else(|wrong| panic!("{keys}: {wrong}"));
    assert!(loaded.warnings.is_empty(), "{keys}: {}", loaded.warnings);
    loaded.config.routes.remove(0)
}

fn retry(keys: &str) -> Option<Retry> {
    route(keys).retry
}

fn warned(keys: &str) -> String {
    load(keys).unwrap_or_else(|wrong| panic!("{wrong}")).warnings.render()
}

fn refused(keys: &str) -> String {
    load(keys).unwrap_err().render()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn routes_that_forward_try_again_unless_that_is_off() {
    let status = |first, last| StatusRange { first, last };
    let default = Retry {
        attempts: 2,
        on: RetryOn {
            connect: true,
            reset: true,
            timeout: true,
            statuses: vec![status(502, 502), status(503, 503), status(504, 504)],
        },
        backoff: Backoff { base: millis(25), max: millis(250) },
        budget: RetryBudget { percent: 0.2, min_per_sec: 3, window: millis(10_000) },
        attempt_timeout: None,
        buffer: 64 << 10,
        hedge: None,
    };
    for keys in ["", ", retry: on", ", retry: {}", ", retry: 2", ", retry: { hedge: off }"] {
        assert_eq!(retry(keys).as_ref(), Some(&default), "{keys}");
    }
    for keys in [", retry: off", ", retry: false", ", retry: 1", ", retry: { attempts: 1 }"] {
        assert_eq!(retry(keys), None, "{keys}");
    }
    assert_eq!(retry(", retry: 5").unwrap(), Retry { attempts: 5, ..default });
    for text in ["routes: [{ respond: 200 }]", "routes: [{ respond: 200, retry: off }]"] {
        let file = format!("listeners: [\":80\"]\n{text}");
        let loaded = load_str("weir.yaml", &file, &|_| None).unwrap();
        assert_eq!(loaded.config.routes[0].retry, None);
    }
}

#[test]
fn failures_are_words_and_statuses() {
    let on = |text: &str| retry(&format!(", retry: {{ on: {text} }}")).unwrap().on;
    let none = RetryOn::default();
    assert_eq!(on("connect"), RetryOn { connect: true, ..none.clone() });
    assert_eq!(on("[reset, timeout]"), RetryOn { reset: true, timeout: true, ..none.clone() });
    let statuses = |list: &[(u16, u16)]| {
        let range = |&(first, last): &(u16, u16)| StatusRange { first, last };
        RetryOn { statuses: list.iter().map(range).collect(), ..none.clone() }
    };
    assert_eq!(on("5xx"), statuses(&[(500, 599)]));
    assert_eq!(on("[429, 500-503]"), statuses(&[(429, 429), (500, 503)]));
    for wrong in ["399", "600", "503-502", "50", "0503", "200-503", "4xx", "503-", "all"] {
        let said = refused(&format!(", retry: {{ on: [{wrong}] }}"));
        assert!(said.contains(&format!("from 400 to 599, found `{wrong}`")), "{said}");
    }
    assert!(refused(", retry: { on: [conect] }").contains("did you mean `connect`?"));
    assert!(refused(", retry: { on: [] }").contains("write `retry: off` for that"));
}

#[test]
fn waits_give_way_to_each_other() {
    let backoff = |text: &str| {
        let backoff = retry(&format!(", retry: {{ backoff: {text} }}")).unwrap().backoff;
        (backoff.base.as_millis(), backoff.max.as_millis())
    };
    assert_eq!(backoff("{}"), (25, 250));
    assert_eq!(backoff("{ base: 1s }"), (1000, 1000));
    assert_eq!(backoff("{ base: 50ms }"), (50, 250));
    assert_eq!(backoff("{ max: 10ms }"), (10, 10));
    assert_eq!(backoff("{ max: 1s }"), (25, 1000));
    assert_eq!(backoff("{ base: 10ms, max: 20ms }"), (10, 20));
    let said = warned(", retry: { backoff: { base: 2s, max: 1s } }");
    assert!(said.contains("`base` is above `max`"), "{said}");
}

#[test]
fn a_budget_is_a_share_and_a_floor() {
    let budget = |text: &str| retry(&format!(", retry: {{ budget: {text} }}")).unwrap().budget;
    let long = budget("{ percent: 5%, min_per_sec: 0, window: 1m }");
    assert_eq!((long.percent, long.min_per_sec, long.window), (0.05, 0, millis(60_000)));
    assert_eq!(budget("5%"), budget("{ percent: 5% }"));
    assert_eq!(budget("0%").min_per_sec, 3);
    let said = warned(", retry: { budget: { percent: 0%, min_per_sec: 0 } }");
    assert!(said.contains("nothing is ever tried again"), "{said}");
    assert!(refused(", retry: { budget: 5 }").contains("did you mean `5%`?"));
}

#[test]
fn a_hedge_comes_after_a_time_or_a_percentile() {
    let hedge = |text: &str| retry(&format!(", retry: {{ hedge: {text} }}")).unwrap().hedge;
    for p95 in ["p95", "on", "{}", "{ after: p95 }"] {
        assert_eq!(hedge(p95), Some(Hedge::P95), "{p95}");
    }
    for fixed in ["50ms", "{ after: 50ms }"] {
        assert_eq!(hedge(fixed), Some(Hedge::After(millis(50))), "{fixed}");
    }
    assert_eq!(hedge("off"), None);
    let said = refused(", retry: { hedge: p99 }");
    assert!(said.contains("expected `p95` or a duration such as"), "{said}");
    let said = warned(", retry: { attempts: 1, hedge: p95 }");
    assert!(said.contains("`attempts` is 1"), "{said}");
}

#[test]
fn times_that_never_come_are_said_so() {
    for keys in [
        ", timeout: { headers: 1s }, retry: { hedge: 2s }",
        ", timeout: 1s, retry: { hedge: { after: 2s } }",
        ", retry: { attempt_timeout: 16s }",
    ] {
        let said = warned(keys);
        assert!(said.contains("which ends every attempt first"), "{said}");
    }
    assert_eq!(
        retry(", retry: { attempt_timeout: 15s }").unwrap().attempt_timeout,
        Some(millis(15_000))
    );
    assert_eq!(retry(", retry: { attempt_timeout: off }").unwrap().attempt_timeout, None);
}

#[test]
fn attempts_are_few() {
    for wrong in ["0", "11", "-1", "two", "[2]", "{ attempts: 11 }"] {
        let said = refused(&format!(", retry: {wrong}"));
        assert!(said.contains("expected "), "{said}");
    }
    assert_eq!(retry(", retry: 10").unwrap().attempts, 10);
    assert_eq!(retry(", retry: { buffer: 0B }").unwrap().buffer, 0);
    assert!(refused(", retry: { buffer: 17MiB }").contains("from 0B to 16MiB"));
}

#[test]
fn a_hedge_takes_a_second_endpoint() {
    let file = "listeners: [\":80\"]\n\
                upstreams: { a: { endpoints: [\"127.0.0.1:1\"] } }\n\
                routes: [{ to: a, retry: { hedge: p95 } }]";
    let said = load_str("weir.yaml", file, &|_| None).unwrap().warnings.render();
    assert!(said.contains("`route-1` never hedges"), "{said}");
}

#[test]
fn a_route_that_answers_itself_tries_nothing_again() {
    for keys in ["retry: 2", "fallback: a", "concurrency: 4", "retry: { hedge: p95 }"] {
        let file = format!(
            "listeners: [\":80\"]\nupstreams: {{ a: {{ endpoints: [\"a:1\"] }} }}\n\
             routes: [{{ match: /x, respond: 200, {keys} }}, {{ to: a }}]"
        );
        let said = load_str("weir.yaml", &file, &|_| None).unwrap_err().render();
        assert!(said.contains("has no effect: the route sends nothing upstream"), "{said}");
    }
    let off = "listeners: [\":80\"]\n\
               routes: [{ respond: 200, retry: off, fallback: off, concurrency: off }]";
    load_str("weir.yaml", off, &|_| None).unwrap();
}
