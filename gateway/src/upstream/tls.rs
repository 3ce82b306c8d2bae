//! TLS towards an upstream.

mod unverified;

use std::{fmt, path::Path, sync::Arc, time::SystemTime};

use quinn_proto::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig};
use rustls::{
    ClientConfig, RootCertStore,
    client::{ResolvesClientCert, Resumption},
    crypto::CryptoProvider,
    pki_types::ServerName,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use tokio_rustls::TlsConnector;
use weir_config::model::{Address, ClientTls, UpstreamProtocol};

use self::unverified::AcceptAnyCertificate;
use crate::{
    listen::tls::{ALPN_H1, ALPN_H2, ALPN_H3},
    pem::{self, TlsProblem},
};

/// Names for which sessions are kept, each with its last few tickets.
const SESSION_NAMES: usize = 256;

/// What the handshakes with an upstream need, shared by all workers. Every upstream keeps its own
/// sessions: one that does not verify never lends a session to one that does.
#[derive(Clone)]
pub struct UpstreamTls {
    config: Arc<ClientConfig>,
    quic: Option<Arc<QuicClientConfig>>,
    server_name: Option<ServerName<'static>>,
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls")
            .field("server_name", &self.server_name)
            .field("quic", &self.quic.is_some())
            .finish_non_exhaustive()
    }
}

/// Why an endpoint has no name to hold against its certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A Unix socket has no host.
    #[error("an endpoint on a Unix socket needs `tls.server_name`")]
    Unix,
    /// Neither a DNS name nor an IP address.
    #[error("`{0}` is not a host name that a certificate can be for")]
    NotAName(String),
}

impl UpstreamTls {
    /// Loads what `written` names. The second value is what an operator should look at.
    ///
    /// # Errors
    /// Everything that is wrong with the files, the name and the machine's own authorities.
    pub fn load(
        written: &ClientTls,
        protocol: UpstreamProtocol,
        now: SystemTime,
    ) -> Result<(Self, Vec<TlsProblem>), Vec<TlsProblem>> {
        let provider = pem::provider();
        let roots = load_roots(written);
        let name = written.server_name.as_deref().map(parse_name).transpose();
        let name = name.map_err(|error| TlsProblem::general(written.at, error.to_string()));
        let identity = written.client.as_ref();
        let identity = identity.map(|pair| pem::load_identity(pair, &provider, now)).transpose();
        let (roots, server_name, identity) = match (roots, name, identity) {
            (Ok(roots), Ok(name), Ok(identity)) => (roots, name, identity),
            (roots, name, identity) => {
                let problems = [roots.err(), name.err(), identity.err()];
                return Err(problems.into_iter().flatten().collect());
            }
        };
        let (certified, warning) =
            identity.map(|identity| (identity.certified, identity.warning)).unzip();
        let mut config = build(provider, roots, certified)
            .map_err(|error| vec![TlsProblem::general(written.at, error.to_string())])?;
        let quic = speaks_h3(protocol)
            .then(|| quic(&config))
            .transpose()
            .map_err(|error| vec![TlsProblem::general(written.at, error.to_string())])?;
        config.alpn_protocols = alpn(protocol);
        let this = Self { config: Arc::new(config), quic, server_name };
        Ok((this, warning.flatten().into_iter().collect()))
    }

    /// Opens handshakes. Cheap to call.
    pub fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.config))
    }

    /// What QUIC handshakes need; `None` where HTTP/3 is not spoken. The same authorities, name and
    /// identity count as over TCP; sessions are kept apart.
    pub(crate) const fn quic(&self) -> Option<&Arc<QuicClientConfig>> {
        self.quic.as_ref()
    }

    /// The name that is sent to an endpoint and held against its certificate: the configured one,
    /// or the endpoint's host. To be asked once per endpoint, when the configuration is compiled.
    ///
    /// # Errors
    /// When neither gives a name.
    pub fn name_for(&self, address: &Address) -> Result<ServerName<'static>, NameError> {
        match (&self.server_name, address) {
            (Some(name), _) => Ok(name.clone()),
            (None, Address::Tcp(address)) => Ok(ServerName::from(address.ip())),
            (None, Address::Name(host, _)) => parse_name(host),
            (None, Address::Unix(_)) => Err(NameError::Unix),
        }
    }
}

/// The files to watch: a change of one calls for a new [`UpstreamTls`].
pub fn files(written: &ClientTls) -> impl Iterator<Item = &Path> {
    let pair = written.client.iter().flat_map(|pair| [pair.cert.as_path(), pair.key.as_path()]);
    written.ca.as_deref().into_iter().chain(pair)
}

fn parse_name(name: &str) -> Result<ServerName<'static>, NameError> {
    ServerName::try_from(name.to_owned()).map_err(|_| NameError::NotAName(name.to_owned()))
}

/// The authorities trusted; `None` where nothing is verified.
fn load_roots(written: &ClientTls) -> Result<Option<RootCertStore>, TlsProblem> {
    match &written.ca {
        _ if !written.verify => Ok(None),
        Some(path) => pem::load_authorities(written.at, path).map(|(store, _)| Some(store)),
        None => {
            let found = rustls_native_certs::load_native_certs();
            let mut store = RootCertStore::empty();
            // The machine's bundle may hold what webpki refuses; the others serve without it.
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                let cause = found.errors.first().map(|error| format!(": {error}"));
                let what = format!(
                    "this machine has no certificate authorities (install ca-certificates or set \
                     `tls.ca`){}",
                    cause.unwrap_or_default()
                );
                return Err(TlsProblem::general(written.at, what));
            }
            Ok(Some(store))
        }
    }
}

fn build(
    provider: Arc<CryptoProvider>,
    roots: Option<RootCertStore>,
    certified: Option<Arc<CertifiedKey>>,
) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = match roots {
        Some(roots) => builder.with_root_certificates(roots),
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate::new(provider))),
    };
    let mut config = match certified {
        None => builder.with_no_client_auth(),
        Some(certified) => {
            let resolver: Arc<dyn ResolvesClientCert> = Arc::new(SingleCertAndKey::from(certified));
            builder.with_client_cert_resolver(resolver)
        }
    };
    config.resumption = Resumption::in_memory_sessions(SESSION_NAMES);
    Ok(config)
}

const fn speaks_h3(protocol: UpstreamProtocol) -> bool {
    match protocol {
        UpstreamProtocol::H1 | UpstreamProtocol::H2 => false,
        UpstreamProtocol::H3 | UpstreamProtocol::Auto => true,
    }
}

fn quic(config: &ClientConfig) -> Result<Arc<QuicClientConfig>, NoInitialCipherSuite> {
    let mut config = config.clone();
    config.alpn_protocols = vec![ALPN_H3.to_vec()];
    config.resumption = Resumption::in_memory_sessions(SESSION_NAMES);
    QuicClientConfig::try_from(config).map(Arc::new)
}

/// Names to offer over TCP, the preferred first.
fn alpn(protocol: UpstreamProtocol) -> Vec<Vec<u8>> {
    match protocol {
        UpstreamProtocol::H1 => vec![ALPN_H1.to_vec()],
        UpstreamProtocol::H2 => vec![ALPN_H2.to_vec()],
        UpstreamProtocol::H3 => Vec::new(),
        UpstreamProtocol::Auto => vec![ALPN_H2.to_vec(), ALPN_H1.to_vec()],
    }
}

#[cfg(test)]
mod tests;
