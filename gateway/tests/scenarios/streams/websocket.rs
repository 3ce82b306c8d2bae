//! WebSocket between a real client and a real server.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tungstenite::{Message, WebSocket, protocol::CloseFrame, protocol::frame::coding::CloseCode};

use crate::support::{
    certificates::Authority,
    client::{Duplex, dial, handshake},
    eventually,
    gateway::{Gateway, Setup},
};

/// An echoing server, and how many of its connections ended.
pub(super) fn server() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ended = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ended);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counter = Arc::clone(&counter);
            thread::spawn(move || {
                let Ok(mut socket) = tungstenite::accept(stream) else { return };
                while let Ok(message) = socket.read() {
                    if message.is_text() || message.is_binary() {
                        let _ = socket.send(message);
                    }
                }
                counter.fetch_add(1, Ordering::AcqRel);
            });
        }
    });
    (address, ended)
}

fn open<S: Duplex>(stream: S) -> WebSocket<S> {
    tungstenite::client("ws://weir.test/chat", stream).map(|(socket, _)| socket).unwrap()
}

pub(super) fn echo<S: Duplex>(socket: &mut WebSocket<S>, message: &Message) {
    socket.send(message.clone()).unwrap();
    loop {
        let back = socket.read().unwrap();
        if !back.is_ping() && !back.is_pong() {
            assert!(back == *message, "another message came back");
            return;
        }
    }
}

#[test]
fn messages_of_every_kind_and_size_come_back() {
    let (address, ended) = server();
    let gateway = Setup::to(&[address]).start();
    let mut socket = open(dial(gateway.listen).unwrap());
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        echo(&mut socket, &Message::text("t".repeat(size)));
        echo(&mut socket, &Message::binary(vec![0xb1; size]));
    }
    socket.send(Message::Ping("p".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("p".into()));
    let frame = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    socket.close(Some(frame.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Close(Some(frame)));
    assert!(eventually(|| ended.load(Ordering::Acquire) == 1));
}

#[test]
fn it_works_over_tls() {
    let dir = tempfile::TempDir::new().unwrap();
    let authority = Authority::new();
    authority.issue(&["weir.test"]).write(dir.path(), "edge");
    let (address, _) = server();
    let gateway = Setup::to(&[address])
        .listener("tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }")
        .within(dir)
        .start();
    let tcp = dial(gateway.listen).unwrap();
    let tls = handshake(tcp, authority.client(&[b"http/1.1"]), "weir.test").unwrap();
    let mut socket = open(tls);
    echo(&mut socket, &Message::text("over tls"));
    echo(&mut socket, &Message::binary(vec![7; 300_000]));
}

#[test]
fn a_client_that_vanishes_ends_the_servers_side() {
    let (address, ended) = server();
    let gateway = Setup::to(&[address]).start();
    for n in 1..=5 {
        let mut socket = open(dial(gateway.listen).unwrap());
        echo(&mut socket, &Message::text("hello"));
        drop(socket);
        assert!(eventually(|| ended.load(Ordering::Acquire) == n), "tunnel {n} is still open");
    }
}

#[test]
fn a_tunnel_outlives_the_total_time_but_not_the_idle_time() {
    let (address, _) = server();
    let gateway =
        Setup::to(&[address]).route("timeout: { headers: 1s, total: 1s, idle: 2s }").start();
    let mut socket = open(dial(gateway.listen).unwrap());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) {
        thread::sleep(Duration::from_millis(200));
        echo(&mut socket, &Message::text("tick"));
    }
    let last = Instant::now();
    echo(&mut socket, &Message::text("tock"));
    assert!(socket.read().is_err(), "an idle tunnel ends");
    let took = last.elapsed();
    assert!((Duration::from_millis(1900)..Duration::from_secs(9)).contains(&took), "{took:?}");
}

#[test]
fn a_tunnel_is_one_access_line_with_101() {
    let (address, _) = server();
    let gateway = Setup::to(&[address]).start();
    let mut socket = open(dial(gateway.listen).unwrap());
    echo(&mut socket, &Message::text("hello"));
    drop(socket);
    assert_eq!(gateway.access_line("/chat")["status"], 101);
    assert_eq!(gateway.access_lines("/chat").len(), 1);
}

#[test]
fn many_tunnels_at_once_keep_their_messages_apart() {
    let (address, _) = server();
    let gateway = Setup::to(&[address]).start();
    let listen = gateway.listen;
    let clients: Vec<_> = (0..16)
        .map(|n| {
            thread::spawn(move || {
                let mut socket = open(dial(listen).unwrap());
                for m in 0..50 {
                    echo(&mut socket, &Message::text(format!("{n}/{m}")));
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn a_drain_ends_open_tunnels_in_time() {
    let (address, ended) = server();
    let mut gateway: Gateway = Setup::to(&[address]).start();
    let mut socket = open(dial(gateway.listen).unwrap());
    echo(&mut socket, &Message::text("hello"));
    gateway.signal(rustix::process::Signal::TERM);
    let status = gateway.wait(Duration::from_secs(8)).expect("the drain ends");
    assert_eq!(status.code(), Some(0));
    assert!(eventually(|| ended.load(Ordering::Acquire) == 1));
}
