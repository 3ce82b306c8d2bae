//! Bodies and what was said of them: a length that does not hold, a body that is cut, in either
//! direction, is never taken for a whole one.

use std::{sync::mpsc, thread, time::Duration};

use super::{AT_ONCE, Expect, SPOILED, Stage, ending};
use crate::support::{
    assert_none, eventually,
    h3_outcome::Outcome,
    h3_wire::{DATA, HEADERS, code, frame, frame_of, headers, request, varint},
    origin::{Next, Origin},
    qpack_raw::section,
    seen::Framing,
};

/// POST to `/x` with this length.
fn post(length: &str) -> Vec<u8> {
    headers(&[&request("POST", "/x")[..], &[("content-length", length)]].concat())
}

fn data(text: &str) -> Vec<u8> {
    frame(DATA, text.as_bytes())
}

#[test]
fn a_body_that_does_not_fit_its_length_is_malformed() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let trailers = headers(&[("x-sum", "1")]);
    // Pieces are sent apart, so that the head is under way before the fault shows.
    let rows: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("nothing, FIN at once", vec![post("5")]),
        ("nothing, FIN alone", vec![post("5"), vec![]]),
        ("short", vec![[post("10"), data("hello")].concat()]),
        ("short, FIN alone", vec![post("10"), data("hello"), vec![]]),
        ("short by one", vec![post("6"), data("hello"), vec![]]),
        ("short, then trailers", vec![[post("10"), data("hello"), trailers.clone()].concat()]),
        ("nothing, then trailers", vec![post("5"), trailers]),
        ("an empty frame", vec![[post("5"), data("")].concat()]),
        ("an unknown frame", vec![[post("5"), frame(0x21, b"hello")].concat()]),
        ("long", vec![[post("3"), data("hello")].concat()]),
        ("long by one", vec![[post("4"), data("hello")].concat()]),
        (
            "long by a frame header, apart",
            vec![post("5"), [data("hello"), frame_of(DATA, 1, b"")].concat()],
        ),
        ("zero with a body", vec![[post("0"), data("hello")].concat()]),
        ("zero with a body, apart", vec![post("0"), data(smuggled)]),
        ("long by a frame", vec![[post("5"), data("hello"), data(smuggled)].concat()]),
        ("long by a frame, apart", vec![post("5"), data("hello"), data(smuggled)]),
    ];
    let stage = Stage::new();
    let mut failures = Vec::new();
    for (name, pieces) in rows {
        let (client, before) = (stage.client(), stage.whole());
        let mut stream = client.bi();
        for (n, piece) in pieces.iter().enumerate() {
            if n > 0 {
                thread::sleep(Duration::from_millis(15));
            }
            stream.write(piece);
        }
        let outcome = if name.contains("header") {
            stream.outcome_within(AT_ONCE)
        } else {
            stream.finish().outcome_within(AT_ONCE)
        };
        // The declared bytes may have been answered before the surplus came.
        let answered = name.ends_with("apart") && outcome.status() == 200;
        if !(answered || SPOILED.is(&outcome)) {
            failures.push(format!("{name}: {outcome:?}"));
        }
        if !name.contains("apart") && stage.whole() != before {
            failures.push(format!("{name}: arrived whole"));
        }
        failures.extend(stage.survives(name, &client).err());
        failures.extend(stage.after(name).err());
    }
    if !stage.origin.seen_at("/smuggled").is_empty() {
        failures.push("the surplus became a request".to_owned());
    }
    assert_none(&failures);
}

#[test]
fn a_lone_fin_never_completes_a_declared_body() {
    // CVE-2026-33555: the origin's connection must not be used again while it awaits bytes.
    let stage = Stage::new();
    for round in 0..20 {
        let client = stage.client();
        let mut stream = client.bi();
        stream.write(&post("30"));
        thread::sleep(Duration::from_millis(round % 4 * 5));
        stream.finish();
        let victims: Vec<Outcome> =
            (0..3).map(|n| stage.client().get(&format!("/victim/{round}/{n}"))).collect();
        for (n, victim) in victims.iter().enumerate() {
            assert_eq!(victim.text(), format!("GET /victim/{round}/{n} 0"), "{victim:?}");
        }
        let outcome = stream.outcome();
        assert!(SPOILED.is(&outcome), "{outcome:?}");
    }
    assert_eq!(stage.whole(), 0);
    assert!(stage.origin.seen_at("/x").iter().all(|s| s.framing == Framing::Length(30)));
}

#[test]
fn lengths_that_hold_pass() {
    let stage = Stage::new();
    let client = stage.client();
    let known = [post("10"), data("hello"), frame(0x21, b"grease"), data(""), data("hello")];
    assert_eq!(client.exchange(&known.concat()).text(), "POST /x 10");
    assert_eq!(stage.origin.completed("/x").framing, Framing::Length(10));
    let unknown = [headers(&request("POST", "/y")), data("hello"), data("hello")].concat();
    assert_eq!(client.exchange(&unknown).text(), "POST /y 10");
    assert_eq!(stage.origin.completed("/y").framing, Framing::Chunked);
    assert_eq!(client.exchange(&post("0")).text(), "POST /x 0");
    assert_eq!(client.get("/z").text(), "GET /z 0");
    assert_eq!(stage.origin.completed("/z").framing, Framing::None);
}

#[test]
fn a_body_over_the_limit_is_answered_413() {
    let stage = Stage::with(|setup| setup.limits("body: 1000B"));
    let client = stage.client();
    let declared = client.exchange(&[post("1001"), data(&"a".repeat(1001))].concat());
    assert_eq!(declared.status(), 413, "{declared:?}");
    let found = [headers(&request("POST", "/x")), data(&"a".repeat(600)).repeat(2)].concat();
    let found = client.exchange(&found);
    assert_eq!(found.status(), 413, "{found:?}");
    assert_eq!(stage.whole(), 0);
    let fits = client.exchange(&[post("1000"), data(&"a".repeat(1000))].concat());
    assert_eq!(fits.text(), "POST /x 1000");
    stage.survives("413", &client).unwrap();
}

#[test]
fn a_truncated_upstream_body_is_reset_and_never_finished() {
    let origin = Origin::start(|x| {
        let (head, next) = match x.target() {
            "/cut/length" => ("Content-Length: 100\r\n\r\nhalf of it", Next::Close),
            "/cut/length-reset" => ("Content-Length: 100\r\n\r\nhalf of it", Next::Reset),
            "/cut/chunk" => ("Transfer-Encoding: chunked\r\n\r\n64\r\nhalf of it", Next::Close),
            "/cut/last-chunk" => {
                ("Transfer-Encoding: chunked\r\n\r\na\r\nhalf of it\r\n", Next::Close)
            }
            "/cut/trailers" => {
                ("Transfer-Encoding: chunked\r\n\r\na\r\nhalf of it\r\n0\r\nx: y\r\n", Next::Close)
            }
            "/cut/garbage" => {
                ("Transfer-Encoding: chunked\r\n\r\na\r\nhalf of it\r\nzz\r\n", Next::Close)
            }
            "/whole/close" => ("\r\nhalf of it", Next::Close),
            _ => return x.echo(),
        };
        x.send(format!("HTTP/1.1 200 OK\r\n{head}"))?;
        thread::sleep(Duration::from_millis(50));
        Ok(next)
    });
    let stage = Stage::of(origin, |setup| setup);
    let client = stage.client();
    let mut failures = Vec::new();
    for name in ["length", "length-reset", "chunk", "last-chunk", "trailers", "garbage"] {
        match client.get(&format!("/cut/{name}")) {
            // A reset takes with it what the client has not read yet.
            Outcome::Reset(_, got) if b"half of it".starts_with(&got.body) => {}
            other => failures.push(format!("{name}: {other:?}")),
        }
        failures.extend(stage.survives(name, &client).err());
    }
    let whole = client.get("/whole/close");
    if (whole.status(), whole.text().as_str()) != (200, "half of it") {
        failures.push(format!("framed by close: {whole:?}"));
    }
    assert_none(&failures);
}

#[test]
fn an_upload_cut_by_the_client_is_cut_at_the_origin() {
    let stage = Stage::new();
    let head = headers(&request("POST", "/x"));
    let rows = [("reset", 0x10c), ("reset without error", code::NO_ERROR), ("reset of 0", 0)];
    for (n, (name, reset)) in rows.into_iter().enumerate() {
        let client = stage.client();
        let mut stream = client.bi();
        stream.write(&[&head[..], &data("hello")].concat());
        assert!(eventually(|| stage.origin.seen_at("/x").len() > n), "{name}");
        stream.reset(reset);
        let outcome = stream.outcome();
        assert!(Expect::Reset(code::REQUEST_CANCELLED).is(&outcome), "{name}: {outcome:?}");
        stage.survives(name, &client).unwrap();
    }
    // A connection that dies with an upload on it does not end the upload well either.
    let client = stage.client();
    let mut stream = client.bi();
    stream.write(&[&head[..], &data("hello")].concat());
    assert!(eventually(|| stage.origin.seen_at("/x").len() > rows.len()));
    client.connection.close(0x100u32.into(), b"");
    stage.after("closed").unwrap();
    thread::sleep(Duration::from_millis(100));
    assert_eq!(stage.whole(), 0);
}

#[test]
fn a_frame_cut_by_fin_is_no_body() {
    let stage = Stage::new();
    let rows = [
        ("declared", [post("100"), frame_of(DATA, 100, b"hello")].concat()),
        ("undeclared", [headers(&request("POST", "/x")), frame_of(DATA, 100, b"hello")].concat()),
        ("head of data", [headers(&request("POST", "/x")), varint(DATA)].concat()),
    ];
    for (name, bytes) in rows {
        let client = stage.client();
        let mut stream = client.bi();
        stream.write(&bytes);
        thread::sleep(Duration::from_millis(20));
        stream.finish();
        assert_eq!(ending(&client), Outcome::Closed(code::FRAME_ERROR), "{name}");
        stage.after(name).unwrap();
    }
    assert_eq!(stage.whole(), 0);
}

#[test]
fn a_response_comes_while_the_body_goes_on() {
    let (said, says) = mpsc::sync_channel(1);
    let origin = Origin::start(move |x| {
        if x.target() != "/x" {
            return x.echo();
        }
        x.read_piece()?;
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")?;
        x.read_body()?;
        let _ = said.send(());
        let length = x.seen.body.len();
        x.send(format!("{:x}\r\n{length}\r\n0\r\n\r\n", length.to_string().len()))?;
        Ok(Next::Keep)
    });
    let stage = Stage::of(origin, |setup| setup);
    let client = stage.client();
    let mut stream = client.bi();
    stream.write(&[headers(&request("POST", "/x")), data("a")].concat());
    assert_eq!(stream.head().status, 200, "the response did not wait for the body");
    for _ in 0..20 {
        stream.write(&data("b"));
        thread::sleep(Duration::from_millis(5));
    }
    assert!(says.try_recv().is_err());
    assert_eq!(stream.finish().outcome().text(), "first21");
    stage.survives("slow body", &client).unwrap();
}

#[test]
fn an_early_response_stays_whole_and_the_upload_is_stopped() {
    let origin = Origin::start(|x| {
        if x.seen.method == "POST" {
            x.reply(403, "Connection: close\r\n", &"no".repeat(50_000))?;
            return Ok(Next::Close);
        }
        x.echo()
    });
    let stage = Stage::of(origin, |setup| setup);
    for length in [None, Some("1000000")] {
        let client = stage.client();
        let mut stream = client.bi();
        let mut fields = request("POST", "/x").to_vec();
        fields.extend(length.map(|length| ("content-length", length)));
        stream.write(&[frame(HEADERS, &section(&fields)), data("hello")].concat());
        let outcome = stream.outcome();
        assert_eq!(outcome.status(), 403, "{outcome:?}");
        assert_eq!(outcome.text().len(), 100_000);
        let stopped = stream.stopped(AT_ONCE);
        assert_eq!(stopped, Some(code::NO_ERROR), "STOP_SENDING");
        stream.write(&data("late"));
        stage.survives("early response", &client).unwrap();
    }
}

#[test]
fn what_the_gateway_answers_itself_stops_the_upload() {
    let stage = Stage::new();
    let client = stage.client();
    let mut stream = client.bi();
    let head = headers(&[&request("POST", "/x")[..], &[("expect", "nothing")]].concat());
    stream.write(&[head, data("hello")].concat());
    let outcome = stream.outcome();
    assert!(Expect::Status(417).is(&outcome), "{outcome:?}");
    assert_eq!(stream.stopped(AT_ONCE), Some(code::NO_ERROR));
    stage.survives("417", &client).unwrap();
}
