//! What can go wrong with a request, by k6's numbers.

use std::io;

/// A request that got no response, or one that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct HttpError {
    /// k6's `error_code`.
    pub code: u32,
    /// k6's `error`.
    pub text: String,
    /// Whether another connection may be tried: the connection was an old one and closed before
    /// the first byte of a response.
    pub was_stale: bool,
}

impl HttpError {
    /// The request was put together wrongly: no code of k6's.
    pub const PARAM: u32 = 0;
    /// Nothing more is known.
    pub const GENERIC: u32 = 1000;
    /// The URL is none.
    pub const INVALID_URL: u32 = 1020;
    /// The request's own time was up.
    pub const TIMEOUT: u32 = 1050;
    /// The name could not be looked up.
    pub const DNS: u32 = 1100;
    /// There is no such host.
    pub const DNS_NO_HOST: u32 = 1101;
    /// The address is on the list of blocked ones.
    pub const BLACKLISTED: u32 = 1110;
    /// The host name is on the list of blocked ones.
    pub const BLOCKED: u32 = 1111;
    /// Something else about TCP.
    pub const TCP: u32 = 1200;
    /// Writing to a closed connection.
    pub const BROKEN_PIPE: u32 = 1201;
    /// Connecting failed.
    pub const DIAL: u32 = 1210;
    /// Connecting took too long.
    pub const DIAL_TIMEOUT: u32 = 1211;
    /// Nobody listens.
    pub const REFUSED: u32 = 1212;
    /// The other side reset the connection.
    pub const RESET: u32 = 1220;
    /// TLS failed.
    pub const TLS: u32 = 1300;
    /// The certificate's issuer is not known.
    pub const UNKNOWN_CA: u32 = 1310;
    /// The certificate is for another host.
    pub const HOSTNAME: u32 = 1311;
    /// Something else about HTTP/2.
    pub const H2: u32 = 1600;
    /// The connection was closed by GOAWAY.
    pub const H2_GOAWAY: u32 = 1610;
    /// The stream was reset.
    pub const H2_STREAM: u32 = 1630;
    /// The connection broke a rule.
    pub const H2_CONNECTION: u32 = 1650;
    /// Something else about HTTP/3 or QUIC; k6 has no numbers for them.
    pub const H3: u32 = 1800;
    /// The server closed the connection, or takes no further request on it.
    pub const H3_CLOSED: u32 = 1810;
    /// The stream was reset.
    pub const H3_STREAM: u32 = 1830;
    /// The connection broke a rule, or nothing was heard on it for too long.
    pub const H3_CONNECTION: u32 = 1850;
    /// The body could not be decompressed.
    pub const DECOMPRESSION: u32 = 1701;

    /// An error of this number.
    pub fn new(code: u32, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), was_stale: false }
    }

    /// A parameter of a request that makes no sense.
    pub fn param(text: impl Into<String>) -> Self {
        Self::new(Self::PARAM, text)
    }

    /// An invalid URL.
    pub fn url(reason: &str) -> Self {
        Self::new(Self::INVALID_URL, format!("invalid URL: {reason}"))
    }

    /// The request's time was up.
    pub fn timeout() -> Self {
        Self::new(Self::TIMEOUT, "request timeout")
    }

    /// Connecting failed.
    pub fn dial(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                Self::new(Self::REFUSED, "dial: connection refused")
            }
            io::ErrorKind::TimedOut => Self::new(Self::DIAL_TIMEOUT, "dial: i/o timeout"),
            io::ErrorKind::ConnectionReset => Self::new(Self::RESET, "read: connection reset"),
            _ => Self::new(Self::DIAL, format!("dial: {error}")),
        }
    }

    /// Reading or writing failed.
    pub fn io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Self::BROKEN_PIPE, "write: broken pipe"),
            io::ErrorKind::ConnectionReset => Self::new(Self::RESET, "read: connection reset"),
            io::ErrorKind::UnexpectedEof => Self::new(Self::GENERIC, "unexpected EOF"),
            _ => Self::new(Self::TCP, error.to_string()),
        }
    }

    /// The TLS handshake failed.
    pub fn tls(error: &io::Error) -> Self {
        let rustls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match rustls {
            Some(rustls::Error::InvalidCertificate(reason)) => match reason {
                rustls::CertificateError::UnknownIssuer => {
                    Self::new(Self::UNKNOWN_CA, "x509: certificate signed by unknown authority")
                }
                rustls::CertificateError::NotValidForName
                | rustls::CertificateError::NotValidForNameContext { .. } => {
                    Self::new(Self::HOSTNAME, "x509: certificate is valid for another host name")
                }
                // A certificate that signed itself: nobody known stands behind it.
                other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                    Self::new(Self::UNKNOWN_CA, "x509: certificate signed by unknown authority")
                }
                other => Self::new(Self::TLS, format!("x509: {other}")),
            },
            Some(other) => Self::new(Self::TLS, format!("tls: {other}")),
            None => Self::io(error),
        }
    }

    /// An error of an HTTP/2 connection.
    pub fn h2(error: &h2::Error) -> Self {
        let code = if error.is_go_away() {
            Self::H2_GOAWAY
        } else if error.is_reset() {
            Self::H2_STREAM
        } else if error.is_io() {
            return error.get_io().map_or_else(|| Self::new(Self::H2, "http2"), Self::io);
        } else {
            Self::H2_CONNECTION
        };
        Self::new(code, format!("http2: {error}"))
    }

    /// The same on a connection that had served before and answered nothing this time.
    pub fn stale(mut self) -> Self {
        self.was_stale = true;
        self
    }
}
