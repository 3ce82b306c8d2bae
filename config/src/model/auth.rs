//! How clients say who they are: tokens, keys, passwords, certificates, another service's word.

use std::{fmt, path::PathBuf, time::Duration};

use http::HeaderName;

use super::{At, Secret, ValueMatch};

/// A way for a client to say who it is.
#[derive(Debug, Clone, PartialEq)]
pub enum AuthWay {
    /// A signed token (RFC 7519).
    Jwt(Box<JwtAuth>),
    /// A key out of a list.
    ApiKey(ApiKeyAuth),
    /// A name and a password (RFC 7617).
    Basic(BasicAuth),
    /// A certificate of its own.
    Mtls(MtlsAuth),
    /// Another service decides.
    Forward(ForwardAuth),
}

/// Signed tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct JwtAuth {
    /// Where it stands in the file.
    pub at: At,
    /// What signatures are checked with.
    pub keys: JwtKeys,
    /// Algorithms that may have been used; never empty.
    pub algorithms: Vec<JwtAlgorithm>,
    /// Who may have issued it; empty is anybody.
    pub issuers: Vec<String>,
    /// Whom it may be for; empty is anybody.
    pub audiences: Vec<String>,
    /// How far the issuer's clock may be off.
    pub leeway: Duration,
    /// Whether it must say when it ends.
    pub require_exp: bool,
    /// What must hold of its claims: all of it.
    pub claims: Vec<(String, ValueMatch)>,
    /// Claims that are told upstream, by header.
    pub headers: Vec<(HeaderName, String)>,
    /// Where it is looked for: the first place that has one counts. Never empty.
    pub token: Vec<CredentialPlace>,
    /// Bytes of the longest.
    pub max_token: u32,
    /// Claim that names the client.
    pub identity: String,
}

/// What signatures are checked with.
#[derive(Debug, Clone, PartialEq)]
pub enum JwtKeys {
    /// Keys in the configuration; never empty.
    Inline(Vec<JwtKey>),
    /// A file: a set of keys (RFC 7517) or public keys in PEM.
    File(PathBuf),
    /// Fetched from a URL.
    Url(JwksUrl),
}

/// A key in the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct JwtKey {
    /// Where it stands in the file.
    pub at: At,
    /// Its name, as tokens say it.
    pub kid: Option<String>,
    /// The key.
    pub material: KeyMaterial,
}

/// The key itself.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyMaterial {
    /// A public key or certificate in PEM.
    Pem(String),
    /// A secret that issuer and gateway share.
    Secret(Secret),
    /// A key in JSON (RFC 7517).
    Jwk(Secret),
}

/// A set of keys (RFC 7517) that somebody serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksUrl {
    /// Whether it is `https`.
    pub tls: bool,
    /// Host, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query.
    pub target: String,
    /// PEM file of the authorities trusted; `None` is the machine's.
    pub ca: Option<PathBuf>,
    /// How long a set is used before it is fetched again.
    pub refresh: Duration,
    /// How long fetching it may take.
    pub timeout: Duration,
}

impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}{}", self.host, self.port, self.target)
    }
}

/// How a token is signed (RFC 7518 section 3, RFC 8037 section 3.1); `none` is not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA, PKCS #1 1.5, with SHA-256.
    Rs256,
    /// RSA, PKCS #1 1.5, with SHA-384.
    Rs384,
    /// RSA, PKCS #1 1.5, with SHA-512.
    Rs512,
    /// RSA, PSS, with SHA-256.
    Ps256,
    /// RSA, PSS, with SHA-384.
    Ps384,
    /// RSA, PSS, with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl JwtAlgorithm {
    /// All of them, with their names in tokens and in the file.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::Es256, "ES256"),
        (Self::Es384, "ES384"),
        (Self::EdDsa, "EdDSA"),
        (Self::Rs256, "RS256"),
        (Self::Rs384, "RS384"),
        (Self::Rs512, "RS512"),
        (Self::Ps256, "PS256"),
        (Self::Ps384, "PS384"),
        (Self::Ps512, "PS512"),
        (Self::Hs256, "HS256"),
        (Self::Hs384, "HS384"),
        (Self::Hs512, "HS512"),
    ];

    /// Its name in tokens and in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(one, _)| *one == self).map_or("", |(_, name)| name)
    }

    /// Whether who can check a signature can make one.
    #[must_use]
    pub const fn is_symmetric(self) -> bool {
        matches!(self, Self::Hs256 | Self::Hs384 | Self::Hs512)
    }
}

/// Where a request carries a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialPlace {
    /// A header; of `authorization` what follows `Bearer`.
    Header(HeaderName),
    /// A cookie.
    Cookie(String),
    /// A query parameter.
    Query(String),
}

impl fmt::Display for CredentialPlace {
    /// As the file writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
        }
    }
}

/// Keys that clients were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyAuth {
    /// Where it stands in the file.
    pub at: At,
    /// Header that carries a key.
    pub header: Option<HeaderName>,
    /// Query parameter that carries one.
    pub query: Option<String>,
    /// The keys that the configuration names.
    pub keys: Vec<ApiKey>,
    /// A file with a name and a hash a line.
    pub file: Option<PathBuf>,
}

/// A key that a client was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose it is.
    pub name: String,
    /// SHA-256 of it.
    pub sha256: [u8; 32],
}

impl ApiKey {
    /// A hash out of its 64 hexadecimal digits.
    #[must_use]
    pub fn hash(digits: &str) -> Option<[u8; 32]> {
        let digits = digits.as_bytes();
        let (pairs, rest) = digits.as_chunks::<2>();
        let mut hash = [0; 32];
        if pairs.len() != hash.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            let digit = |digit: &u8| char::from(*digit).to_digit(16);
            *byte = u8::try_from(digit(high)? << 4 | digit(low)?).ok()?;
        }
        Some(hash)
    }
}

/// Names and passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// Where it stands in the file.
    pub at: At,
    /// What clients are told that a password is asked for.
    pub realm: String,
    /// Whose they are.
    pub users: Users,
}

/// Names with hashes of passwords.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Users {
    /// In the configuration; never empty.
    Listed(Vec<(String, Secret)>),
    /// In an htpasswd file.
    File(PathBuf),
}

/// Certificates of clients.
#[derive(Debug, Clone, PartialEq)]
pub struct MtlsAuth {
    /// Where it stands in the file.
    pub at: At,
    /// Whose certificates: one of these holds. Empty is every verified one.
    pub subjects: Vec<SubjectMatch>,
}

/// A condition on a certificate.
#[derive(Debug, Clone, PartialEq)]
pub struct SubjectMatch {
    /// Which of its names.
    pub field: SubjectField,
    /// What it must be.
    pub value: ValueMatch,
}

/// A name in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectField {
    /// A common name of the subject.
    CommonName,
    /// The subject as a whole, such as `CN=a, O=b`.
    Subject,
    /// A DNS name of subjectAltName.
    Dns,
    /// A URI of subjectAltName, such as a SPIFFE ID.
    Uri,
    /// A mail address of subjectAltName.
    Email,
}

impl SubjectField {
    /// All of them, as the file writes them.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::CommonName, "cn"),
        (Self::Dns, "dns"),
        (Self::Uri, "uri"),
        (Self::Email, "email"),
        (Self::Subject, "subject"),
    ];

    /// As the file writes it.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(one, _)| *one == self).map_or("", |(_, word)| word)
    }
}

/// Another service that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardAuth {
    /// Where it stands in the file.
    pub at: At,
    /// Index of its upstream.
    pub to: usize,
    /// What it is asked for.
    pub path: String,
    /// Fields of the request that it sees.
    pub request_headers: Vec<HeaderName>,
    /// Fields of its answer that go upstream with the request.
    pub response_headers: Vec<HeaderName>,
    /// Field of its answer that names the client.
    pub identity: HeaderName,
    /// How long it may take.
    pub timeout: Duration,
    /// Bytes of the longest body of an answer that is passed on.
    pub max_body: u32,
    /// Whether requests pass while it cannot be asked.
    pub allow_on_failure: bool,
}
