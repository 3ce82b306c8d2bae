//! Hostile origins: heads that are no heads, and what a response may not do to the next one.

use std::io;

use super::Bench;
use crate::support::{
    answer::End,
    assert_none,
    client::Client,
    origin::{Exchange, Next, Origin},
};

/// Sends the n-th reply for `/x/n`, then closes.
fn replaying(replies: Vec<Vec<u8>>) -> Origin {
    Origin::start(move |x: &mut Exchange| -> io::Result<Next> {
        let Some(n) = x.target().strip_prefix("/x/") else { return x.echo() };
        let reply = replies[n.parse::<usize>().unwrap()].clone();
        x.send(&reply)?;
        Ok(Next::Close)
    })
}

#[test]
fn what_is_no_response_becomes_502() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("garbage", b"\x00\x01\x02garbage\r\n\r\n".to_vec()),
        ("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()),
        ("half a status line", b"HTTP/1.1 20".to_vec()),
        ("half a head", format!("{ok}Content-Length: 5\r\n").into()),
        ("version 2.0", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("version 1.10", b"HTTP/1.10 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("status 2000", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("status 20", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("status abc", b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("status 099", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n".to_vec()),
        (
            "unasked 101",
            b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec(),
        ),
        ("unasked 101 bare", b"HTTP/1.1 101 Go\r\n\r\n".to_vec()),
        ("space before colon", format!("{ok}A : b\r\nContent-Length: 0\r\n\r\n").into()),
        ("nul in value", format!("{ok}A: \0\r\nContent-Length: 0\r\n\r\n").into()),
        ("control in value", format!("{ok}A: \x01\r\nContent-Length: 0\r\n\r\n").into()),
        ("return in value", format!("{ok}A: b\rSet-Cookie: c\r\nContent-Length: 0\r\n\r\n").into()),
        ("no colon", format!("{ok}Ab\r\nContent-Length: 0\r\n\r\n").into()),
        ("10,000 fields", format!("{ok}{}\r\n", "A: b\r\n".repeat(10_000)).into()),
        ("endless field", format!("{ok}A: {}\r\n\r\n", "b".repeat(2 << 20)).into()),
        ("two lengths", format!("{ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello").into()),
        ("signed length", format!("{ok}Content-Length: +5\r\n\r\nhello").into()),
        ("negative length", format!("{ok}Content-Length: -5\r\n\r\nhello").into()),
        ("length list", format!("{ok}Content-Length: 5, 6\r\n\r\nhello").into()),
        ("huge length", format!("{ok}Content-Length: 99999999999999999999\r\n\r\nhello").into()),
        (
            "chunked twice",
            format!("{ok}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n").into(),
        ),
        ("unknown coding", format!("{ok}Transfer-Encoding: cow\r\n\r\nhello").into()),
    ];
    let (names, replies): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let mut bench = Bench::before(replaying(replies), |to| to);
    let mut failures = Vec::new();
    for (n, name) in names.iter().enumerate() {
        match bench.gateway.client().get(&format!("/x/{n}")) {
            Ok(a) if a.status == 502 && a.field("proxy-status").is_some() => {}
            Ok(a) => failures.push(format!("{name}: {} {:?}", a.status, a.field("proxy-status"))),
            Err(error) => failures.push(format!("{name}: {error}")),
        }
        failures.extend(bench.after(name).err());
    }
    assert_none(&failures);
}

#[test]
fn unusual_responses_pass_or_become_502() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("no reason", b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello".to_vec()),
        ("empty reason", b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello".to_vec()),
        ("version 1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec()),
        (
            "same length twice",
            format!("{ok}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello").into(),
        ),
        ("bare line feeds", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello".to_vec()),
        ("folded", format!("{ok}A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello").into()),
        (
            "length and chunks",
            format!(
                "{ok}Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            )
            .into(),
        ),
        ("by close", format!("{ok}\r\nhello").into()),
        ("1.0 by close", b"HTTP/1.0 200 OK\r\n\r\nhello".to_vec()),
        (
            "extension",
            format!("{ok}Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n").into(),
        ),
        (
            "100 first",
            format!("HTTP/1.1 100 Continue\r\n\r\n{ok}Content-Length: 5\r\n\r\nhello").into(),
        ),
        (
            "103 first",
            format!("HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n{ok}Content-Length: 5\r\n\r\nhello")
                .into(),
        ),
        (
            "1xx flood",
            format!("{}{ok}Content-Length: 5\r\n\r\nhello", "HTTP/1.1 103 H\r\n\r\n".repeat(5000))
                .into(),
        ),
    ];
    let (names, replies): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
    let mut bench = Bench::before(replaying(replies), |to| to);
    let mut failures = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let optional = matches!(
            *name,
            "bare line feeds" | "folded" | "1xx flood" | "length and chunks" | "same length twice"
        );
        match bench.gateway.client().get(&format!("/x/{n}")) {
            Ok(a) if a.status == 200 && a.text() == "hello" && a.end != End::Truncated => {
                let framings = a.fields.iter().filter(|(n, _)| {
                    n.eq_ignore_ascii_case("content-length")
                        || n.eq_ignore_ascii_case("transfer-encoding")
                });
                if framings.count() > 1 {
                    failures.push(format!("{name}: two framings {a:?}"));
                }
            }
            Ok(a) if a.status == 502 && optional => {}
            other => failures.push(format!("{name}: {other:?}")),
        }
        failures.extend(bench.after(name).err());
    }
    assert_none(&failures);
}

#[test]
fn bytes_after_a_response_never_answer_the_next_request() {
    let ok = "HTTP/1.1 200 OK\r\n";
    let poison = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
    let rows: Vec<(&'static str, String)> = vec![
        ("GET", format!("{ok}Content-Length: 5\r\n\r\nhello{poison}")),
        ("GET", format!("{ok}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{poison}")),
        ("HEAD", format!("{ok}Content-Length: {}\r\n\r\n{poison}", poison.len())),
        ("GET", format!("HTTP/1.1 204 No\r\n\r\n{poison}")),
        ("GET", format!("HTTP/1.1 304 No\r\nContent-Length: {}\r\n\r\n{poison}", poison.len())),
        ("GET", format!("HTTP/1.1 204 No\r\nContent-Length: {}\r\n\r\n{poison}", poison.len())),
    ];
    let replies = rows.clone();
    let origin = Origin::start(move |x| {
        let Some(n) = x.target().strip_prefix("/x/") else { return x.echo() };
        let reply = replies[n.parse::<usize>().unwrap()].1.clone();
        x.send(reply)?;
        Ok(Next::Keep)
    });
    let mut bench = Bench::before(origin, |to| to);
    let mut failures = Vec::new();
    for (n, (method, _)) in rows.iter().enumerate() {
        let mut client = Client::connect(bench.gateway.listen);
        client.send(format!("{method} /x/{n} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        let _ = client.answer(method);
        for _ in 0..4 {
            failures.extend(bench.after(&format!("row {n}")).err());
        }
        let same = client.get("/same");
        if same.as_ref().is_ok_and(|a| a.text() != "GET /same 0") {
            failures.push(format!("row {n} then on the same connection: {same:?}"));
        }
    }
    assert_none(&failures);
}

#[test]
fn a_premature_response_on_an_idle_connection_is_not_used() {
    let origin = Origin::start(|x| {
        let next = x.echo()?;
        if x.target() == "/x" {
            std::thread::sleep(std::time::Duration::from_millis(100));
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned")?;
        }
        Ok(next)
    });
    let mut bench = Bench::before(origin, |to| to);
    bench.gateway.client().get("/x").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    for _ in 0..4 {
        bench.after("premature").unwrap();
    }
}
