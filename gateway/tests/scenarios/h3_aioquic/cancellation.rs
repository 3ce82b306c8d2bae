//! Clients that change their mind: the origin is let go at once, and nothing else suffers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use serde_json::{Value, json};

use super::{Aioquic, NO_ERROR, REQUEST_CANCELLED, assert_idle, edge, pattern};
use crate::support::{
    eventually,
    gateway::Gateway,
    origin::{Exchange, Next, Origin},
};

/// An origin whose exchanges take as long as the test says.
struct Stage {
    origin: Origin,
    /// Exchanges whose connection the gateway ended.
    cut: Arc<AtomicUsize>,
    /// Lets `/held` answer.
    release: Arc<AtomicBool>,
}

impl Stage {
    fn new() -> Self {
        let (cut, release) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, released) = (Arc::clone(&cut), Arc::clone(&release));
        let origin = Origin::start(move |x| match x.target() {
            "/endless" => {
                let chunk = [b"2000\r\n", pattern(0x2000).as_slice(), b"\r\n"].concat();
                let sent = endless(x, &chunk);
                count.fetch_add(1, Ordering::AcqRel);
                sent
            }
            "/silent" => {
                x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome")?;
                if x.closed() {
                    count.fetch_add(1, Ordering::AcqRel);
                }
                Ok(Next::Close)
            }
            "/upload" => {
                if x.read_body().is_err() {
                    count.fetch_add(1, Ordering::AcqRel);
                }
                x.echo()
            }
            "/held" => {
                eventually(|| released.load(Ordering::Acquire));
                x.echo()
            }
            _ => x.echo(),
        });
        Self { origin, cut, release }
    }

    fn was_cut(&self, times: usize) -> bool {
        eventually(|| self.cut.load(Ordering::Acquire) == times)
    }

    /// Lets the held request go and asserts that it and a new one are answered.
    fn assert_others_go_on(&self, gateway: &Gateway, client: &mut Aioquic, held: u64) {
        self.release.store(true, Ordering::Release);
        let answer = client.answer(held);
        assert_eq!(answer["text"], "GET /held 0", "{answer}");
        client.assert_serves("/after");
        let state = client.run("alive", json!({}));
        assert!(state["end"].is_null(), "{state}");
        client.run("finish", json!({}));
        assert_idle(gateway);
    }
}

fn endless(x: &mut Exchange, chunk: &[u8]) -> std::io::Result<Next> {
    x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    loop {
        x.send(chunk)?;
    }
}

/// Starts `/held` and one more request, of which some of the response has come.
fn two(stage: &Stage, gateway: &Gateway, other: Value) -> Option<(Aioquic, u64, u64)> {
    let mut client = Aioquic::connect(gateway)?;
    let held = client.send(json!({ "path": "/held" }));
    let path = other["path"].as_str().unwrap().to_owned();
    let stream = client.send(other);
    let both =
        || !stage.origin.seen_at("/held").is_empty() && !stage.origin.seen_at(&path).is_empty();
    assert!(eventually(both), "requests did not come");
    Some((client, held, stream))
}

fn received(client: &mut Aioquic, stream: u64, bytes: usize) {
    client.run("received", json!({ "stream": stream, "bytes": bytes }));
}

#[test]
fn a_response_that_flows_is_cancelled() {
    let stage = Stage::new();
    let gateway = edge(stage.origin.address);
    let Some((mut client, held, stream)) = two(&stage, &gateway, json!({ "path": "/endless" }))
    else {
        return;
    };
    received(&mut client, stream, 300_000);
    client.cancel(stream);
    assert!(stage.was_cut(1), "the origin still sends");
    stage.assert_others_go_on(&gateway, &mut client, held);
}

#[test]
fn a_response_that_waits_is_cancelled() {
    let stage = Stage::new();
    let gateway = edge(stage.origin.address);
    let Some((mut client, held, stream)) = two(&stage, &gateway, json!({ "path": "/silent" }))
    else {
        return;
    };
    received(&mut client, stream, 4);
    client.cancel(stream);
    assert!(stage.was_cut(1), "the origin still holds");
    stage.assert_others_go_on(&gateway, &mut client, held);
}

#[test]
fn stop_sending_alone_cancels_a_response() {
    for (path, bytes) in [("/endless", 300_000), ("/silent", 4)] {
        let stage = Stage::new();
        let gateway = edge(stage.origin.address);
        let Some((mut client, held, stream)) = two(&stage, &gateway, json!({ "path": path }))
        else {
            return;
        };
        received(&mut client, stream, bytes);
        client.run("stop", json!({ "stream": stream, "code": REQUEST_CANCELLED }));
        assert!(stage.was_cut(1), "{path}: the origin is still held");
        let answer = client.run("stopped", json!({ "stream": stream }));
        assert!(answer["reset"].is_u64(), "{path}: {answer}");
        stage.assert_others_go_on(&gateway, &mut client, held);
    }
}

#[test]
fn stop_sending_before_the_head_cancels_a_request() {
    let stage = Stage::new();
    let gateway = edge(stage.origin.address);
    let upload = json!({ "path": "/upload", "method": "POST", "size": 50_000, "open": true });
    let Some((mut client, held, stream)) = two(&stage, &gateway, upload) else { return };
    client.run("stop", json!({ "stream": stream, "code": REQUEST_CANCELLED }));
    let answer = client.run("stopped", json!({ "stream": stream }));
    assert!(answer["reset"].is_u64(), "{answer}");
    assert!(stage.was_cut(1), "the origin still waits");
    stage.assert_others_go_on(&gateway, &mut client, held);
}

#[test]
fn an_upload_is_cancelled() {
    let upload = json!({ "path": "/upload", "method": "POST", "size": 100_000, "open": true });
    for whole in [true, false] {
        let stage = Stage::new();
        let gateway = edge(stage.origin.address);
        let Some((mut client, held, stream)) = two(&stage, &gateway, upload.clone()) else {
            return;
        };
        if whole {
            client.cancel(stream);
        } else {
            client.run("reset", json!({ "stream": stream, "code": REQUEST_CANCELLED }));
        }
        assert!(stage.was_cut(1), "the origin still waits for the rest");
        let seen = stage.origin.seen_at("/upload");
        assert!(!seen[0].complete, "a cut upload looks whole");
        stage.assert_others_go_on(&gateway, &mut client, held);
    }
}

#[test]
fn many_cancelled_requests_leave_their_connection_whole() {
    let stage = Stage::new();
    let gateway = edge(stage.origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let held = client.send(json!({ "path": "/held" }));
    for _ in 0..3 {
        let streams: Vec<u64> =
            (0..30).map(|_| client.send(json!({ "path": "/silent" }))).collect();
        for &stream in &streams {
            received(&mut client, stream, 4);
        }
        for stream in streams {
            client.cancel(stream);
        }
        client.assert_serves("/between");
    }
    assert!(stage.was_cut(90), "{} of 90", stage.cut.load(Ordering::Acquire));
    stage.assert_others_go_on(&gateway, &mut client, held);
}

#[test]
fn a_client_that_leaves_ends_all_it_began() {
    let stage = Stage::new();
    let gateway = edge(stage.origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let endless = client.send(json!({ "path": "/endless" }));
    let silent = client.send(json!({ "path": "/silent" }));
    client.send(json!({ "path": "/upload", "method": "POST", "size": 9000, "open": true }));
    received(&mut client, endless, 100_000);
    received(&mut client, silent, 4);
    assert!(eventually(|| !stage.origin.seen_at("/upload").is_empty()));
    client.run("finish", json!({}));
    assert!(stage.was_cut(3), "{} of 3", stage.cut.load(Ordering::Acquire));
    assert_idle(&gateway);
}

#[test]
fn a_client_that_vanishes_is_given_up() {
    let stage = Stage::new();
    let gateway = edge(stage.origin.address);
    let Some(mut client) = Aioquic::start() else { return };
    client.open(&gateway, json!({ "idle": 1 }));
    let silent = client.send(json!({ "path": "/silent" }));
    let endless = client.send(json!({ "path": "/endless" }));
    received(&mut client, silent, 4);
    received(&mut client, endless, 100_000);
    client.child.kill().unwrap();
    assert!(stage.was_cut(2), "{} of 2", stage.cut.load(Ordering::Acquire));
    assert_idle(&gateway);
}

#[test]
fn an_answer_that_does_not_wait_for_the_upload_arrives() {
    let origin = Origin::start(|x| match x.target() {
        "/early" => {
            x.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")?;
            Ok(Next::Close)
        }
        _ => x.echo(),
    });
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    for size in [1000, 3 << 20] {
        let upload = json!({ "path": "/early", "method": "POST", "size": size, "open": true });
        let stream = client.send(upload);
        let answer = client.answer(stream);
        assert_eq!((&answer["status"], &answer["text"]), (&json!(403), &json!("no")), "{answer}");
        assert_eq!(answer["ended"], true, "{answer}");
        let stopped = client.run("stopped", json!({ "stream": stream }));
        assert_eq!((&stopped["stopped"], &stopped["reset"]), (&json!(NO_ERROR), &Value::Null));
        client.assert_serves("/after");
    }
}
