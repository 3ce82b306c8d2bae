//! Requests of one key come to one endpoint.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use crate::{
    operations::rewrite,
    support::{
        client::Client,
        eventually,
        gateway::{Gateway, Setup},
        h2_origin::H2Origin,
        origin::Origin,
    },
};

/// An origin that answers with its name.
fn named(name: &'static str) -> Origin {
    Origin::start(move |x| x.reply(200, "", name))
}

fn entry(name: &str, address: SocketAddr) -> String {
    format!("{{ address: \"{address}\", name: {name} }}")
}

fn setup(entries: &[String], upstream: &str) -> Setup {
    Setup::yaml(&format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\nupstreams:\n  \
         a: {{ endpoints: [{}], {upstream} }}\nroutes:\n  - {{ match: {{ path: \"/**\" }}, to: a, \
         retry: 2 }}\n",
        entries.join(", ")
    ))
}

/// Who answers each of these users, asked for over a connection of its own.
fn owners(gateway: &Gateway, users: usize) -> BTreeMap<usize, String> {
    let one = |user| {
        let mut client = gateway.client();
        client.send(
            format!("GET /x HTTP/1.1\r\nHost: weir.test\r\nX-User: u{user}\r\n\r\n").as_bytes(),
        );
        let answer = client.answer("GET").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        (user, answer.text())
    };
    (0..users).map(one).collect()
}

#[test]
fn a_key_has_one_endpoint_whoever_asks() {
    for way in ["rendezvous", "ring", "maglev"] {
        let origins = ["one", "two", "three"].map(|name| (name, named(name)));
        let entries = origins.each_ref().map(|(name, origin)| entry(name, origin.address));
        let balance = format!("balance: {{ {way}: {{ key: \"header:x-user\" }} }}");
        let gateway = setup(&entries, &balance).start();
        // Another, with the endpoints in another order.
        let mut turned = entries.clone();
        turned.rotate_left(1);
        let other = setup(&turned, &balance).start();
        let first = owners(&gateway, 60);
        assert_eq!(first, owners(&gateway, 60), "{way}");
        assert_eq!(first, owners(&other, 60), "{way}");
        for (name, _) in &origins {
            let count = first.values().filter(|owner| owner == name).count();
            assert!(count >= 5, "{way}: {name} has {count} of 60");
        }
    }
}

#[test]
fn who_is_ejected_loses_its_keys_and_gets_them_back() {
    let (one, two) = (named("one"), named("two"));
    let entries = |third| [entry("one", one.address), entry("two", two.address), third];
    let balance = "balance: { rendezvous: { key: \"header:x-user\" } }, \
                   outlier: { consecutive_failures: 1, ejection: 2s }";
    let down = Arc::new(AtomicBool::new(false));
    let flag = down.clone();
    let three = Origin::start(move |x| match flag.load(Ordering::Acquire) {
        true => x.reply(503, "", "down"),
        false => x.reply(200, "", "three"),
    });
    let gateway = setup(&entries(entry("three", three.address)), balance).start();
    let before = owners(&gateway, 60);
    assert!(before.values().any(|owner| owner == "three"));
    down.store(true, Ordering::Release);
    // What fails is tried again at the next in the key's order: nobody sees a failure.
    let during = owners(&gateway, 60);
    for (user, owner) in &before {
        assert!(owner == "three" || during[user] == *owner, "{before:?}\n{during:?}");
    }
    assert!(during.values().all(|owner| owner != "three"));
    let heirs = |name: &str| {
        during.iter().filter(|(user, owner)| before[user] == "three" && *owner == name).count()
    };
    assert!(heirs("one") > 0 && heirs("two") > 0, "{during:?}");
    down.store(false, Ordering::Release);
    assert!(eventually(|| owners(&gateway, 60) == before), "{}", gateway.log());
}

#[test]
fn a_reload_moves_what_the_newcomer_takes() {
    let origins = ["one", "two", "three"].map(|name| (name, named(name)));
    let entries = origins.each_ref().map(|(name, origin)| entry(name, origin.address));
    let balance = "balance: { rendezvous: { key: \"header:x-user\" } }";
    let gateway = setup(&entries, balance).start();
    let before = owners(&gateway, 100);
    let four = named("four");
    // In front of the others: their numbers change.
    let more = format!("endpoints: [{}, ", entry("four", four.address));
    rewrite(&gateway, "endpoints: [", &more);
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    let after = owners(&gateway, 100);
    let moved: Vec<_> = before.iter().filter(|(user, owner)| after[user] != **owner).collect();
    assert!(moved.iter().all(|(user, _)| after[user] == "four"), "{before:?}\n{after:?}");
    assert!((10..=42).contains(&moved.len()), "{} of 100 moved", moved.len());
    // The same endpoint at another address keeps its keys.
    let elsewhere = named("one");
    rewrite(&gateway, &origins[0].1.address.to_string(), &elsewhere.address.to_string());
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    assert_eq!(after, owners(&gateway, 100));
    assert!(!elsewhere.seen().is_empty());
}

#[test]
fn a_bound_spreads_a_hot_key() {
    /// Answers once twelve are with all of them together.
    fn slow(name: &'static str, arrived: &Arc<AtomicUsize>) -> Origin {
        let arrived = Arc::clone(arrived);
        Origin::start(move |x| {
            arrived.fetch_add(1, Ordering::AcqRel);
            eventually(|| arrived.load(Ordering::Acquire) == 12);
            x.reply(200, "", name)
        })
    }
    let answered = |bound: &str| {
        let arrived = Arc::default();
        let origins = ["one", "two", "three"].map(|name| (name, slow(name, &arrived)));
        let entries = origins.each_ref().map(|(name, origin)| entry(name, origin.address));
        let balance = format!("balance: {{ rendezvous: {{ key: path{bound} }} }}");
        let gateway = setup(&entries, &balance).start();
        let address = gateway.listen;
        let clients: Vec<_> = (0..12)
            .map(|_| thread::spawn(move || Client::connect(address).get("/hot").unwrap().status))
            .collect();
        for client in clients {
            assert_eq!(client.join().unwrap(), 200);
        }
        let mut counts = origins.map(|(_, origin)| origin.seen().len());
        counts.sort_unstable();
        counts
    };
    assert_eq!(answered(""), [0, 0, 12]);
    let [least, _, most] = answered(", bounded_load: 1.25");
    // Twelve at once are five at most, or a few more where both workers choose at the same time.
    assert!(least > 0 && most <= 8, "{least} to {most}");
}

#[test]
fn a_request_without_the_key_goes_anywhere() {
    let origins = ["one", "two", "three"].map(|name| (name, named(name)));
    let entries = origins.each_ref().map(|(name, origin)| entry(name, origin.address));
    let gateway =
        setup(&entries, "balance: { maglev: { key: [\"header:x-user\", \"cookie:sid\"] } }")
            .start();
    let mut client = gateway.client();
    for _ in 0..60 {
        // One part of two.
        client.send(b"GET /x HTTP/1.1\r\nHost: weir.test\r\nX-User: ada\r\n\r\n");
        assert_eq!(client.answer("GET").unwrap().status, 200);
    }
    for (name, origin) in &origins {
        assert!(origin.seen().len() > 3, "{name}: {} of 60", origin.seen().len());
    }
}

#[test]
fn over_http2_as_well() {
    let origins = [("one", H2Origin::start(100)), ("two", H2Origin::start(100))];
    let entries = origins.each_ref().map(|(name, origin)| entry(name, origin.address));
    let gateway = setup(&entries, "protocol: h2, balance: { ring: { key: path } }").start();
    for path in 0..20 {
        for _ in 0..3 {
            assert_eq!(gateway.client().get(&format!("/p{path:02}")).unwrap().status, 200);
        }
    }
    let mut shares = [0, 0];
    for path in 0..20 {
        let seen = origins.each_ref().map(|(_, origin)| origin.seen(&format!("/p{path:02}")).len());
        assert!(seen == [3, 0] || seen == [0, 3], "/p{path:02}: {seen:?}");
        shares[usize::from(seen[0] == 0)] += 1;
    }
    assert!(shares[0] > 2 && shares[1] > 2, "{shares:?}");
}

#[test]
fn a_newcomer_takes_its_keys_by_and_by() {
    let origins = ["one", "two"].map(|name| (name, named(name)));
    let entries = origins.each_ref().map(|(name, origin)| entry(name, origin.address));
    let balance = "slow_start: 3s, balance: { rendezvous: { key: \"header:x-user\" } }";
    let gateway = setup(&entries, balance).start();
    let before = owners(&gateway, 100);
    let three = named("three");
    rewrite(&gateway, "endpoints: [", &format!("endpoints: [{}, ", entry("three", three.address)));
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    let mut taken = 0;
    let has_all = || {
        let after = owners(&gateway, 100);
        let moved = before.iter().filter(|(user, owner)| after[user] != **owner);
        assert!(moved.clone().all(|(user, _)| after[user] == "three"));
        let now = moved.count();
        assert!(now >= taken, "{now} after {taken}: keys went back");
        taken = now;
        now > 15
    };
    assert!(eventually(has_all), "{}", gateway.log());
}
