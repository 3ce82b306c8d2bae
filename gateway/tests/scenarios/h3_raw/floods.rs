//! Floods over one connection: cut off with `H3_EXCESSIVE_LOAD` or borne, without harm to others.

use std::{net::SocketAddr, thread, time::Duration};

use quinn::{RecvStream, SendStream, VarInt};

use super::Stage;
use crate::support::{
    eventually,
    h3_outcome::Outcome,
    h3_raw::{Raw, Tuning, run},
    h3_wire::{DATA, code, frame, frame_of, headers, request, varint},
    scaled,
};

/// What is done to each request stream.
type Fault = fn(&mut SendStream, &mut RecvStream);

/// How many streams were opened before the connection ended, and how it did.
struct Provoked {
    streams: usize,
    end: Option<Outcome>,
}

/// Opens up to `count` streams, sends `bytes` on each and does what `fault` says.
fn provoke(
    address: SocketAddr,
    tuning: &Tuning,
    count: usize,
    bytes: &[u8],
    fault: Fault,
) -> Provoked {
    let client = Raw::try_connect(address, tuning).unwrap().greet();
    let connection = client.connection.clone();
    let mut held = Vec::new();
    let streams = run(async {
        for n in 0..count {
            let opened = tokio::time::timeout(Duration::from_secs(3), connection.open_bi()).await;
            let Ok(Ok((mut send, mut recv))) = opened else { return n };
            let _ = send.write_all(bytes).await;
            fault(&mut send, &mut recv);
            // Dropped, it would be stopped: another fault than the one meant.
            held.push((send, recv));
            if held.len() >= 1000 {
                for (_, recv) in &mut held {
                    let _ = recv.read_chunk(1 << 16, true).await;
                }
                held.clear();
            }
        }
        count
    });
    Provoked { streams, end: client.end(Duration::from_millis(500)) }
}

fn cancel(send: &mut SendStream, recv: &mut RecvStream) {
    let code = VarInt::from_u64(code::REQUEST_CANCELLED).unwrap();
    let _ = send.reset(code);
    let _ = recv.stop(code);
}

fn stop_only(send: &mut SendStream, recv: &mut RecvStream) {
    let _ = send.finish();
    let _ = recv.stop(VarInt::from_u64(code::REQUEST_CANCELLED).unwrap());
}

fn finish(send: &mut SendStream, _: &mut RecvStream) {
    let _ = send.finish();
}

#[test]
fn rapid_reset_is_cut() {
    let stage = Stage::new();
    let (says, said) = std::sync::mpsc::sync_channel(1);
    stage.attack("rapid reset", move |address, tuning| {
        let bytes = headers(&request("GET", "/x/slow"));
        says.send(provoke(address, &tuning, 20_000, &bytes, cancel)).unwrap();
    });
    let provoked = said.recv().unwrap();
    assert!(provoked.streams < 5000, "{} resets borne", provoked.streams);
    assert_eq!(provoked.end, Some(Outcome::Closed(code::EXCESSIVE_LOAD)));
    let arrived = stage.origin.seen_at("/x").len();
    println!("{} streams, {arrived} at the origin", provoked.streams);
    assert!(arrived < 1000, "{arrived} requests reached the origin");
}

#[test]
fn rapid_stop_is_cut() {
    let stage = Stage::new();
    let (says, said) = std::sync::mpsc::sync_channel(1);
    stage.attack("rapid stop", move |address, tuning| {
        let bytes = headers(&request("GET", "/x/slow"));
        says.send(provoke(address, &tuning, 20_000, &bytes, stop_only)).unwrap();
    });
    let provoked = said.recv().unwrap();
    assert!(provoked.streams < 5000, "{} stops borne", provoked.streams);
    assert_eq!(provoked.end, Some(Outcome::Closed(code::EXCESSIVE_LOAD)));
    let arrived = stage.origin.seen_at("/x").len();
    println!("{} streams, {arrived} at the origin", provoked.streams);
    assert!(arrived < 1000, "{arrived} requests reached the origin");
}

#[test]
fn requests_that_make_the_gateway_reset_are_cut() {
    let malformed = headers(&[&request("GET", "/x")[..], &[("connection", "close")]].concat());
    let short = headers(&[&request("POST", "/x/slow")[..], &[("content-length", "5")]].concat());
    let rows: [(&str, Vec<u8>, Fault); 4] = [
        ("malformed", malformed, finish),
        ("short body", short, finish),
        ("nothing", vec![], finish),
        ("part of a head", frame_of(1, 100, &[0, 0]), cancel),
    ];
    let stage = Stage::new();
    for (name, bytes, fault) in rows {
        let before = stage.origin.seen_at("/x").len();
        let (says, said) = std::sync::mpsc::sync_channel(1);
        stage.attack(name, move |address, tuning| {
            says.send(provoke(address, &tuning, 10_000, &bytes, fault)).unwrap();
        });
        let provoked = said.recv().unwrap();
        assert!(provoked.streams < 5000, "{name}: {} borne", provoked.streams);
        assert_eq!(provoked.end, Some(Outcome::Closed(code::EXCESSIVE_LOAD)), "{name}");
        let arrived = stage.origin.seen_at("/x").len() - before;
        println!("{name}: {} streams, {arrived} at the origin", provoked.streams);
        assert!(arrived < 1300, "{name}: {arrived} requests reached the origin");
    }
    assert_eq!(stage.whole(), 0);
}

#[test]
fn honest_requests_are_never_taken_for_a_flood() {
    let stage = Stage::new();
    let client = stage.client();
    for round in 0..30 {
        let mut streams: Vec<_> = (0..20).map(|_| client.bi()).collect();
        for stream in &mut streams {
            stream.write(&headers(&request("GET", "/y"))).finish();
        }
        // A browser that leaves a page cancels what it asked for.
        for stream in streams.iter_mut().skip(19) {
            stream.stop(code::REQUEST_CANCELLED);
        }
        for stream in streams.iter_mut().take(19) {
            let outcome = stream.outcome();
            assert_eq!(outcome.status(), 200, "round {round}: {outcome:?}");
        }
    }
    stage.survives("honest", &client).unwrap();
}

#[test]
fn floods_of_small_frames_harm_nobody() {
    let post = headers(&request("POST", "/x"));
    let get = headers(&request("GET", "/x"));
    let rows: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        ("empty data", post.clone(), frame(DATA, b"")),
        ("single bytes", post.clone(), frame(DATA, b"a")),
        ("empty unknown frames", post, frame(0x21, b"")),
        ("unknown frames before the head", vec![], frame(0x40, b"g")),
        ("single bytes without a head", get[..2].to_vec(), vec![0x21]),
        ("one unknown frame", frame_of(0x21, 1 << 40, b""), vec![b'g'; 100]),
    ];
    let stage = Stage::new();
    for (name, first, piece) in rows {
        stage.attack(name, move |address, tuning| {
            let client = Raw::try_connect(address, &tuning).unwrap().greet();
            let Ok(mut stream) = client.try_bi() else { return };
            stream.write(&first);
            let batch = piece.repeat(500);
            run(async {
                for _ in 0..400 {
                    let write = stream.send.write_all(&batch);
                    let wrote = tokio::time::timeout(Duration::from_secs(1), write).await;
                    if !matches!(wrote, Ok(Ok(()))) {
                        return;
                    }
                }
            });
        });
    }
}

#[test]
fn floods_on_unidirectional_streams_harm_nobody() {
    let control = |payload: Vec<u8>| [varint(0), frame(4, b""), payload].concat();
    let rows: Vec<(&str, Vec<u8>, Vec<u8>)> = vec![
        ("grease on control", control(vec![]), frame(0x21, b"")),
        ("max push ids", control(vec![]), frame(0xd, &[9])),
        ("goaways", control(vec![]), frame(7, &[0])),
        ("priority updates", control(vec![]), frame(0xf_0700, &[0, b'u', b'=', b'1'])),
        ("capacities", varint(2), vec![0x20]),
        ("cancellations", varint(3), vec![0x44]),
        ("an unknown stream", varint(0x21), vec![b'g'; 100]),
    ];
    let stage = Stage::new();
    for (name, first, piece) in rows {
        stage.attack(name, move |address, tuning| {
            let mut client = Raw::try_connect(address, &tuning).unwrap();
            let place = client.uni(&first);
            let Some(stream) = client.held(place) else { return };
            let batch = piece.repeat(500);
            run(async {
                for _ in 0..400 {
                    let write = stream.write_all(&batch);
                    let wrote = tokio::time::timeout(Duration::from_secs(1), write).await;
                    if !matches!(wrote, Ok(Ok(()))) {
                        return;
                    }
                }
            });
        });
    }
}

#[test]
fn streams_opened_and_left_empty_harm_nobody() {
    let stage = Stage::new();
    stage.attack("grease streams", |address, tuning| {
        let client = Raw::try_connect(address, &tuning).unwrap().greet();
        run(async {
            for n in 0..5000u64 {
                let open = client.connection.open_uni();
                let opened = tokio::time::timeout(Duration::from_secs(1), open).await;
                let Ok(Ok(mut stream)) = opened else { return };
                let _ = stream.write_all(&varint(0x21 + 0x1f * n)).await;
                let _ = stream.finish();
            }
        });
    });
    stage.attack("connections", |address, tuning| {
        let clients: Vec<Raw> =
            (0..100).filter_map(|_| Raw::try_connect(address, &tuning).ok()).collect();
        assert_eq!(clients.len(), 100);
        thread::sleep(Duration::from_millis(200));
    });
    let churn = scaled("H3_CHURN", 200);
    stage.attack("clients that come and go", move |address, tuning| {
        for _ in 0..churn {
            let client = Raw::try_connect(address, &tuning).unwrap().greet();
            assert_eq!(client.get("/y").status(), 200);
        }
    });
}

#[test]
fn nothing_is_left_of_clients_that_are_gone() {
    let stage = Stage::new();
    let open = || {
        let text = stage.gateway.admin("GET", "/metrics").text();
        let line = |l: &&str| l.starts_with("weir_connections_open{");
        text.lines().filter(line).map(str::to_owned).collect::<Vec<_>>()
    };
    for round in 0..20 {
        let client = stage.client();
        let mut streams: Vec<_> = (0..20).map(|_| client.bi()).collect();
        for (n, stream) in streams.iter_mut().enumerate() {
            match n % 4 {
                0 => drop(stream.write(&headers(&request("GET", "/big"))).finish()),
                1 => drop(stream.write(&headers(&request("POST", "/x")))),
                2 => drop(stream.write(&[1, 100])),
                _ => drop(stream.write(&headers(&request("GET", "/stall"))).finish()),
            }
        }
        match round % 3 {
            0 => client.connection.close(0x100u32.into(), b"done"),
            1 => client.connection.close(0u32.into(), b""),
            _ => drop(streams),
        }
    }
    let gone = eventually(|| open().iter().all(|line| line.ends_with(" 0")));
    assert!(gone, "{:?}", open());
    stage.after("gone").unwrap();
}

#[test]
fn a_stalled_response_does_not_hold_up_its_neighbours() {
    let stage = Stage::new();
    let client = stage.narrow(10_000, 8 << 20);
    let mut stalled: Vec<_> = (0..50).map(|_| client.bi()).collect();
    for stream in &mut stalled {
        stream.write(&headers(&request("GET", "/big"))).finish();
    }
    for _ in 0..20 {
        stage.survives("stalled neighbours", &client).unwrap();
    }
    assert_eq!(stalled[7].outcome().text().len(), 1 << 20);
}

#[test]
fn stalled_responses_cost_little_memory() {
    let stage = Stage::new();
    for (name, stream_window, window) in
        [("no stream window", 0, 8 << 20), ("no connection window", 1 << 20, 1000)]
    {
        stage.attack(name, move |address, tuning| {
            let tuning = Tuning { stream_window, window, tls: tuning.tls };
            let mut held = Vec::new();
            for _ in 0..2 {
                let client = Raw::try_connect(address, &tuning).unwrap().greet();
                for _ in 0..100 {
                    let Ok(mut stream) = client.try_bi() else { break };
                    stream.write(&headers(&request("GET", "/big"))).finish();
                    held.push(stream);
                }
                std::mem::forget(client);
            }
            thread::sleep(Duration::from_secs(1));
        });
    }
}

#[test]
fn unread_responses_cost_little_memory() {
    let stage = Stage::new();
    stage.attack("unread", |address, tuning| {
        // Windows as large as a browser's, and nobody who reads.
        let tuning = Tuning { stream_window: 6 << 20, window: 15 << 20, tls: tuning.tls };
        let client = Raw::try_connect(address, &tuning).unwrap().greet();
        let mut held = Vec::new();
        for _ in 0..100 {
            let Ok(mut stream) = client.try_bi() else { break };
            stream.write(&headers(&request("GET", "/big"))).finish();
            held.push(stream);
        }
        thread::sleep(Duration::from_secs(1));
    });
}
