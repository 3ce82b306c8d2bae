//! `protocol: auto`: HTTP/3 where Alt-Svc says so, and back when it fails.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Origin, Trust};
use crate::support::{eventually, gateway::Gateway};

/// An HTTP/1.1 origin over TLS that says this of other services.
struct Announcer {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Announcer {
    fn start(config: Arc<ServerConfig>, alt_svc: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let shared = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, shared, alt_svc) = (config.clone(), shared.clone(), alt_svc.clone());
                thread::spawn(move || {
                    let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                    let mut request = [0; 4096];
                    while tls.read(&mut request).is_ok_and(|n| n > 0) {
                        shared.fetch_add(1, Ordering::AcqRel);
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nAlt-Svc: {alt_svc}\r\nContent-Length: 3\r\n\r\ntcp"
                        );
                        if tls.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Acquire)
    }
}

fn text(gateway: &Gateway) -> String {
    let answer = gateway.client().get("/x").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.field("alt-svc"), None, "it is of the hop to the origin");
    answer.text()
}

fn attempts(gateway: &Gateway, outcome: &str) -> u64 {
    let text = gateway.admin("GET", "/metrics").text();
    let label = format!("outcome=\"{outcome}\"");
    let mut lines = text.lines().filter(|line| line.starts_with("weir_upstream_alt_svc_total{"));
    let line = lines.find(|line| line.contains(&label));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn requests_move_to_http3_once_it_is_there() {
    let trust = Trust::new();
    let h3 = Origin::start(&trust.issued);
    let alt_svc = format!("h3=\":{}\"; ma=60", h3.address.port());
    let tcp = Announcer::start(trust.issued.server(&[b"http/1.1"]), alt_svc);
    let gateway = trust.setup(&[tcp.address], "protocol: auto").start();
    assert_eq!(text(&gateway), "tcp");
    // Each of the two workers learns for itself.
    assert!(eventually(|| (0..8).all(|_| text(&gateway) == "GET /x 0")));
    let before = tcp.requests();
    for _ in 0..20 {
        assert_eq!(text(&gateway), "GET /x 0");
    }
    assert_eq!(tcp.requests(), before);
    assert!((1..=2).contains(&h3.connections()), "{}", h3.connections());
    assert_eq!(attempts(&gateway, "connected"), h3.connections() as u64);
    assert_eq!(attempts(&gateway, "failed"), 0);
}

#[test]
fn a_black_hole_delays_no_request() {
    let trust = Trust::new();
    let hole = UdpSocket::bind("127.0.0.1:0").unwrap();
    let alt_svc = format!("h3=\":{}\"", hole.local_addr().unwrap().port());
    let tcp = Announcer::start(trust.issued.server(&[b"http/1.1"]), alt_svc);
    let gateway = trust.setup(&[tcp.address], "protocol: auto, connect_timeout: 3s").start();
    let over = eventually(|| {
        let asked = Instant::now();
        assert_eq!(text(&gateway), "tcp");
        // Who waited for the attempt would wait for all of its time.
        assert!(asked.elapsed() < Duration::from_millis(2_500), "{:?}", asked.elapsed());
        attempts(&gateway, "failed") > 0
    });
    let failed = attempts(&gateway, "failed");
    assert!(over && (1..=2).contains(&failed), "{failed} attempts of two workers");
}

#[test]
fn what_names_another_host_is_ignored() {
    let trust = Trust::new();
    let h3 = Origin::start(&trust.issued);
    let alt_svc = format!("h3=\"else.test:{}\"", h3.address.port());
    let tcp = Announcer::start(trust.issued.server(&[b"http/1.1"]), alt_svc);
    let gateway = trust.setup(&[tcp.address], "protocol: auto").start();
    for _ in 0..20 {
        assert_eq!(text(&gateway), "tcp");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(h3.connections(), 0);
}

#[test]
fn what_shows_another_certificate_is_not_used() {
    let trust = Trust::new();
    let h3 = Origin::start(&Trust::new().issued);
    let alt_svc = format!("h3=\":{}\"", h3.address.port());
    let tcp = Announcer::start(trust.issued.server(&[b"http/1.1"]), alt_svc);
    let gateway = trust.setup(&[tcp.address], "protocol: auto").start();
    assert_eq!(text(&gateway), "tcp");
    assert!(eventually(|| attempts(&gateway, "failed") > 0));
    assert_eq!(text(&gateway), "tcp");
    assert_eq!(h3.requests(), 0);
}

#[test]
fn a_dead_connection_falls_back_at_once() {
    let trust = Trust::new();
    let h3 = Origin::start(&trust.issued);
    let alt_svc = format!("h3=\":{}\"", h3.address.port());
    let tcp = Announcer::start(trust.issued.server(&[b"http/1.1"]), alt_svc);
    let gateway = trust.setup(&[tcp.address], "protocol: auto, connect_timeout: 1s").start();
    assert!(eventually(|| (0..8).all(|_| text(&gateway) == "GET /x 0")));
    let mut client = gateway.client();
    assert_eq!(client.get("/abrupt").unwrap().text(), "tcp");
    // It is put aside: nothing goes there for a minute.
    assert_eq!(client.get("/x").unwrap().text(), "tcp");
    drop(h3);
    // The other worker's connection is silent now; its request finds out and goes another way.
    for _ in 0..8 {
        assert_eq!(text(&gateway), "tcp");
    }
}
