//! Bodies that are sent again: what clients, clocks and books see of it. That they arrive whole is
//! played for every pair of versions in `matrix/again.rs`.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use super::endpoints;
use crate::support::{
    eventually,
    frames::{self, Frames, frame},
    gateway::{Gateway, Setup},
    origin::{Exchange, Next, Origin},
};

/// An origin whose first requests, so many of them, fail in this way, and the others are echoed.
fn failing(
    times: usize,
    fail: impl Fn(&mut Exchange) -> std::io::Result<Next> + Send + Sync + 'static,
) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |x| match count.fetch_add(1, Ordering::AcqRel) < times {
        true => fail(x),
        false => x.echo(),
    })
}

fn put(target: &str, fields: &str) -> String {
    format!("PUT {target} HTTP/1.1\r\nHost: weir.test\r\n{fields}\r\n")
}

fn chunk(length: usize) -> String {
    format!("{length:x}\r\n{}\r\n", "c".repeat(length))
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

#[test]
fn a_client_that_waits_to_be_asked_is_asked_once() {
    for reads in [false, true] {
        let origin = failing(1, move |x| {
            if reads {
                x.read_body()?;
            }
            Ok(Next::Reset)
        });
        let gateway = Setup::to(&[origin.address]).start();
        let mut client = gateway.client();
        client.send(put("/", "Content-Length: 5000\r\nExpect: 100-continue\r\n").as_bytes());
        assert_eq!(client.line().unwrap().unwrap(), b"HTTP/1.1 100 Continue");
        assert_eq!(client.line().unwrap().unwrap(), b"");
        client.send("b".repeat(5000).as_bytes());
        let answer = client.answer("PUT").unwrap();
        assert_eq!((answer.interim.len(), answer.text().as_str()), (0, "PUT / 5000"), "{reads}");
        assert_eq!(origin.seen().len(), 2);
        assert_eq!(client.get("/next").unwrap().status, 200, "the connection is none the worse");
    }
}

#[test]
fn a_client_that_goes_away_ends_the_back_off() {
    let origin = Origin::start(|x| {
        x.read_body()?;
        x.reply(503, "", "busy")
    });
    let gateway = Setup::to(&[origin.address])
        .upstream("outlier: off")
        .route("retry: { attempts: 2, backoff: { base: 60s, max: 60s } }")
        .start();
    let clients: Vec<_> = (0..10)
        .map(|n| {
            let mut client = gateway.client();
            let head = put(&format!("/{n}"), "Content-Length: 1000\r\n");
            client.send((head + &"b".repeat(1000)).as_bytes());
            client
        })
        .collect();
    assert!(eventually(|| origin.seen().len() >= 10), "{}", origin.seen().len());
    drop(clients);
    // Most of them would wait for longer than this does.
    let gone = || gateway.access_lines("\"status\":499").len();
    assert!(eventually(|| gone() >= 9), "{} of 10 ended", gone());
    assert!(origin.seen().len() <= 11, "{} requests", origin.seen().len());
}

#[test]
fn a_stream_that_is_taken_back_ends_the_back_off() {
    let origin = Origin::start(|x| {
        x.read_body()?;
        x.reply(503, "", "busy")
    });
    let gateway = Setup::to(&[origin.address])
        .upstream("outlier: off")
        .route("retry: { attempts: 2, backoff: { base: 60s, max: 60s } }")
        .start();
    let mut client = Frames::connect(gateway.listen);
    let streams = (0..10).map(|n| 2 * n + 1);
    for stream in streams.clone() {
        client.headers(stream, &frames::request("PUT", "/"), false);
        client.send(frames::DATA, frames::END_STREAM, stream, &[b'b'; 1000]).unwrap();
    }
    assert!(eventually(|| origin.seen().len() >= 10), "{}", origin.seen().len());
    for stream in streams {
        client.send(frames::RST_STREAM, 0, stream, &8_u32.to_be_bytes()).unwrap();
    }
    let gone = || gateway.access_lines("\"status\":499").len();
    assert!(eventually(|| gone() >= 9), "{} of 10 ended", gone());
    assert!(origin.seen().len() <= 11, "{} requests", origin.seen().len());
}

/// Of what nobody gets a short rest is read, so that the connection can be used once more.
#[test]
fn a_response_that_is_not_passed_on_costs_no_connection_if_it_is_short() {
    for (length, pause, framed, kept) in [
        (0, 0, true, true),
        (4, 0, true, true),
        (50_000, 30, true, true),
        (50_000, 30, false, true),
        (100_000, 0, true, false),
        (100_000, 0, false, false),
        (50_000, 1500, true, false),
    ] {
        let origin = failing(1, move |x| {
            x.read_body()?;
            let (first, last) = ("a".repeat(length / 2), "z".repeat(length - length / 2));
            if framed {
                x.send(format!("HTTP/1.1 503 Busy\r\nContent-Length: {length}\r\n\r\n{first}"))?;
                thread::sleep(Duration::from_millis(pause));
                x.send(last)?;
            } else {
                let head = "HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n";
                x.send(format!("{head}{:x}\r\n{first}\r\n", first.len()))?;
                thread::sleep(Duration::from_millis(pause));
                x.send(format!("{:x}\r\n{last}\r\n0\r\n\r\n", last.len()))?;
            }
            Ok(Next::Keep)
        });
        let gateway = Setup::to(&[origin.address])
            .upstream("outlier: off")
            .route("retry: { attempts: 2, backoff: { base: 1ms, max: 1ms } }")
            .start();
        let mut client = gateway.client();
        for n in 0..2 {
            let head = put(&format!("/{n}"), "Content-Length: 1000\r\n");
            client.send((head + &"b".repeat(1000)).as_bytes());
            assert_eq!(client.answer("PUT").unwrap().text(), format!("PUT /{n} 1000"));
            if n == 0 {
                // What is read aside may take longer than the next attempt does.
                thread::sleep(Duration::from_millis(pause + 50));
            }
        }
        let seen = origin.seen();
        let last = seen.last().unwrap().connection;
        let pools = |gateway: &Gateway| {
            let pool = endpoints(gateway)[0]["connections"].clone();
            (pool["open"].as_u64().unwrap(), pool["idle"].as_u64().unwrap())
        };
        let wanted = origin.connections() as u64 - u64::from(!kept);
        let there = eventually(|| pools(&gateway) == (wanted, wanted));
        let case = format!("{length} {pause} {framed}: {:?}, {last}", pools(&gateway));
        assert!(there, "{case}");
    }
}

/// What a fallback gets is what the first upstream had, and the rest.
#[test]
fn a_fallback_gets_the_body_from_its_beginning() {
    let origin = Origin::start(|x| {
        x.read_piece()?;
        Ok(Next::Reset)
    });
    let other = Origin::echo();
    let gateway = Setup::yaml(&format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners:\n  - {{ bind: \"$LISTEN\" }}\n\
         upstreams:\n  one: {{ endpoints: [\"{}\"] }}\n  other: {{ endpoints: [\"{}\"] }}\n\
         routes:\n  - {{ match: {{ path: \"/**\" }}, to: one, fallback: other }}\n",
        origin.address, other.address
    ))
    .start();
    let mut client = gateway.client();
    client.send((put("/", CHUNKED) + &chunk(5000)).as_bytes());
    assert!(eventually(|| other.seen().iter().any(|seen| seen.body.len() == 5000)));
    client.send((chunk(7000) + "0\r\n\r\n").as_bytes());
    assert_eq!(client.answer("PUT").unwrap().text(), "PUT / 12000");
}

#[test]
fn an_upload_that_goes_on_is_not_the_endpoints_delay() {
    let (tell, told) = mpsc::sync_channel(16);
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |x| {
        let first = count.fetch_add(1, Ordering::AcqRel) == 0;
        x.read_piece()?;
        let _ = tell.send(());
        if first {
            return Ok(Next::Reset);
        }
        x.echo()
    });
    let gateway =
        Setup::to(&[origin.address]).route("retry: { attempts: 3, attempt_timeout: 1s }").start();
    let mut client = gateway.client();
    client.send((put("/slow", CHUNKED) + &chunk(1000)).as_bytes());
    told.recv_timeout(Duration::from_secs(10)).expect("a first attempt");
    told.recv_timeout(Duration::from_secs(10)).expect("a second attempt");
    thread::sleep(Duration::from_secs(2));
    client.send((chunk(2000) + "0\r\n\r\n").as_bytes());
    assert_eq!(client.answer("PUT").unwrap().text(), "PUT /slow 3000");
    assert_eq!(origin.seen().len(), 2, "nobody was given up on");
    let line = gateway.access_line("/slow");
    assert_eq!((&line["bytes_in"], &line["attempts"]), (&3000.into(), &2.into()), "{line}");
}

#[test]
fn each_attempt_has_its_own_time_to_answer() {
    let origin = failing(2, |x| {
        x.read_body()?;
        x.closed();
        Ok(Next::Close)
    });
    let gateway =
        Setup::to(&[origin.address]).route("retry: { attempts: 3, attempt_timeout: 1s }").start();
    let began = Instant::now();
    let mut client = gateway.client();
    client.send((put("/", "Content-Length: 40000\r\n") + &"b".repeat(40_000)).as_bytes());
    assert_eq!(client.answer("PUT").unwrap().text(), "PUT / 40000");
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn the_bound_of_a_body_holds_over_all_attempts() {
    let origin = failing(1, |x| {
        x.read_piece()?;
        Ok(Next::Reset)
    });
    let gateway = Setup::to(&[origin.address]).limits("body: 20KiB").start();
    let mut client = gateway.client();
    let chunks = chunk(3000).repeat(6);
    client.send((put("/fits", CHUNKED) + &chunks + "0\r\n\r\n").as_bytes());
    assert_eq!(client.answer("PUT").unwrap().text(), "PUT /fits 18000", "they count once");
    let mut client = gateway.client();
    let chunks = chunk(3000).repeat(8);
    client.send((put("/long", CHUNKED) + &chunks + "0\r\n\r\n").as_bytes());
    assert_eq!(client.answer("PUT").unwrap().status, 413);
    assert!(origin.seen_at("/long").iter().all(|seen| !seen.complete));
}

/// The answer comes while the client still sends, and another attempt takes the rest: what the
/// first connection had of the upload is let go of.
#[test]
fn a_connection_that_answered_early_is_not_held() {
    let origin = Origin::start(|x| {
        if x.seen.field("x-weir-attempts").is_some() {
            return x.echo();
        }
        x.read_piece()?;
        x.send("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy")?;
        // It means to read on.
        while x.read_piece()? {}
        Ok(Next::Keep)
    });
    let gateway = Setup::to(&[origin.address]).upstream("outlier: off").start();
    for n in 0..10 {
        let mut client = gateway.client();
        client.send((put(&format!("/{n}"), CHUNKED) + &chunk(1000)).as_bytes());
        let told = || origin.seen_at(&format!("/{n}")).len() == 2;
        assert!(eventually(told), "{:?}", origin.seen());
        client.send((chunk(2000) + "0\r\n\r\n").as_bytes());
        assert_eq!(client.answer("PUT").unwrap().text(), format!("PUT /{n} 3000"));
    }
    let open = || endpoints(&gateway)[0]["connections"]["open"].as_u64().unwrap();
    assert!(eventually(|| open() <= 2), "{} connections are open", open());
    let cut = origin.seen().into_iter().filter(|seen| !seen.complete).count();
    assert_eq!(cut, 10, "no first attempt looks whole");
}

/// An HTTP/2 origin whose first connection refuses its first request by a GOAWAY, once a piece of
/// the body is there; the others answer with 200.
fn leaving(attempts: Arc<AtomicUsize>, bodies: mpsc::SyncSender<Vec<u8>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let Ok(stream) = stream else { return };
            let first = attempts.fetch_add(1, Ordering::AcqRel) == 0;
            let bodies = bodies.clone();
            thread::spawn(move || serve(stream, first, &bodies));
        }
    });
    address
}

fn serve(mut stream: TcpStream, leaves: bool, bodies: &mpsc::SyncSender<Vec<u8>>) -> Option<()> {
    stream.read_exact(&mut [0; frames::PREFACE.len()]).ok()?;
    let hello = [frame(frames::SETTINGS, 0, 0, &[]), frame(frames::SETTINGS, frames::ACK, 0, &[])];
    stream.write_all(&hello.concat()).ok()?;
    let mut body = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        stream.read_exact(&mut payload).ok()?;
        let (kind, flags) = (head[3], head[4]);
        if kind != frames::DATA {
            continue;
        }
        body.extend_from_slice(&payload);
        if leaves {
            let none = [0; 8];
            stream.write_all(&frame(frames::GOAWAY, 0, 0, &none)).ok()?;
            // What comes is of no interest any more.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
            return None;
        }
        if flags & frames::END_STREAM != 0 {
            let _ = bodies.send(std::mem::take(&mut body));
            let end = frames::END_HEADERS | frames::END_STREAM;
            // The static table's 200.
            stream.write_all(&frame(frames::HEADERS, end, 1, &[0x88])).ok()?;
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
            return stream.shutdown(Shutdown::Both).ok();
        }
    }
}

#[test]
fn a_goaway_that_leaves_a_request_out_lets_it_be_sent_again_whatever_its_method() {
    for retry in ["", "retry: off"] {
        let attempts = Arc::<AtomicUsize>::default();
        let (tell, told) = mpsc::sync_channel(4);
        let origin = leaving(Arc::clone(&attempts), tell);
        let gateway = Setup::to(&[origin]).upstream("protocol: h2").route(retry).start();
        let mut client = gateway.client();
        let body: String = (0..30_000).map(|n| char::from(b'a' + (n % 23) as u8)).collect();
        let head = "POST / HTTP/1.1\r\nHost: weir.test\r\nContent-Length: 30000\r\n\r\n";
        client.send((head.to_owned() + &body).as_bytes());
        let status = client.answer("POST").unwrap().status;
        if retry.is_empty() {
            assert_eq!(status, 200, "{}", gateway.log());
            assert_eq!(told.recv().unwrap(), body.as_bytes());
        } else {
            // Nothing was kept of it.
            assert_eq!(status, 502);
        }
        assert_eq!(attempts.load(Ordering::Acquire), if retry.is_empty() { 2 } else { 1 });
    }
}
