//! A new configuration, three ways; a broken one changes nothing.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
};

use rustix::process::Signal;

use super::{answering, answers, rewrite};
use crate::support::{
    client::Client,
    eventually,
    frames::Frames,
    gateway::{Setup, free_port},
    origin::Origin,
};

#[test]
fn sighup_reloads() {
    let gateway = Setup::yaml(&answering("one")).start();
    assert!(answers(&gateway, "one"));
    rewrite(&gateway, "one", "two");
    gateway.signal(Signal::HUP);
    assert!(eventually(|| answers(&gateway, "two")), "{}", gateway.log());
}

#[test]
fn a_changed_file_reloads_by_itself() {
    let gateway = Setup::yaml(&answering("one")).start();
    rewrite(&gateway, "one", "two");
    assert!(eventually(|| answers(&gateway, "two")), "after a rename: {}", gateway.log());
    let text = fs::read_to_string(&gateway.file).unwrap();
    fs::write(&gateway.file, text.replace("two", "three")).unwrap();
    assert!(eventually(|| answers(&gateway, "three")), "after a write: {}", gateway.log());
}

#[test]
fn post_reload_reloads_and_says_so() {
    let gateway = Setup::yaml(&answering("one")).start();
    rewrite(&gateway, "one", "two");
    let answer = gateway.admin("POST", "/reload");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answers(&gateway, "two"), "it holds when the answer comes");
}

#[test]
fn a_broken_file_keeps_the_old_world_and_says_why() {
    let gateway = Setup::yaml(&answering("one")).start();
    rewrite(&gateway, "respond", "resspond");
    let answer = gateway.admin("POST", "/reload");
    assert!((400..500).contains(&answer.status), "{answer:?}");
    assert!(answer.text().contains("resspond"), "{}", answer.text());
    assert!(answers(&gateway, "one"));
    assert_eq!(gateway.admin("GET", "/ready").status, 200);
    let status = gateway.admin("GET", "/status").text();
    assert!(status.contains("resspond"), "{status}");
    gateway.signal(Signal::HUP);
    assert!(eventually(|| gateway.log().contains("resspond")));
    assert!(answers(&gateway, "one"));
    rewrite(&gateway, "resspond", "respond");
    rewrite(&gateway, "one", "two");
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    assert!(answers(&gateway, "two"));
    assert!(!gateway.admin("GET", "/status").text().contains("resspond"));
}

#[test]
fn a_removed_file_keeps_the_old_world() {
    let gateway = Setup::yaml(&answering("one")).start();
    fs::remove_file(&gateway.file).unwrap();
    gateway.signal(Signal::HUP);
    assert_ne!(gateway.admin("POST", "/reload").status, 200);
    assert!(answers(&gateway, "one"));
}

#[test]
fn connections_and_requests_under_way_outlive_a_reload() {
    let (old, new) = (
        Origin::start(|x| {
            std::thread::sleep(std::time::Duration::from_millis(if x.target() == "/slow" {
                500
            } else {
                0
            }));
            x.reply(200, "", "old")
        }),
        Origin::start(|x| x.reply(200, "", "new")),
    );
    let gateway = Setup::to(&[old.address]).start();
    let mut slow = gateway.client();
    let mut kept = gateway.client();
    let mut frames = Frames::connect(gateway.listen);
    assert_eq!(kept.get("/x").unwrap().text(), "old");
    assert_eq!(frames.get(1, "/x").text(), "old");
    slow.send(crate::support::client::get("/slow").as_bytes());
    assert!(eventually(|| !old.seen_at("/slow").is_empty()));
    rewrite(&gateway, &old.address.to_string(), &new.address.to_string());
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    assert_eq!(slow.answer("GET").unwrap().text(), "old", "it began in the old world");
    assert!(eventually(|| kept.get("/x").unwrap().text() == "new"), "on the same connection");
    let mut stream = 3;
    assert!(eventually(|| {
        stream += 2;
        frames.get(stream, "/x").text() == "new"
    }));
}

#[test]
fn listeners_come_and_go_with_the_file() {
    let gateway = Setup::yaml(&answering("one")).start();
    let second = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let first = gateway.listen.to_string();
    let mut kept = gateway.client();
    assert_eq!(kept.get("/").unwrap().text(), "one");
    rewrite(&gateway, &format!("[\"{first}\"]"), &format!("[\"{first}\", \"{second}\"]"));
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    assert_eq!(Client::connect(second).get("/").unwrap().text(), "one");
    rewrite(&gateway, &format!("\"{first}\", "), "");
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    assert!(
        eventually(|| TcpStream::connect(gateway.listen).is_err()),
        "the old one still listens"
    );
    assert_eq!(Client::connect(second).get("/").unwrap().text(), "one");
}

#[test]
fn a_listener_that_cannot_bind_fails_the_reload_whole() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Setup::yaml(&answering("one")).start();
    let first = gateway.listen.to_string();
    let both = format!("[\"{first}\", \"{}\"]", taken.local_addr().unwrap());
    rewrite(&gateway, &format!("[\"{first}\"]"), &both);
    rewrite(&gateway, "one", "two");
    let answer = gateway.admin("POST", "/reload");
    assert_ne!(answer.status, 200, "{}", answer.text());
    assert!(answers(&gateway, "one"), "half of a reload came through");
}
