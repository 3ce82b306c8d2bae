#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use super::*;
use crate::{Diagnostics, Loaded, load_str, model::Upstream};

fn load(keys: &str) -> Result<Loaded, Diagnostics> {
    let file = format!(
        "listeners: [\":80\"]\n\
         upstreams:\n  a: {{ endpoints: [\"127.0.0.1:1\"]{keys} }}\n\
         routes: [{{ to: a }}]"
    );
    load_str("weir.yaml", &file, &|_| None)
}

fn upstream(keys: &str) -> Upstream {
    load(keys).unwrap_or_else(|wrong| panic!("{keys}: {wrong}")).config.upstreams.remove(0)
}

fn refused(keys: &str) -> String {
    load(keys).unwrap_err().render()
}

#[test]
fn a_breaker_is_off_unless_it_is_written() {
    let default = Breaker {
        failure_rate: 0.5,
        window: Duration::from_secs(10),
        min_requests: 20,
        open: Duration::from_secs(5),
        probes: 3,
        slow: None,
    };
    for off in ["", ", breaker: off", ", breaker: false"] {
        assert_eq!(upstream(off).breaker, None, "{off}");
    }
    for on in [", breaker: on", ", breaker: true", ", breaker: {}", ", breaker: { slow: off }"] {
        assert_eq!(upstream(on).breaker, Some(default), "{on}");
    }
    let read = |keys: &str| upstream(&format!(", breaker: {{ {keys} }}")).breaker.unwrap();
    assert_eq!(read("failure_rate: 5%, probes: 1").failure_rate, 0.05);
    let slow = |over, rate| Some(SlowCalls { over: Duration::from_millis(over), rate });
    assert_eq!(read("slow: 250ms").slow, slow(250, 0.8));
    assert_eq!(read("slow: on").slow, slow(1000, 0.8));
    assert_eq!(read("slow: { rate: 10%, over: 2s }").slow, slow(2000, 0.1));
}

#[test]
fn what_would_open_a_breaker_always_is_refused() {
    for keys in ["failure_rate: 0%", "slow: { rate: 0% }"] {
        let said = refused(&format!(", breaker: {{ {keys} }}"));
        assert!(said.contains("the breaker would open whatever happens"), "{said}");
    }
    assert!(refused(", breaker: yes").contains("`breaker: on` takes every default"));
    assert!(refused(", breaker: { probes: 0 }").contains("from 1 to 1000"));
    assert!(refused(", breaker: { window: 10ms }").contains("from 100ms to 1h"));
    assert!(refused(", breaker: { failure_rte: 5% }").contains("did you mean `failure_rate`?"));
}

#[test]
fn a_limit_may_follow_latency() {
    let read = |keys: &str| upstream(&format!(", limits: {{ {keys} }}")).limits.adaptive;
    let adaptive = |min, tolerance| Some(Adaptive { min, tolerance });
    assert_eq!(read("adaptive: off"), None);
    assert_eq!(read("queue: 1"), None);
    assert_eq!(read("adaptive: on"), adaptive(20, 1.5));
    assert_eq!(read("adaptive: { min: 5, tolerance: 2 }"), adaptive(5, 2.0));
    assert_eq!(read("adaptive: on, requests: 8"), adaptive(8, 1.5));
    for wrong in ["0.9", "10.1", "nan", "1e1", "1.2.3", "-2", "high", "inf", "."] {
        let said = refused(&format!(", limits: {{ adaptive: {{ tolerance: {wrong} }} }}"));
        assert!(said.contains("a number from 1.0 to 10.0"), "{said}");
    }
    let said = refused(", limits: { requests: 8, adaptive: { min: 9 } }");
    assert!(said.contains("`min` is above `limits.requests`, which is 8"), "{said}");
}
