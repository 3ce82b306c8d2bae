//! Many who ask for the same, and bodies that do not end as they should.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    caching, get,
    leading::{answers, asking, under_way},
    status,
};
use crate::support::{
    answer::End,
    client, eventually,
    gate::Gate,
    gateway::Gateway,
    origin::{Exchange, Next, Origin},
};

/// So many ask at once; their bodies and what the cache said.
fn crowd(gateway: &Gateway, target: &'static str, size: usize) -> Vec<(String, String)> {
    thread::scope(|scope| {
        let all: Vec<_> = (0..size)
            .map(|_| {
                scope.spawn(move || {
                    let answer = get(gateway, target);
                    (answer.text(), status(&answer).to_owned())
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn a_hundred_who_ask_the_same_are_one_request() {
    for length in [true, false] {
        let gate = Gate::default();
        let shut = gate.clone();
        let origin = Origin::start(move |x| {
            shut.pass();
            let (framing, body) = match length {
                true => ("Content-Length: 10", "0123456789"),
                false => ("Transfer-Encoding: chunked", "a\r\n0123456789\r\n0\r\n\r\n"),
            };
            x.send(format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{framing}\r\n\r\n"))?;
            x.send(body)?;
            Ok(Next::Keep)
        });
        // The bound tells how many are under way.
        let gateway = caching(origin.address, "true, concurrency: 4000");
        let crowd = asking(&gateway, 100);
        assert!(eventually(|| under_way(&gateway) == 100), "{}", under_way(&gateway));
        gate.open();
        let all = answers(crowd);
        assert!(all.iter().all(|(_, body, _)| body == "0123456789"), "{all:?}");
        assert_eq!(origin.seen().len(), 1);
        let collapsed = all.iter().filter(|(.., status)| status.contains("collapsed")).count();
        assert_eq!(collapsed, 99, "{all:?}");
    }
}

#[test]
fn who_waits_reads_as_the_bytes_come() {
    let go = Arc::new(AtomicBool::new(false));
    let gate = go.clone();
    let origin = Origin::start(move |x| {
        x.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n01234")?;
        eventually(|| gate.load(Ordering::Acquire));
        x.send("56789")?;
        Ok(Next::Keep)
    });
    let gateway = caching(origin.address, "true");
    let mut clients: Vec<_> = (0..4).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send(client::get("/x").as_bytes());
        // The head, then the first half of the body: before the other half was sent.
        while client.line().unwrap().is_some_and(|line| !line.is_empty()) {}
        assert_eq!(client.bytes(5).unwrap(), b"01234");
    }
    go.store(true, Ordering::Release);
    for client in &mut clients {
        assert_eq!(client.bytes(5).unwrap(), b"56789");
    }
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn who_goes_away_does_not_stop_it() {
    let go = Arc::new(AtomicBool::new(false));
    let gate = go.clone();
    let origin = Origin::start(move |x| {
        x.send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n01234")?;
        eventually(|| gate.load(Ordering::Acquire));
        x.send("56789")?;
        Ok(Next::Keep)
    });
    let gateway = caching(origin.address, "true");
    let mut client = gateway.client();
    client.send(client::get("/x").as_bytes());
    client.line().unwrap();
    client.reset();
    go.store(true, Ordering::Release);
    assert!(eventually(|| status(&get(&gateway, "/x")).contains("hit")));
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn who_goes_away_before_there_is_an_answer_hands_the_question_on() {
    let go = Arc::new(AtomicBool::new(false));
    let gate = go.clone();
    let origin = Origin::start(move |x| {
        eventually(|| gate.load(Ordering::Acquire));
        x.reply(200, "Cache-Control: max-age=60\r\n", "x")
    });
    let gateway = caching(origin.address, "true");
    let mut first = gateway.client();
    first.send(client::get("/x").as_bytes());
    assert!(eventually(|| origin.seen().len() == 1));
    thread::scope(|scope| {
        let second = scope.spawn(|| get(&gateway, "/x").text());
        thread::sleep(Duration::from_millis(200));
        first.reset();
        assert!(eventually(|| origin.seen().len() == 2), "the second one asks");
        go.store(true, Ordering::Release);
        assert_eq!(second.join().unwrap(), "x");
    });
}

#[test]
fn what_breaks_off_is_never_kept() {
    let heads = [
        "Content-Length: 10\r\n\r\n01234",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n01234\r\n",
    ];
    for head in heads {
        let turn = Mutex::new(0);
        let origin = Origin::start(move |x| {
            *turn.lock().unwrap() += 1;
            if *turn.lock().unwrap() > 1 {
                return x.reply(200, "Cache-Control: max-age=60\r\n", "whole");
            }
            x.send(format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{head}"))?;
            Ok(Next::Close)
        });
        let gateway = caching(origin.address, "60s");
        let mut client = gateway.client();
        client.send(client::get("/x").as_bytes());
        let broken = client.answer("GET");
        assert!(broken.is_err() || broken.is_ok_and(|a| a.end != End::Complete), "{head}");
        assert_eq!(get(&gateway, "/x").text(), "whole", "{head}");
    }
}

#[test]
fn what_ends_with_its_connection_is_not_kept() {
    let origin = Origin::start(|x: &mut Exchange| {
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
        if x.target() == "/chunks" {
            x.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))?;
            return Ok(Next::Keep);
        }
        x.send(format!("{head}Connection: close\r\n\r\nok"))?;
        Ok(Next::Close)
    });
    let gateway = caching(origin.address, "true");
    for _ in 0..2 {
        let answer = get(&gateway, "/x");
        assert_eq!(answer.text(), "ok");
        assert!(status(&answer).ends_with("detail=open-ended"), "{}", status(&answer));
    }
    get(&gateway, "/chunks");
    assert!(eventually(|| status(&get(&gateway, "/chunks")).contains("hit")));
}

#[test]
fn what_is_too_long_passes_whole() {
    let body: &'static str = "0123456789".repeat(20_000).leak();
    for length in [true, false] {
        let origin = Origin::start(move |x| {
            let fields = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
            if length {
                x.send(format!("{fields}Content-Length: {}\r\n\r\n{body}", body.len()))?;
            } else {
                x.send(format!("{fields}Transfer-Encoding: chunked\r\n\r\n"))?;
                for piece in body.as_bytes().chunks(8_000) {
                    x.send(format!("{:x}\r\n", piece.len()))?;
                    x.send([piece, b"\r\n"].concat())?;
                }
                x.send("0\r\n\r\n")?;
            }
            Ok(Next::Keep)
        });
        let gateway = caching(origin.address, "{ max_object: 64KiB }");
        for _ in 0..2 {
            let answer = get(&gateway, "/x");
            assert_eq!((answer.end, answer.text() == body), (End::Complete, true), "{length}");
        }
        assert_eq!(origin.seen().len(), 2);
    }
}

#[test]
fn what_cannot_be_kept_makes_nobody_wait() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |x| {
        if count.fetch_add(1, Ordering::AcqRel) > 0 {
            let all = eventually(|| count.load(Ordering::Acquire) == 21);
            assert!(all, "one after the other");
        }
        x.reply(200, "Cache-Control: no-store\r\n", "mine")
    });
    let gateway = caching(origin.address, "true");
    get(&gateway, "/x");
    let all = crowd(&gateway, "/x", 20);
    assert!(all.iter().all(|(body, _)| body == "mine"), "{all:?}");
    assert!(all.iter().all(|(_, status)| !status.contains("collapsed")), "{all:?}");
    assert_eq!(origin.seen().len(), 21);
}

/// What must be asked about before each use is not for who asks at the same time, either.
#[test]
fn what_is_never_fresh_is_not_shared() {
    for control in ["max-age=0", "no-cache"] {
        let origin = Origin::start(move |x| {
            thread::sleep(Duration::from_millis(300));
            let fields = format!("Cache-Control: {control}\r\nETag: \"a\"\r\n");
            x.send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 1\r\n\r\n"))?;
            // Who waits sees the head alone.
            thread::sleep(Duration::from_millis(100));
            x.send("x")?;
            Ok(Next::Keep)
        });
        let gateway = caching(origin.address, "true");
        assert!(crowd(&gateway, "/x", 4).iter().all(|(_, said)| !said.contains("collapsed")));
        assert_eq!(origin.seen().len(), 4, "{control}");
    }
}
