//! How QUIC connections of either direction behave: windows, streams, time-outs.

use std::{sync::Arc, time::Duration};

use quinn_proto::{IdleTimeout, TransportConfig, VarInt};

/// Bytes of all streams of a connection that wait to be sent or acknowledged. Beyond, sources are
/// asked for no more.
const SEND_WINDOW: u64 = 2 * 1024 * 1024;
/// Unidirectional streams that a peer may have open: control, two of QPACK, and some that we do not
/// know (RFC 9114 section 6.2 asks for three at least).
const UNI_STREAMS: u32 = 8;

/// Bounds of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Bidirectional streams that the peer may have open.
    pub(crate) streams: u32,
    /// Bytes of one stream that the peer may send before they are taken.
    pub(crate) stream_window: u32,
    /// The same for all streams together.
    pub(crate) connection_window: u32,
    /// Silence after which the connection is given up.
    pub(crate) idle: Duration,
}

impl Bounds {
    /// What the machine is told.
    pub(crate) fn transport(&self) -> Arc<TransportConfig> {
        let mut config = TransportConfig::default();
        config
            .max_concurrent_bidi_streams(self.streams.into())
            .max_concurrent_uni_streams(UNI_STREAMS.into())
            .stream_receive_window(self.stream_window.into())
            .receive_window(self.connection_window.into())
            .send_window(SEND_WINDOW)
            .max_idle_timeout(Some(idle_timeout(self.idle)))
            .datagram_receive_buffer_size(None);
        Arc::new(config)
    }
}

fn idle_timeout(idle: Duration) -> IdleTimeout {
    let millis = u32::try_from(idle.as_millis()).unwrap_or(u32::MAX);
    IdleTimeout::from(VarInt::from_u32(millis.max(1)))
}
