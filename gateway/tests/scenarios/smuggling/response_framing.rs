//! A response that breaks off must look broken off to the client, and never whole.

use super::{Bench, looks_cut};
use crate::support::{
    assert_none,
    frames::{Frames, Outcome},
    origin::{Next, Origin},
};

fn rows() -> Vec<(&'static str, &'static str, Next)> {
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    vec![
        ("length, close", "Content-Length: 100\r\n\r\nhalf", Next::Close),
        ("length, reset", "Content-Length: 100\r\n\r\nhalf", Next::Reset),
        ("length, nothing", "Content-Length: 100\r\n\r\n", Next::Close),
        ("chunk, close", "Transfer-Encoding: chunked\r\n\r\n64\r\nhalf", Next::Close),
        ("chunk, reset", "Transfer-Encoding: chunked\r\n\r\n64\r\nhalf", Next::Reset),
        ("chunks without end", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", Next::Close),
        ("half the end", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n", Next::Close),
        ("bad size", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n", Next::Close),
        (
            "size too large",
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n10000000000000004\r\nx",
            Next::Close,
        ),
        (
            "data over size",
            "Transfer-Encoding: chunked\r\n\r\n4\r\nhalfmore\r\n0\r\n\r\n",
            Next::Close,
        ),
        ("negative size", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n-1\r\n", Next::Close),
        ("no chunk at all", chunked, Next::Close),
        ("by close, reset", "\r\nhalf", Next::Reset),
    ]
}

fn breaking() -> Origin {
    let rows = rows();
    Origin::start(move |x| {
        let Some(n) = x.target().strip_prefix("/x/") else { return x.echo() };
        let (_, rest, next) = rows[n.parse::<usize>().unwrap()];
        x.send(format!("HTTP/1.1 200 OK\r\n{rest}"))?;
        if next == Next::Reset {
            // The reset would overtake the bytes.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Ok(next)
    })
}

#[test]
fn a_cut_response_looks_cut_over_h1() {
    let mut bench = Bench::before(breaking(), |to| to);
    let mut failures = Vec::new();
    for (n, (name, ..)) in rows().iter().enumerate() {
        let mut client = bench.gateway.client();
        match client.get(&format!("/x/{n}")) {
            Ok(answer) if answer.status == 502 || looks_cut(&answer) => {}
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {}
            other => failures.push(format!("{name}: {other:?}")),
        }
        failures.extend(bench.after(name).err());
    }
    assert_none(&failures);
}

#[test]
fn a_cut_response_looks_cut_to_an_http_1_0_client() {
    let mut bench = Bench::before(breaking(), |to| to);
    let mut failures = Vec::new();
    for (n, (name, rest, _)) in rows().iter().enumerate() {
        let mut client = bench.gateway.client();
        client.send(format!("GET /x/{n} HTTP/1.0\r\nHost: h\r\n\r\n").as_bytes());
        let answer = client.answer("GET");
        // Without a length only a reset can tell; the library below the gateway offers none, so
        // what had a length keeps it and what had none is accepted as it came.
        if rest.starts_with("Content-Length") && answer.as_ref().is_ok_and(|a| !looks_cut(a)) {
            failures.push(format!("{name}: {answer:?}"));
        }
        failures.extend(bench.after(name).err());
    }
    assert_none(&failures);
}

#[test]
fn a_cut_response_is_reset_over_h2() {
    let mut bench = Bench::before(breaking(), |to| to);
    let mut frames = Frames::connect(bench.gateway.listen);
    let mut failures = Vec::new();
    for (n, (name, ..)) in rows().iter().enumerate() {
        let stream = u32::try_from(n * 2 + 1).unwrap();
        match frames.get(stream, &format!("/x/{n}")) {
            Outcome::Reset(_) => {}
            outcome if outcome.status() == 502 => {}
            outcome => failures.push(format!("{name}: {outcome:?}")),
        }
        failures.extend(bench.after(name).err());
    }
    assert_none(&failures);
}
