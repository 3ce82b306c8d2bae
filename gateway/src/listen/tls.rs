//! TLS of a listener: certificates by SNI, client certificates, resumption, reload.
//!
//! A [`ServerTlsState`] belongs to one listener and is shared by all workers. Each has a ticket key
//! of its own, so that a session opened on one listener is worth nothing on another: else a client
//! could carry a session past the client certificate that the other demands (CVE-2025-23419).
//! The keys live as long as what a session vouches for, and go with it: they survive new
//! certificates, not a change of `client_ca`.

mod names;

use std::{path::Path, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig, ServerConnection,
    crypto::{CryptoProvider, aws_lc_rs::Ticketer},
    pki_types::CertificateDer,
    server::{
        NoClientAuth, NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier,
    },
    version::{TLS12, TLS13},
};
use weir_config::model::{At, Protocols, ServerTls};

use self::names::CertificatesByName;
use crate::pem::{self, Identity, TlsProblem};

/// ALPN name of HTTP/1.1 (RFC 7301 section 6).
pub(crate) const ALPN_H1: &[u8] = b"http/1.1";
/// ALPN name of HTTP/2 (RFC 9113 section 3.1).
pub(crate) const ALPN_H2: &[u8] = b"h2";
/// ALPN name of HTTP/3 (RFC 9114 section 3.1).
pub(crate) const ALPN_H3: &[u8] = b"h3";

/// What a listener needs for its handshakes, replaced as one by [`ServerTlsState::reload`].
#[derive(Debug)]
pub struct ServerTlsState {
    written: ServerTls,
    protocols: Protocols,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    /// Authorities whose clients the tickets vouch for; empty when none are asked for.
    authorities: Vec<CertificateDer<'static>>,
}

impl ServerTlsState {
    /// Loads every file that `written` names. `previous` is the state of the same listener before
    /// a change of its configuration: its sessions stay resumable if they vouch for as much.
    /// The second value is what an operator should look at.
    ///
    /// # Errors
    /// Everything that is wrong with the files.
    pub fn load(
        written: &ServerTls,
        protocols: Protocols,
        previous: Option<&Self>,
        now: SystemTime,
    ) -> Result<(Self, Vec<TlsProblem>), Vec<TlsProblem>> {
        let provider =
            previous.map_or_else(pem::provider, |previous| Arc::clone(&previous.provider));
        let previous = previous.map(|previous| previous.current.load_full());
        let (loaded, warnings) = load(written, protocols, &provider, previous.as_deref(), now)?;
        let current = ArcSwap::from_pointee(loaded);
        Ok((Self { written: written.clone(), protocols, provider, current }, warnings))
    }

    /// The settings for the next handshake. Connections keep those they began with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// Reads the files again; handshakes from now on use what they hold. Returns warnings.
    ///
    /// # Errors
    /// Everything that is wrong with the files; what was loaded before stays in use then.
    pub fn reload(&self, now: SystemTime) -> Result<Vec<TlsProblem>, Vec<TlsProblem>> {
        let previous = self.current.load_full();
        let (loaded, warnings) =
            load(&self.written, self.protocols, &self.provider, Some(&previous), now)?;
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

fn load(
    written: &ServerTls,
    protocols: Protocols,
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
    let at = written.certificates.first().map_or_else(At::default, |first| first.at);
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
    let config =
        build(&identities, protocols, provider, verifier.unwrap_or_else(|| Arc::new(NoClientAuth)));
    let ticketer = match previous {
        Some(previous) if previous.authorities == authorities => {
            Ok(Arc::clone(&previous.config.ticketer))
        }
        // A new key every six hours; a ticket is good for twelve at most.
        _ => Ticketer::new(),
    };
    match (config, ticketer) {
        (Ok(mut config), Ok(ticketer)) => {
            config.ticketer = ticketer;
            Ok((Loaded { config: Arc::new(config), authorities }, warnings))
        }
        (Err(error), _) | (_, Err(error)) => Err(vec![TlsProblem::general(at, error.to_string())]),
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

fn build(
    identities: &[Identity],
    protocols: Protocols,
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(CertificatesByName::new(identities)));
    config.alpn_protocols = alpn(protocols);
    config.max_early_data_size = 0;
    // Sessions live in tickets alone: a store would be a lock that all workers share.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
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
