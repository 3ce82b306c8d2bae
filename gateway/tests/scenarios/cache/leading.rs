//! Who asks next when the one who asks for all of them has no luck.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{caching, get, status};
use crate::support::{
    client::{self, Client},
    eventually,
    gateway::Gateway,
    origin::{Next, Origin},
};

/// Long enough for the slowest of machines; the bound tells how many are under way.
const PATIENT: &str = "{ lock_timeout: 60s, ttl: 60s, stale_if_error: 60s }, concurrency: 4000";

/// Answers once the gate is open.
fn gated(fields: &'static str) -> (Origin, Arc<AtomicBool>) {
    let open = Arc::new(AtomicBool::new(false));
    let gate = open.clone();
    let origin = Origin::start(move |x| {
        eventually(|| gate.load(Ordering::Acquire));
        x.reply(200, fields, "x")
    });
    (origin, open)
}

/// So many who have asked.
pub(super) fn asking(gateway: &Gateway, count: usize) -> Vec<Client> {
    let ask = |_| {
        let mut client = gateway.client();
        client.send(client::get("/x").as_bytes());
        client
    };
    (0..count).map(ask).collect()
}

/// What they get: statuses, bodies and what the cache says.
pub(super) fn answers(clients: Vec<Client>) -> Vec<(u16, String, String)> {
    let read = |mut client: Client| {
        let answer = client.answer("GET").unwrap();
        (answer.status, answer.text(), status(&answer).to_owned())
    };
    clients.into_iter().map(read).collect()
}

pub(super) fn under_way(gateway: &Gateway) -> u64 {
    let text = gateway.admin("GET", "/metrics").text();
    let value =
        |line: &str| line.strip_prefix("weir_route_concurrency_in_use{route=\"r\"} ")?.parse().ok();
    text.lines().find_map(value).unwrap_or_default()
}

#[test]
fn a_thousand_misses_are_one_request_and_one_more_when_the_first_goes_away() {
    let (origin, open) = gated("Cache-Control: max-age=60\r\n");
    let gateway = caching(origin.address, PATIENT);
    let mut first = asking(&gateway, 1);
    assert!(eventually(|| origin.seen().len() == 1));
    let others = asking(&gateway, 999);
    assert!(eventually(|| under_way(&gateway) == 1_000), "{}", under_way(&gateway));
    assert_eq!(origin.seen().len(), 1);
    first.remove(0).reset();
    assert!(eventually(|| origin.seen().len() == 2), "another one asks");
    open.store(true, Ordering::Release);
    let answers = answers(others);
    assert!(answers.iter().all(|(status, body, _)| (*status, &**body) == (200, "x")));
    let collapsed = answers.iter().filter(|(_, _, said)| said.contains("collapsed")).count();
    assert_eq!((collapsed, origin.seen().len()), (998, 2));
}

#[test]
fn when_the_upstream_fails_one_of_them_asks_next() {
    for reset in [true, false] {
        let count = AtomicUsize::new(0);
        let open = Arc::new(AtomicBool::new(false));
        let gate = open.clone();
        let origin = Origin::start(move |x| {
            eventually(|| gate.load(Ordering::Acquire));
            match count.fetch_add(1, Ordering::AcqRel) {
                0 if reset => Ok(Next::Reset),
                0 => x.reply(503, "", "busy"),
                _ => x.reply(200, "Cache-Control: max-age=60\r\n", "x"),
            }
        });
        let gateway = caching(origin.address, PATIENT);
        let crowd = asking(&gateway, 100);
        assert!(eventually(|| under_way(&gateway) == 100));
        open.store(true, Ordering::Release);
        let answers = answers(crowd);
        let good = answers.iter().filter(|(status, ..)| *status == 200).count();
        assert_eq!((good, origin.seen().len()), (99, 2), "{reset}");
    }
}

/// They wait for the second and the third, and no longer.
#[test]
fn an_upstream_that_always_fails_holds_nobody_up() {
    let origin = Origin::start(move |x| {
        thread::sleep(Duration::from_millis(50));
        x.reply(503, "", "busy")
    });
    let gateway = caching(origin.address, PATIENT);
    let began = Instant::now();
    let answers = answers(asking(&gateway, 50));
    assert!(answers.iter().all(|(status, ..)| *status == 503));
    assert!(began.elapsed() < Duration::from_secs(20), "one after the other");
    assert_eq!(origin.seen().len(), 50);
}

#[test]
fn who_has_something_stale_takes_that_when_another_was_failed() {
    let count = AtomicUsize::new(0);
    let open = Arc::new(AtomicBool::new(false));
    let gate = open.clone();
    let origin = Origin::start(move |x| {
        if count.fetch_add(1, Ordering::AcqRel) == 0 {
            return x.reply(200, "Cache-Control: max-age=1\r\nETag: \"a\"\r\n", "old");
        }
        eventually(|| gate.load(Ordering::Acquire));
        x.reply(503, "", "busy")
    });
    let gateway = caching(origin.address, PATIENT);
    get(&gateway, "/x");
    thread::sleep(Duration::from_millis(2_100));
    let crowd = asking(&gateway, 100);
    assert!(eventually(|| under_way(&gateway) == 100));
    open.store(true, Ordering::Release);
    for (status, body, said) in answers(crowd) {
        assert_eq!((status, &*body), (200, "old"), "{said}");
        assert!(said.ends_with("; detail=stale-if-error"), "{said}");
    }
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn what_turned_out_too_long_makes_nobody_wait() {
    let body: &'static str = "0123456789".repeat(500).leak();
    let origin = Origin::start(move |x| {
        thread::sleep(Duration::from_millis(100));
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        x.send(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))?;
        Ok(Next::Keep)
    });
    let gateway = caching(origin.address, "{ max_object: 2KiB, ttl: 60s }");
    assert_eq!(get(&gateway, "/x").text(), body);
    let answers = answers(asking(&gateway, 20));
    assert!(answers.iter().all(|(_, text, said)| text == body && !said.contains("collapsed")));
    assert_eq!(origin.seen().len(), 21);
}

/// How long after the first of so many the last of them, and the median, see their first byte, with
/// all of them on one thread of this process: `cargo nextest run --release -p weir-gateway --test
/// scenarios --run-ignored only --no-capture first_bytes`.
#[tokio::test]
#[ignore = "measures: for a machine that has nothing else to do"]
async fn first_bytes_come_to_all_at_once() {
    for count in [10, 100, 1_000] {
        let (origin, open) = gated("Cache-Control: max-age=60\r\n");
        let gateway = caching(origin.address, PATIENT);
        let asked = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> =
            (0..count).map(|_| tokio::spawn(first_byte(gateway.listen, asked.clone()))).collect();
        while asked.load(Ordering::Acquire) < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        open.store(true, Ordering::Release);
        let mut times = Vec::new();
        for task in tasks {
            times.push(task.await.unwrap());
        }
        times.sort_unstable();
        let after = |at: usize| (times[at] - times[0]).as_secs_f64() * 1e3;
        let (median, most, last) = (after(count / 2), after(count * 99 / 100), after(count - 1));
        eprintln!("{count}: median {median:.2} ms, 99 % {most:.2} ms, last {last:.2} ms");
        assert_eq!(origin.seen().len(), 1);
        // The work of a thousand answers is more than the wait for each.
        assert!(count > 100 || last < 5.0, "{count}: {last} ms");
    }
}

async fn first_byte(address: SocketAddr, asked: Arc<AtomicUsize>) -> Instant {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(client::get("/x").as_bytes()).await.unwrap();
    asked.fetch_add(1, Ordering::AcqRel);
    stream.read_exact(&mut [0]).await.unwrap();
    Instant::now()
}
