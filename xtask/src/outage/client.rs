//! A client that sends at a fixed rate, whatever comes back, and has only so much patience.

use std::{
    cell::RefCell,
    net::Ipv4Addr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{LocalSet, spawn_local},
    time::{sleep_until, timeout},
};

/// How long an answer is waited for. Longer than what any peer waits for a backend by default.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Idle connections that are kept.
const KEPT: usize = 512;

/// One request: when it was due after the start, how long the answer took from then, its status.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) due: Duration,
    pub(super) took: Duration,
    /// `None` is no answer.
    pub(super) status: Option<u16>,
}

/// Sends `rate` requests a second to `port` for `length`, each waiting for `patience` at most.
pub(super) fn send(
    port: u16,
    rate: u32,
    length: Duration,
    patience: Duration,
) -> Result<Vec<Sample>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let samples = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::new(RefCell::new(Vec::new()));
    let total = (length.as_secs_f64() * f64::from(rate)) as u32;
    let local = LocalSet::new();
    let outcomes = samples.clone();
    local.block_on(&runtime.map_err(|e| e.to_string())?, async move {
        let start = Instant::now();
        let mut tasks = Vec::with_capacity(total as usize);
        for nth in 0..total {
            let due = Duration::from_secs(1) * nth / rate;
            sleep_until((start + due).into()).await;
            let (samples, kept) = (samples.clone(), kept.clone());
            tasks.push(spawn_local(async move {
                let status = timeout(patience, ask(port, &kept)).await.ok().flatten();
                let took = (start.elapsed()).saturating_sub(due);
                samples.borrow_mut().push(Sample { due, took, status });
            }));
        }
        for task in tasks {
            task.await.ok();
        }
    });
    let mut samples = outcomes.take();
    samples.sort_by_key(|sample| sample.due);
    if samples.len() == total as usize { Ok(samples) } else { Err("a request got lost".into()) }
}

/// The status of one answer.
async fn ask(port: u16, kept: &RefCell<Vec<TcpStream>>) -> Option<u16> {
    // A kept connection may have been closed meanwhile; a client sends again then, once.
    let idle = kept.borrow_mut().pop();
    if let Some(stream) = idle
        && let Some(status) = exchange(stream, kept).await
    {
        return Some(status);
    }
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    stream.set_nodelay(true).ok();
    exchange(stream, kept).await
}

async fn exchange(mut stream: TcpStream, kept: &RefCell<Vec<TcpStream>>) -> Option<u16> {
    stream.write_all(b"GET /thing HTTP/1.1\r\nhost: outage\r\n\r\n").await.ok()?;
    let mut answer = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut answer).await.ok()? == 0 {
            return None;
        }
        if let Some((status, keeps)) = whole(&answer) {
            let mut kept = kept.borrow_mut();
            if keeps && kept.len() < KEPT {
                kept.push(stream);
            }
            return Some(status);
        }
    }
}

/// Status of an answer and whether its connection can be kept, once all of it is there.
fn whole(answer: &[u8]) -> Option<(u16, bool)> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..end]).ok()?.to_ascii_lowercase();
    let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    let status = head.split(' ').nth(1)?.parse().ok()?;
    (answer.len() >= end + length).then(|| (status, !head.contains("connection: close")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n";
        for cut in 0..answer.len() {
            assert_eq!(whole(&answer[..cut]), None, "{cut}");
        }
        assert_eq!(whole(answer), Some((503, false)));
        assert_eq!(whole(b"HTTP/1.1 204 None\r\n\r\n"), Some((204, true)));
    }
}
