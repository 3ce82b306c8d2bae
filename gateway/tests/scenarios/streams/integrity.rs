//! Many clients at once, some of which break off: every answer is the one to its own question.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    net::SocketAddr,
    thread,
};

use crate::support::{
    client::Client,
    frames::{DATA, END_STREAM, Frames, RST_STREAM, request},
    gateway::Setup,
    origin::{Exchange, Next, Origin},
    scaled,
};

/// Gives each body back behind its target, in chunks or with a length.
pub(crate) fn mirror(x: &mut Exchange) -> std::io::Result<Next> {
    x.read_body()?;
    let body = [x.target().as_bytes(), b" ", &x.seen.body].concat();
    if body.len() % 2 == 0 {
        x.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()))?;
        x.send(&body)?;
    } else {
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for piece in body.chunks(7000) {
            x.send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())?;
        }
        x.send("0\r\n\r\n")?;
    }
    Ok(Next::Keep)
}

/// A number and a body that follow from client and turn alone, so that a failure repeats.
pub(crate) fn body_of(client: u64, turn: u64) -> (u64, Vec<u8>) {
    let mut hasher = DefaultHasher::new();
    (client, turn).hash(&mut hasher);
    let number = hasher.finish();
    let size = usize::try_from(number % 60_000).unwrap() / (1 + usize::try_from(turn % 5).unwrap());
    (number, format!("{client}/{turn};").into_bytes().into_iter().cycle().take(size).collect())
}

fn over_h1(address: SocketAddr, me: u64, turns: u64) {
    let mut client = Client::connect(address);
    for turn in 0..turns {
        let (number, body) = body_of(me, turn);
        let mut bytes = format!("POST /{me}/{turn} HTTP/1.1\r\nHost: h\r\n").into_bytes();
        if number % 3 == 0 {
            bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in body.chunks(5000) {
                bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            bytes.extend(&body);
        }
        if number % 7 == 0 {
            client.send(&bytes[..bytes.len() * 2 / 3]);
            client.reset();
            client = Client::connect(address);
            continue;
        }
        client.send(&bytes);
        let answer = client.answer("POST").unwrap();
        let expected = [format!("/{me}/{turn} ").as_bytes(), &body].concat();
        assert!(answer.status == 200 && answer.body == expected, "client {me}, turn {turn}");
    }
}

fn over_h2(address: SocketAddr, me: u64, turns: u64) {
    let mut frames = Frames::connect(address);
    for turn in 0..turns {
        let (number, body) = body_of(me, turn);
        let stream = u32::try_from(turn * 2 + 1).unwrap();
        let path = format!("/{me}/{turn}");
        frames.headers(stream, &request("POST", &path), false);
        let body = &body[..body.len().min(30_000)];
        for piece in body.chunks(9000) {
            frames.send(DATA, 0, stream, piece).unwrap();
        }
        if number % 7 == 0 {
            frames.send(RST_STREAM, 0, stream, &8u32.to_be_bytes()).unwrap();
            continue;
        }
        frames.send(DATA, END_STREAM, stream, b"").unwrap();
        let outcome = frames.outcome(stream);
        let expected = format!("{path} {}", String::from_utf8_lossy(body));
        assert!(
            outcome.status() == 200 && outcome.text() == expected,
            "client {me}, turn {turn}: status {}, {} bytes",
            outcome.status(),
            outcome.text().len()
        );
    }
}

#[test]
fn every_answer_belongs_to_its_question() {
    let origin = Origin::start(mirror);
    let gateway = Setup::to(&[origin.address]).start();
    let (address, turns) = (gateway.listen, scaled("TURNS", 60));
    thread::scope(|scope| {
        for me in 0..6 {
            scope.spawn(move || over_h1(address, me, turns));
            scope.spawn(move || over_h2(address, me + 100, turns));
        }
    });
}
