//! What gateways share, and how it goes with all that limits can do alone.

use std::time::Duration;

use super::{Server, gateway, metric, with};
use crate::{
    limits::{get, standing, statuses},
    support::{eventually, origin::Origin},
};

const ANY: (&str, &str) = ("/", "");

#[test]
fn gateways_share_a_bucket_and_remember_who_is_denied() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = Origin::echo();
    let rule = "rate_limit: { name: all, rate: 6/h, store: redis }";
    let gateways = [(); 3].map(|()| gateway(&origin, &server.url(), rule));
    let mut passed = 0;
    for round in 0..4 {
        for gateway in &gateways {
            let answer = get(&mut gateway.client(), &format!("/{round}"), "");
            passed += u32::from(answer.status == 200);
            assert_eq!(standing(&answer, "all").0, u64::from(6_u32.saturating_sub(passed)));
        }
    }
    assert_eq!((passed, origin.seen().len()), (6, 6));
    // Each worker of each has heard by now, or hears once.
    let hot = &gateways[0];
    for _ in 0..20 {
        assert_eq!(hot.client().get("/hot").unwrap().status, 429);
    }
    let calls = server.calls();
    let mut client = hot.client();
    assert_eq!(get(&mut client, "/hot", "").status, 429);
    let known = server.calls();
    for _ in 0..100 {
        let answer = get(&mut client, "/hot", "");
        assert_eq!(answer.status, 429);
        assert!(answer.field("retry-after").unwrap().parse::<u64>().unwrap() > 500);
    }
    assert_eq!(server.calls(), known, "a hot key that is denied costs no call");
    assert!(known <= calls + 1);
    assert!(metric(hot, "weir_redis_remembered_total") > 99.0);
    let line = hot.access_line("/hot");
    assert_eq!((&line["limit"], &line["flag"]), (&"all".into(), &"RL".into()), "{line}");
    assert!(["redis", "memory"].contains(&line["limit_source"].as_str().unwrap()), "{line}");
    let limits = hot.admin("GET", "/limits").json();
    let limit = &limits["limits"][0];
    assert_eq!((&limit["store"], &limit["on_store_failure"]), (&"redis".into(), &"local".into()));
    assert_eq!(limit["denied_most"][0]["key"], "127.0.0.1");
    assert_eq!(limits["redis"]["servers"][0]["up"], true, "{limits}");
    assert!(metric(hot, "weir_redis_up{") > 0.5);
}

#[test]
fn what_is_denied_there_is_given_back_here() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = Origin::echo();
    let rules = "rate_limit: [{ name: here, rate: 5/h }, { name: there, rate: 2/h, store: redis }]";
    let gateway = gateway(&origin, &server.url(), rules);
    let mut client = gateway.client();
    for (status, here, there) in [(200, 4, 1), (200, 3, 0), (429, 3, 0), (429, 3, 0), (429, 3, 0)] {
        let answer = get(&mut client, "/", "");
        assert_eq!(answer.status, status);
        assert_eq!((standing(&answer, "here").0, standing(&answer, "there").0), (here, there));
    }
    let line = gateway.access_line("\"limit\":\"there\"");
    assert_eq!(line["status"], 429, "{line}");
}

#[test]
fn what_is_denied_here_is_not_asked_there() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = Origin::echo();
    let rules = "rate_limit: [{ name: there, rate: 9/h, store: redis }, { name: here, rate: 1/h }]";
    let gateway = gateway(&origin, &server.url(), rules);
    assert_eq!(statuses(&gateway, &[ANY]), [200]);
    let calls = server.calls();
    let mut client = gateway.client();
    for _ in 0..5 {
        let answer = get(&mut client, "/", "");
        assert_eq!((answer.status, standing(&answer, "here").0), (429, 0));
        assert!(!answer.field("ratelimit").unwrap().contains("there"), "it was not asked");
    }
    assert_eq!(server.calls(), calls);
}

#[test]
fn dry_runs_absent_keys_and_free_requests() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = Origin::echo();
    let rules = "rate_limit: [{ name: dry, rate: 1/h, store: redis, dry_run: true }, \
                 { name: key, key: header:x-key, absent: deny, rate: 2/h, store: redis, \
                 cost: { fixed: 0, request_header: x-cost } }]";
    let gateway = gateway(&origin, &server.url(), rules);
    let paid = ("/", "X-Key: a\r\nX-Cost: 1\r\n");
    let free = ("/", "X-Key: a\r\n");
    assert_eq!(statuses(&gateway, &[ANY, paid, paid, paid, free]), [429, 200, 200, 429, 200]);
    let count = |limit: &str, outcome: &str| {
        let labels = format!("route=\"api\",limit=\"{limit}\",outcome=\"{outcome}\"");
        metric(&gateway, &format!("weir_rate_limit_total{{{labels}}}"))
    };
    assert!(eventually(|| (count("key", "denied") - 2.0).abs() < 0.1));
    assert!(count("dry", "dry_run_denied") > 1.5);
}

#[test]
fn a_cost_is_settled_there() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = Origin::start(|x| {
        let cost = x.target().trim_start_matches('/').to_owned();
        x.reply(200, &format!("X-Cost: {cost}\r\n"), "")
    });
    let rule = "rate_limit: { name: all, rate: 100/h, store: redis, \
                cost: { fixed: 5, response_header: x-cost } }";
    let gateway = gateway(&origin, &server.url(), rule);
    let mut client = gateway.client();
    for (cost, told) in [(30, 70), (1, 69), (5, 64)] {
        let answer = get(&mut client, &format!("/{cost}"), "");
        assert_eq!((answer.status, standing(&answer, "all").0), (200, told));
        // Nobody waits for the settlement; it is on its way.
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_denial_by_one_mode_tells_of_both() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = Origin::echo();
    for (first, second) in [("leased", "exact"), ("exact", "leased")] {
        let rules = format!(
            "name: {first}, rate_limit: [{{ name: few, rate: 3/h, store: redis, mode: {first} }}, \
             {{ name: many, rate: 90/d, store: redis, mode: {second} }}]"
        );
        let redis = format!("url: \"{}\", timeout: 2s, secret: s3", server.url());
        let top = format!("workers: 1\nredis: {{ {redis} }}");
        let yaml = format!(
            "{top}\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\nupstreams:\n  \
             origin: {{ endpoints: [\"{}\"] }}\nroutes:\n  - {{ match: \"/**\", to: origin, {rules} \
             }}\n",
            origin.address
        );
        let gateway = crate::support::gateway::Setup::yaml(&yaml).start();
        assert_eq!(statuses(&gateway, &[ANY, ANY, ANY]), [200; 3]);
        for _ in 0..3 {
            let answer = get(&mut gateway.client(), "/", "");
            assert_eq!(answer.status, 429);
            let after: u64 = answer.field("retry-after").unwrap().parse().unwrap();
            // A third of an hour, and a little: that of the one that denies.
            assert!((1_100..=1_330).contains(&after), "{first}: {after}");
            let (few, many) = (standing(&answer, "few"), standing(&answer, "many"));
            assert_eq!((few.0, many.0), (0, 87), "{first}");
            assert!(few.1.unwrap() <= after && many.1.unwrap() <= after, "{few:?} {many:?}");
            assert!(answer.text().contains("[\"few\"]"), "{}", answer.text());
        }
    }
}

#[test]
fn several_servers() {
    let (Some(one), Some(other)) = (Server::start(&[]), Server::start(&[])) else { return };
    let origin = Origin::echo();
    let redis = format!("urls: [\"{}\", \"{}\"], timeout: 2s", one.url(), other.url());
    let turned = format!("urls: [\"{}\", \"{}\"], timeout: 2s", other.url(), one.url());
    let rules = "rate_limit: [{ name: a, key: header:x-key, rate: 3/h, store: redis }, \
                 { name: b, key: header:x-key, rate: 5/h, store: redis }]";
    let gateways = [redis, turned].map(|redis| with(&origin, &redis, rules));
    for n in 0..8 {
        let fields = format!("X-Key: {n}\r\n");
        let ask = |gateway| statuses(gateway, &[("/", &fields), ("/", &fields)]);
        assert_eq!([ask(&gateways[0]), ask(&gateways[1])], [[200, 200], [200, 429]]);
    }
    assert!(one.keys().len() > 1 && other.keys().len() > 1);
    assert_eq!(one.keys().len() + other.keys().len(), 16);
}

#[test]
fn routes_that_answer_themselves() {
    let Some(server) = Server::start(&[]) else { return };
    let yaml = format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         redis: {{ url: \"{}\", timeout: 2s }}\n\
         rate_limits: {{ both: {{ rate: 3/h, store: redis }} }}\nroutes:\n  \
         - {{ match: /fixed, respond: 203, rate_limit: both }}\n  \
         - {{ match: /moved, redirect: /fixed, rate_limit: both }}\n",
        server.url()
    );
    let gateway = crate::support::gateway::Setup::yaml(&yaml).start();
    let requests = ["/fixed", "/moved", "/fixed", "/moved"].map(|target| (target, ""));
    assert_eq!(statuses(&gateway, &requests), [203, 308, 203, 429]);
}

#[test]
fn a_cluster() {
    let Some(server) = Server::start(&["--cluster-enabled", "yes"]) else { return };
    assert!(server.ask("CLUSTER ADDSLOTSRANGE 0 16383").contains("OK"));
    assert!(eventually(|| server.ask("CLUSTER INFO").contains("cluster_state:ok")));
    let origin = Origin::echo();
    let rules = "rate_limit: [{ name: a, key: header:x-key, rate: 3/h, store: redis }, \
                 { name: b, key: header:x-key, rate: 5/h, store: redis }]";
    let gateways = [(); 2]
        .map(|()| with(&origin, &format!("cluster: [\"{}\"], timeout: 2s", server.url()), rules));
    for n in 0..5 {
        let fields = format!("X-Key: {n}\r\n");
        let ask = |gateway| statuses(gateway, &[("/", &fields), ("/", &fields)]);
        assert_eq!([ask(&gateways[0]), ask(&gateways[1])], [[200, 200], [200, 429]]);
    }
    // Both keys of a client lie in one slot: one call decides on both. A worker may meet one of
    // whom another knows already that it is denied.
    assert_eq!(server.keys().len(), 10);
    assert!(server.calls() <= 20, "{}", server.calls());
}

#[test]
fn windows_and_paces_are_shared_too() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = Origin::echo();
    let window = "rate_limit: { name: w, rate: 4/h, store: redis, algorithm: sliding_window }";
    let gateways = [(); 2].map(|()| gateway(&origin, &server.url(), window));
    let ask = |gateway| statuses(gateway, &[ANY, ANY, ANY]);
    assert_eq!([ask(&gateways[0]), ask(&gateways[1])], [[200; 3], [200, 429, 429]]);
    let pace = "rate_limit: { name: p, rate: 10/s, burst: 3, store: redis, \
                algorithm: leaky_bucket, max_delay: 2s }";
    let gateways = [(); 2].map(|()| gateway(&origin, &server.url(), pace));
    let began = std::time::Instant::now();
    for gateway in gateways.iter().cycle().take(6) {
        assert_eq!(gateway.client().get("/").unwrap().status, 200);
    }
    // The first goes at once, five follow by a tenth of a second each, whoever they come to.
    assert!(began.elapsed() >= Duration::from_millis(480), "{:?}", began.elapsed());
}
