use super::*;
use crate::telemetry::{counters::Exchange, names};

const ERRORS: &[&str] = &["no_route", "connect_refused"];

fn registry() -> Registry {
    Registry::new("1.2.3", ERRORS, Duration::from_millis(1_500))
}

fn ok() -> Exchange {
    Exchange { status: 200, duration_nanos: 700_000, ..Exchange::default() }
}

#[track_caller]
fn assert_line(text: &str, line: &str) {
    assert!(text.lines().any(|other| other == line), "no {line:?} in\n{text}");
}

#[test]
fn workers_are_summed() {
    let registry = registry();
    let workers = [registry.route("api", "users"), registry.route("api", "users")];
    for worker in &workers {
        worker.record(&ok());
        worker.record(&Exchange { status: 502, error: Some(1), response_bytes: 7, ..ok() });
    }
    let text = registry.render(Tick::ZERO);
    for line in [
        r#"weir_requests_total{route="api",upstream="users",class="2xx"} 2"#,
        r#"weir_requests_total{route="api",upstream="users",class="5xx"} 2"#,
        r#"weir_request_errors_total{route="api",upstream="users",error="connect_refused"} 2"#,
        r#"weir_response_body_bytes_total{route="api",upstream="users"} 14"#,
        r#"weir_request_duration_seconds_bucket{le="0.001",route="api",upstream="users"} 4"#,
        r#"weir_request_duration_seconds_bucket{le="+Inf",route="api",upstream="users"} 4"#,
        r#"weir_request_duration_seconds_count{route="api",upstream="users"} 4"#,
        r#"weir_request_duration_seconds_sum{route="api",upstream="users"} 0.0028"#,
        r#"weir_build_info{version="1.2.3"} 1"#,
        "process_start_time_seconds 1.5",
        "weir_bugs_total 0",
        "# TYPE weir_requests counter",
    ] {
        assert_line(&text, line);
    }
    assert!(!text.contains("no_route") && text.ends_with("# EOF\n"));
}

#[test]
fn every_metric_of_the_table_is_written_once() {
    let text = registry().render(Tick::ZERO);
    for metric in names::ALL {
        let name = match metric.kind {
            names::Kind::Counter => metric.name.strip_suffix("_total").unwrap(),
            _ => metric.name,
        };
        let help = format!("# HELP {name} {}", metric.help);
        assert_eq!(text.lines().filter(|line| *line == help).count(), 1, "{name}");
    }
    let types = text.lines().filter(|line| line.starts_with("# TYPE")).count();
    assert_eq!(types, names::ALL.len());
}

#[test]
fn nothing_counts_backwards_over_reloads() {
    let registry = registry();
    for reload in 1..=50 {
        let block = registry.route("api", "users");
        block.record(&ok());
        drop(block);
        if reload % 7 == 0 {
            let line = format!(
                r#"weir_requests_total{{route="api",upstream="users",class="2xx"}} {reload}"#
            );
            assert_line(&registry.render(Tick::ZERO), &line);
        }
    }
    let all = registry.shared.lock();
    let blocks = &all.routes[&pair("api", "users")];
    assert_eq!(blocks.totals().classes, [0, 50, 0, 0, 0]);
}

#[test]
fn removed_routes_are_bounded_and_still_counted() {
    let registry = registry();
    let kept = registry.route("kept", "users");
    kept.record(&ok());
    for i in 0..10_000 {
        registry.route(&format!("route-{i}"), "users").record(&ok());
        assert!(registry.shared.lock().keys() <= 4 * KEPT);
    }
    drop(registry.render(Tick::ZERO));
    let all = registry.shared.lock();
    let sum: u64 = all.routes.values().map(|blocks| blocks.totals().classes[1]).sum();
    assert_eq!(sum, 10_001);
    assert!(all.routes.contains_key(&pair("kept", "users")));
    assert!(all.routes.len() <= KEPT + 2, "{}", all.routes.len());
}

#[test]
fn what_is_gone_leaves_the_scrape() {
    let registry = registry();
    let listener = registry.listener(":8080");
    let endpoint = registry.endpoint("users", "127.0.0.1:1");
    let load = Arc::new(EndpointLoad::new(Tick::ZERO));
    let gate = Arc::new(Gate::new(2, 2));
    registry.watch_load("users", "127.0.0.1:1", &load);
    registry.watch_gate("users", "requests", &gate);
    listener.accepted.add(3);
    listener.open.add(2);
    endpoint.idle.add(4);
    let _request = EndpointLoad::begin(Arc::clone(&load), Tick::ZERO);
    let _permit = gate.try_acquire();
    assert_eq!(
        registry.endpoint_connections("users", "127.0.0.1:1"),
        Connections { open: 0, idle: 4 }
    );
    assert_eq!(registry.endpoint_connections("users", "x"), Connections { open: 0, idle: 0 });
    let text = registry.render(Tick::ZERO);
    for line in [
        r#"weir_connections_accepted_total{listener=":8080"} 3"#,
        r#"weir_connections_open{listener=":8080"} 2"#,
        r#"weir_endpoint_connections_idle{upstream="users",endpoint="127.0.0.1:1"} 4"#,
        r#"weir_endpoint_in_flight_requests{upstream="users",endpoint="127.0.0.1:1"} 1"#,
        r#"weir_endpoint_latency_ewma_seconds{upstream="users",endpoint="127.0.0.1:1"} 0.03"#,
        r#"weir_upstream_limit_in_use{upstream="users",limit="requests"} 1"#,
    ] {
        assert_line(&text, line);
    }
    drop((listener, endpoint, load, gate, _request, _permit));
    let text = registry.render(Tick::ZERO);
    assert!(!text.contains(":8080") && !text.contains("127.0.0.1:1"), "{text}");
}

#[test]
fn names_from_the_file_are_escaped() {
    let registry = registry();
    let block = registry.route("a\"b\\c\nd", "users");
    block.record(&ok());
    let text = registry.render(Tick::ZERO);
    assert_line(&text, r#"weir_request_body_bytes_total{route="a\"b\\c\nd",upstream="users"} 0"#);
}

#[test]
fn reloads_and_bugs_are_counted() {
    let registry = registry();
    registry.config_loaded(Duration::from_secs(1_700_000_000));
    registry.config_refused();
    registry.bug();
    registry.dropped_lines().fetch_add(5, Relaxed);
    let text = registry.render(Tick::ZERO);
    for line in [
        r#"weir_config_reloads_total{outcome="success"} 1"#,
        r#"weir_config_reloads_total{outcome="failure"} 1"#,
        "weir_config_last_success_timestamp_seconds 1700000000.0",
        "weir_bugs_total 1",
        "weir_access_log_lines_dropped_total 5",
    ] {
        assert_line(&text, line);
    }
}
