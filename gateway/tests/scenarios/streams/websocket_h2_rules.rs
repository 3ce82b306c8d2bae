//! Tunnels over HTTP/2: which handshakes make one, and how each side's end or pause is the other's.

use std::{
    io::{Read, Write},
    net::Shutdown,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use h2::{Reason, ext::Protocol};
use tungstenite::handshake::derive_accept_key;

use crate::support::{
    assert_none, eventually,
    gateway::Setup,
    h2_tunnel::{Session, WINDOW, connect},
    origin::{Next, Origin},
};

#[test]
fn only_a_right_101_is_a_tunnel() {
    let head = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let origin = Origin::start(move |x| {
        let key = x.seen.field("sec-websocket-key").unwrap_or_default().to_owned();
        let accept = derive_accept_key(key.as_bytes());
        let right = format!("Sec-WebSocket-Accept: {accept}\r\n");
        let wrong = format!("Sec-WebSocket-Accept: {}\r\n", derive_accept_key(b"another"));
        let fields = match x.target() {
            "/x/right" => format!("{head}{right}"),
            "/x/none" => head.to_owned(),
            "/x/wrong" => format!("{head}{wrong}"),
            "/x/key" => format!("{head}Sec-WebSocket-Accept: {key}\r\n"),
            "/x/twice" => format!("{head}{right}{right}"),
            "/x/other" => format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{right}"),
            "/x/bare" => right,
            "/x/200" => return x.reply(200, "", "plain"),
            "/x/204" => return x.reply(204, "", ""),
            "/x/301" => return x.reply(301, "Location: /y\r\n", "there"),
            "/x/403" => return x.reply(403, "", "no"),
            "/x/426" => return x.reply(426, "Sec-WebSocket-Version: 13\r\n", "upgrade"),
            _ => return x.reply(503, "", "busy"),
        };
        x.send(format!("HTTP/1.1 101 Switching\r\n{fields}\r\n"))?;
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let session = Session::connect(gateway.listen);
    let mut failures = Vec::new();
    for (target, status, body) in [
        ("/x/right", 200, ""),
        ("/x/none", 502, "UC"),
        ("/x/wrong", 502, "UC"),
        ("/x/key", 502, "UC"),
        ("/x/twice", 502, "UC"),
        ("/x/other", 502, "UC"),
        ("/x/bare", 502, "UC"),
        ("/x/200", 502, "UC"),
        ("/x/204", 502, "UC"),
        ("/x/301", 301, "there"),
        ("/x/403", 403, "no"),
        ("/x/426", 426, "upgrade"),
        ("/x/503", 503, "busy"),
    ] {
        let (head, mut tunnel) = session.open(connect(target)).unwrap();
        let text = tunnel.rest().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        if head.status() != status || !text.as_ref().is_ok_and(|text| text.contains(body)) {
            failures.push(format!("{target}: {} {text:?}", head.status()));
        }
        let told = head
            .headers()
            .get("proxy-status")
            .is_some_and(|p| p.as_bytes().ends_with(b"http_upgrade_failed"));
        if told != (status == 502) {
            failures.push(format!("{target}: {:?}", head.headers()));
        }
    }
    assert_none(&failures);
}

#[test]
fn other_protocols_are_not_implemented() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).start();
    let session = Session::connect(gateway.listen);
    for protocol in ["connect-udp", "connect-ip", "webtransport", "websocket2"] {
        let mut request = connect("/x");
        request.extensions_mut().insert(Protocol::from(protocol));
        let (head, _) = session.open(request).unwrap();
        assert_eq!(head.status(), 501, "{protocol}");
        assert_eq!(head.headers()["proxy-status"], "weir; error=http_request_error");
    }
    assert!(origin.seen().is_empty());
    let mut request = connect("/x");
    let kind = "application/grpc".parse().unwrap();
    request.headers_mut().insert("content-type", kind);
    request.extensions_mut().insert(Protocol::from_static("grpc"));
    assert_eq!(session.open(request).unwrap().0.status(), 501);
    let mut request = connect("/x");
    request.headers_mut().insert("content-length", "0".parse().unwrap());
    assert!(session.open(request).map_or(true, |(head, _)| head.status() == 400));
    assert!(origin.seen().is_empty());
}

#[test]
fn early_bytes_of_both_sides_arrive() {
    let origin = Origin::start(|x| {
        x.switch("first")?;
        let mut piece = [0; 5];
        x.stream()?.read_exact(&mut piece)?;
        x.send(piece)?;
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let session = Session::connect(gateway.listen);
    let mut tunnel = session.websocket("/x");
    tunnel.write_all(b"hello").unwrap();
    assert_eq!(tunnel.rest().unwrap(), b"firsthello");
}

#[test]
fn a_clients_reset_closes_the_servers_connection() {
    let (ended, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counter, bytes) = (ended.clone(), seen.clone());
    let origin = Origin::start(move |x| {
        x.switch("")?;
        let mut stream = x.stream()?;
        let mut piece = [0; 1024];
        while let Ok(n) = stream.read(&mut piece) {
            if n == 0 {
                break;
            }
            bytes.fetch_add(n, Ordering::AcqRel);
        }
        counter.fetch_add(1, Ordering::AcqRel);
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let session = Session::connect(gateway.listen);
    for n in 1..=5 {
        let mut tunnel = session.websocket("/x");
        tunnel.write_all(b"hello").unwrap();
        assert!(eventually(|| seen.load(Ordering::Acquire) == 5 * n));
        let start = Instant::now();
        tunnel.reset();
        assert!(eventually(|| ended.load(Ordering::Acquire) == n), "tunnel {n} is still open");
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    // The same when the whole connection goes.
    let tunnel = session.websocket("/x");
    drop((tunnel, session));
    assert!(eventually(|| ended.load(Ordering::Acquire) == 6));
    assert!(eventually(|| gateway.access_lines("\"DC\"").len() == 6));
}

#[test]
fn a_servers_abort_resets_the_stream() {
    let origin = Origin::start(|x| {
        x.switch("half")?;
        thread::sleep(Duration::from_millis(100));
        Ok(Next::Reset)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let session = Session::connect(gateway.listen);
    let mut tunnel = session.websocket("/x");
    let mut half = [0; 4];
    tunnel.read_exact(&mut half).unwrap();
    assert_eq!(&half, b"half");
    assert_eq!(tunnel.reset_reason(), Some(Reason::CANCEL));
    assert_eq!(gateway.access_line("/x")["flag"], "UC");
}

#[test]
fn each_direction_ends_for_itself() {
    let got = Arc::new(AtomicUsize::new(0));
    let counter = got.clone();
    let origin = Origin::start(move |x| {
        x.switch("")?;
        let mut stream = x.stream()?;
        let mut all = Vec::new();
        if x.target() == "/x/client" {
            stream.read_to_end(&mut all)?;
            x.send(format!("got {}", all.len()))?;
        } else {
            x.send("bye")?;
            stream.shutdown(Shutdown::Write)?;
            stream.read_to_end(&mut all)?;
            counter.store(all.len(), Ordering::Release);
        }
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let session = Session::connect(gateway.listen);
    let mut tunnel = session.websocket("/x/client");
    tunnel.write_all(&[1; 100_000]).unwrap();
    tunnel.finish();
    assert_eq!(tunnel.rest().unwrap(), b"got 100000");
    let mut tunnel = session.websocket("/x/server");
    assert_eq!(tunnel.rest().unwrap(), b"bye");
    // The server still reads.
    for _ in 0..10 {
        tunnel.write_all(&[2; 100_000]).unwrap();
    }
    tunnel.finish();
    assert!(eventually(|| got.load(Ordering::Acquire) == 1_000_000));
}

#[test]
fn a_client_that_does_not_read_holds_back_the_server_but_not_itself() {
    const MOST: usize = 256 << 20;
    let (sent, got) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (written, read) = (sent.clone(), got.clone());
    let origin = Origin::start(move |x| {
        x.switch("")?;
        let mut stream = x.stream()?;
        let counter = read.clone();
        thread::spawn(move || {
            let mut piece = [0; 65_536];
            while let Ok(n) = stream.read(&mut piece) {
                if n == 0 {
                    break;
                }
                counter.fetch_add(n, Ordering::AcqRel);
            }
        });
        let piece = vec![5; 65_536];
        while written.load(Ordering::Acquire) < MOST && x.send(&piece).is_ok() {
            written.fetch_add(piece.len(), Ordering::AcqRel);
        }
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let session = Session::connect(gateway.listen);
    let before = gateway.resident();
    let mut tunnel = session.websocket("/x");
    // The server fills the window, the gateway's buffer and the kernel's, and then waits.
    assert!(eventually(|| {
        let seen = sent.load(Ordering::Acquire);
        thread::sleep(Duration::from_millis(300));
        seen > WINDOW as usize && sent.load(Ordering::Acquire) == seen
    }));
    assert!(sent.load(Ordering::Acquire) < 32 << 20, "{}", sent.load(Ordering::Acquire));
    // Meanwhile what the client sends goes through.
    for n in 1..=8 {
        tunnel.write_all(&vec![6; 1 << 20]).unwrap();
        assert!(eventually(|| got.load(Ordering::Acquire) == n << 20), "{n}");
    }
    assert!(gateway.resident() - before < 16 << 20, "{} bytes more", gateway.resident() - before);
    // Nor does the server's pause hold back anybody else.
    let mut piece = vec![0; 8 << 20];
    tunnel.read_exact(&mut piece).unwrap();
    assert!(piece.iter().all(|byte| *byte == 5));
    tunnel.reset();
}

#[test]
fn a_server_that_does_not_read_holds_back_the_client() {
    let origin = Origin::start(|x| {
        x.switch("")?;
        thread::sleep(Duration::from_secs(2));
        let mut all = 0;
        let mut piece = [0; 65_536];
        let mut stream = x.stream()?;
        while all < 32 << 20 {
            all += stream.read(&mut piece)?;
        }
        x.send("all")?;
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let session = Session::connect(gateway.listen);
    let mut tunnel = session.websocket("/x");
    let before = gateway.resident();
    let start = Instant::now();
    let mut blocked = false;
    for _ in 0..512 {
        tunnel.write_all(&[7; 65_536]).unwrap();
        blocked |= start.elapsed() > Duration::from_secs(1);
        assert!(gateway.resident() - before < 16 << 20);
    }
    assert!(blocked, "32 MiB went into a server that read none");
    let mut end = [0; 3];
    tunnel.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"all");
}

#[test]
fn an_unfinished_handshake_ends_with_its_client_and_with_its_time() {
    let origin = Origin::start(|x| {
        x.closed();
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).route("timeout: { headers: 500ms }").start();
    let session = Session::connect(gateway.listen);
    let (head, _) = session.open(connect("/x")).unwrap();
    assert_eq!(head.status(), 504);
}
