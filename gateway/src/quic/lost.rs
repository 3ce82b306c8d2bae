//! The end of a connection, in the words of the gateway.

use quinn_proto::{ConnectionError, TransportErrorCode};

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// This side closed it.
    Closed,
    /// The peer closed it; with the application's code, when it was the application.
    Peer(Option<u64>),
    /// Nothing was heard for too long.
    TimedOut,
    /// The peer does not know the connection any more.
    Reset,
    /// The handshake failed in TLS, with this alert (RFC 8446 section 6).
    Tls(u8),
    /// The peer broke the protocol, or speaks another one.
    Protocol,
}

impl Lost {
    pub(super) fn new(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::LocallyClosed => Self::Closed,
            ConnectionError::ApplicationClosed(close) => {
                Self::Peer(Some(close.error_code.into_inner()))
            }
            ConnectionError::ConnectionClosed(close) => {
                alert(close.error_code).map_or(Self::Peer(None), Self::Tls)
            }
            ConnectionError::TransportError(error) => {
                alert(error.code).map_or(Self::Protocol, Self::Tls)
            }
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::Reset => Self::Reset,
            ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => Self::Protocol,
        }
    }
}

/// The TLS alert in a QUIC error code (RFC 9001 section 4.8).
fn alert(code: TransportErrorCode) -> Option<u8> {
    let code = u64::from(code);
    (code >> 8 == 1).then_some(code as u8)
}
