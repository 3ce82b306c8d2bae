//! What is served though it is stale.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    thread::sleep,
    time::Duration,
};

use super::{caching, get, status};
use crate::support::{
    eventually,
    origin::{Next, Origin},
};

/// Answers with a count and a status that can be set; 0 resets the connection.
fn moody(fields: &'static str) -> (Origin, Arc<AtomicU16>) {
    let mood = Arc::new(AtomicU16::new(200));
    let (current, count) = (mood.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |x| {
        let n = count.fetch_add(1, Ordering::AcqRel);
        match current.load(Ordering::Acquire) {
            0 => Ok(Next::Reset),
            status => x.reply(status, fields, &format!("{n}")),
        }
    });
    (origin, mood)
}

#[test]
fn a_stale_answer_comes_at_once_while_a_fresh_one_is_fetched() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |x| {
        let n = count.fetch_add(1, Ordering::AcqRel);
        // What replaces it stays fresh for as long as this test takes.
        let fields = ["Cache-Control: max-age=1\r\n", "Cache-Control: max-age=60\r\n"][n.min(1)];
        x.reply(200, fields, &format!("{n}"))
    });
    let gateway = caching(origin.address, "{ stale_while_revalidate: 60s }");
    assert_eq!(get(&gateway, "/x").text(), "0");
    sleep(Duration::from_millis(2_100));
    let stale = get(&gateway, "/x");
    assert_eq!(stale.text(), "0");
    assert!(status(&stale).ends_with("detail=stale-while-revalidate"), "{}", status(&stale));
    assert!(eventually(|| get(&gateway, "/x").text() == "1"), "the fresh one is there");
    assert_eq!(origin.seen().len(), 2, "and was asked for once");
    assert_eq!(gateway.access_line("\"cache\":\"stale\"")["status"], 200);
    let counted =
        "weir_cache_refreshes_total{route=\"r\",upstream=\"main\",outcome=\"replaced\"} 1";
    assert!(eventually(|| gateway.admin("GET", "/metrics").text().contains(counted)));
}

#[test]
fn a_stale_answer_stands_in_for_an_error() {
    let (origin, mood) = moody("Cache-Control: max-age=1\r\n");
    let gateway = caching(origin.address, "{ stale_if_error: 60s }");
    assert_eq!(get(&gateway, "/x").text(), "0");
    sleep(Duration::from_millis(2_100));
    for (now, expected) in [(503, "weir; fwd=stale; fwd-status=503"), (0, "weir; fwd=stale")] {
        mood.store(now, Ordering::Release);
        let answer = get(&gateway, "/x");
        assert_eq!((answer.status, answer.text().as_str()), (200, "0"), "{now}");
        assert_eq!(status(&answer), format!("{expected}; detail=stale-if-error"));
    }
    mood.store(404, Ordering::Release);
    assert_eq!(get(&gateway, "/x").status, 404, "that is an answer");
    mood.store(0, Ordering::Release);
    assert_eq!(get(&gateway, "/y").status, 502, "and nothing stands in for nothing");
}
