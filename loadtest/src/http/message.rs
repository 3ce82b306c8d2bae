//! Requests as a script makes them, and what came back.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use bytes::Bytes;

use super::{HttpError, Target};

/// A request, ready to be written.
#[derive(Clone, Debug)]
pub struct Request {
    /// In capitals.
    pub method: Rc<str>,
    /// Where to.
    pub target: Rc<Target>,
    /// Headers of the script and those we add, `Host` apart. Names as the script wrote them.
    pub headers: Vec<(Rc<str>, Rc<str>)>,
    /// The body; `None` sends no `Content-Length` for the methods that seldom have one.
    pub body: Option<Bytes>,
    /// For the whole of one request, redirects apart.
    pub timeout: Duration,
    /// Whether the body of the response is wanted.
    pub keeps_body: bool,
    /// What is to be spoken.
    pub version: Version,
}

/// Which version of HTTP a request asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// What TLS agrees on, HTTP/1.1 without TLS.
    #[default]
    Agreed,
    /// HTTP/1.1.
    H1,
    /// HTTP/2; without TLS with prior knowledge (RFC 9113, 3.3).
    H2,
    /// HTTP/3; never without TLS.
    H3,
}

impl Version {
    /// The words for it, as options and the command line take them.
    pub const WORDS: [&str; 4] = ["1", "1.1", "2", "3"];

    /// One of [`Self::WORDS`].
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "1" | "1.1" => Some(Self::H1),
            "2" => Some(Self::H2),
            "3" => Some(Self::H3),
            _ => None,
        }
    }
}

/// How long the parts of a request took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Until there was a connection, without making one.
    pub blocked: Duration,
    /// TCP connect, or the handshake of QUIC, whose TLS cannot be told apart.
    pub connecting: Duration,
    /// TLS handshake.
    pub tls_handshaking: Duration,
    /// Writing the request.
    pub sending: Duration,
    /// Until the first byte of the response.
    pub waiting: Duration,
    /// From then to its last.
    pub receiving: Duration,
}

impl Timings {
    /// k6's `http_req_duration`: what the server and the network took, connecting apart.
    pub fn duration(&self) -> Duration {
        self.sending + self.waiting + self.receiving
    }
}

/// The version of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proto {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Proto {
    /// As k6 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
            Self::Http3 => "HTTP/3",
        }
    }
}

/// What is known of a connection's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// `tls1.3`.
    pub version: &'static str,
    /// By its IANA name.
    pub cipher: String,
}

/// The head of a response as it came: parsed again when a script looks at it, which most do not.
#[derive(Clone, Debug, Default)]
pub enum Head {
    /// There was none.
    #[default]
    None,
    /// The bytes of an HTTP/1 head.
    Raw(Bytes),
    /// Name and value as HTTP/2 or HTTP/3 gave them.
    Pairs(Vec<(String, String)>),
}

/// How many headers a response may have.
pub(super) const HEADERS_MAX: usize = 256;

impl Head {
    /// Calls `f` with each header, in order, the names as they came.
    pub fn each(&self, mut f: impl FnMut(&str, &[u8])) {
        match self {
            Self::None => {}
            Self::Pairs(pairs) => pairs.iter().for_each(|(name, value)| f(name, value.as_bytes())),
            Self::Raw(bytes) => {
                let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
                let mut response = httparse::Response::new(&mut headers);
                if response.parse(bytes).is_ok() {
                    response.headers.iter().for_each(|header| f(header.name, header.value));
                }
            }
        }
    }

    /// The first header of this name.
    pub fn first(&self, wanted: &str) -> Option<String> {
        let mut found = None;
        self.each(|name, value| {
            if found.is_none() && name.eq_ignore_ascii_case(wanted) {
                found = Some(String::from_utf8_lossy(value).into_owned());
            }
        });
        found
    }
}

/// What came back, or why nothing did.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// 0 when there was no response.
    pub status: u16,
    /// The version.
    pub proto: Proto,
    /// Headers.
    pub head: Head,
    /// The body as it came; empty when it was not wanted.
    pub body: Bytes,
    /// Times.
    pub timings: Timings,
    /// Who answered.
    pub remote: Option<SocketAddr>,
    /// TLS, if any.
    pub tls: Option<Rc<TlsInfo>>,
    /// What went wrong.
    pub error: Option<HttpError>,
    /// Bytes written.
    pub sent: u64,
    /// Bytes read.
    pub received: u64,
    /// What the head says of the body's coding, `Set-Cookie` and `Location`: filled while the head
    /// is at hand, so that the usual response is parsed once.
    pub notes: Notes,
}

/// Which headers that we must act on a head holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// It has `Set-Cookie`.
    pub has_cookies: bool,
    /// It has `Content-Encoding`.
    pub is_encoded: bool,
}

/// `content-type` as `Content-Type`, which is how scripts look headers up.
pub fn canonical(name: &str) -> String {
    let mut up = true;
    let shape = |c: char| {
        let shaped = if up { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        up = c == '-';
        shaped
    };
    name.chars().map(shape).collect()
}
