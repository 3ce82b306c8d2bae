//! WebSocket over HTTP/2 (RFC 8441) between a real client and a real server.

use std::{
    net::TcpListener,
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use tungstenite::{
    Message, WebSocket,
    handshake::server::{Request, Response},
    protocol::{CloseFrame, Role, frame::coding::CloseCode},
};

use super::websocket::{echo, server};
use crate::support::{
    certificates::Authority,
    eventually,
    gateway::{Gateway, Setup},
    h2_tunnel::{Session, Tunnel, connect},
};

fn socket(tunnel: Tunnel) -> WebSocket<Tunnel> {
    WebSocket::from_raw_socket(tunnel, Role::Client, None)
}

fn open(session: &Session) -> WebSocket<Tunnel> {
    socket(session.websocket("/chat"))
}

#[test]
fn messages_of_every_kind_and_size_come_back() {
    let (address, ended) = server();
    let gateway = Setup::to(&[address]).start();
    let session = Session::connect(gateway.listen);
    let mut socket = open(&session);
    for size in [0, 1, 125, 126, 65_535, 65_536, 1 << 20] {
        echo(&mut socket, &Message::text("t".repeat(size)));
        echo(&mut socket, &Message::binary(vec![0xb1; size]));
    }
    socket.send(Message::Ping("p".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("p".into()));
    let frame = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    socket.close(Some(frame.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Close(Some(frame)));
    // The server closes its connection, which ends the response.
    assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)));
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
    let session = Session::connect_tls(gateway.listen, authority.client(&[b"h2"]));
    let mut socket = open(&session);
    echo(&mut socket, &Message::text("over tls"));
    echo(&mut socket, &Message::binary(vec![7; 300_000]));
}

#[test]
fn the_servers_close_handshake_reaches_the_client() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut socket = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        socket
            .close(Some(CloseFrame { code: CloseCode::Restart, reason: "later".into() }))
            .unwrap();
        let answer = socket.read().unwrap();
        let end = socket.read();
        (answer, matches!(end, Err(tungstenite::Error::ConnectionClosed)))
    });
    let gateway = Setup::to(&[address]).start();
    let session = Session::connect(gateway.listen);
    let mut socket = open(&session);
    let frame = CloseFrame { code: CloseCode::Restart, reason: "later".into() };
    assert_eq!(socket.read().unwrap(), Message::Close(Some(frame.clone())));
    assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)));
    assert_eq!(server.join().unwrap(), (Message::Close(Some(frame)), true));
}

#[test]
#[expect(clippy::result_large_err, reason = "the library's callback has this type")]
fn subprotocol_and_extensions_pass_but_the_key_does_not() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let mut fields = None;
        let choose = |request: &Request, mut response: Response| {
            fields = Some((request.uri().clone(), request.headers().clone()));
            response.headers_mut().insert("sec-websocket-protocol", "chat.v2".parse().unwrap());
            response.headers_mut().insert("sec-websocket-extensions", "x-none".parse().unwrap());
            Ok(response)
        };
        let stream = listener.accept().unwrap().0;
        let mut socket = tungstenite::accept_hdr(stream, choose).unwrap();
        let _ = socket.read();
        fields.unwrap()
    });
    let gateway = Setup::to(&[address]).start();
    let session = Session::connect(gateway.listen);
    let mut request = connect("/chat?room=1");
    for (name, value) in [
        ("sec-websocket-protocol", "chat.v1, chat.v2"),
        ("sec-websocket-extensions", "x-none"),
        ("sec-websocket-key", "bm90IG9mIHRoZSBnYXRld2F5IQ=="),
        ("origin", "https://weir.test"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let (head, tunnel) = session.open(request).unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["sec-websocket-protocol"], "chat.v2");
    assert_eq!(head.headers()["sec-websocket-extensions"], "x-none");
    for name in ["sec-websocket-accept", "connection", "upgrade", "content-length"] {
        assert!(!head.headers().contains_key(name), "{name}");
    }
    drop(tunnel);
    let (uri, seen) = server.join().unwrap();
    assert_eq!(uri, "/chat?room=1");
    assert_eq!(seen["host"], "weir.test");
    assert_eq!(seen["sec-websocket-version"], "13");
    assert_eq!(seen["sec-websocket-protocol"], "chat.v1, chat.v2");
    assert_eq!(seen["origin"], "https://weir.test");
    assert_eq!(seen["via"], "2 weir");
    assert_eq!(seen.get_all("sec-websocket-key").iter().count(), 1);
    assert_ne!(seen["sec-websocket-key"], "bm90IG9mIHRoZSBnYXRld2F5IQ==");
}

#[test]
fn tunnels_and_requests_share_a_connection() {
    let (address, _) = server();
    let gateway = Setup::yaml(&format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners:\n  - {{ bind: \"$LISTEN\" }}\n\
         upstreams:\n  chat: {{ endpoints: [\"{address}\"] }}\nroutes:\n  \
         - {{ match: {{ path: /chat, methods: [GET] }}, to: chat }}\n  \
         - {{ match: {{ path: /plain }}, respond: {{ status: 200, body: plain }} }}\n  \
         - {{ match: {{ path: /gone }}, respond: {{ status: 410, body: gone }} }}\n"
    ))
    .start();
    let session = Session::connect(gateway.listen);
    let (mut one, mut two) = (open(&session), open(&session));
    for n in 0..20 {
        echo(&mut one, &Message::text(format!("one {n}")));
        assert_eq!(session.get("/plain"), (200, "plain".to_owned()));
        echo(&mut two, &Message::binary(vec![n; 50_000]));
    }
    drop(one);
    echo(&mut two, &Message::text("still there"));
    assert_eq!(session.get("/plain").0, 200);
    // To the client a 200 would be a tunnel.
    for (path, status) in [("/plain", 405), ("/gone", 410), ("/nowhere", 404)] {
        assert_eq!(session.open(connect(path)).unwrap().0.status(), status, "{path}");
    }
}

#[test]
fn many_tunnels_at_once_keep_their_messages_apart() {
    let (address, _) = server();
    let gateway = Setup::to(&[address]).start();
    let session = Session::connect(gateway.listen);
    let sockets: Vec<_> = (0..16).map(|_| open(&session)).collect();
    thread::scope(|scope| {
        for (n, mut socket) in sockets.into_iter().enumerate() {
            scope.spawn(move || {
                for m in 0..30 {
                    echo(&mut socket, &Message::text(format!("{n}/{m}")));
                }
            });
        }
    });
}

#[test]
fn a_tunnel_outlives_the_total_time_but_not_the_idle_time() {
    let (address, ended) = server();
    let gateway =
        Setup::to(&[address]).route("timeout: { headers: 1s, total: 1s, idle: 2s }").start();
    let session = Session::connect(gateway.listen);
    let mut socket = open(&session);
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
    assert!(eventually(|| ended.load(Ordering::Acquire) == 1));
    let line = gateway.access_line("/chat");
    assert_eq!((line["status"].as_u64(), line["flag"].as_str()), (Some(200), Some("UT")), "{line}");
}

#[test]
fn a_tunnel_is_one_access_line_with_its_bytes() {
    let (address, _) = server();
    let gateway = Setup::to(&[address]).start();
    let session = Session::connect(gateway.listen);
    let mut socket = open(&session);
    echo(&mut socket, &Message::binary(vec![1; 1000]));
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    let line = gateway.access_line("/chat");
    assert_eq!((line["status"].as_u64(), line["method"].as_str()), (Some(200), Some("CONNECT")));
    assert_eq!(line["flag"].as_str(), None, "{line}");
    // Frame heads of 8 and 6 bytes with a mask, 4 and 2 without.
    assert_eq!((line["bytes_in"].as_u64(), line["bytes_out"].as_u64()), (Some(1014), Some(1006)));
    assert_eq!(gateway.access_lines("/chat").len(), 1);
}

#[test]
fn a_drain_ends_open_tunnels_in_time() {
    let (address, ended) = server();
    let mut gateway: Gateway = Setup::to(&[address]).start();
    let session = Session::connect(gateway.listen);
    let mut socket = open(&session);
    echo(&mut socket, &Message::text("hello"));
    gateway.signal(rustix::process::Signal::TERM);
    echo(&mut socket, &Message::text("until the drain is over"));
    let status = gateway.wait(Duration::from_secs(8)).expect("the drain ends");
    assert_eq!(status.code(), Some(0));
    assert!(eventually(|| ended.load(Ordering::Acquire) == 1));
}
