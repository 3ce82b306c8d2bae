//! Bodies of any size pass in bounded memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::Method;

use crate::support::{
    client::{Client, get},
    gateway::{Gateway, Setup},
    h2_client,
    origin::{Exchange, Next, Origin},
    scaled,
};

const GROWTH_MAX: u64 = 32 << 20;
const PIECE: usize = 1 << 16;

/// Sends `/down/N` bytes, or takes an upload and says how much came.
fn bulk(x: &mut Exchange) -> std::io::Result<Next> {
    if let Some(size) = x.target().strip_prefix("/down/") {
        let mut left: u64 = size.parse().unwrap();
        x.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {left}\r\n\r\n"))?;
        let piece = vec![b'd'; PIECE];
        while left > 0 {
            let now = left.min(PIECE as u64);
            x.send(&piece[..usize::try_from(now).unwrap()])?;
            left -= now;
        }
        return Ok(Next::Keep);
    }
    let text = x.skip_body()?.to_string();
    x.reply(200, "", &text)
}

/// Watches the gateway's memory while `work` runs; its growth in bytes.
fn growth(gateway: &Gateway, work: impl FnOnce()) -> u64 {
    let (before, most) = (gateway.resident(), Arc::new(AtomicU64::new(0)));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                most.fetch_max(gateway.resident(), Ordering::AcqRel);
                thread::sleep(Duration::from_millis(10));
            }
        });
        work();
        done.store(true, Ordering::Release);
        watcher.join().unwrap();
    });
    most.load(Ordering::Acquire).saturating_sub(before)
}

fn download(client: &mut Client, size: u64) {
    client.send(get(&format!("/down/{size}")).as_bytes());
    while client.line().unwrap().is_some_and(|line| !line.is_empty()) {}
    let mut left = size;
    while left > 0 {
        let now = left.min(PIECE as u64);
        let bytes = client.bytes(usize::try_from(now).unwrap()).unwrap();
        assert!(bytes.iter().all(|&b| b == b'd'));
        left -= now;
    }
}

fn upload(client: &mut Client, size: u64) {
    let head = format!("POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\n\r\n");
    client.send(head.as_bytes());
    let piece = vec![b'u'; PIECE];
    let mut left = size;
    while left > 0 {
        let now = left.min(PIECE as u64);
        client.try_send(&piece[..usize::try_from(now).unwrap()]).unwrap();
        left -= now;
    }
    assert_eq!(client.answer("POST").unwrap().text(), size.to_string());
}

fn both_ways(size: u64) {
    let origin = Origin::start(bulk);
    let gateway = Setup::to(&[origin.address]).limits("body: 8GiB").start();
    let mut client = gateway.client();
    download(&mut client, 1000);
    let grown = growth(&gateway, || {
        download(&mut client, size);
        upload(&mut client, size);
    });
    assert!(grown < GROWTH_MAX, "memory grew by {} KiB", grown >> 10);
}

#[test]
fn bodies_stream_both_ways_over_h1() {
    both_ways(scaled("BODY_MIB", 64) << 20);
}

#[test]
#[ignore = "takes a minute; 2 GiB each way"]
fn two_gibibytes_stream_both_ways_over_h1() {
    both_ways(2 << 30);
}

#[tokio::test]
async fn bodies_stream_both_ways_over_h2() {
    let size = usize::try_from(scaled("BODY_MIB", 64) << 20).unwrap();
    let origin = Origin::start(bulk);
    let gateway = Setup::to(&[origin.address]).limits("body: 8GiB").start();
    let before = gateway.resident();
    let mut most = before;
    let send = h2_client::connect(gateway.listen).await;
    let mut ready = send.clone().ready().await.unwrap();
    let head = h2_client::head(Method::GET, &format!("/down/{size}"));
    let (response, _) = ready.send_request(head, true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let mut left = size;
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        left -= piece.len();
        body.flow_control().release_capacity(piece.len()).unwrap();
        if left % 64 == 0 {
            most = most.max(gateway.resident());
        }
    }
    assert_eq!(left, 0);
    let mut ready = send.clone().ready().await.unwrap();
    let mut head = h2_client::head(Method::POST, "/up");
    head.headers_mut().insert("content-length", size.into());
    let (response, mut stream) = ready.send_request(head, false).unwrap();
    let mut left = size;
    while left > 0 {
        stream.reserve_capacity(left.min(PIECE));
        let got = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
        let now = got.min(left);
        left -= now;
        stream.send_data(Bytes::from(vec![b'u'; now]), left == 0).unwrap();
    }
    most = most.max(gateway.resident());
    let (text, _) = h2_client::whole(response.await.unwrap().into_body()).await.unwrap();
    assert_eq!(text, size.to_string());
    let grown = most - before;
    assert!(grown < GROWTH_MAX, "memory grew by {} KiB", grown >> 10);
}
