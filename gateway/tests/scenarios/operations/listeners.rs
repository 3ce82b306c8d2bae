//! Listeners of every kind.

use std::net::SocketAddr;

use super::answering;
use crate::support::{
    client::Client,
    eventually,
    frames::{Frames, Outcome},
    gateway::{Setup, free_port},
};

#[test]
fn a_unix_socket_and_ipv6_serve_beside_ipv4() {
    let six = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, free_port()));
    let list = format!("[\"$LISTEN\", \"unix:$DIR/weir.sock\", \"{six}\"]");
    let gateway = Setup::yaml(&answering("up").replace("[\"$LISTEN\"]", &list)).start();
    let socket = gateway.dir().join("weir.sock");
    assert!(eventually(|| Client::unix(&socket).is_ok()));
    assert_eq!(Client::unix(&socket).unwrap().get("/").unwrap().text(), "up");
    assert!(eventually(|| Client::try_connect(six).is_ok()));
    assert_eq!(Client::connect(six).get("/six").unwrap().text(), "up");
    assert_eq!(gateway.access_line("/six")["client"], "::1");
    assert_eq!(gateway.client().get("/").unwrap().text(), "up");
}

#[test]
fn a_left_over_socket_file_is_replaced_and_removed_at_the_end() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("weir.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let list = format!("[\"$LISTEN\", \"unix:{}\"]", path.display());
    let gateway = Setup::yaml(&answering("up").replace("[\"$LISTEN\"]", &list)).start();
    assert!(eventually(|| Client::unix(&path).is_ok()));
    assert_eq!(Client::unix(&path).unwrap().get("/").unwrap().text(), "up");
    drop(gateway);
    assert!(!path.exists(), "the socket file is left behind");
}

#[test]
fn a_bare_port_means_both_families() {
    let port = free_port();
    let list = format!("[\"$LISTEN\", \":{port}\"]");
    let gateway = Setup::yaml(&answering("up").replace("[\"$LISTEN\"]", &list)).start();
    for address in [
        SocketAddr::from(([127, 0, 0, 1], port)),
        SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port)),
    ] {
        assert!(eventually(|| Client::try_connect(address).is_ok()), "{address}");
        assert_eq!(Client::connect(address).get("/").unwrap().text(), "up", "{address}");
    }
    gateway.client().get("/mapped").unwrap();
    assert_eq!(gateway.access_line("/mapped")["client"], "127.0.0.1", "never ::ffff:127.0.0.1");
}

#[test]
fn a_listener_offers_only_its_protocols() {
    let list = |protocols: &str| {
        let one = format!("[{{ bind: \"$LISTEN\", protocols: [{protocols}] }}]");
        Setup::yaml(&answering("up").replace("[\"$LISTEN\"]", &one)).start()
    };
    let only_h1 = list("h1");
    assert_eq!(only_h1.client().get("/").unwrap().text(), "up");
    let outcome = Frames::connect(only_h1.listen).get(1, "/");
    assert!(!matches!(outcome, Outcome::Response { .. }), "{outcome:?}");
    let only_h2 = list("h2");
    assert_eq!(Frames::connect(only_h2.listen).get(1, "/").text(), "up");
    assert!(only_h2.client().get("/").map_or(true, |a| a.status >= 400));
}

#[test]
fn both_workers_serve() {
    let gateway = Setup::yaml(&answering("up")).start();
    for _ in 0..40 {
        assert_eq!(gateway.client().get("/").unwrap().text(), "up");
    }
}
