//! TLS of a listener: certificates by SNI, client certificates, resumption, reload.
//!
//! A [`ServerTlsState`] belongs to one listener and is shared by all workers. Each has a ticket key
//! of its own, so that a session opened on one listener is worth nothing on another: else a client
//! could carry a session past the client certificate that the other demands (CVE-2025-23419).
//! The keys live as long as what a session vouches for, and go with it: they survive new
//! certificates, not a change of `client_ca`.
//!
//! QUIC shares all of it but the ALPN name, and takes early data where the listener does: then its
//! sessions are kept here and each is good for one handshake, so that nobody can replay what came
//! with it.

mod names;
mod quic;
mod sessions;

use std::{fmt, path::Path, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use quinn_proto::crypto::{HandshakeTokenKey, rustls::QuicServerConfig};
use rustls::{
    ServerConfig, ServerConnection, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs::Ticketer},
    pki_types::CertificateDer,
    server::{
        NoClientAuth, NoServerSessionStorage, ProducesTickets, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
    version::{TLS12, TLS13},
};
use weir_config::model::{At, Protocols, ServerTls};

pub use self::quic::Remembered;
use self::{names::CertificatesByName, sessions::Sessions};
use crate::pem::{self, Identity, TlsProblem};

/// ALPN name of HTTP/1.1 (RFC 7301 section 6).
pub(crate) const ALPN_H1: &[u8] = b"http/1.1";
/// ALPN name of HTTP/2 (RFC 9113 section 3.1).
pub(crate) const ALPN_H2: &[u8] = b"h2";
/// ALPN name of HTTP/3 (RFC 9114 section 3.1).
pub(crate) const ALPN_H3: &[u8] = b"h3";

/// What a listener needs for its handshakes, replaced as one by [`ServerTlsState::reload`].
pub struct ServerTlsState {
    written: ServerTls,
    protocols: Protocols,
    early_data: Option<Remembered>,
    provider: Arc<CryptoProvider>,
    token_key: Arc<dyn HandshakeTokenKey>,
    current: ArcSwap<Loaded>,
}

impl fmt::Debug for ServerTlsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTlsState").field("written", &self.written).finish_non_exhaustive()
    }
}

struct Loaded {
    config: Arc<ServerConfig>,
    quic: Option<Arc<QuicServerConfig>>,
    /// Sessions that may bring early data, with what their clients remember.
    sessions: Option<(Arc<Sessions>, Remembered)>,
    /// Authorities whose clients the tickets vouch for; empty when none are asked for.
    authorities: Vec<CertificateDer<'static>>,
}

impl ServerTlsState {
    /// Loads every file that `written` names. HTTP/3 takes early data where `early_data` says what
    /// its clients rely on. `previous` is the state of the same listener before a change of its
    /// configuration: its sessions stay resumable if they vouch for as much.
    /// The second value is what an operator should look at.
    ///
    /// # Errors
    /// Everything that is wrong with the files.
    pub fn load(
        written: &ServerTls,
        protocols: Protocols,
        early_data: Option<Remembered>,
        previous: Option<&Self>,
        now: SystemTime,
    ) -> Result<(Self, Vec<TlsProblem>), Vec<TlsProblem>> {
        let provider =
            previous.map_or_else(pem::provider, |previous| Arc::clone(&previous.provider));
        let token_key = previous.map(|previous| Arc::clone(&previous.token_key));
        let token_key = match token_key.map_or_else(|| quic::new_token_key(&provider), Ok) {
            Ok(key) => key,
            Err(error) => return Err(vec![TlsProblem::general(place(written), error)]),
        };
        let previous = previous.map(|previous| previous.current.load_full());
        let asked = (protocols, early_data);
        let (loaded, warnings) = load(written, asked, &provider, previous.as_deref(), now)?;
        let current = ArcSwap::from_pointee(loaded);
        let written = written.clone();
        Ok((Self { written, protocols, early_data, provider, token_key, current }, warnings))
    }

    /// The settings for the next handshake. Connections keep those they began with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// The same for QUIC, when HTTP/3 is offered.
    pub fn quic(&self) -> Option<Arc<QuicServerConfig>> {
        self.current.load().quic.clone()
    }

    /// Seals the tokens by which QUIC clients prove their address. Made once for a listener, so
    /// that every worker takes what another gave.
    pub fn token_key(&self) -> Arc<dyn HandshakeTokenKey> {
        Arc::clone(&self.token_key)
    }

    /// Reads the files again; handshakes from now on use what they hold. Returns warnings.
    ///
    /// # Errors
    /// Everything that is wrong with the files; what was loaded before stays in use then.
    pub fn reload(&self, now: SystemTime) -> Result<Vec<TlsProblem>, Vec<TlsProblem>> {
        let previous = self.current.load_full();
        let asked = (self.protocols, self.early_data);
        let (loaded, warnings) = load(&self.written, asked, &self.provider, Some(&previous), now)?;
        self.current.store(Arc::new(loaded));
        Ok(warnings)
    }

    /// The files to watch.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.written.certificates.iter();
        pairs
            .flat_map(|pair| [pair.cert.as_path(), pair.key.as_path()])
            .chain(self.written.client_ca.as_deref())
    }
}

/// Where to point at when no file is to blame.
fn place(written: &ServerTls) -> At {
    written.certificates.first().map_or_else(At::default, |first| first.at)
}

fn load(
    written: &ServerTls,
    (protocols, early_data): (Protocols, Option<Remembered>),
    provider: &Arc<CryptoProvider>,
    previous: Option<&Loaded>,
    now: SystemTime,
) -> Result<(Loaded, Vec<TlsProblem>), Vec<TlsProblem>> {
    let mut problems = Vec::new();
    let mut identities: Vec<Identity> = Vec::with_capacity(written.certificates.len());
    for pair in &written.certificates {
        match pem::load_identity(pair, provider, now) {
            Ok(identity) => identities.push(identity),
            Err(problem) => problems.push(problem),
        }
    }
    let at = place(written);
    let clients = match load_clients(at, written.client_ca.as_deref(), provider) {
        Ok(clients) => clients,
        Err(problem) => {
            problems.push(problem);
            None
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    let warnings = identities.iter().filter_map(|identity| identity.warning.clone()).collect();
    let (verifier, authorities) = clients.unzip();
    let authorities = authorities.unwrap_or_default();
    let before = previous.filter(|previous| previous.authorities == authorities);
    let parts = Parts {
        names: Arc::new(CertificatesByName::new(&identities)),
        verifier: verifier.unwrap_or_else(|| Arc::new(NoClientAuth)),
        provider,
    };
    let loaded = parts.assemble(protocols, early_data, authorities, before);
    loaded.map(|loaded| (loaded, warnings)).map_err(|error| vec![TlsProblem::general(at, error)])
}

/// What the settings of TCP and of QUIC have in common.
struct Parts<'a> {
    names: Arc<CertificatesByName>,
    verifier: Arc<dyn ClientCertVerifier>,
    provider: &'a Arc<CryptoProvider>,
}

impl Parts<'_> {
    /// `before` is what was loaded before, if its sessions vouch for as much.
    fn assemble(
        &self,
        protocols: Protocols,
        early_data: Option<Remembered>,
        authorities: Vec<CertificateDer<'static>>,
        before: Option<&Loaded>,
    ) -> Result<Loaded, String> {
        let ticketer: Arc<dyn ProducesTickets> = match before {
            Some(before) => Arc::clone(&before.config.ticketer),
            // A new key every six hours; a ticket is good for twelve at most.
            None => Ticketer::new().map_err(|error| error.to_string())?,
        };
        let mut config =
            self.build(&[&TLS13, &TLS12], alpn(protocols)).map_err(|error| error.to_string())?;
        config.ticketer = Arc::clone(&ticketer);
        let early_data = early_data.filter(|_| protocols.h3);
        let sessions = early_data.map(|remembered| {
            let before = before.and_then(|before| before.sessions.as_ref());
            let kept = before.filter(|(_, before)| remembered.covers(before));
            (kept.map_or_else(Arc::default, |(sessions, _)| Arc::clone(sessions)), remembered)
        });
        let quic = match protocols.h3 {
            false => None,
            true => Some(self.quic(ticketer, sessions.as_ref().map(|(sessions, _)| sessions))?),
        };
        Ok(Loaded { config: Arc::new(config), quic, sessions, authorities })
    }

    fn build(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: Vec<Vec<u8>>,
    ) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(self.provider))
            .with_protocol_versions(versions)?
            .with_client_cert_verifier(Arc::clone(&self.verifier))
            .with_cert_resolver(self.names.clone());
        config.alpn_protocols = alpn;
        config.max_early_data_size = 0;
        // Sessions live in tickets alone: a store would be a lock that all workers share.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }
}

type Clients = (Arc<dyn ClientCertVerifier>, Vec<CertificateDer<'static>>);

fn load_clients(
    at: At,
    path: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Clients>, TlsProblem> {
    let Some(path) = path else { return Ok(None) };
    let (store, authorities) = pem::load_authorities(at, path)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(store.into(), Arc::clone(provider))
        .build()
        .map_err(|error| TlsProblem::new(at, path, error.to_string()))?;
    Ok(Some((verifier, authorities)))
}

/// Names to offer, the preferred first.
fn alpn(protocols: Protocols) -> Vec<Vec<u8>> {
    let mut names = Vec::with_capacity(2);
    if protocols.h2 {
        names.push(ALPN_H2.to_vec());
    }
    if protocols.h1 {
        names.push(ALPN_H1.to_vec());
    }
    names
}

/// What a finished handshake settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSession {
    /// Name the client asked for, lower case; `None` when it sent none.
    pub sni: Option<Box<str>>,
    /// Version agreed on by ALPN; `None` when the client offered nothing.
    pub alpn: Option<Alpn>,
    /// Subject of the client's certificate, which was verified; `None` where none is asked for.
    pub client: Option<Box<str>>,
}

/// HTTP version agreed on in a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alpn {
    /// HTTP/1.1.
    H1,
    /// HTTP/2.
    H2,
}

impl Alpn {
    /// What an ALPN name stands for.
    pub fn new(name: &[u8]) -> Option<Self> {
        match name {
            ALPN_H1 => Some(Self::H1),
            ALPN_H2 => Some(Self::H2),
            _ => None,
        }
    }
}

impl TlsSession {
    /// Reads it off a connection whose handshake is done.
    pub fn new(connection: &ServerConnection) -> Self {
        let client = connection.peer_certificates().and_then(<[_]>::first).and_then(pem::subject);
        Self {
            sni: connection.server_name().map(Box::from),
            alpn: connection.alpn_protocol().and_then(Alpn::new),
            client: client.map(String::into_boxed_str),
        }
    }
}

#[cfg(test)]
mod tests;
