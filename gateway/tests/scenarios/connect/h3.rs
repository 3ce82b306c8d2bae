//! CONNECT over HTTP/3 (RFC 9114 section 4.4).

use super::{End, Peer, nobody, setup_on};
use crate::support::{
    certificates::Authority,
    eventually,
    gateway::Gateway,
    h3_outcome::Outcome,
    h3_raw::{Raw, Stream, Tuning},
    h3_wire::{DATA, code, frame, headers},
};

struct Stage {
    peer: Peer,
    gateway: Gateway,
    client: Raw,
}

/// A gateway before a peer, or before nobody.
fn stage(there: bool, route: &str) -> Stage {
    let dir = tempfile::TempDir::new().unwrap();
    let authority = Authority::new();
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    let peer = Peer::start();
    let endpoint = if there { peer.address } else { nobody() };
    let tls = ", tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }";
    let gateway = setup_on(tls, &[endpoint], "", route).within(dir).start();
    let tls = authority.client_x25519(&[b"h3"]);
    let tuning = Tuning { stream_window: 1 << 20, window: 8 << 20, tls };
    let client = Raw::try_connect(gateway.listen, &tuning).unwrap().greet();
    Stage { peer, gateway, client }
}

impl Stage {
    fn open(&self, line: &str) -> Stream {
        let mut stream = self.client.bi();
        stream.write(&headers(&[(":method", "CONNECT"), (":authority", "db.test:5432")]));
        let head = stream.head();
        assert_eq!((head.status, head.field("content-length")), (200, None));
        assert_eq!((head.field("via"), head.field("x-request-id").is_some()), (None, true));
        stream.write(&frame(DATA, line.as_bytes()));
        stream
    }

    fn flags(&self, flag: &str) -> bool {
        eventually(|| self.gateway.access_lines(&format!("\"{flag}\"")).len() == 1)
    }
}

#[test]
fn bytes_flow_both_ways_and_each_direction_ends_for_itself() {
    let stage = stage(true, "");
    let mut stream = stage.open("echo\n");
    stream.write(&frame(DATA, &[6; 200_000]));
    let outcome = stream.finish().outcome();
    assert!(matches!(&outcome, Outcome::Response(r) if r.body == [6; 200_000]), "{outcome:?}");
    stage.peer.ends_with(1, End::Closed(200_000));
    assert_eq!(stage.open("count\nabc").finish().outcome().text(), "got 3");
    let mut stream = stage.open("last\n");
    assert_eq!(stream.outcome().text(), "farewell");
    stream.write(&frame(DATA, &[1; 5000])).finish();
    stage.peer.ends_with(3, End::Closed(5000));
    let line = stage.gateway.access_line("db.test:5432");
    assert_eq!(
        (line["method"].as_str(), line["protocol"].as_str()),
        (Some("CONNECT"), Some("HTTP/3"))
    );
    assert_eq!(line["bytes_out"].as_u64(), Some(200_000), "{line}");
}

#[test]
fn an_abort_of_either_side_is_the_others() {
    let stage = stage(true, "");
    let outcome = stage.open("reset\n").outcome();
    assert!(matches!(outcome, Outcome::Reset(0x10f, _)), "{outcome:?}");
    assert!(stage.flags("UC"));
    for n in 1..=2 {
        let mut stream = stage.open("hold\n");
        match n {
            1 => stream.reset(code::REQUEST_CANCELLED),
            _ => stream.stop(code::REQUEST_CANCELLED),
        };
        stage.peer.ends_with(n, End::Reset);
    }
}

#[test]
fn failures_are_answered_on_the_stream() {
    let stage = stage(false, "");
    for (authority, status) in [("db.test:5432", 502), ("other.test:5432", 405), ("db.test:0", 400)]
    {
        let bytes = headers(&[(":method", "CONNECT"), (":authority", authority)]);
        assert_eq!(stage.client.exchange(&bytes).status(), status, "{authority}");
    }
    let framed = [(":method", "CONNECT"), (":authority", "db.test:5432"), ("content-length", "0")];
    assert_eq!(stage.client.exchange(&headers(&framed)).status(), 400);
    assert_eq!(stage.client.get("/").text(), "plain");
}

#[test]
fn an_idle_tunnel_ends() {
    let stage = stage(true, ", timeout: { idle: 1s }");
    let outcome = stage.open("echo\n").outcome();
    assert!(matches!(outcome, Outcome::Reset(code::REQUEST_CANCELLED, _)), "{outcome:?}");
    stage.peer.ends_with(1, End::Reset);
    assert!(stage.flags("UT"));
}
