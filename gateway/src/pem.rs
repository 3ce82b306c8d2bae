//! Certificates, keys and authorities from PEM files, with errors that name the file and the cause.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    InconsistentKeys, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use weir_config::model::{At, Certificate};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Largest PEM file that is read, in bytes: bundles of every public authority have a tenth of it.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// What is wrong with the TLS of a listener or upstream, mostly with a file that the configuration
/// names. As an error it keeps the configuration from being used; as a warning it is told and lived
/// with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsProblem {
    /// Where the configuration speaks of it, as near as it is known.
    pub at: At,
    /// The file, when it is one.
    pub path: Option<PathBuf>,
    /// The cause, for people.
    pub what: String,
}

impl TlsProblem {
    /// Blames a file.
    pub(crate) fn new(at: At, path: &Path, what: impl Into<String>) -> Self {
        Self { at, path: Some(path.to_owned()), what: what.into() }
    }

    /// Blames no file.
    pub(crate) fn general(at: At, what: impl Into<String>) -> Self {
        Self { at, path: None, what: what.into() }
    }
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}: {}", path.display(), self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for TlsProblem {}

/// A certificate chain with its key, and what its leaf says.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Chain and key, as rustls wants them.
    pub certified: Arc<CertifiedKey>,
    /// DNS names of the leaf's subjectAltName, lower case; wildcards begin with `*.`.
    pub names: Vec<String>,
    /// When the leaf is not valid at the time of loading: why, with the date.
    pub warning: Option<TlsProblem>,
}

/// The cryptography behind every TLS connection of the gateway.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Loads a chain and its key, and makes sure that they belong together.
///
/// # Errors
/// A [`TlsProblem`] that names the file at fault.
pub fn load_identity(
    written: &Certificate,
    provider: &CryptoProvider,
    now: SystemTime,
) -> Result<Identity, TlsProblem> {
    let Certificate { at, cert, key } = written;
    let chain = load_certificates(*at, cert)?;
    let private = load_key(*at, key)?;
    let leaf = chain.first().ok_or_else(|| "no certificate".to_owned()).and_then(parse);
    let leaf = leaf.map_err(|what| TlsProblem::new(*at, cert, what))?;
    let names = dns_names(&leaf);
    let warning = lapse(&leaf, now).map(|what| TlsProblem::new(*at, cert, what));
    let certified = CertifiedKey::from_der(chain.clone(), private, provider).map_err(|error| {
        let what = match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
                "the key does not belong to the first certificate of {} (the leaf comes first)",
                cert.display()
            ),
            other => format!("the private key cannot be used: {other}"),
        };
        TlsProblem::new(*at, key, what)
    })?;
    Ok(Identity { certified: Arc::new(certified), names, warning })
}

/// Loads the authorities of a PEM file into a store, and returns them as they stand there too.
///
/// # Errors
/// A [`TlsProblem`] when the file holds none, or one that is no authority's certificate.
pub fn load_authorities(
    at: At,
    path: &Path,
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsProblem> {
    let certificates = load_certificates(at, path)?;
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        store.add(certificate.clone()).map_err(|error| {
            let what = format!("certificate {} is not an authority's: {error}", index + 1);
            TlsProblem::new(at, path, what)
        })?;
    }
    Ok((store, certificates))
}

/// The subject of a certificate as one line (`CN=..., O=...`); `None` when it is not X.509. What
/// could break a line or a header is replaced.
pub fn subject(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = parse(certificate).ok()?;
    let text = parsed.subject().to_string();
    Some(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
}

fn load_certificates(at: At, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsProblem> {
    let text = read(path).map_err(|what| TlsProblem::new(at, path, what))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => {
            let what = "no certificate in it (no -----BEGIN CERTIFICATE----- section)";
            Err(TlsProblem::new(at, path, what))
        }
        Err(error) => Err(TlsProblem::new(at, path, describe(&error))),
    }
}

fn load_key(at: At, path: &Path) -> Result<PrivateKeyDer<'static>, TlsProblem> {
    let text = read(path).map_err(|what| TlsProblem::new(at, path, what))?;
    let encrypted = [&b"BEGIN ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| text.windows(mark.len()).any(|window| window == *mark));
    if encrypted {
        let what = "the private key is encrypted; decrypt it (openssl pkey -in FILE -out FILE)";
        return Err(TlsProblem::new(at, path, what));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let certificate = matches!(error, pem::Error::NoItemsFound)
            && CertificateDer::from_pem_slice(&text).is_ok();
        let what = if certificate {
            "a certificate, where the private key is expected".to_owned()
        } else if matches!(error, pem::Error::NoItemsFound) {
            "no private key in it (PKCS#8, PKCS#1 or SEC1 in PEM)".to_owned()
        } else {
            describe(&error)
        };
        TlsProblem::new(at, path, what)
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let count = File::open(path)
        .and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            io::ErrorKind::IsADirectory => "a directory, where a file is expected".to_owned(),
            _ => format!("cannot be read: {error}"),
        })?;
    if count as u64 > FILE_MAX_BYTES {
        return Err(format!("larger than {} MiB", FILE_MAX_BYTES >> 20));
    }
    Ok(bytes)
}

fn describe(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => {
            "not valid PEM: a section has no -----END line".to_owned()
        }
        pem::Error::IllegalSectionStart { line } => {
            format!("not valid PEM: the line {} opens no section", line.escape_ascii())
        }
        pem::Error::Base64Decode(_) => "not valid PEM: a section is not base64".to_owned(),
        other => format!("not valid PEM: {other}"),
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => Err(format!("not an X.509 certificate: {error}")),
    }
}

fn dns_names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = leaf.subject_alternative_name() else { return Vec::new() };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// Why the certificate is not valid at `now`.
fn lapse(leaf: &X509Certificate<'_>, now: SystemTime) -> Option<String> {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let validity = leaf.validity();
    if now > validity.not_after.timestamp() {
        let date = validity.not_after.to_datetime().date();
        Some(format!("the certificate expired on {date}"))
    } else if now < validity.not_before.timestamp() {
        let date = validity.not_before.to_datetime().date();
        Some(format!("the certificate is not valid before {date}"))
    } else {
        None
    }
}

#[cfg(test)]
pub(crate) mod tests;
