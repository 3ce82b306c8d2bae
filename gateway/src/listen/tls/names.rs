//! Which certificate answers to which name (RFC 6066 section 3, RFC 9525 section 6.3).

use std::{collections::HashMap, sync::Arc};

use rustls::{
    SignatureScheme,
    pki_types::DnsName,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::pem::Identity;

/// Certificates for one name, in file order: more than one when they differ in the kind of key.
type Candidates = Vec<Arc<CertifiedKey>>;

/// Picks by exact name, then by wildcard (which stands for one label), then the first certificate.
#[derive(Debug)]
pub(super) struct CertificatesByName {
    exact: HashMap<String, Candidates>,
    /// By what follows `*.`.
    wildcard: HashMap<String, Candidates>,
    /// The first certificate, and those that bear the same names.
    default: Candidates,
}

impl CertificatesByName {
    pub(super) fn new(identities: &[Identity]) -> Self {
        let mut exact: HashMap<_, Candidates> = HashMap::new();
        let mut wildcard: HashMap<_, Candidates> = HashMap::new();
        for identity in identities {
            for name in &identity.names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(below) => (&mut wildcard, below),
                    None => (&mut exact, name.as_str()),
                };
                // A certificate may hold anything there, NUL bytes included: no client asks for it.
                if DnsName::try_from(name).is_ok() {
                    let entry = names.entry(name.to_owned()).or_default();
                    entry.push(Arc::clone(&identity.certified));
                }
            }
        }
        let default = match identities.split_first() {
            None => Vec::new(),
            Some((first, others)) => std::iter::once(first)
                .chain(others.iter().filter(|other| other.names == first.names))
                .map(|identity| Arc::clone(&identity.certified))
                .collect(),
        };
        Self { exact, wildcard, default }
    }

    /// `name` is lower case.
    fn candidates(&self, name: Option<&str>) -> &Candidates {
        let named = name.and_then(|name| {
            let below = || name.split_once('.').and_then(|(_, below)| self.wildcard.get(below));
            self.exact.get(name).or_else(below)
        });
        named.unwrap_or(&self.default)
    }

    /// The first that can sign as the client wants, or else the first: the handshake fails then,
    /// with the alert that says so.
    pub(super) fn pick(
        &self,
        name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(name);
        let fits = |one: &&Arc<CertifiedKey>| one.key.choose_scheme(schemes).is_some();
        candidates.iter().find(fits).or_else(|| candidates.first()).map(Arc::clone)
    }
}

impl ResolvesServerCert for CertificatesByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.pick(hello.server_name(), hello.signature_schemes())
    }
}
