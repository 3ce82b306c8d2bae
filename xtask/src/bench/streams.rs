//! Load over HTTP/3, by quinn and h3.
//!
//! A client of our own: Debian's h2load knows no HTTP/3, and oha 1.16 is locked to a quinn-proto
//! (0.11.17) that waits for an acknowledgement before its next request, and at its end for the
//! peer to close. It runs in a process of its own, optimised, pinned beside the backends.

use std::{
    fmt::Display,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use h3::client::{self, SendRequest};
use h3_quinn::OpenStreams;
use http::Request;
use quinn::{Endpoint, crypto::rustls::QuicClientConfig};
use tokio::{runtime, sync::Barrier, task::JoinSet, time::timeout};

use super::{
    client::tls,
    load::{Latency, Load, check_length},
    scenario::{Scenario, Spread},
    server::{CORE_OTHERS, pinned},
    steady::percentile,
};
use crate::process::{built, output};

/// The verb that runs [`run`]; not for people.
pub(crate) const STREAMS: &str = "bench-streams";

/// Beyond its time a request that does not end is a failed one.
const GRACE: Duration = Duration::from_secs(10);

/// Builds the client that [`load`] starts.
pub(super) fn build() -> Result<PathBuf, String> {
    built("xtask", "xtask", "quick")
}

/// Sends load to `port` for `length`; any response that is not a whole good one is an error.
pub(super) fn load(
    client: &Path,
    scenario: Scenario,
    port: u16,
    length: Duration,
    cert: &Path,
) -> Result<Load, String> {
    let Spread { connections, streams } = scenario.spread().ok_or("not a scenario of HTTP/3")?;
    let mut words = vec![client.display().to_string(), STREAMS.into(), port.to_string()];
    let [connections, streams] = [connections, streams].map(|n| n.to_string());
    words.extend([length.as_secs().to_string(), connections, streams]);
    words.extend([scenario.path().into(), scenario.body().to_string()]);
    words.push(cert.display().to_string());
    let said = output(&mut pinned(CORE_OTHERS, &words))?;
    let numbers: Vec<u64> = said.split_whitespace().flat_map(str::parse).collect();
    let [requests, bytes, took, p50, p99] = numbers[..] else {
        return Err(format!("the client of HTTP/3 said:\n{said}"));
    };
    check_length(requests, bytes, scenario.body())?;
    let [took, p50, p99] = [took, p50, p99].map(Duration::from_nanos);
    let rate = requests as f64 / took.as_secs_f64();
    Ok(Load { requests, denied: 0, rate, latency: Some(Latency { p50, p99 }) })
}

/// What every stream is to do.
#[derive(Debug, Clone)]
struct Order {
    request: Request<()>,
    body: usize,
    length: Duration,
    /// Passed once every connection stands: a server may still be binding its socket.
    ready: Arc<Barrier>,
}

/// What one connection came to.
#[derive(Debug)]
struct Outcome {
    latencies: Vec<Duration>,
    start: Instant,
    end: Instant,
}

/// The verb: PORT SECONDS CONNECTIONS STREAMS PATH BODY CERT; prints requests, bytes, nanoseconds,
/// p50 and p99.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let [port, seconds, connections, streams, path, body, cert] = arguments else {
        return Err(format!("{STREAMS} PORT SECONDS CONNECTIONS STREAMS PATH BODY CERT"));
    };
    let number = |text: &String| text.parse::<u32>().map_err(|e| format!("{text}: {e}"));
    let port: u16 = port.parse().map_err(|e| format!("{port}: {e}"))?;
    let mut tls = Arc::unwrap_or_clone(tls(Path::new(cert))?);
    tls.alpn_protocols = vec![b"h3".to_vec()];
    let crypto = QuicClientConfig::try_from(tls).map_err(|e| e.to_string())?;
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let length = Duration::from_secs(number(seconds)?.into());
    let (connections, streams) = (number(connections)?, number(streams)?);
    let request = Request::get(format!("https://localhost{path}")).body(()).map_err(said)?;
    let body = body.parse().map_err(|e| format!("{body}: {e}"))?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(said)?;
    runtime.block_on(async {
        let ready = Arc::new(Barrier::new(connections as usize));
        let order = Order { request, body, length, ready };
        let mut all = JoinSet::new();
        for _ in 0..connections {
            all.spawn(connection(port, config.clone(), streams, order.clone()));
        }
        let (mut latencies, mut took) = (Vec::new(), Duration::ZERO);
        while let Some(ended) = all.join_next().await {
            let outcome = ended.map_err(said)??;
            latencies.extend(outcome.latencies);
            took = took.max(outcome.end - outcome.start);
        }
        let took = took.as_nanos();
        let requests = latencies.len();
        let [p50, p99] = [50, 99].map(|percent| percentile(&mut latencies, percent).as_nanos());
        // Each body was checked as it came.
        println!("{requests} {} {took} {p50} {p99}", requests * body);
        Ok(())
    })
}

/// One connection with its streams.
async fn connection(
    port: u16,
    config: quinn::ClientConfig,
    streams: u32,
    order: Order,
) -> Result<Outcome, String> {
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).map_err(said)?;
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connecting = endpoint.connect_with(config, peer, "localhost").map_err(said)?;
    let quic = timeout(GRACE, connecting).await.map_err(said)?.map_err(said)?;
    let made = client::builder()
        .send_grease(false)
        .build::<_, _, Bytes>(h3_quinn::Connection::new(quic.clone()))
        .await;
    let (mut driver, send) = made.map_err(said)?;
    let driver = tokio::spawn(async move { driver.wait_idle().await });
    order.ready.wait().await;
    let start = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..streams {
        all.spawn(stream(send.clone(), order.clone(), start + order.length));
    }
    let mut latencies = Vec::new();
    while let Some(ended) = all.join_next().await {
        latencies.extend(ended.map_err(said)??);
    }
    let end = Instant::now();
    driver.abort();
    quic.close(0x100_u32.into(), b"");
    timeout(GRACE, endpoint.wait_idle()).await.map_err(said)?;
    Ok(Outcome { latencies, start, end })
}

/// One request after the other until the time is over.
async fn stream(
    mut send: SendRequest<OpenStreams, Bytes>,
    order: Order,
    end: Instant,
) -> Result<Vec<Duration>, String> {
    let mut latencies = Vec::new();
    loop {
        let start = Instant::now();
        if start >= end {
            return Ok(latencies);
        }
        timeout(end - start + GRACE, ask(&mut send, &order)).await.map_err(said)??;
        latencies.push(start.elapsed());
    }
}

async fn ask(send: &mut SendRequest<OpenStreams, Bytes>, order: &Order) -> Result<(), String> {
    let mut stream = send.send_request(order.request.clone()).await.map_err(said)?;
    stream.finish().await.map_err(said)?;
    let status = stream.recv_response().await.map_err(said)?.status();
    let mut length = 0;
    while let Some(piece) = stream.recv_data().await.map_err(said)? {
        length += piece.remaining();
    }
    if status != 200 || length != order.body {
        return Err(format!("status {status}, {length} bytes"));
    }
    Ok(())
}

fn said(error: impl Display) -> String {
    error.to_string()
}
