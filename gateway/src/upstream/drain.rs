//! What becomes of a response that another attempt replaces.

use super::{attempt::Received, forward::Forwarded, pool::Pooled};
use crate::{
    http::{drain, exchange::Exchange},
    pause::{BodyClocks, Pause},
};

/// Drops a response; a short rest of it is read aside, so that its HTTP/1.1 connection can be kept.
pub(super) fn drain(received: Received, pool: &Pooled, exchange: &Exchange) {
    if exchange.upload.as_ref().is_some_and(|upload| !upload.over.get()) {
        // It came before the request was sent: its connection ends with it.
        return;
    }
    let timers = exchange.connection.worker.timers.clone();
    let clocks = || BodyClocks::new(Pause::new(timers, drain::LONGEST), None);
    if let Forwarded::Response(response) = received.open(pool, clocks, None) {
        drain::drain(response.into_body());
    }
}
