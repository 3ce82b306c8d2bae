//! Slow and silent clients over QUIC: each wait has an end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{SHORT, Stage};
use crate::support::{
    eventually,
    h3_outcome::Outcome,
    h3_raw::run,
    h3_wire::{CONTROL, DATA, HEADERS, SETTINGS, frame, frame_of, headers, request, varint},
    origin::{Next, Origin},
};

const SECOND: Duration = Duration::from_secs(1);
/// How much later than configured an end may come on a loaded machine.
const SLACK: Duration = Duration::from_secs(4);

/// Asserts that what began at `start` took about `expected`.
fn took_about(start: Instant, expected: Duration) {
    let took = start.elapsed();
    assert!(took + Duration::from_millis(300) >= expected, "early, after {took:?}");
    assert!(took < expected + SLACK, "late, after {took:?}");
}

fn is_cut(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Reset(..) | Outcome::Closed(_)) || outcome.status() == 408
}

#[test]
fn a_head_that_stops_ends_its_stream() {
    let stage = Stage::short();
    let get = headers(&request("GET", "/x"));
    let rows: [(&str, &[u8]); 4] = [
        ("one byte", &get[..1]),
        ("a frame header", &get[..2]),
        ("half a section", &get[..20]),
        ("grease only", &[0x21, 2, b'g', b'g']),
    ];
    let client = stage.client();
    let start = Instant::now();
    let mut streams: Vec<_> = rows.iter().map(|_| client.bi()).collect();
    for (stream, (_, bytes)) in streams.iter_mut().zip(&rows) {
        stream.write(bytes);
    }
    for (stream, (name, _)) in streams.iter_mut().zip(&rows) {
        let outcome = stream.outcome();
        assert!(is_cut(&outcome), "{name}: {outcome:?}");
    }
    took_about(start, SECOND);
    stage.survives("cut heads", &client).unwrap();
    assert!(stage.origin.seen_at("/x").is_empty());
}

#[test]
fn many_streams_of_one_byte_are_all_ended() {
    let stage = Stage::with(|setup| setup.timeouts("header_read: 1s"));
    let client = stage.client();
    let start = Instant::now();
    // As many as the gateway allows at once, and none is left for a request.
    let mut streams = Vec::new();
    while let Ok(Ok((send, recv))) =
        run(async { tokio::time::timeout(SECOND / 10, client.connection.open_bi()).await })
    {
        let mut stream = crate::support::h3_raw::Stream::of(send, recv);
        stream.write(&[1]);
        streams.push(stream);
        assert!(streams.len() < 2000, "no bound on streams");
    }
    for stream in &mut streams {
        let outcome = stream.outcome();
        assert!(is_cut(&outcome), "{outcome:?}");
    }
    took_about(start, SECOND);
    // Until our side of them ends as well, they count among those that the gateway allows.
    drop(streams);
    stage.survives("one byte each", &client).unwrap();
}

#[test]
fn a_trickled_head_ends_in_time() {
    let stage = Stage::short();
    let client = stage.client();
    let start = Instant::now();
    let mut stream = client.bi();
    stream.write(&frame_of(HEADERS, 1000, &[0, 0]));
    while stream.stopped(Duration::from_millis(100)).is_none() && client.end(SECOND / 100).is_none()
    {
        assert!(start.elapsed() < SECOND + SLACK, "a byte at a time for ever");
        stream.write(&[0xd1]);
    }
    let outcome = stream.outcome();
    assert!(is_cut(&outcome), "{outcome:?}");
    took_about(start, SECOND);
    stage.after("trickled head").unwrap();
}

#[test]
fn a_body_that_stops_ends_its_stream_only() {
    let stage = Stage::short();
    let client = stage.client();
    let start = Instant::now();
    let declared = headers(&[&request("POST", "/x")[..], &[("content-length", "10")]].concat());
    for head in [declared, headers(&request("POST", "/x"))] {
        let mut stream = client.bi();
        stream.write(&[head, frame_of(DATA, 10, b"he")].concat());
        let outcome = stream.outcome();
        assert!(is_cut(&outcome), "{outcome:?}");
    }
    took_about(start, 2 * SECOND);
    stage.survives("stopped body", &client).unwrap();
    assert_eq!(stage.whole(), 0);
}

#[test]
fn a_body_in_drops_ends_with_the_total_time() {
    let stage =
        Stage::with(|setup| setup.timeouts(SHORT).route("timeout: { headers: 2s, total: 2s }"));
    let client = stage.client();
    let start = Instant::now();
    let mut stream = client.bi();
    stream.write(&headers(&request("POST", "/x")));
    while stream.stopped(Duration::from_millis(100)).is_none() {
        assert!(start.elapsed() < 2 * SECOND + SLACK, "one byte at a time for ever");
        stream.write(&frame(DATA, b"a"));
    }
    let outcome = stream.outcome();
    assert!(!matches!(outcome.status(), 200) && !matches!(outcome, Outcome::Silence(_)));
    stage.survives("drops", &client).unwrap();
    assert_eq!(stage.whole(), 0);
}

#[test]
fn a_quiet_connection_ends_even_if_its_control_stream_trickles() {
    let stage = Stage::short();
    let quiet = stage.client();
    let mut trickling = stage.bare();
    let place = trickling.uni(&varint(CONTROL));
    let start = Instant::now();
    let settings = frame_of(SETTINGS, 4000, &[]);
    for byte in settings.iter().chain(std::iter::repeat(&0x21)) {
        let stream = trickling.held(place).unwrap();
        let _ = run(stream.write_all(&[*byte]));
        if trickling.end(Duration::from_millis(100)).is_some() {
            break;
        }
        assert!(start.elapsed() < 2 * SECOND + SLACK, "slowloris on the control stream");
    }
    took_about(start, 2 * SECOND);
    let end = quiet.end(SLACK);
    assert!(end.is_some(), "a quiet connection stays");
    stage.after("slowloris").unwrap();
}

#[test]
fn unknown_frames_keep_no_connection_alive() {
    let stage = Stage::short();
    let mut client = stage.bare();
    let place = client.uni(&[varint(CONTROL), frame(SETTINGS, b"")].concat());
    let start = Instant::now();
    while client.end(Duration::from_millis(100)).is_none() {
        let stream = client.held(place).unwrap();
        let _ = run(stream.write_all(&frame(0x21, b"g")));
        assert!(start.elapsed() < 2 * SECOND + SLACK, "grease keeps the connection");
    }
    took_about(start, 2 * SECOND);
}

#[test]
fn readers_that_stop_are_cut_and_so_is_their_origin() {
    let stopped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&stopped);
    let origin = Origin::start(move |x| {
        if x.target() != "/endless" {
            return x.echo();
        }
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")?;
        let piece = vec![b'b'; 1 << 16];
        while x.send(&piece).is_ok() {}
        count.fetch_add(1, Ordering::AcqRel);
        Ok(Next::Close)
    });
    let stage = Stage::of(origin, |setup| setup.timeouts(SHORT));
    // Of a connection's window the gateway's control stream takes a little.
    let windows = [(0, 8 << 20), (1, 8 << 20), (10_000, 8 << 20), (1 << 20, 200)];
    let start = Instant::now();
    let begin = |(stream_window, window)| {
        let client = stage.narrow(stream_window, window);
        let mut stream = client.bi();
        stream.write(&headers(&request("GET", "/endless"))).finish();
        (client, stream)
    };
    let mut all: Vec<_> = windows.into_iter().map(begin).collect();
    let gone = eventually(|| stopped.load(Ordering::Acquire) == windows.len());
    assert!(gone, "{stopped:?} origins could not go on");
    took_about(start, SECOND);
    for ((_, stream), window) in all.iter_mut().zip(windows) {
        let outcome = stream.outcome();
        assert!(is_cut(&outcome), "{window:?}: {outcome:?}");
    }
    stage.after("zero window").unwrap();
}

#[test]
fn a_slow_but_steady_reader_is_served() {
    let origin = Origin::start(|x| match x.target() {
        "/x" => x.reply(200, "", &"b".repeat(4 << 20)),
        _ => x.echo(),
    });
    let stage = Stage::of(origin, |setup| setup.timeouts(SHORT));
    let client = stage.narrow(128 << 10, 128 << 10);
    let mut stream = client.bi();
    stream.write(&headers(&request("GET", "/x"))).finish();
    let mut left = 4usize << 20;
    let mut next = 512 << 10;
    while let Ok(Some(chunk)) = run(async {
        tokio::time::timeout(2 * SLACK, stream.recv.read_chunk(1 << 15, true)).await.unwrap()
    }) {
        left = left.saturating_sub(chunk.bytes.len());
        if (4 << 20) - left > next {
            next += 512 << 10;
            thread::sleep(Duration::from_millis(300));
        }
    }
    assert_eq!(left, 0, "the response was cut");
}

#[test]
fn those_who_wait_cost_no_work() {
    let origin = Origin::start(|x| match x.target() {
        "/big" => x.reply(200, "", &"b".repeat(1 << 20)),
        // Takes nothing of the body until the client is gone.
        "/deaf" => {
            thread::sleep(5 * SECOND);
            Ok(Next::Close)
        }
        _ => x.echo(),
    });
    let stage = Stage::of(origin, |setup| setup);
    let upload = [headers(&request("POST", "/deaf")), frame(DATA, &[b'a'; 100_000])].concat();
    let rows: [(&str, Vec<u8>); 6] = [
        ("nothing", vec![]),
        ("part of a head", vec![1, 100, 0]),
        ("part of a body", headers(&request("POST", "/x"))),
        ("a response without room", headers(&request("GET", "/big"))),
        ("an unknown frame", frame_of(0x21, 1 << 30, b"g")),
        ("an origin that does not read", upload),
    ];
    for (name, bytes) in rows {
        let clients: Vec<_> = (0..5).map(|_| stage.narrow(1000, 1 << 20)).collect();
        let mut streams: Vec<_> = clients.iter().map(|client| client.bi()).collect();
        for stream in &mut streams {
            let write = stream.send.write_all(&bytes);
            let _ = run(async { tokio::time::timeout(SECOND / 10, write).await });
        }
        assert!(rests(&stage), "{name}: work without end");
    }
    // Connections that were closed linger for a moment, and do no more than that.
    for _ in 0..20 {
        drop(stage.client());
    }
    assert!(rests(&stage), "closed connections: work without end");
}

/// Whether the gateway comes to rest: what is still to be done may take a loaded machine a while.
fn rests(stage: &Stage) -> bool {
    (0..10).any(|_| {
        let before = stage.gateway.worked();
        thread::sleep(Duration::from_millis(300));
        stage.gateway.worked() - before < Duration::from_millis(150)
    })
}

#[test]
fn a_handshake_that_stops_is_forgotten() {
    let stage = Stage::short();
    let before = stage.gateway.resident();
    let initial = super::datagrams::capture(&stage.tuning, 50);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in &initial {
        socket.send_to(datagram, stage.gateway.listen).unwrap();
    }
    thread::sleep(Duration::from_millis(1500));
    let open = || {
        let text = stage.gateway.admin("GET", "/metrics").text();
        let line = |l: &&str| l.starts_with("weir_connections_open{");
        text.lines().filter(line).map(str::to_owned).collect::<Vec<_>>()
    };
    let forgotten = eventually(|| open().iter().all(|line| line.ends_with(" 0")));
    assert!(forgotten, "{:?}", open());
    stage.after("half handshakes").unwrap();
    let growth = stage.gateway.resident().saturating_sub(before);
    assert!(growth < super::GROWTH_MAX, "memory grew by {} KiB", growth >> 10);
}
