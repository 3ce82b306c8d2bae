//! CONNECT over HTTP/1.

use std::{io::Read, os::unix::net::UnixListener, thread, time::Duration};

use super::{End, Peer, nobody, setup, setup_on, stage};
use crate::support::{certificates::Authority, client::Client, eventually, gateway::Gateway};

const CONNECT: &str = "CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n";

/// Sends a CONNECT with `early` behind it and reads the head of its answer, which must be a 200.
fn open_with(client: &mut Client, early: &str) -> Vec<String> {
    client.send(format!("{CONNECT}{early}").as_bytes());
    let mut head: Vec<String> = Vec::new();
    loop {
        let line = client.line().unwrap().expect("a head");
        let line = String::from_utf8(line).unwrap();
        if line.is_empty() {
            assert!(head[0].starts_with("HTTP/1.1 200"), "{head:?}");
            return head;
        }
        head.push(line.to_ascii_lowercase().replace("http/1.1", "HTTP/1.1"));
    }
}

fn open(gateway: &Gateway, line: &str) -> Client {
    let mut client = gateway.client();
    open_with(&mut client, "");
    client.send(line.as_bytes());
    client
}

#[test]
fn bytes_flow_both_ways_raw() {
    let (peer, gateway) = stage();
    let mut client = gateway.client();
    let head = open_with(&mut client, "");
    for name in ["content-length", "transfer-encoding", "via", "connection"] {
        assert!(!head.iter().any(|line| line.starts_with(&format!("{name}:"))), "{head:?}");
    }
    assert!(head.iter().any(|line| line.starts_with("x-request-id:")), "{head:?}");
    client.send(b"echo\n");
    let bytes: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    for _ in 0..5 {
        client.send(&bytes);
        assert!(client.bytes(bytes.len()).unwrap() == bytes);
    }
    client.send(b"GET / HTTP/1.1\r\nHost: db.test\r\n\r\n");
    assert_eq!(client.bytes(8).unwrap(), b"GET / HT");
    client.finish();
    client.rest().unwrap();
    peer.ends_with(1, End::Closed(500_033));
}

#[test]
fn each_direction_ends_for_itself() {
    let (peer, gateway) = stage();
    let mut client = open(&gateway, "count\n");
    client.send(&[7; 100_000]).finish();
    assert_eq!(client.rest().unwrap(), b"got 100000");
    peer.ends_with(1, End::Closed(100_000));
    let mut client = open(&gateway, "last\n");
    assert_eq!(client.rest().unwrap(), b"farewell");
    client.send(&[7; 50_000]).finish();
    peer.ends_with(2, End::Closed(50_000));
}

#[test]
fn an_abort_of_either_side_is_the_others() {
    let (peer, gateway) = stage();
    let mut client = open(&gateway, "echo\nx");
    assert_eq!(client.bytes(1).unwrap(), b"x");
    client.reset();
    peer.ends_with(1, End::Reset);
    let line = gateway.access_line("db.test");
    assert_eq!((line["flag"].as_str(), line["status"].as_u64()), (Some("DC"), Some(200)), "{line}");
    let mut client = open(&gateway, "reset\n");
    assert_eq!(client.bytes(3).unwrap(), b"cut");
    let end = client.bytes(1).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset, "{end}");
    assert!(eventually(|| gateway.access_lines("db.test").len() == 2));
    assert!(gateway.access_lines("\"UC\"").len() == 1, "{:?}", gateway.access_lines("db.test"));
}

#[test]
fn bytes_behind_the_head_are_the_tunnels() {
    let (peer, gateway) = stage();
    let mut client = gateway.client();
    let request = "GET /smuggled HTTP/1.1\r\nHost: other.test\r\n\r\n";
    open_with(&mut client, &format!("echo\n{request}"));
    assert_eq!(client.bytes(request.len()).unwrap(), request.as_bytes());
    client.finish();
    assert_eq!(client.rest().unwrap(), b"");
    peer.ends_with(1, End::Closed(request.len()));
    // More than any buffer of the parser.
    let mut client = gateway.client();
    open_with(&mut client, &format!("echo\n{}", "e".repeat(300_000)));
    assert_eq!(client.bytes(300_000).unwrap(), vec![b'e'; 300_000]);
    // The end may come with them.
    let mut client = gateway.client();
    client.send(format!("{CONNECT}count\nabc").as_bytes()).finish();
    let answer = String::from_utf8(client.rest().unwrap()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\ngot 3"), "{answer}");
    assert!(gateway.access_lines("smuggled").is_empty());
}

#[test]
fn a_request_may_come_before_it_but_none_behind() {
    let (peer, gateway) = stage();
    let mut client = gateway.client();
    client.send(b"GET /one HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(client.answer("GET").unwrap().text(), "plain");
    open_with(&mut client, "");
    client.send(b"count\n").finish();
    assert_eq!(client.rest().unwrap(), b"got 0");
    peer.ends_with(1, End::Closed(0));
}

#[test]
fn http10_and_tls_clients_get_it_too() {
    let peer = Peer::start();
    let dir = tempfile::TempDir::new().unwrap();
    let authority = Authority::new();
    authority.issue(&["weir.test"]).write(dir.path(), "edge");
    let tls = ", tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }";
    let gateway = setup_on(tls, &[peer.address], "", "").within(dir).start();
    let config = authority.client(&[b"http/1.1"]);
    let mut client = Client::tls(gateway.listen, config, "weir.test").unwrap();
    open_with(&mut client, "echo\nearly");
    assert_eq!(client.bytes(5).unwrap(), b"early");
    let (_peer, gateway) = stage();
    let mut client = gateway.client();
    client.send(b"CONNECT db.test:1 HTTP/1.0\r\n\r\necho\nold");
    let mut line = client.line().unwrap().unwrap();
    assert!(line.starts_with(b"HTTP/1.0 200"), "{line:?}");
    while !line.is_empty() {
        line = client.line().unwrap().unwrap();
    }
    assert_eq!(client.bytes(3).unwrap(), b"old");
}

#[test]
fn an_endpoint_may_be_a_unix_socket() {
    let dir = tempfile::TempDir::new().unwrap();
    let listener = UnixListener::bind(dir.path().join("db.sock")).unwrap();
    let server = thread::spawn(move || {
        let mut all = String::new();
        listener.accept().unwrap().0.read_to_string(&mut all).unwrap();
        all
    });
    let gateway = crate::support::gateway::Setup::yaml(
        "workers: 1\nadmin: { bind: \"$ADMIN\" }\nlisteners:\n  - { bind: \"$LISTEN\" }\n\
         upstreams: { db: { endpoints: [\"unix:$DIR/db.sock\"] } }\n\
         routes: [{ match: { methods: [CONNECT] }, to: db }]\n",
    )
    .within(dir)
    .start();
    let mut client = gateway.client();
    open_with(&mut client, "by path");
    client.finish();
    assert_eq!(client.rest().unwrap(), b"");
    assert_eq!(server.join().unwrap(), "by path");
}

#[test]
fn a_refused_endpoint_is_a_502_and_the_end_of_the_connection() {
    let gateway = setup(&[nobody()], "", "").start();
    let mut client = gateway.client();
    let behind = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n";
    client.send(format!("{CONNECT}{behind}").as_bytes());
    let answer = client.answer("GET").unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(answer.field("proxy-status"), Some("weir; error=connection_refused"));
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(client.rest().unwrap(), b"");
    let line = gateway.access_line("db.test");
    assert_eq!((line["status"].as_u64(), line["flag"].as_str()), (Some(502), Some("UF")), "{line}");
    assert!(gateway.access_lines("smuggled").is_empty());
}

#[test]
fn another_endpoint_is_tried() {
    let peer = Peer::start();
    let gateway = setup(&[nobody(), peer.address], "", "").start();
    for _ in 0..4 {
        let mut client = open(&gateway, "count\n");
        client.finish();
        assert_eq!(client.rest().unwrap(), b"got 0");
    }
    let attempts = || gateway.access_lines("\"attempts\":2").len();
    assert!(eventually(|| attempts() > 0), "{:?}", gateway.access_lines("db.test"));
}

#[test]
fn tunnels_count_among_the_upstreams_connections() {
    let peer = Peer::start();
    let gateway = setup(&[peer.address], ", limits: { connections: 1 }", "").start();
    let first = open(&gateway, "echo\n");
    let mut second = gateway.client();
    second.send(CONNECT.as_bytes());
    second.patience(Duration::from_millis(500));
    assert!(second.line().is_err(), "one more than the limit");
    let metrics = gateway.admin("GET", "/metrics").text();
    let open = metrics.lines().find(|l| l.starts_with("weir_endpoint_connections_open")).unwrap();
    assert!(open.ends_with(" 1"), "{open}");
    drop(first);
    second.patience(Duration::from_secs(10));
    let line = second.line().unwrap().unwrap();
    assert!(line.starts_with(b"HTTP/1.1 200"), "{line:?}");
}

#[test]
fn an_idle_tunnel_ends_and_a_busy_one_outlives_the_total_time() {
    let peer = Peer::start();
    let route = ", timeout: { headers: 1s, total: 1s, idle: 2s }";
    let gateway = setup(&[peer.address], "", route).start();
    let mut client = open(&gateway, "echo\n");
    for _ in 0..12 {
        client.send(b"tick");
        assert_eq!(client.bytes(4).unwrap(), b"tick");
        thread::sleep(Duration::from_millis(200));
    }
    client.rest().unwrap();
    peer.ends_with(1, End::Reset);
    let line = gateway.access_line("db.test");
    assert_eq!((line["status"].as_u64(), line["flag"].as_str()), (Some(200), Some("UT")), "{line}");
}

#[test]
fn a_tunnel_is_one_access_line_with_its_bytes() {
    let (peer, gateway) = stage();
    let mut client = open(&gateway, "count\n");
    client.send(&[1; 1000]).finish();
    assert_eq!(client.rest().unwrap(), b"got 1000");
    let line = gateway.access_line("db.test");
    assert_eq!((line["method"].as_str(), line["status"].as_u64()), (Some("CONNECT"), Some(200)));
    assert_eq!(
        (line["path"].as_str(), line["upstream"].as_str()),
        (Some("db.test:5432"), Some("db"))
    );
    assert_eq!((line["bytes_in"].as_u64(), line["bytes_out"].as_u64()), (Some(1006), Some(8)));
    assert_eq!(line["endpoint"].as_str(), Some(peer.address.to_string().as_str()), "{line}");
    assert_eq!(line["flag"].as_str(), None, "{line}");
    assert_eq!(gateway.access_lines("db.test").len(), 1);
}

#[test]
fn a_drain_ends_open_tunnels_in_time() {
    let (peer, mut gateway) = stage();
    let mut client = open(&gateway, "echo\n");
    gateway.signal(rustix::process::Signal::TERM);
    client.send(b"until the drain is over");
    assert_eq!(client.bytes(23).unwrap(), b"until the drain is over");
    let status = gateway.wait(Duration::from_secs(8)).expect("the drain ends");
    assert_eq!(status.code(), Some(0));
    assert!(eventually(|| peer.ends().len() == 1));
}
