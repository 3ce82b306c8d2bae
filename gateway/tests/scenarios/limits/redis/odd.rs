//! Servers that are there and of no use: each is the failure policy's case, told once, never a 5xx.

use std::{thread, time::Duration};

use rustix::process::Signal;

use super::{Server, gateway, lines, metric, with};
use crate::{
    limits::{get, statuses},
    operations::rewrite,
    support::{
        client::Client,
        eventually,
        gateway::{Gateway, Setup},
        origin::Origin,
    },
};

const RULE: &str = "rate_limit: { name: all, key: header:x-key, rate: 3/h, store: redis }";

/// Three requests of a key pass and a fourth does not, whoever decides.
fn still_limits(gateway: &Gateway, key: &str) {
    let field = format!("X-Key: {key}\r\n");
    let requests = [("/", field.as_str()); 4];
    assert_eq!(statuses(gateway, &requests), [200, 200, 200, 429], "{}", gateway.log());
}

/// A gateway on `server`, of which calls fail like this.
fn fails_as(server: &Server, redis: &str, fault: &str) {
    let origin = Origin::echo();
    let gateway = with(&origin, &format!("url: \"{}\", {redis}", server.url()), RULE);
    for key in ["a", "b", "c"] {
        still_limits(&gateway, key);
    }
    let calls = metric(&gateway, &format!("weir_redis_calls_total{{outcome=\"{fault}\"}}"));
    assert!(calls > 0.5, "{}", gateway.admin("GET", "/metrics").text());
    let told = || {
        let quoted = lines(&gateway, &format!("fault=\"{fault}\""));
        quoted + lines(&gateway, &format!("fault={fault}"))
    };
    assert!(eventually(|| told() > 0));
    assert!(
        (1..=2).contains(&told()),
        "once when it fails, once when it is down: {}",
        gateway.log()
    );
    let line = gateway.access_line("\"status\":429");
    assert_eq!(line["limit_source"], "fallback", "{line}");
    let limits = gateway.admin("GET", "/limits").json();
    assert!(limits["limits"][0]["fallbacks"].as_u64().unwrap() > 0, "{limits}");
    assert!(limits["redis"]["faults"][fault].as_u64().unwrap() > 0, "{limits}");
}

#[test]
fn a_replica() {
    let Some(server) = Server::start(&["--replicaof", "127.0.0.1 1"]) else { return };
    fails_as(&server, "timeout: 2s", "read_only");
}

#[test]
fn a_full_one() {
    let Some(server) = Server::start(&["--maxmemory-policy", "noeviction"]) else { return };
    server.ask("CONFIG SET maxmemory 1");
    fails_as(&server, "timeout: 2s", "out_of_memory");
}

#[test]
fn one_that_does_not_know_us() {
    let Some(server) = Server::start(&["--requirepass", "right"]) else { return };
    fails_as(&server, "timeout: 2s, password: wrong", "refused");
    let origin = Origin::echo();
    let redis = format!("url: \"{}\", timeout: 2s, password: right", server.url());
    let gateway = with(&origin, &redis, RULE);
    still_limits(&gateway, "a");
    assert!(metric(&gateway, "weir_redis_calls_total{outcome=\"answered\"}") > 2.5);
    assert!(!gateway.admin("GET", "/config").text().contains("right"));
}

#[test]
fn one_that_allows_no_more_than_it_must() {
    let Some(server) = Server::start(&[]) else { return };
    let rights = "~weir:* -@all +@scripting +@read +@write +time";
    assert!(server.ask(&format!("ACL SETUSER weir on >pass/word {rights}")).contains("OK"));
    let origin = Origin::echo();
    let redis = format!("url: \"{}\", timeout: 2s, username: weir", server.url());
    let redis = format!("{redis}, password: pass/word");
    for mode in ["exact", "leased"] {
        let gateway =
            with(&origin, &redis, &RULE.replace("store:", &format!("mode: {mode}, store:")));
        still_limits(&gateway, mode);
        let fallbacks = metric(&gateway, "weir_rate_limit_fallback_total");
        assert!(fallbacks < 0.5, "{}", gateway.log());
    }
}

#[test]
fn one_that_is_stopped() {
    let Some(server) = Server::start(&[]) else { return };
    server.pause();
    fails_as(&server, "timeout: 30ms", "slow");
    server.signal(Signal::CONT);
}

#[test]
fn one_that_pauses() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = Origin::echo();
    let redis = format!("url: \"{}\", timeout: 200ms", server.url());
    let gateway = with(&origin, &redis, RULE);
    assert_eq!(statuses(&gateway, &[("/", "X-Key: a\r\n")]), [200]);
    server.ask("CLIENT PAUSE 3000 ALL");
    still_limits(&gateway, "b");
    let up = || {
        statuses(&gateway, &[("/", "X-Key: a\r\n")]);
        metric(&gateway, "weir_redis_up{") > 0.5
    };
    assert!(eventually(up), "{}", gateway.log());
}

#[test]
fn a_key_that_holds_something_else() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = Origin::echo();
    let gateway = gateway(&origin, &server.url(), RULE);
    assert_eq!(statuses(&gateway, &[("/", "X-Key: a\r\n")]), [200]);
    let keys = server.keys();
    let [key] = keys.as_slice() else { panic!("{keys:?}") };
    server.ask(&format!("DEL {key}"));
    server.ask(&format!("LPUSH {key} x"));
    // It counts as a bucket that nobody has touched, and is one from then on.
    still_limits(&gateway, "a");
    assert!(metric(&gateway, "weir_redis_up{") > 0.5, "one key's trouble is not the server's");
    assert!(metric(&gateway, "weir_rate_limit_fallback_total") < 0.5, "{}", gateway.log());
    still_limits(&gateway, "b");
}

#[test]
fn one_that_forgets_all_at_once() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = Origin::echo();
    let gateway = gateway(&origin, &server.url(), "rate_limit: { rate: 1000/s, store: redis }");
    thread::scope(|scope| {
        let ask = || {
            let mut client = gateway.client();
            (0..200).for_each(|_| assert_eq!(get(&mut client, "/", "").status, 200));
        };
        let clients = [(); 3].map(|()| scope.spawn(ask));
        while clients.iter().any(|client| !client.is_finished()) {
            server.ask("FLUSHALL");
            server.ask("SCRIPT FLUSH");
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(metric(&gateway, "weir_redis_script_reloads_total") > 0.5);
    assert!(metric(&gateway, "weir_rate_limit_fallback_total") < 0.5, "{}", gateway.log());
}

#[test]
fn a_reload_leads_to_another_server() {
    let (Some(one), Some(other)) = (Server::start(&[]), Server::start(&[])) else { return };
    let origin = Origin::echo();
    let gateway = gateway(&origin, &one.url(), RULE);
    still_limits(&gateway, "a");
    assert!(one.calls() > 2 && other.keys().is_empty());
    rewrite(&gateway, &one.url(), &other.url());
    let mut client = gateway.client();
    let moved = || {
        let _ = get(&mut client, "/", "X-Key: probe\r\n");
        other.calls() > 0
    };
    assert!(eventually(moved), "{}", gateway.log());
    still_limits(&gateway, "a");
    let calls = one.calls();
    still_limits(&gateway, "b");
    assert_eq!(one.calls(), calls);
    // What stays as it is keeps its connections.
    let opened = metric(&gateway, "weir_redis_connections_total");
    rewrite(&gateway, "rate: 3/h", "rate: 4/h");
    let changed = || {
        let answer = get(&mut client, "/", "X-Key: probe\r\n");
        answer.field("ratelimit-policy").is_some_and(|policy| policy.contains("q=4"))
    };
    assert!(eventually(changed));
    assert!((metric(&gateway, "weir_redis_connections_total") - opened).abs() < 0.5);
}

#[test]
fn a_key_of_a_mebibyte() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = Origin::start(|x| x.reply(200, "", ""));
    let top = format!("redis: {{ url: \"{}\", timeout: 2s, secret: s3 }}", server.url());
    let setup = Setup::to(&[origin.address]).top(&top).limits("headers: { bytes: 2MiB }");
    let route = format!("{RULE}, headers: {{ request: {{ remove: [x-key] }} }}");
    let gateway = setup.route(&route).start();
    let keys = [1_u8, 2].map(|last| format!("{}{last}", "k".repeat(1 << 20)));
    for key in &keys {
        let field = format!("X-Key: {key}\r\n");
        let ask = |client: &mut Client| get(client, "/", &field).status;
        let mut client = gateway.client();
        assert_eq!([(); 4].map(|()| ask(&mut client)), [200, 200, 200, 429]);
    }
    let kept = server.keys();
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|key| key.len() < 64), "{kept:?}");
}
