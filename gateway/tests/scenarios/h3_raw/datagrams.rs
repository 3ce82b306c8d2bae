//! Datagrams that are no QUIC, or of no connection: floods, forgeries, and what they are answered.

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use super::{AT_ONCE, Stage};
use crate::support::h3_raw::{Tuning, client_config, run};

/// The smallest datagram that may open a connection (RFC 9000 14.1).
const INITIAL: usize = 1200;

/// First datagrams of so many connections, each a whole ClientHello, meant for nobody.
pub(super) fn capture(tuning: &Tuning, count: usize) -> Vec<Vec<u8>> {
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    sink.set_read_timeout(Some(AT_ONCE)).unwrap();
    let address = sink.local_addr().unwrap();
    let (mut captured, mut attempts) = (Vec::new(), Vec::new());
    let endpoint = run(async { quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap() });
    let mut buffer = [0; 2000];
    while captured.len() < count {
        let config = client_config(tuning);
        // Held until all are there: one that is given up sends an Initial that only says so.
        attempts.push(run(async { endpoint.connect_with(config, address, "edge.test") }).unwrap());
        let (length, _) = sink.recv_from(&mut buffer).unwrap();
        assert!(length >= INITIAL, "a short Initial");
        if captured.iter().all(|c: &Vec<u8>| c[6..14] != buffer[6..14]) {
            captured.push(buffer[..length].to_vec());
        }
    }
    run(async { drop((attempts, endpoint)) });
    captured
}

/// Everything that comes back within `limit`.
pub(super) fn answers(socket: &UdpSocket, limit: Duration) -> Vec<Vec<u8>> {
    let end = Instant::now() + limit;
    let (mut all, mut buffer) = (Vec::new(), [0; 70_000]);
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|d| !d.is_zero()) {
        socket.set_read_timeout(Some(left)).unwrap();
        match socket.recv(&mut buffer) {
            Ok(length) => all.push(buffer[..length].to_vec()),
            Err(_) => break,
        }
    }
    all
}

pub(super) fn socket(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(to).unwrap();
    socket
}

/// A datagram that looks like an Initial of a version: random ids, and noise for a payload.
fn forged(rng: &mut fastrand::Rng, version: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xc3];
    bytes.extend_from_slice(&version.to_be_bytes());
    for _ in 0..2 {
        bytes.push(8);
        bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(8));
    }
    bytes.push(0);
    let left = u16::try_from(length - bytes.len() - 2).unwrap();
    bytes.extend_from_slice(&(0x4000 | left).to_be_bytes());
    bytes.extend(std::iter::repeat_with(|| rng.u8(..)).take(usize::from(left)));
    bytes
}

pub(super) fn noise(rng: &mut fastrand::Rng, length: usize) -> Vec<u8> {
    std::iter::repeat_with(|| rng.u8(..)).take(length).collect()
}

#[test]
fn garbage_harms_nobody() {
    let stage = Stage::new();
    type Make = fn(&mut fastrand::Rng) -> Vec<u8>;
    let rows: [(&str, Make); 6] = [
        ("noise", |rng| {
            let length = rng.usize(1..1500);
            noise(rng, length)
        }),
        ("short headers", |rng| [&[0x40 | rng.u8(..0x40)][..], &noise(rng, 60)].concat()),
        ("long headers", |rng| {
            [&[0xc0 | rng.u8(..0x40), 0, 0, 0, 1][..], &noise(rng, 1300)].concat()
        }),
        ("other versions", |rng| {
            let version = rng.u32(2..);
            forged(rng, version, INITIAL)
        }),
        ("initials", |rng| forged(rng, 1, INITIAL)),
        ("large", |rng| forged(rng, 1, 9000)),
    ];
    for (name, make) in rows {
        stage.attack(name, move |address, _| {
            let mut rng = fastrand::Rng::with_seed(7);
            let sockets: Vec<UdpSocket> = (0..100).map(|_| socket(address)).collect();
            for n in 0..5000 {
                let _ = sockets[n % sockets.len()].send(&make(&mut rng));
                if n % 50 == 49 {
                    // As fast as a link of a few hundred megabits, not as a loop-back's.
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
    }
    let metrics = stage.gateway.admin("GET", "/metrics").text();
    let name = "weir_quic_steered_datagrams_dropped_total{";
    let mut dropped = metrics.lines().filter(|line| line.starts_with(name));
    assert!(dropped.all(|line| line.ends_with(" 0")), "no worker was too busy: {metrics}");
}

#[test]
fn whole_client_hellos_from_many_ports_harm_nobody() {
    let stage = Stage::new();
    let initials = capture(&stage.tuning, 150);
    stage.attack("client hellos", move |address, _| {
        let sockets: Vec<UdpSocket> = (0..50).map(|_| socket(address)).collect();
        for (n, initial) in initials.iter().cycle().take(1500).enumerate() {
            let _ = sockets[n % sockets.len()].send(initial);
            if n % 10 == 9 {
                thread::sleep(Duration::from_millis(2));
            }
        }
    });
}

#[test]
fn nobody_is_sent_more_than_three_times_what_was_said() {
    let stage = Stage::new();
    let sent = capture(&stage.tuning, 3).into_iter().map(|initial| {
        let socket = socket(stage.gateway.listen);
        socket.send(&initial).unwrap();
        (initial, socket)
    });
    let sent: Vec<_> = sent.collect();
    // Longer than the gateway waits before it sends again.
    thread::sleep(Duration::from_millis(1500));
    for (initial, socket) in sent {
        let answers = answers(&socket, Duration::from_millis(10));
        let sent: usize = answers.iter().map(Vec::len).sum();
        let sizes: Vec<usize> = answers.iter().map(Vec::len).collect();
        println!("{sent} bytes for {}: {sizes:?}", initial.len());
        assert!(sent > 0, "no answer");
        assert!(sent <= 3 * initial.len(), "{sent} bytes for {}: {sizes:?}", initial.len());
    }
}

#[test]
fn what_is_no_initial_is_answered_with_less() {
    let stage = Stage::new();
    let mut rng = fastrand::Rng::with_seed(9);
    let mut short_v1 = forged(&mut rng, 1, 700);
    short_v1.truncate(600);
    let rows: Vec<(&str, Vec<u8>, usize)> = vec![
        ("noise", noise(&mut rng, 1200), 1199),
        ("an Initial too small", short_v1, 0),
        ("another version, too small", forged(&mut rng, 0x1234_5678, 600), 0),
        ("version 0", forged(&mut rng, 0, INITIAL), 0),
        ("a forged Initial", forged(&mut rng, 1, INITIAL), 3600),
        ("one byte", vec![0x40], 0),
        ("a short header", [&[0x40][..], &noise(&mut rng, 30)].concat(), 30),
        ("another version", forged(&mut rng, 0x0a1a_2a3a, INITIAL), 200),
    ];
    let sent = rows.into_iter().map(|(name, bytes, most)| {
        let socket = socket(stage.gateway.listen);
        socket.send(&bytes).unwrap();
        (name, bytes, most, socket)
    });
    let sent: Vec<_> = sent.collect();
    thread::sleep(Duration::from_secs(1));
    for (name, bytes, most, socket) in sent {
        let sent: usize = answers(&socket, Duration::from_millis(5)).iter().map(Vec::len).sum();
        assert!(sent <= most, "{name}: {sent} bytes for {}", bytes.len());
        if name == "another version" {
            assert!(sent > 0, "no version negotiation");
        }
    }
    stage.after("no initial").unwrap();
}
