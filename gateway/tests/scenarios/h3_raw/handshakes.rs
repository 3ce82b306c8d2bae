//! Handshakes and what QUIC may do behind them: Retry, tokens, early data, new addresses and keys.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use tempfile::TempDir;

use super::{
    Stage,
    datagrams::{answers, capture, noise, socket},
    play,
};
use crate::support::{
    certificates::Authority,
    eventually,
    gateway::Setup,
    h3_raw::{Raw, Stream, Tuning, client_config, run},
    h3_wire::{CONTROL, SETTINGS, frame, headers, request, varint},
    origin::Origin,
};

#[test]
fn a_handshake_needs_no_second_try() {
    let stage = Stage::new();
    // A client tries again after a second.
    let took = (0..10).map(|_| {
        let start = Instant::now();
        stage.after("handshake").unwrap();
        start.elapsed()
    });
    let least = took.min().unwrap();
    assert!(least < Duration::from_millis(500), "a handshake takes {least:?}");
}

#[test]
fn a_chain_longer_than_may_be_sent_unproven_needs_no_second_try() {
    let (dir, authority, origin) = (TempDir::new().unwrap(), Authority::new(), Origin::echo());
    // 12 KiB of certificate.
    let names: Vec<String> = (0..400).map(|n| format!("a-long-name-{n}.edge.test")).collect();
    let all: Vec<&str> =
        ["edge.test"].into_iter().chain(names.iter().map(String::as_str)).collect();
    authority.issue(&all).write(dir.path(), "edge");
    let gateway = Setup::to(&[origin.address])
        .listener("tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }")
        .within(dir)
        .start();
    let tls = authority.client_x25519(&[b"h3"]);
    let tuning = Tuning { stream_window: 1 << 20, window: 1 << 20, tls };
    let took = (0..5).map(|_| {
        let start = Instant::now();
        let client = Raw::try_connect(gateway.listen, &tuning).unwrap().greet();
        assert_eq!(client.get("/x").status(), 200);
        start.elapsed()
    });
    let least = took.min().unwrap();
    assert!(least < Duration::from_millis(500), "a handshake takes {least:?}");
}

#[test]
fn a_client_that_takes_no_streams_is_served_all_the_same() {
    let stage = Stage::new();
    let mut config = client_config(&stage.tuning);
    let mut transport = quinn::TransportConfig::default();
    transport.max_concurrent_uni_streams(0u32.into());
    config.transport_config(Arc::new(transport));
    let (_endpoint, connection) = run(async {
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        let connecting = endpoint.connect_with(config, stage.gateway.listen, "edge.test");
        (endpoint, connecting.unwrap().await.unwrap())
    });
    for _ in 0..3 {
        let (send, recv) = run(connection.open_bi()).unwrap();
        let outcome =
            Stream::of(send, recv).write(&headers(&request("GET", "/y"))).finish().outcome();
        assert_eq!(outcome.text(), "GET /y 0", "{outcome:?}");
    }
    stage.after("no streams").unwrap();
}

/// Whether a datagram begins with a Retry packet of version 1 (RFC 9000 17.2.5).
fn is_retry(datagram: &[u8]) -> bool {
    datagram[0] & 0xf0 == 0xf0 && datagram[1..5] == [0, 0, 0, 1]
}

#[test]
fn many_half_open_handshakes_make_the_gateway_ask_for_addresses() {
    let stage = Stage::with(|setup| setup.limits("h3: { half_open: 20 }"));
    let initials = capture(&stage.tuning, 200);
    let sockets: Vec<UdpSocket> = initials
        .iter()
        .map(|initial| {
            let socket = socket(stage.gateway.listen);
            socket.send(initial).unwrap();
            thread::sleep(Duration::from_millis(1));
            socket
        })
        .collect();
    let mut said = vec![Vec::new(); sockets.len()];
    // Until nothing more comes; some may have been dropped.
    let all = eventually(|| {
        let before: usize = said.iter().map(Vec::len).sum();
        for (socket, said) in sockets.iter().zip(&mut said) {
            said.extend(answers(socket, Duration::from_millis(1)));
        }
        let answered = said.iter().filter(|said| !said.is_empty()).count();
        said.iter().map(Vec::len).sum::<usize>() == before && answered > 120
    });
    let (retries, flights): (Vec<_>, Vec<_>) =
        said.iter().filter(|said| !said.is_empty()).partition(|said| is_retry(&said[0]));
    for said in &retries {
        let sent: usize = said.iter().map(Vec::len).sum();
        assert!(sent < 300, "a Retry of {sent} bytes");
    }
    let (retries, flights) = (retries.len(), flights.len());
    assert!(all, "hardly anybody is answered");
    println!("{flights} handshakes begun, {retries} retries");
    // Each worker counts its own.
    assert!(flights <= 2 * 20 + 10, "{flights} handshakes begun");
    assert!(retries > 100, "{retries} retries");
    // Who answers the Retry is served as before.
    let took = (0..5).map(|_| {
        let start = Instant::now();
        stage.after("retry").unwrap();
        start.elapsed()
    });
    let least = took.min().unwrap();
    assert!(least < super::LATENCY_MAX, "a Retry takes {least:?}");
}

#[test]
fn forged_tokens_are_no_use_and_no_harm() {
    let stage = Stage::new();
    let mut rng = fastrand::Rng::with_seed(11);
    for length in [1, 2, 8, 16, 32, 33, 48, 64, 100, 300, 700] {
        let token = Bytes::from(noise(&mut rng, length));
        let client = Raw::with_token(stage.gateway.listen, &stage.tuning, token).unwrap();
        stage.survives(&format!("a token of {length} bytes"), &client.greet()).unwrap();
    }
}

#[test]
fn a_client_that_moves_all_the_time_is_followed() {
    let stage = Stage::new();
    let client = stage.client();
    for n in 0..30 {
        let fresh = UdpSocket::bind("127.0.0.1:0").unwrap();
        run(async { client.endpoint().rebind(fresh) }).unwrap();
        stage.survives(&format!("move {n}"), &client).unwrap();
    }
    stage.attack("moves", |address, tuning| {
        let client = Raw::try_connect(address, &tuning).unwrap().greet();
        for _ in 0..200 {
            let fresh = UdpSocket::bind("127.0.0.1:0").unwrap();
            run(async { client.endpoint().rebind(fresh) }).unwrap();
            let Ok(mut stream) = client.try_bi() else { return };
            stream.write(&headers(&request("GET", "/moving"))).finish();
            thread::sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn key_updates_are_followed() {
    let stage = Stage::new();
    let client = stage.client();
    stage.survives("handshake", &client).unwrap();
    for n in 0..20 {
        client.connection.force_key_update();
        stage.survives(&format!("key update {n}"), &client).unwrap();
    }
}

#[test]
fn a_port_of_another_protocol_is_refused() {
    let stage = Stage::new();
    let authority_says = |alpn: &[&[u8]]| {
        let mut tls = (*stage.tuning.tls).clone();
        tls.alpn_protocols = alpn.iter().map(|p| p.to_vec()).collect();
        Tuning { tls: Arc::new(tls), ..stage.tuning }
    };
    for alpn in [&[&b"h2"[..]][..], &[b"hq-interop"], &[b"h3-29"], &[]] {
        let refused = Raw::try_connect(stage.gateway.listen, &authority_says(alpn));
        assert!(refused.is_err(), "{alpn:?}");
    }
    let mixed = authority_says(&[b"h3-29", b"h3"]);
    let client = Raw::try_connect(stage.gateway.listen, &mixed).unwrap();
    stage.survives("h3 among others", &client.greet()).unwrap();
    assert!(eventually(|| stage.after("refused").is_ok()));
}

#[test]
fn connections_over_the_limit_are_refused_and_room_is_made_again() {
    let stage = Stage::with(|setup| setup.limits("connections: 5"));
    let mut clients = Vec::new();
    while let Ok(client) = Raw::try_connect(stage.gateway.listen, &stage.tuning) {
        clients.push(client.greet());
        assert!(clients.len() <= 5, "more connections than allowed");
    }
    assert!(clients.len() >= 4, "{} connections", clients.len());
    for client in &clients {
        stage.survives("at the limit", client).unwrap();
    }
    clients.clear();
    assert!(eventually(|| stage.after("below the limit").is_ok()));
}

/// Passes datagrams on between a client and the gateway, and keeps what the client said.
struct Relay {
    address: SocketAddr,
    said: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Relay {
    fn start(to: SocketAddr) -> Self {
        let inner = UdpSocket::bind("127.0.0.1:0").unwrap();
        let outer = socket(to);
        let address = inner.local_addr().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (kept, mut client, mut buffer) = (Arc::clone(&said), None, [0; 70_000]);
        for socket in [&inner, &outer] {
            socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        }
        thread::spawn(move || {
            let end = Instant::now() + Duration::from_secs(20);
            while Instant::now() < end {
                if let Ok((length, from)) = inner.recv_from(&mut buffer) {
                    client = Some(from);
                    kept.lock().unwrap().push(buffer[..length].to_vec());
                    let _ = outer.send(&buffer[..length]);
                }
                while let (Ok(length), Some(client)) = (outer.recv(&mut buffer), client) {
                    let _ = inner.send_to(&buffer[..length], client);
                }
            }
        });
        Self { address, said }
    }
}

#[test]
fn early_data_that_is_played_again_is_not_served_again() {
    let stage = Stage::of_listener(Origin::start(play), "early_data: true", |setup| setup);
    let relay = Relay::start(stage.gateway.listen);
    let config = early_config(&stage.tuning);
    let endpoint = run(async { quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap() });
    let first = run(async {
        endpoint.connect_with(config.clone(), stage.gateway.listen, "edge.test").unwrap().await
    });
    let first = first.unwrap();
    let (send, recv) = run(first.open_bi()).unwrap();
    let mut stream = Stream::of(send, recv);
    stream.write(&headers(&request("GET", "/ticket"))).finish();
    assert_eq!(stream.outcome().status(), 200);
    // A ticket may come a little later than the answer.
    thread::sleep(Duration::from_millis(500));
    first.close(0x100u32.into(), b"");
    let (early, _) = run(async {
        let connecting = endpoint.connect_with(config, relay.address, "edge.test").unwrap();
        connecting.into_0rtt().map_err(drop).expect("a ticket")
    });
    let mut control = run(early.open_uni()).unwrap();
    run(control.write_all(&[varint(CONTROL), frame(SETTINGS, b"")].concat())).unwrap();
    let (send, recv) = run(early.open_bi()).unwrap();
    let mut stream = Stream::of(send, recv);
    let outcome = stream.write(&headers(&request("GET", "/once"))).finish().outcome();
    assert_eq!(outcome.text(), "GET /once 0", "{outcome:?}");
    let marked = stage.origin.completed("/once");
    assert_eq!(marked.field("early-data"), Some("1"), "the request came early");
    let said = relay.said.lock().unwrap().clone();
    for _ in 0..10 {
        let again = socket(stage.gateway.listen);
        for datagram in &said {
            let _ = again.send(datagram);
        }
        thread::sleep(Duration::from_millis(20));
    }
    thread::sleep(Duration::from_millis(200));
    assert_eq!(stage.origin.seen_at("/once").len(), 1, "a replay was served");
    stage.after("replay").unwrap();
}

/// A client that keeps tickets and uses them for early data.
fn early_config(tuning: &Tuning) -> quinn::ClientConfig {
    let mut tls = (*tuning.tls).clone();
    tls.enable_early_data = true;
    client_config(&Tuning { tls: Arc::new(tls), ..*tuning })
}
