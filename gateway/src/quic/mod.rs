//! QUIC: one UDP socket per worker and address.

use std::rc::Rc;

use tokio::sync::watch;
use weir_config::model::Bind;

use crate::worker::Worker;

pub(crate) mod steer;

pub(crate) use steer::{QuicSocket, Steering};

/// Serves a socket until the sender of `stopped` is dropped.
pub(crate) async fn serve(
    _worker: Rc<Worker>,
    _bind: Bind,
    _socket: QuicSocket,
    mut stopped: watch::Receiver<bool>,
) {
    let _ = stopped.changed().await;
}
