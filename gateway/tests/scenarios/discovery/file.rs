//! A file as a source.

use std::{fs, path::Path, sync::mpsc, thread, time::Duration};

use tempfile::TempDir;

use super::{await_state, await_who, named, setup, source, who};
use crate::{
    operations::load::Load,
    support::{
        eventually,
        gateway::{Gateway, Setup},
        origin::Origin,
    },
};

/// Puts a list in the place of the file at once.
fn put(dir: &Path, text: &str) {
    let next = dir.join("users.next");
    fs::write(&next, text).unwrap();
    fs::rename(&next, dir.join("users.yaml")).unwrap();
}

fn list(origins: &[&Origin]) -> String {
    origins.iter().map(|origin| format!("- \"{}\"\n", origin.address)).collect()
}

fn start(text: &str, upstream: &str) -> Gateway {
    let dir = TempDir::new().unwrap();
    put(dir.path(), text);
    let keys = format!("discovery: {{ file: users.yaml }}{upstream}");
    let setup: Setup = setup("", &keys);
    setup.within(dir).start()
}

#[test]
fn endpoints_are_what_the_file_says_now() {
    let [one, two, three] = ["one", "two", "three"].map(named);
    let gateway = start(&list(&[&one, &two]), "");
    assert_eq!(who(&gateway), ["one", "two"].map(String::from).into());
    let worded = format!(
        "# by hand\n- {{ address: \"{}\", name: third, weight: 7, zone: b }}\n",
        three.address
    );
    put(gateway.dir(), &worded);
    await_who(&gateway, &["three"]);
    let upstreams = gateway.admin("GET", "/upstreams").json();
    let third = &upstreams["upstreams"][0]["endpoints"][0];
    assert_eq!((&third["name"], &third["zone"]), (&"third".into(), &"b".into()), "{third}");
    assert_eq!(third["weight"], 7);
    // In place, as an editor may write it.
    fs::write(gateway.dir().join("users.yaml"), list(&[&one])).unwrap();
    await_who(&gateway, &["one"]);
    put(gateway.dir(), "[]\n");
    await_who(&gateway, &["503"]);
    put(gateway.dir(), &list(&[&two]));
    await_who(&gateway, &["two"]);
}

#[test]
fn a_file_that_is_wrong_or_gone_changes_nothing() {
    let [one, two] = ["one", "two"].map(named);
    let gateway = start(&list(&[&one]), "");
    let says = |text: &str| {
        let error = || source(&gateway)["error"].as_str().unwrap_or_default().to_owned();
        assert!(eventually(|| error().contains(text)), "{} lacks {text}", error());
        assert_eq!(who(&gateway), ["one".to_owned()].into());
    };
    put(gateway.dir(), "- \"127.0.0.1:9001\"\n- nothing\n");
    says("users.yaml:2:3: error: expected an address");
    put(gateway.dir(), "");
    says("the file is empty");
    put(gateway.dir(), "endpoints: [\"127.0.0.1:1\"]\n");
    says("expected a list of addresses");
    put(gateway.dir(), "- \"127.0.0.1:1\"\n- \"127.0.0.1:1\"\n");
    says("already");
    fs::remove_file(gateway.dir().join("users.yaml")).unwrap();
    says("cannot read the file");
    put(gateway.dir(), &list(&[&two]));
    await_who(&gateway, &["two"]);
    await_state(&gateway, "ok");
}

#[test]
fn a_file_may_come_later() {
    let one = named("one");
    let gateway = setup("", "discovery: { file: users.yaml }").start();
    await_state(&gateway, "failing");
    await_who(&gateway, &["503"]);
    put(gateway.dir(), &list(&[&one]));
    await_who(&gateway, &["one"]);
}

#[test]
fn requests_under_way_at_an_endpoint_that_goes_come_to_their_end() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let slow = Origin::start(move |x| {
        if x.target() == "/slow" {
            released.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap();
        }
        x.reply(200, "", "slow")
    });
    let other = named("other");
    let gateway = start(&list(&[&slow]), "");
    let listen = gateway.listen;
    let waits = thread::spawn(move || {
        crate::support::client::Client::connect(listen).get("/slow").unwrap().text()
    });
    assert!(eventually(|| !slow.seen_at("/slow").is_empty()));
    put(gateway.dir(), &list(&[&other]));
    await_who(&gateway, &["other"]);
    release.send(()).unwrap();
    assert_eq!(waits.join().unwrap(), "slow");
}

#[test]
fn newcomers_begin_slowly_and_who_stays_goes_on() {
    let [one, two] = ["one", "two"].map(named);
    let gateway = start(&list(&[&one]), ", slow_start: 1m, balance: random");
    who(&gateway);
    let endpoint = |index: usize| {
        let upstreams = gateway.admin("GET", "/upstreams").json();
        upstreams["upstreams"][0]["endpoints"][index].clone()
    };
    let before = endpoint(0)["requests"].as_u64().unwrap();
    assert!(before >= 24 && endpoint(0)["health"]["share"] == 1.0, "{}", endpoint(0));
    put(gateway.dir(), &list(&[&one, &two]));
    assert!(eventually(|| endpoint(1).is_object()), "{}", gateway.log());
    let connections = one.connections();
    who(&gateway);
    let address = one.address.to_string();
    let [first, second] = if endpoint(0)["address"] == *address { [0, 1] } else { [1, 0] };
    assert!(endpoint(first)["requests"].as_u64().unwrap() > before, "its counts go on");
    assert_eq!(endpoint(first)["health"]["share"], 1.0);
    let share = endpoint(second)["health"]["share"].as_f64().unwrap();
    assert!(share < 0.9, "{share}");
    // Two workers, each with a connection that may not have been needed before.
    assert!(one.connections() <= connections + 2, "its connections go on");
}

#[test]
fn no_request_fails_while_endpoints_come_and_go() {
    let origins = ["one", "two", "three", "four"].map(named);
    let gateway = start(&list(&[&origins[0], &origins[1]]), "");
    let load = Load::start(gateway.listen, 4, Duration::from_millis(1));
    for n in 1..=8 {
        let (a, b) = (&origins[n % 4], &origins[(n + 1) % 4]);
        put(gateway.dir(), &list(&[a, b]));
        let before = b.seen().len();
        assert!(eventually(|| b.seen().len() > before), "{}", gateway.log());
    }
    assert!(load.finish() > 100);
}
