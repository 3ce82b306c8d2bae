//! Requests under way that gateways count together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use http::Method;
use rustix::process::Signal;

use super::{Server, gateway, metric, with};
use crate::support::{
    client::Client,
    eventually,
    gateway::Gateway,
    h2_client::{connect, head},
    origin::Origin,
};

/// An origin that keeps what is asked below `/held` until it is opened, and the most that it had
/// under way at once.
struct Dam {
    origin: Origin,
    open: Arc<AtomicBool>,
    most: Arc<AtomicUsize>,
}

fn dam() -> Dam {
    let (open, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (flag, top, now) = (open.clone(), most.clone(), AtomicUsize::new(0));
    let origin = Origin::start(move |x| {
        top.fetch_max(now.fetch_add(1, Ordering::AcqRel) + 1, Ordering::AcqRel);
        thread::sleep(Duration::from_millis(5));
        while x.target().starts_with("/held") && !flag.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(5));
        }
        now.fetch_sub(1, Ordering::AcqRel);
        x.reply(200, "", "")
    });
    Dam { origin, open, most }
}

/// Begins a request that the origin keeps.
fn hold(gateway: &Gateway, origin: &Origin, target: &str) -> Client {
    let mut client = gateway.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: weir.test\r\n\r\n").as_bytes());
    assert!(eventually(|| origin.seen_at(target).len() == 1), "{target}");
    client
}

fn status(gateway: &Gateway, target: &str) -> u16 {
    gateway.client().get(target).unwrap().status
}

#[test]
fn never_more_than_may_be_of_all_gateways() {
    let Some(server) = Server::start(&[]) else { return };
    let dam = dam();
    // What a server on a machine with much else to do does not answer in time passes nowhere.
    let route = "concurrency: { key: client_ip, max: 4, store: redis, on_store_failure: deny }, \
                 rate_limit: 1000000/s";
    let gateways = [(); 3].map(|()| gateway(&dam.origin, &server.url(), route));
    let (passed, busy) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let end = Instant::now() + Duration::from_secs(2);
    let ask = |gateway: &Gateway| {
        let mut client = gateway.client();
        while Instant::now() < end {
            match client.get("/").unwrap().status {
                200 => passed.fetch_add(1, Ordering::Relaxed),
                503 => busy.fetch_add(1, Ordering::Relaxed),
                other => panic!("{other}"),
            };
        }
    };
    thread::scope(|scope| {
        for gateway in &gateways {
            (0..4).for_each(|_| {
                scope.spawn(|| ask(gateway));
            });
        }
    });
    let (passed, busy) = (passed.into_inner(), busy.into_inner());
    println!(
        "{passed} passed, {busy} found no place, {} at once",
        dam.most.load(Ordering::Acquire)
    );
    // A machine with much else to do may never run four of them at the very same time.
    let most = dam.most.load(Ordering::Acquire);
    assert!((1..=4).contains(&most), "{most} at once, {passed} passed, {busy} did not");
    assert!(passed > 20 && busy > 0, "{passed} {busy}");
    assert!(eventually(|| server.keys().is_empty()), "{:?}", server.keys());
    let keys = gateways[0].admin("GET", "/limits").json()["keys"].clone();
    assert_eq!(keys["under_way"], 0, "{keys}");
    let routes = gateways[0].admin("GET", "/routes").json()["routes"][0]["concurrency"].clone();
    assert_eq!((&routes["store"], &routes["max"]), (&"redis".into(), &4.into()));
}

#[test]
fn whoever_goes_makes_room_at_once() {
    let Some(server) = Server::start(&[]) else { return };
    let dam = dam();
    let route = "concurrency: { max: 1, store: redis, lease: 1h }";
    let mut one = gateway(&dam.origin, &server.url(), route);
    let other = gateway(&dam.origin, &server.url(), route);
    // Over HTTP/1.1.
    let held = hold(&one, &dam.origin, "/held/1");
    assert_eq!(status(&other, "/"), 503);
    drop(held);
    assert!(eventually(|| status(&other, "/") == 200));
    // The place of the last one is told of after its answer.
    let free = || assert!(eventually(|| server.keys().is_empty()), "{:?}", server.keys());
    free();
    // Over HTTP/2.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (answer, mut stream) = runtime.block_on(async {
        let mut send = connect(one.listen).await.ready().await.unwrap();
        let asked = send.send_request(head(Method::GET, "/held/2"), true).unwrap();
        let arrives = async {
            while dam.origin.seen_at("/held/2").is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), arrives).await.expect("it never arrives");
        asked
    });
    assert_eq!(status(&other, "/"), 503);
    runtime.block_on(async {
        stream.send_reset(h2::Reason::CANCEL);
        drop((answer, stream));
        tokio::time::sleep(Duration::from_millis(50)).await;
    });
    assert!(eventually(|| status(&other, "/") == 200));
    free();
    // A gateway that ends, with a request that it cuts off.
    let _held = hold(&one, &dam.origin, "/held/3");
    assert_eq!(status(&other, "/"), 503);
    one.signal(Signal::TERM);
    assert!(one.wait(Duration::from_secs(20)).is_some());
    assert!(eventually(|| status(&other, "/") == 200));
    dam.open.store(true, Ordering::Release);
}

#[test]
fn a_gateway_that_dies_is_counted_for_a_lease() {
    let Some(server) = Server::start(&[]) else { return };
    let dam = dam();
    let route = "concurrency: { key: client_ip, max: 2, store: redis, lease: 2s }";
    let (dead, alive) =
        (gateway(&dam.origin, &server.url(), route), gateway(&dam.origin, &server.url(), route));
    let _lost = hold(&dead, &dam.origin, "/held/1");
    let mut kept = hold(&alive, &dam.origin, "/held/2");
    // Longer than a lease: both are renewed.
    thread::sleep(Duration::from_secs(3));
    assert_eq!(status(&alive, "/"), 503);
    dead.kill();
    let killed = Instant::now();
    assert!(eventually(|| status(&alive, "/") == 200), "the place of what died comes free");
    println!("free after {:?} of a lease of 2 s", killed.elapsed());
    // The other one is renewed: there is room for one beside it, and no more.
    let mut second = None;
    assert!(eventually(|| {
        let mut client = alive.client();
        client.send(b"GET /held/3 HTTP/1.1\r\nHost: weir.test\r\n\r\n");
        client.patience(Duration::from_secs(2));
        // No answer: it is held.
        let held = client.answer("GET").is_err();
        second = Some(client);
        held && eventually(|| dam.origin.seen_at("/held/3").len() == 1)
    }));
    assert_eq!(status(&alive, "/"), 503);
    dam.open.store(true, Ordering::Release);
    assert_eq!(kept.answer("GET").unwrap().status, 200);
}

/// How many of eight pass at once at one of two gateways whose server is gone.
fn alone(on_failure: &str) -> usize {
    let Some(server) = Server::start(&[]) else {
        return match on_failure {
            "local" => 2,
            "allow" => 8,
            _ => 0,
        };
    };
    let dam = dam();
    let redis = format!("url: \"{}\", timeout: 100ms, gateways: 2", server.url());
    let route = format!("concurrency: {{ max: 4, store: redis, on_store_failure: {on_failure} }}");
    let gateway = with(&dam.origin, &redis, &route);
    assert_eq!(status(&gateway, "/"), 200);
    drop(server);
    for _ in 0..8 {
        // Some wait for an answer, until it counts as down.
        assert!([200, 503].contains(&status(&gateway, "/")));
    }
    let began = Instant::now();
    for _ in 0..20 {
        let expected = if on_failure == "deny" { 503 } else { 200 };
        assert_eq!(status(&gateway, "/"), expected, "{on_failure}");
    }
    println!("{on_failure}: 20 requests in {:?}", began.elapsed());
    let mut held: Vec<_> = (0..8).map(|_| gateway.client()).collect();
    let (passed, away) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for client in &mut held {
            scope.spawn(|| match client.get("/held").unwrap().status {
                200 => passed.fetch_add(1, Ordering::AcqRel),
                _ => away.fetch_add(1, Ordering::AcqRel),
            });
        }
        // Each has come through, or has been turned away.
        let there = || dam.origin.seen_at("/held").len() + away.load(Ordering::Acquire);
        assert!(eventually(|| there() == 8), "{}", there());
        dam.open.store(true, Ordering::Release);
    });
    let passed = passed.into_inner();
    assert!(metric(&gateway, "weir_concurrency_fallback_total") > 8.0);
    assert!(metric(&gateway, "weir_redis_up{") < 0.5);
    passed
}

#[test]
fn its_policy_holds_while_the_server_is_gone() {
    assert_eq!((alone("local"), alone("allow"), alone("deny")), (2, 8, 0));
}
