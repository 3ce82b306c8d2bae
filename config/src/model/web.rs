//! What routes do for browsers, and with codings of bodies.

use std::{fmt, time::Duration};

use http::{HeaderName, HeaderValue, Method};
use regex::Regex;

/// All of it, for one route.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Web {
    /// Who may read its answers from pages of another origin; `None` leaves that to the upstream.
    pub cors: Option<Cors>,
    /// Fields that tell browsers what not to do; `None` adds none.
    pub security: Option<SecurityHeaders>,
    /// Coding of responses; `None` is off.
    pub compress: Option<Compress>,
    /// Decoding of requests; `None` is off.
    pub decompress: Option<Decompress>,
    /// Whether calls of gRPC-Web are made calls of gRPC.
    pub grpc_web: bool,
}

/// Cross-origin resource sharing (Fetch, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Whose pages may read the answers.
    pub origins: Origins,
    /// Methods that they may use.
    pub methods: Vec<Method>,
    /// Fields that they may send.
    pub headers: Names,
    /// Fields that they may read.
    pub expose: Names,
    /// Whether they may send cookies and other credentials; never where anybody may read.
    pub credentials: bool,
    /// For how long a browser need not ask again.
    pub max_age: Duration,
    /// Whether pages of public addresses may ask, where the gateway has a private one.
    pub private_network: bool,
}

/// Which origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every one.
    Any,
    /// One of these; never empty.
    Of(Vec<Origin>),
}

/// An origin, or several of one form.
#[derive(Debug, Clone)]
pub enum Origin {
    /// As browsers write it: `https://example.com`, without the scheme's own port; or `null`.
    Exact(String),
    /// `https://*.example.com`: any name below.
    Below {
        /// Such as `https`.
        scheme: String,
        /// Such as `.example.com` or `.example.com:8443`.
        suffix: String,
    },
    /// `~ regex`; it must match the whole of it.
    Regex {
        /// The expression as it is written.
        text: String,
        /// The same from beginning to end.
        whole: Regex,
    },
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Origin {}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(origin) => f.write_str(origin),
            Self::Below { scheme, suffix } => write!(f, "{scheme}://*{suffix}"),
            Self::Regex { text, .. } => write!(f, "~ {text}"),
        }
    }
}

/// Names of header fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// Every one: `*`.
    Any,
    /// These; maybe none.
    Of(Vec<HeaderName>),
}

/// Fields that tell browsers what not to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityHeaders {
    /// `Strict-Transport-Security`, said over TLS alone.
    pub hsts: Option<HeaderValue>,
    /// `X-Content-Type-Options: nosniff`.
    pub nosniff: bool,
    /// `X-Frame-Options`.
    pub frame_options: FrameOptions,
    /// `Referrer-Policy`.
    pub referrer_policy: Option<HeaderValue>,
    /// `Permissions-Policy`.
    pub permissions_policy: Option<HeaderValue>,
    /// `Content-Security-Policy`.
    pub content_security_policy: Option<HeaderValue>,
    /// `Cross-Origin-Opener-Policy`.
    pub cross_origin_opener_policy: Option<HeaderValue>,
    /// `Cross-Origin-Resource-Policy`.
    pub cross_origin_resource_policy: Option<HeaderValue>,
    /// Whether they replace what the upstream says of the same.
    pub replace: bool,
}

/// Which pages may show a response in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameOptions {
    /// None.
    Deny,
    /// Those of the same origin.
    SameOrigin,
    /// Nothing is said of it.
    Off,
}

/// Coding of responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compress {
    /// Media types that are coded.
    pub types: Vec<MediaRange>,
    /// Bytes below which it is not worth it, where the length is known.
    pub min_size: u64,
    /// Codings, that which is preferred first; never empty, each once.
    pub encodings: Vec<Encoding>,
    /// How hard each of them tries.
    pub levels: Levels,
    /// Whether answers are coded that may hold a secret beside what an attacker chose.
    pub secrets: bool,
}

/// A coding of content (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Brotli (RFC 7932).
    Br,
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

impl Encoding {
    /// Its name in `Content-Encoding`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

/// Levels of codings: more is smaller and slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels {
    /// Of Brotli, 0 to 11.
    pub br: u32,
    /// Of Zstandard, 1 to 19.
    pub zstd: u32,
    /// Of gzip, 1 to 9.
    pub gzip: u32,
}

/// Media types of one form, lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRange {
    /// Such as `text`; `*` is any, and then `subtype` is as well.
    pub kind: String,
    /// Such as `html`, `*` for any, or `*+json` for any that ends so.
    pub subtype: String,
}

/// Decoding of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decompress {
    /// Bytes of the longest body once it is decoded; `None` is as `limits.body` has it.
    pub max_size: Option<u64>,
    /// How many times as long as it came a body may become.
    pub max_ratio: u32,
}
