//! Several limits, dry runs, shared ones, delays, costs, reloads.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{get, limited, standing, statuses};
use crate::{
    operations::rewrite,
    support::{eventually, gateway::Setup, origin::Origin},
};

#[test]
fn what_one_limit_denies_is_charged_to_none() {
    let (origin, gateway) =
        limited("rate_limit: [{ name: client, rate: 5/m }, { name: path, key: path, rate: 1/m }]");
    let mut client = gateway.client();
    assert_eq!(get(&mut client, "/a", "").status, 200);
    for _ in 0..20 {
        let answer = get(&mut client, "/a", "");
        assert_eq!(answer.status, 429);
        assert_eq!((standing(&answer, "client").0, standing(&answer, "path").0), (4, 0));
    }
    let requests = ["/b", "/c", "/d", "/e", "/f"].map(|target| (target, ""));
    assert_eq!(statuses(&gateway, &requests), [200, 200, 200, 200, 429]);
    assert_eq!(origin.seen().len(), 5);
}

#[test]
fn a_dry_run_denies_nothing_and_is_not_told() {
    let (_origin, gateway) =
        limited("rate_limit: [{ name: real, rate: 9/m }, { name: dry, rate: 1/m, dry_run: true }]");
    let mut client = gateway.client();
    for left in [8, 7, 6] {
        let answer = get(&mut client, "/", "");
        assert_eq!((answer.status, standing(&answer, "real").0), (200, left));
        assert!(!answer.field("ratelimit").unwrap().contains("dry"));
        assert_eq!(answer.field("ratelimit-policy"), Some("\"real\";q=9;w=60"));
    }
}

#[test]
fn routes_share_a_limit_that_they_name() {
    let origin = Origin::echo();
    let yaml = format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         timeouts: {{ drain: 2s }}\nrate_limits: {{ both: {{ rate: 2/m }} }}\n\
         upstreams: {{ origin: {{ endpoints: [\"{}\"] }} }}\nroutes:\n  \
         - {{ name: a, match: \"/a/**\", to: origin, rate_limit: both }}\n  \
         - {{ name: b, match: \"/b/**\", to: origin, rate_limit: [both, 1/m] }}\n  \
         - {{ name: c, match: \"/c/**\", to: origin, rate_limit: 1/m }}\n",
        origin.address
    );
    let gateway = Setup::yaml(&yaml).start();
    let requests = ["/a/1", "/b/1", "/a/2", "/b/2", "/c/1"].map(|target| (target, ""));
    assert_eq!(statuses(&gateway, &requests), [200, 200, 429, 429, 200]);
}

#[test]
fn a_leaky_bucket_lets_requests_leave_at_an_even_pace() {
    let (_origin, gateway) =
        limited("rate_limit: { rate: 2/s, burst: 5, algorithm: leaky_bucket, max_delay: 5s }");
    let began = Instant::now();
    let clients: Vec<_> = (0..9).map(|_| gateway.client()).collect();
    let answers = thread::scope(|scope| {
        let ask = |mut client: crate::support::client::Client| {
            scope.spawn(move || (get(&mut client, "/", "").status, began.elapsed()))
        };
        let asked: Vec<_> = clients.into_iter().map(ask).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let mut passed: Vec<_> =
        answers.iter().filter(|(status, _)| *status == 200).map(|(_, at)| *at).collect();
    passed.sort();
    assert!(answers.iter().all(|(status, _)| matches!(status, 200 | 429)), "{answers:?}");
    assert!((6..=7).contains(&passed.len()), "one at once, five that wait: {answers:?}");
    // The last waits for five intervals of half a second since the first was decided on.
    assert!(passed[5] - passed[0] >= Duration::from_secs(1), "{passed:?}");
    assert!(passed[5] >= Duration::from_millis(2_500), "{passed:?}");
    let line = gateway.access_line("limit_delay_ms");
    assert!(line["limit_delay_ms"].as_f64().unwrap() > 1.0, "{line}");
}

#[test]
fn a_delay_that_the_client_does_not_wait_for_is_not_begun() {
    let origin = Origin::echo();
    let route = "rate_limit: { rate: 1/m, burst: 5, algorithm: leaky_bucket, max_delay: 5m }, \
                 timeout: { total: 30s }";
    let gateway = Setup::to(&[origin.address]).route(route).start();
    let mut client = gateway.client();
    assert_eq!(get(&mut client, "/", "").status, 200);
    // The client of this test waits for a third of that total time, and no longer.
    let answer = get(&mut client, "/", "");
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_cost_comes_from_the_request_and_is_settled_by_the_response() {
    let origin = Origin::start(|x| {
        let actual = x.seen.field("x-will-cost").map(str::to_owned);
        let field = actual.map_or_else(String::new, |cost| format!("X-Actual: {cost}\r\n"));
        x.reply(200, &field, "")
    });
    let route = "rate_limit: { name: cost, rate: 100/h, \
                 cost: { fixed: 2, request_header: x-cost, response_header: x-actual } }";
    let gateway = Setup::to(&[origin.address]).route(route).start();
    let mut client = gateway.client();
    let mut left = |fields: &str| {
        let answer = get(&mut client, "/", fields);
        (answer.status, standing(&answer, "cost").0)
    };
    assert_eq!(left(""), (200, 98));
    assert_eq!(left("X-Cost: 8\r\n"), (200, 90));
    assert_eq!(left("X-Cost: eight\r\n"), (200, 88));
    assert_eq!(left("X-Cost: 0\r\n"), (200, 86), "never less than fixed");
    assert_eq!(left("X-Cost: 6\r\nX-Will-Cost: 26\r\n"), (200, 60), "dearer than it looked");
    assert_eq!(left("X-Cost: 50\r\nX-Will-Cost: 10\r\n"), (200, 50), "given back");
    assert_eq!(left("X-Cost: 10\r\nX-Will-Cost: much\r\n"), (200, 40));
    assert_eq!(left("X-Cost: 41\r\n"), (429, 40));
    assert_eq!(left("X-Cost: 40\r\nX-Will-Cost: 90\r\n"), (200, 0), "in debt");
    assert_eq!(left(""), (429, 0));
}

#[test]
fn a_reload_keeps_counts() {
    let (_origin, gateway) = limited("rate_limit: { name: kept, rate: 5/h }");
    let mut client = gateway.client();
    for left in [4, 3, 2] {
        assert_eq!(standing(&get(&mut client, "/", ""), "kept").0, left);
    }
    rewrite(&gateway, "rate: 5/h }", "rate: 5/h }, timeout: { idle: 7s }");
    let loads = || gateway.admin("GET", "/status").json()["config"]["loads"].clone();
    assert!(eventually(|| loads() == 2));
    assert_eq!(standing(&get(&mut client, "/", ""), "kept").0, 1);
    rewrite(&gateway, "rate: 5/h", "rate: 10/h");
    assert!(eventually(|| loads() == 3));
    let answer = get(&mut client, "/", "");
    assert_eq!(answer.field("ratelimit-policy"), Some("\"kept\";q=10;w=3600"));
    // Four fifths of an hour until it is full: eight of ten are missing, and one more now.
    assert!(standing(&answer, "kept").0 <= 2, "{:?}", answer.fields);
    rewrite(&gateway, "name: kept", "name: new");
    assert!(eventually(|| loads() == 4));
    assert_eq!(standing(&get(&mut client, "/", ""), "new").0, 9, "another limit");
}

#[test]
fn a_delay_is_none_of_the_endpoints_time() {
    let route = "rate_limit: { rate: 20/m, burst: 5, algorithm: leaky_bucket, max_delay: 9s }, \
                 timeout: { headers: 2s }, retry: off";
    let origin = Origin::start(|x| {
        thread::sleep(Duration::from_millis(50));
        x.echo()
    });
    let gateway = Setup::to(&[origin.address]).route(&format!("name: api, {route}")).start();
    let mut client = gateway.client();
    let statuses: Vec<_> = (0..2).map(|_| get(&mut client, "/x", "").status).collect();
    assert_eq!(statuses, [200; 2], "each has its time when its turn comes");
    let line = gateway.access_line("limit_delay_ms");
    let times = [&line["upstream_ms"], &line["limit_delay_ms"]].map(|ms| ms.as_f64().unwrap());
    assert!((40.0..2_000.0).contains(&times[0]) && times[1] > 2_000.0, "{line}");
}
