//! Too much memory, or a worker that is late: who is turned away.

use std::{thread, time::Duration};

use rustix::process::Signal;

use super::metric;
use crate::{
    operations::rewrite,
    support::{
        eventually,
        gateway::{Gateway, Setup},
    },
};

const FILE: &str = r#"
workers: 1
admin: { bind: "$ADMIN" }
listeners: [{ bind: "$LISTEN" }]
timeouts: { drain: 2s }
limits: { $LIMITS }
routes:
  - { match: { path: /low }, respond: { body: low }, priority: low }
  - match: { path: /high }
    respond: { body: high }
    priority: { level: high, header: x-priority }
  - { match: { path: "/**" }, respond: { body: normal } }
"#;

fn start(limits: &str) -> Gateway {
    Setup::yaml(&FILE.replace("$LIMITS", limits)).start()
}

/// Statuses of a request of low, normal and high priority.
fn statuses(gateway: &Gateway) -> [u16; 3] {
    let mut client = gateway.client();
    ["/low", "/normal", "/high"].map(|target| client.get(target).unwrap().status)
}

/// Whether all of some requests have these statuses.
fn always(gateway: &Gateway, wanted: [u16; 3]) -> bool {
    (0..20).all(|_| statuses(gateway) == wanted)
}

fn shed(gateway: &Gateway, reason: &str, priority: &str) -> f64 {
    let labels = format!("{{reason=\"{reason}\",priority=\"{priority}\"}}");
    metric(gateway, &format!("weir_shed_total{labels}"))
}

#[test]
fn beyond_its_memory_all_are_turned_away() {
    let gateway = start("memory: 1MiB, lag: off");
    assert!(eventually(|| statuses(&gateway) == [503; 3]));
    assert!(always(&gateway, [503; 3]));
    let answer = gateway.client().get("/high").unwrap();
    assert_eq!(answer.field("proxy-status"), Some("weir; error=proxy_internal_response"));
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert_eq!(answer.text(), "503 the gateway is at its limits (OM)\n");
    assert!(metric(&gateway, "weir_memory_pressure_ratio") > 1.0);
    assert!(shed(&gateway, "memory", "high") >= 20.0);
    let status = gateway.admin("GET", "/status").json();
    assert_eq!(status["pressure"]["shed"]["memory"]["share"]["high"], 1.0, "{status}");
    assert_eq!(status["pressure"]["memory"]["limit_bytes"], 1 << 20, "{status}");
    assert!(eventually(|| gateway.log().contains("memory is short")), "{}", gateway.log());
    rewrite(&gateway, "memory: 1MiB", "memory: off");
    assert!(eventually(|| statuses(&gateway) == [200; 3]), "a reload lifts it");
    assert!(eventually(|| gateway.log().contains("memory is enough again")), "{}", gateway.log());
    let lines = |text| gateway.log().lines().filter(|line| line.contains(text)).count();
    assert_eq!((lines("memory is short"), lines("memory is enough again")), (1, 1));
}

#[test]
fn with_memory_to_spare_nobody_is() {
    let gateway = start("memory: 1024GiB");
    let ratio = || metric(&gateway, "weir_memory_pressure_ratio");
    assert!(eventually(|| ratio() > 0.0));
    assert!(ratio() < 0.01);
    assert!(always(&gateway, [200; 3]));
    assert!(gateway.admin("GET", "/metrics").text().contains("weir_event_loop_lag_seconds 0"));
    assert!(!gateway.log().contains("turned away"), "{}", gateway.log());
}

#[test]
fn low_priority_goes_first_and_a_header_only_lowers() {
    let gateway = start("memory: 1024GiB");
    assert!(always(&gateway, [200; 3]));
    let mut bound = "1024GiB".to_owned();
    // What is resident moves a little: until it is where only low priority is turned away.
    let settled = eventually(|| {
        let next = format!("{}B", gateway.resident() * 1000 / 925);
        rewrite(&gateway, &format!("memory: {bound}"), &format!("memory: {next}"));
        bound = next;
        thread::sleep(Duration::from_millis(700));
        (0.905..0.945).contains(&metric(&gateway, "weir_memory_pressure_ratio"))
    });
    assert!(settled, "{}", metric(&gateway, "weir_memory_pressure_ratio"));
    assert!(always(&gateway, [503, 200, 200]), "{:?}", statuses(&gateway));
    let asked = |value: &str| {
        let mut client = gateway.client();
        let head = format!("GET /high HTTP/1.1\r\nHost: h\r\nX-Priority: {value}\r\n\r\n");
        client.send(head.as_bytes());
        client.answer("GET").unwrap().status
    };
    assert_eq!(["low", "normal", "high", "nonsense"].map(asked), [503, 200, 200, 200]);
    let mut client = gateway.client();
    client.send(b"GET /low HTTP/1.1\r\nHost: h\r\nX-Priority: high\r\n\r\n");
    assert_eq!(client.answer("GET").unwrap().status, 503, "nobody is raised");
    assert_eq!(shed(&gateway, "memory", "normal") + shed(&gateway, "memory", "high"), 0.0);
}

#[test]
fn a_worker_that_is_late_turns_low_priority_away() {
    let gateway = start("memory: off, lag: 10ms");
    assert!(always(&gateway, [200; 3]));
    let late = eventually(|| {
        let mut client = gateway.client();
        // In the middle of each beat the process stands still.
        for _ in 0..4 {
            assert_eq!(client.get("/high").unwrap().status, 200);
            gateway.signal(Signal::STOP);
            thread::sleep(Duration::from_millis(250));
            gateway.signal(Signal::CONT);
        }
        (0..20).any(|_| client.get("/low").unwrap().status == 503)
    });
    assert!(late, "{}", gateway.admin("GET", "/status").text());
    assert!(shed(&gateway, "lag", "low") >= 1.0);
    assert_eq!(shed(&gateway, "lag", "high"), 0.0);
    assert!(eventually(|| gateway.log().contains("workers are late")), "{}", gateway.log());
    assert!(eventually(|| statuses(&gateway) == [200; 3]), "it is over soon");
}
