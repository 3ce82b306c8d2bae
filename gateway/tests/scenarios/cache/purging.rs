//! What an operator sees of the cache, and takes out of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::{ask, caching, counting, get, status};
use crate::support::{client, eventually, gateway::Gateway, origin::Origin};

fn purge(gateway: &Gateway, query: &str) -> u64 {
    let answer = gateway.admin("POST", &format!("/cache/purge?{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["entries"].as_u64().unwrap()
}

#[test]
fn responses_are_purged_by_tag_url_and_prefix() {
    let origin = counting("Cache-Control: max-age=60\r\nCache-Tag: news, sport\r\n");
    let gateway = caching(origin.address, "true");
    for what in ["tag=sport", "url=http://weir.test/a", "prefix=http://weir.test/"] {
        get(&gateway, "/a");
        assert!(eventually(|| status(&get(&gateway, "/a")).contains("hit")));
        assert_eq!(purge(&gateway, what), 1, "{what}");
        assert!(status(&get(&gateway, "/a")).contains("uri-miss"), "{what}");
        assert!(eventually(|| status(&get(&gateway, "/a")).contains("hit")));
        assert_eq!(purge(&gateway, &format!("{what}&soft=1")), 1, "{what}");
        assert!(status(&get(&gateway, "/a")).contains("fwd=stale"), "{what}");
    }
    assert_eq!(purge(&gateway, "tag=other"), 0);
    assert_eq!(purge(&gateway, "url=http%3A%2F%2Fweir.test%2Fa"), 1);
    for wrong in ["", "?", "?tag=", "?url=/a", "?tag=a&url=http://a/", "?what=1", "?tag=%zz"] {
        let answer = gateway.admin("POST", &format!("/cache/purge{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}");
    }
    assert_eq!(gateway.admin("GET", "/cache/purge?tag=a").status, 405);
}

/// Who asks once it is purged gets what is there since, though another still waits for the old.
#[test]
fn what_was_asked_for_before_is_nothing_for_who_comes_after() {
    for change in [false, true] {
        let open = Arc::new(AtomicBool::new(false));
        let (gate, count) = (open.clone(), AtomicUsize::new(0));
        let origin = Origin::start(move |x| {
            let text = if count.fetch_add(1, Ordering::AcqRel) == 0 { "old" } else { "new" };
            if text == "old" {
                eventually(|| gate.load(Ordering::Acquire));
            }
            x.reply(200, "Cache-Control: max-age=60\r\n", text)
        });
        let gateway = caching(origin.address, "{ lock_timeout: 60s }");
        let mut first = gateway.client();
        first.send(client::get("/x").as_bytes());
        assert!(eventually(|| origin.seen().len() == 1));
        match change {
            true => assert_eq!(ask(&gateway, "PUT", "/x", "Content-Length: 0\r\n").status, 200),
            false => assert_eq!(purge(&gateway, "url=http://weir.test/x"), 0),
        }
        assert_eq!(get(&gateway, "/x").text(), "new", "{change}");
        open.store(true, Ordering::Release);
        assert_eq!(first.answer("GET").unwrap().text(), "old");
        assert_eq!(get(&gateway, "/x").text(), "new", "{change}");
    }
}

#[test]
fn what_it_holds_can_be_seen() {
    let origin = counting("Cache-Control: max-age=60\r\n");
    let gateway = caching(origin.address, "true");
    get(&gateway, "/a");
    get(&gateway, "/a");
    let seen = gateway.admin("GET", "/cache").json();
    assert_eq!((&seen["entries"], &seen["capacity"]), (&1.into(), &(256 << 20).into()), "{seen}");
    assert!(seen["bytes"].as_u64().unwrap() > 400, "{seen}");
    assert!(eventually(|| gateway.admin("GET", "/cache").json()["requests"]["hit"] == 1));
    let metrics = gateway.admin("GET", "/metrics").text();
    let hit = "weir_cache_requests_total{route=\"r\",upstream=\"main\",outcome=\"hit\"} 1";
    for line in [hit, "weir_cache_entries 1", "weir_cache_evictions_total 0"] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn a_reload_keeps_what_is_kept() {
    let origin = counting("Cache-Control: max-age=60\r\n");
    let gateway = caching(origin.address, "true");
    get(&gateway, "/a");
    let text = std::fs::read_to_string(&gateway.file).unwrap();
    std::fs::write(&gateway.file, text.replace("cache: true", "cache: 5m")).unwrap();
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    assert_eq!((get(&gateway, "/a").text(), origin.seen().len()), ("0".to_owned(), 1));
}

#[test]
fn a_reload_that_changes_the_size_keeps_what_fits() {
    let body: &'static str = "x".repeat(100_000).leak();
    let origin = Origin::start(|x| x.reply(200, "Cache-Control: max-age=60\r\n", body));
    let gateway = caching(origin.address, "true");
    let targets: Vec<String> = (0..30).map(|i| format!("/{i}")).collect();
    targets.iter().for_each(|target| assert_eq!(get(&gateway, target).status, 200));
    let text = std::fs::read_to_string(&gateway.file).unwrap();
    let hits = |memory: &str| {
        std::fs::write(&gateway.file, format!("{text}cache: {memory}\n")).unwrap();
        assert_eq!(gateway.admin("POST", "/reload").status, 200);
        let seen = gateway.admin("GET", "/cache").json();
        assert!(seen["bytes"].as_u64().unwrap() <= seen["capacity"].as_u64().unwrap(), "{seen}");
        let only = "Cache-Control: only-if-cached\r\n";
        targets.iter().filter(|target| ask(&gateway, "GET", target, only).status == 200).count()
    };
    assert!(eventually(|| gateway.admin("GET", "/cache").json()["entries"] == 30));
    assert_eq!(hits("64MiB"), 30);
    assert_eq!(hits("512MiB"), 30);
    let few = hits("1MiB");
    assert!((5..=10).contains(&few), "{few}");
    assert_eq!(hits("512MiB"), few);
}
