//! A route's bound on what it does at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{is_first, metric};
use crate::{
    operations::rewrite,
    support::{
        answer::Answer,
        client::{Client, get},
        eventually,
        gateway::{Gateway, Setup},
        origin::Origin,
    },
};

const FILE: &str = r#"
workers: 2
admin: { bind: "$ADMIN" }
listeners: [{ bind: "$LISTEN" }]
timeouts: { drain: 2s }
upstreams:
  origin: { endpoints: ["$ORIGIN"] }
routes:
  - { name: bound, match: { path: "/bound/**" }, to: origin, concurrency: 2 }
  - { name: free, match: { path: "/**" }, to: origin }
"#;

/// An origin that keeps what is asked below `/bound/held` waiting until it is opened.
struct Dam {
    origin: Origin,
    open: Arc<AtomicBool>,
}

impl Dam {
    fn start() -> Self {
        let open = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&open);
        let origin = Origin::start(move |x| {
            if x.target().starts_with("/bound/held") {
                while !flag.load(Ordering::Acquire) {
                    thread::sleep(Duration::from_millis(5));
                }
            }
            x.echo()
        });
        Self { origin, open }
    }

    fn gateway(&self) -> Gateway {
        Setup::yaml(&FILE.replace("$ORIGIN", &self.origin.address.to_string())).start()
    }

    /// Requests that are held, each on a connection of its own.
    fn hold(&self, gateway: &Gateway, names: &[&str]) -> Vec<Client> {
        let hold = |name: &&str| {
            let target = format!("/bound/held/{name}");
            let mut client = gateway.client();
            client.send(get(&target).as_bytes());
            assert!(eventually(|| self.origin.seen_at(&target).len() == 1), "{target}");
            client
        };
        names.iter().map(hold).collect()
    }

    fn open(&self) {
        self.open.store(true, Ordering::Release);
    }
}

fn assert_turned_away(answer: &Answer) {
    assert_eq!(answer.status, 503);
    assert_eq!(answer.field("proxy-status"), Some("weir; error=proxy_internal_response"));
    assert_eq!(answer.field("retry-after"), Some("1"));
    assert_eq!(answer.text(), "503 the route is at its limit (OM)\n");
}

fn in_use(gateway: &Gateway) -> f64 {
    metric(gateway, "weir_route_concurrency_in_use{route=\"bound\"}")
}

#[test]
fn one_too_many_is_turned_away_and_other_routes_are_not() {
    let dam = Dam::start();
    let gateway = dam.gateway();
    let held = dam.hold(&gateway, &["a", "b"]);
    assert!((in_use(&gateway) - 2.0).abs() < 0.1);
    let mut client = gateway.client();
    assert_turned_away(&client.get("/bound/third").unwrap());
    assert_eq!(client.get("/other").unwrap().status, 200, "the connection is kept");
    assert!(dam.origin.seen_at("/bound/third").is_empty());
    let busy =
        "weir_request_errors_total{route=\"bound\",upstream=\"origin\",error=\"route_busy\"}";
    assert!(eventually(|| metric(&gateway, busy) == 1.0), "{}", metric(&gateway, busy));
    let line = gateway.access_line("/bound/third");
    assert_eq!((&line["route"], &line["flag"]), (&"bound".into(), &"OM".into()), "{line}");
    dam.open();
    for mut client in held {
        assert_eq!(client.answer("GET").unwrap().status, 200);
    }
    assert!(eventually(|| in_use(&gateway) == 0.0));
    assert_eq!(gateway.client().get("/bound/after").unwrap().status, 200);
}

#[test]
fn who_goes_away_makes_room() {
    let dam = Dam::start();
    let gateway = dam.gateway();
    let held = dam.hold(&gateway, &["a", "b"]);
    assert_turned_away(&gateway.client().get("/bound/third").unwrap());
    drop(held);
    assert!(eventually(|| in_use(&gateway) == 0.0), "{}", in_use(&gateway));
    assert_eq!(gateway.client().get("/bound/after").unwrap().status, 200);
    dam.open();
}

#[test]
fn a_reload_keeps_count() {
    let dam = Dam::start();
    let gateway = dam.gateway();
    let mut held = dam.hold(&gateway, &["a", "b"]);
    rewrite(&gateway, "concurrency: 2", "concurrency: { max: 3 }");
    let routes = || gateway.admin("GET", "/routes").json()["routes"][0].clone();
    assert!(eventually(|| routes()["concurrency"]["max"] == 3), "{}", routes());
    assert_eq!(routes()["concurrency"]["in_use"], 2);
    held.extend(dam.hold(&gateway, &["c"]));
    assert_turned_away(&gateway.client().get("/bound/fourth").unwrap());
    dam.open();
    for mut client in held {
        assert_eq!(client.answer("GET").unwrap().status, 200);
    }
    assert!(eventually(|| in_use(&gateway) == 0.0));
}

#[test]
fn a_retry_that_waits_leaves_its_place_among_the_upstreams_to_others() {
    let origin = Origin::start(|x| match x.target() {
        "/again" if is_first(x) => x.reply(503, "Retry-After: 2\r\n", ""),
        _ => x.echo(),
    });
    let gateway = Setup::to(&[origin.address])
        .upstream("outlier: off, limits: { requests: 1, queue: 4, queue_timeout: 10s }")
        .route("retry: { attempts: 2, backoff: { base: 1ms, max: 5s } }")
        .start();
    let mut waits = gateway.client();
    waits.send(get("/again").as_bytes());
    assert!(eventually(|| origin.seen_at("/again").len() == 1));
    for _ in 0..3 {
        assert_eq!(gateway.client().get("/other").unwrap().status, 200);
    }
    assert_eq!(origin.seen_at("/again").len(), 1, "it waits still");
    assert_eq!(waits.answer("GET").unwrap().status, 200);
    assert_eq!(origin.seen_at("/again").len(), 2);
}
