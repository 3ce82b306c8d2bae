//! What becomes of a response that another attempt replaces.

use std::time::Duration;

use http_body_util::BodyExt as _;

use super::{attempt::Received, forward::Forwarded, pool::Pooled};
use crate::{
    http::{body::Body, exchange::Exchange},
    pause::{BodyClocks, Pause},
    task,
};

/// Bytes that are read of its body so that its HTTP/1.1 connection can be kept.
const MOST: usize = 64 * 1024;
/// How long they are waited for.
const LONGEST: Duration = Duration::from_secs(1);

/// Drops a response; what is left of its body is read aside, within bounds.
pub(super) fn drain(received: Received, pool: &Pooled, exchange: &Exchange) {
    if exchange.upload.as_ref().is_some_and(|upload| !upload.over.get()) {
        // It came before the request was sent: its connection ends with it.
        return;
    }
    let timers = exchange.connection.worker.timers.clone();
    let clocks = || BodyClocks::new(Pause::new(timers, LONGEST), None);
    let Forwarded::Response(response) = received.open(pool, clocks, None) else { return };
    let body = response.into_body();
    if !http_body::Body::is_end_stream(&body) {
        task::spawn(async move {
            // Late or too long: the connection goes.
            let _ = tokio::time::timeout(LONGEST, read(body)).await;
        });
    }
}

async fn read(mut body: Body) {
    let mut left = MOST;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, bytes::Bytes::len);
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
    }
}
