//! Streams that are stopped and reset at every stage: the connection lives, and the origin learns.

use std::{thread, time::Duration};

use super::Stage;
use crate::support::{
    eventually,
    h3_outcome::Outcome,
    h3_wire::{DATA, code, frame, headers, request},
    origin::{Next, Origin},
};

const CODES: [u64; 4] = [code::REQUEST_CANCELLED, code::NO_ERROR, 0, 0x3fff_ffff_ffff];

#[test]
fn stopped_responses_leave_the_connection_usable() {
    let stage = Stage::new();
    let client = stage.client();
    let big = headers(&request("GET", "/big"));
    for round in 0..40 {
        let stop = CODES[round % CODES.len()];
        let mut stream = client.bi();
        match round % 5 {
            // Before anything of the request is there.
            0 => drop(stream.stop(stop).write(&big).finish()),
            // At once behind it.
            1 => drop(stream.write(&big).finish().stop(stop)),
            // While the request is half there.
            2 => drop(stream.write(&big[..5]).stop(stop).write(&big[5..]).finish()),
            // In the midst of the response.
            3 => {
                stream.write(&big).finish();
                assert_eq!(stream.head().status, 200);
                stream.stop(stop);
            }
            // When it waits for our window.
            _ => {
                stream.write(&big).finish();
                thread::sleep(Duration::from_millis(20));
                stream.stop(stop);
            }
        }
        stage.survives(&format!("stop in round {round}"), &client).unwrap();
    }
}

#[test]
fn reset_requests_leave_the_connection_usable() {
    let stage = Stage::new();
    let client = stage.client();
    let post = headers(&request("POST", "/x"));
    let part = [&post[..], &frame(DATA, b"hello")].concat();
    for round in 0..40 {
        let reset = CODES[round % CODES.len()];
        let mut stream = client.bi();
        match round % 5 {
            0 => drop(stream.reset(reset)),
            1 => drop(stream.write(&post[..7]).reset(reset)),
            2 => drop(stream.write(&post).reset(reset).stop(reset)),
            3 => {
                stream.write(&part);
                thread::sleep(Duration::from_millis(10));
                stream.reset(reset);
            }
            _ => {
                stream.write(&part);
                thread::sleep(Duration::from_millis(10));
                stream.reset(reset).stop(reset);
            }
        }
        stage.survives(&format!("reset in round {round}"), &client).unwrap();
    }
    assert_eq!(stage.whole(), 0, "a reset upload arrived as a whole");
}

#[test]
fn a_reset_in_mid_response_ends_the_exchange_only() {
    let origin = Origin::start(|x| {
        if x.target() != "/x" {
            return x.echo();
        }
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")?;
        let _ = x.read_body();
        Ok(if x.closed() { Next::Close } else { Next::Keep })
    });
    let stage = Stage::of(origin, |setup| setup);
    let client = stage.client();
    let mut stream = client.bi();
    stream.write(&[headers(&request("POST", "/x")), frame(DATA, b"hello")].concat());
    assert_eq!(stream.head().status, 200);
    stream.reset(code::REQUEST_CANCELLED);
    let outcome = stream.outcome();
    assert!(matches!(outcome, Outcome::Reset(..)), "{outcome:?}");
    stage.survives("reset in mid response", &client).unwrap();
}

#[test]
fn the_origin_learns_of_a_client_that_went() {
    let stage = Stage::new();
    let stall = headers(&request("GET", "/stall"));
    let gone = |n| eventually(|| stage.gateway.access_lines("\"/stall\"").len() >= n);
    let client = stage.client();
    let mut streams: Vec<_> = (0..10).map(|_| client.bi()).collect();
    for stream in &mut streams {
        stream.write(&stall).finish();
    }
    assert!(eventually(|| stage.origin.seen_at("/stall").len() == 10));
    for stream in &mut streams {
        stream.stop(code::REQUEST_CANCELLED);
    }
    assert!(gone(10), "stopped streams still wait upstream");
    stage.survives("stopped", &client).unwrap();
    let mut more: Vec<_> = (0..10).map(|_| client.bi()).collect();
    for stream in &mut more {
        stream.write(&stall).finish();
    }
    assert!(eventually(|| stage.origin.seen_at("/stall").len() == 20));
    client.connection.close(0x100u32.into(), b"bye");
    assert!(gone(20), "a closed connection's streams still wait upstream");
    stage.after("closed").unwrap();
}

#[test]
fn a_stopped_upload_answer_does_not_stop_other_streams() {
    let stage = Stage::new();
    let client = stage.client();
    let mut uploads: Vec<_> = (0..20).map(|_| client.bi()).collect();
    for (n, stream) in uploads.iter_mut().enumerate() {
        let path = format!("/x/{n}");
        stream.write(&headers(&request("POST", &path))).write(&frame(DATA, b"hello"));
    }
    for stream in uploads.iter_mut().step_by(2) {
        stream.stop(code::REQUEST_CANCELLED);
    }
    for (n, stream) in uploads.iter_mut().enumerate().skip(1).step_by(2) {
        let outcome = stream.write(&frame(DATA, b"world")).finish().outcome();
        assert_eq!(outcome.text(), format!("POST /x/{n} 10"), "{outcome:?}");
    }
    stage.survives("uploads", &client).unwrap();
}
