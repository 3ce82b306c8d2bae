//! Requests spread over endpoints by weight, and around those that are down.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use super::nobody;
use crate::support::{gateway::Setup, origin::Origin};

/// Requests each of two origins got of `count`, the second of weight `weight`.
fn spread(balance: &str, weight: u32, count: usize) -> (usize, usize) {
    let (a, b) = (Origin::echo(), Origin::echo());
    let yaml = format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\nupstreams:\n  \
         a:\n    balance: {balance}\n    endpoints: [\"{}\", {{ address: \"{}\", weight: {weight} }}]\n\
         routes:\n  - {{ match: {{ path: \"/**\" }}, to: a }}\n",
        a.address, b.address
    );
    let gateway = Setup::yaml(&yaml).start();
    let mut client = gateway.client();
    for _ in 0..count {
        assert_eq!(client.get("/x").unwrap().status, 200);
    }
    (a.seen().len(), b.seen().len())
}

#[test]
fn round_robin_follows_the_weights_exactly() {
    assert_eq!(spread("round_robin", 1, 30), (15, 15));
    assert_eq!(spread("round_robin", 2, 30), (10, 20));
}

#[test]
fn random_choices_follow_the_weights_roughly() {
    for balance in ["random", "p2c", "least_request"] {
        let (a, b) = spread(balance, 1, 300);
        assert!(a > 30 && b > 30, "{balance}: {a} and {b}");
    }
    let (a, b) = spread("random", 4, 500);
    assert!(b > 2 * a, "random by weight 4: {a} and {b}");
}

#[test]
fn what_goes_by_latency_may_prefer_the_faster_but_asks_both() {
    for balance in ["prequal", "peak_ewma"] {
        let (a, b) = spread(balance, 1, 100);
        assert!(a > 0 && b > 0 && a + b == 100, "{balance}: {a} and {b}");
    }
}

#[test]
fn a_split_follows_its_weights() {
    let (a, b) = (Origin::echo(), Origin::echo());
    let yaml = format!(
        "admin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\nupstreams:\n  \
         a: {{ endpoints: [\"{}\"] }}\n  b: {{ endpoints: [\"{}\"] }}\nroutes:\n  \
         - {{ match: {{ path: \"/**\" }}, split: {{ a: 90, b: 10 }} }}\n",
        a.address, b.address
    );
    let gateway = Setup::yaml(&yaml).start();
    let mut client = gateway.client();
    for _ in 0..500 {
        assert_eq!(client.get("/x").unwrap().status, 200);
    }
    let (a, b) = (a.seen().len(), b.seen().len());
    assert!((10..=120).contains(&b), "{a} and {b}");
}

#[test]
fn an_endpoint_that_refuses_connections_costs_no_request() {
    let good = Origin::echo();
    let endpoints: [SocketAddr; 2] = [nobody(), good.address];
    let gateway = Setup::to(&endpoints).start();
    let failed: Vec<u16> = (0..40)
        .map(|n| gateway.client().get(&format!("/{n}")).unwrap().status)
        .filter(|&s| s != 200)
        .collect();
    assert!(failed.is_empty(), "{} of 40 failed", failed.len());
}

#[test]
fn names_and_unix_sockets_are_endpoints_too() {
    let origin = Origin::echo();
    let port = origin.address.port();
    let yaml = format!(
        "admin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\nupstreams:\n  \
         name: {{ endpoints: [\"localhost:{port}\"] }}\n  \
         socket: {{ endpoints: [\"unix:$DIR/o.sock\"] }}\nroutes:\n  \
         - {{ match: {{ path: \"/name\" }}, to: name }}\n  \
         - {{ match: {{ path: \"/socket\" }}, to: socket }}\n"
    );
    let gateway = Setup::yaml(&yaml).start();
    let listener = std::os::unix::net::UnixListener::bind(gateway.dir().join("o.sock")).unwrap();
    let server = thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = listener.accept().unwrap();
        let read = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix").unwrap();
        read
    });
    assert_eq!(gateway.client().get("/name").unwrap().text(), "GET /name 0");
    assert_eq!(gateway.client().get("/socket").unwrap().text(), "unix");
    assert!(server.join().unwrap() > 0);
}

/// What an endpoint says of its load counts more than what the gateway has seen of it: others may
/// be asking it as well.
#[test]
fn prequal_believes_an_endpoint_that_says_it_is_busy() {
    let busy = Origin::start(|x| x.reply(200, "x-weir-load: 50;ms=200\r\n", "busy"));
    let other = Origin::start(|x| {
        thread::sleep(Duration::from_millis(2));
        x.reply(200, "", "other")
    });
    let addresses = [busy.address, other.address];
    for (balance, least) in [("prequal", 0), ("round_robin", 25)] {
        let gateway = Setup::to(&addresses).upstream(&format!("balance: {balance}")).start();
        let (before, began) = (busy.seen().len(), Instant::now());
        for _ in 0..60 {
            assert_eq!(gateway.client().get("/").unwrap().status, 200);
        }
        let asked = busy.seen().len() - before;
        // Each worker has to find out, and does so again when what it was told is a second old.
        let most = least + 20 + 4 * began.elapsed().as_secs() as usize;
        assert!((least..=most).contains(&asked), "{balance}: {asked} of 60");
    }
}
