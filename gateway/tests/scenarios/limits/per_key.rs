//! A bound on what is under way, for each key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::get;
use crate::{
    operations::rewrite,
    support::{
        client::Client,
        eventually,
        gateway::{Gateway, Setup},
        origin::Origin,
    },
};

/// An origin that keeps what is asked below `/held` waiting until it is opened.
fn dam() -> (Origin, Arc<AtomicBool>) {
    let open = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&open);
    let origin = Origin::start(move |x| {
        while x.target().starts_with("/held") && !flag.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(5));
        }
        x.echo()
    });
    (origin, open)
}

fn hold(gateway: &Gateway, origin: &Origin, target: &str, user: &str) -> Client {
    let mut client = gateway.client();
    let head = format!("GET {target} HTTP/1.1\r\nHost: weir.test\r\nX-User: {user}\r\n\r\n");
    client.send(head.as_bytes());
    assert!(eventually(|| origin.seen_at(target).len() == 1), "{target}");
    client
}

#[test]
fn each_key_has_a_bound_of_its_own() {
    let (origin, open) = dam();
    let route = "concurrency: { key: header:x-user, max: 2 }, rate_limit: { rate: 100/h }";
    let gateway = Setup::to(&[origin.address]).route(route).start();
    let held: Vec<_> =
        ["/held/1", "/held/2"].map(|target| hold(&gateway, &origin, target, "ada")).into();
    let mut client = gateway.client();
    let answer = get(&mut client, "/third", "X-User: ada\r\n");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert_eq!(answer.text(), "503 the route is at its limit (OM)\n");
    assert_eq!(answer.field("ratelimit"), None, "who is turned away is not charged");
    assert_eq!(get(&mut client, "/other", "X-User: bob\r\n").status, 200);
    assert_eq!(get(&mut client, "/none", "").status, 200, "the connection is kept");
    let keys = gateway.admin("GET", "/limits").json()["keys"].clone();
    assert_eq!(keys["under_way"], 1, "{keys}");
    rewrite(&gateway, "max: 2", "max: 3");
    let routes = || gateway.admin("GET", "/routes").json()["routes"][0]["concurrency"].clone();
    assert!(eventually(|| routes()["max"] == 3), "{}", routes());
    let third = hold(&gateway, &origin, "/held/3", "ada");
    assert_eq!(get(&mut client, "/fourth", "X-User: ada\r\n").status, 503);
    open.store(true, Ordering::Release);
    for mut client in held.into_iter().chain([third]) {
        assert_eq!(client.answer("GET").unwrap().status, 200);
    }
    let ended = || gateway.admin("GET", "/limits").json()["keys"]["under_way"] == 0;
    assert!(eventually(ended));
    assert_eq!(get(&mut client, "/again", "X-User: ada\r\n").status, 200);
}

#[test]
fn who_goes_away_makes_room() {
    let (origin, open) = dam();
    let route = "concurrency: { key: client_ip, max: 1 }";
    let gateway = Setup::to(&[origin.address]).route(route).start();
    let held = hold(&gateway, &origin, "/held/1", "ada");
    assert_eq!(gateway.client().get("/second").unwrap().status, 503);
    drop(held);
    assert!(eventually(|| gateway.client().get("/second").unwrap().status == 200));
    open.store(true, Ordering::Release);
}
