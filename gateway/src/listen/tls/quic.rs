//! What QUIC needs of a listener's TLS.

use std::sync::Arc;

use aws_lc_rs::hkdf;
use quinn_proto::crypto::{HandshakeTokenKey, rustls::QuicServerConfig};
use rustls::{crypto::CryptoProvider, server::ProducesTickets, version::TLS13};
use weir_config::model::Limits;

use super::{ALPN_H3, Parts, sessions::Sessions};

/// What a client that sends early data takes to hold as in the session before: it was told then,
/// and is not told again until its data is under way (RFC 9000 section 7.4.1, RFC 9114 section
/// 7.2.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered {
    streams: u32,
    stream_window: u32,
    connection_window: u32,
    header_bytes: u32,
}

impl Remembered {
    /// What these limits tell.
    pub const fn of(limits: &Limits) -> Self {
        Self {
            streams: limits.h3_streams,
            stream_window: limits.h3_stream_window,
            connection_window: limits.h3_connection_window,
            header_bytes: limits.header_bytes,
        }
    }

    /// Whether what a client remembers of `before` is allowed still.
    pub(super) const fn covers(&self, before: &Self) -> bool {
        self.streams >= before.streams
            && self.stream_window >= before.stream_window
            && self.connection_window >= before.connection_window
            && self.header_bytes >= before.header_bytes
    }
}

impl Parts<'_> {
    /// The settings of QUIC handshakes; with `sessions` they take early data.
    pub(super) fn quic(
        &self,
        ticketer: Arc<dyn ProducesTickets>,
        sessions: Option<&Arc<Sessions>>,
    ) -> Result<Arc<QuicServerConfig>, String> {
        let config = self.build(&[&TLS13], vec![ALPN_H3.to_vec()]);
        let mut config = config.map_err(|error| error.to_string())?;
        match sessions {
            None => config.ticketer = ticketer,
            // A ticket could be shown any number of times, so that rustls takes early data only
            // where there is none; of sizes QUIC knows but this and 0 (RFC 9001 section 4.6.1).
            Some(sessions) => {
                config.session_storage = Arc::<Sessions>::clone(sessions);
                config.max_early_data_size = u32::MAX;
            }
        }
        QuicServerConfig::try_from(config).map(Arc::new).map_err(|error| error.to_string())
    }
}

/// A key that nobody else has.
pub(super) fn new_token_key(
    provider: &CryptoProvider,
) -> Result<Arc<dyn HandshakeTokenKey>, String> {
    let mut secret = [0; 64];
    let random = provider.secure_random.fill(&mut secret);
    random.map_err(|_| "the system has no randomness to give".to_owned())?;
    Ok(Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&secret)))
}

#[cfg(test)]
mod tests;
