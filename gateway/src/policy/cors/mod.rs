//! Who may read answers from pages of another origin: `cors` (Fetch, section 3.2).
//!
//! Preflights are answered here, before anybody asks who sends them: browsers send them without
//! credentials. What an upstream says of the matter is replaced. An origin that is not allowed gets
//! no fields, which is what its browser goes by; its request goes on.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request};
use weir_config::model::{self, Names};

use super::vary::vary;

mod origins;

use origins::Origins;

/// What a route says of other origins, as browsers are told.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Origins,
    methods: HeaderValue,
    /// `None` is any.
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
    credentials: bool,
    private_network: bool,
}

/// What a request says.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Its origin, if it is allowed.
    origin: Option<HeaderValue>,
    preflight: Option<Box<Preflight>>,
    /// What it comes to, for those who count.
    pub(crate) outcome: Option<Outcome>,
}

/// What a preflight asks for.
#[derive(Debug)]
struct Preflight {
    headers: Option<HeaderValue>,
    private_network: bool,
}

/// What a request of another origin came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A preflight of an origin that is allowed.
    Preflight,
    /// A request of one.
    Allowed,
    /// Either, of one that is not.
    Refused,
}

static PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
static ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");

/// What calls of gRPC-Web send and read beside what is written.
const GRPC_SENDS: [&str; 3] = ["x-grpc-web", "x-user-agent", "grpc-timeout"];
const GRPC_READS: [&str; 3] = ["grpc-status", "grpc-message", "grpc-status-details-bin"];

/// The method that a preflight asks for; `None` where the request is none.
pub(crate) fn preflight_of(head: &request::Parts) -> Option<Method> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(header::ORIGIN) {
        return None;
    }
    let method = head.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(method.as_bytes()).ok()
}

impl Cors {
    pub(crate) fn new(config: &model::Cors, grpc_web: bool) -> Self {
        let methods: Vec<_> = config.methods.iter().map(Method::as_str).collect();
        let (sends, reads) = match grpc_web {
            true => (&GRPC_SENDS[..], &GRPC_READS[..]),
            false => (&[][..], &[][..]),
        };
        let expose = match &config.expose {
            Names::Any => Some(HeaderValue::from_static("*")),
            Names::Of(names) => list(names, reads),
        };
        Self {
            origins: Origins::new(&config.origins),
            methods: joined(&methods),
            headers: match &config.headers {
                Names::Any => None,
                Names::Of(names) => Some(list(names, sends).unwrap_or_else(|| joined(&[]))),
            },
            expose,
            max_age: HeaderValue::from(config.max_age.as_secs()),
            credentials: config.credentials,
            private_network: config.private_network,
        }
    }

    /// What a request says.
    pub(crate) fn ask(&self, head: &request::Parts) -> Asked {
        let Some(origin) = head.headers.get(header::ORIGIN) else { return Asked::default() };
        let allowed = self.origins.allows(origin);
        let preflight = preflight_of(head).map(|_| {
            let headers = head.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
            let private = head.headers.get(&PRIVATE_NETWORK).map(HeaderValue::as_bytes);
            Box::new(Preflight { headers, private_network: private == Some(b"true") })
        });
        let outcome = match (allowed, &preflight) {
            (false, _) => Outcome::Refused,
            (true, Some(_)) => Outcome::Preflight,
            (true, None) => Outcome::Allowed,
        };
        Asked { origin: allowed.then(|| origin.clone()), preflight, outcome: Some(outcome) }
    }

    /// Puts the fields of an answer in the place of those that it has.
    pub(crate) fn apply(&self, asked: &Asked, headers: &mut HeaderMap) {
        for name in [
            &header::ACCESS_CONTROL_ALLOW_ORIGIN,
            &header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            &header::ACCESS_CONTROL_EXPOSE_HEADERS,
            &header::ACCESS_CONTROL_ALLOW_METHODS,
            &header::ACCESS_CONTROL_ALLOW_HEADERS,
            &header::ACCESS_CONTROL_MAX_AGE,
            &ALLOW_PRIVATE_NETWORK,
        ] {
            headers.remove(name);
        }
        let anybody = self.origins.is_any();
        if !anybody {
            vary(headers, header::ORIGIN);
        }
        if asked.preflight.is_some() {
            vary(headers, header::ACCESS_CONTROL_REQUEST_METHOD);
            vary(headers, header::ACCESS_CONTROL_REQUEST_HEADERS);
        }
        let origin = match &asked.origin {
            _ if anybody => HeaderValue::from_static("*"),
            Some(origin) => origin.clone(),
            None => return,
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        match &asked.preflight {
            Some(preflight) => self.answer(preflight, headers),
            None => {
                let expose = self.expose.clone();
                let name = header::ACCESS_CONTROL_EXPOSE_HEADERS;
                headers.extend(expose.map(|expose| (name, expose)));
            }
        }
    }

    /// What a preflight asked for.
    fn answer(&self, preflight: &Preflight, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        // Any is what was asked for: the `*` of the standard leaves out Authorization, and all of
        // them where credentials are sent.
        let allowed = self.headers.as_ref().or(preflight.headers.as_ref());
        if let Some(allowed) = allowed.filter(|allowed| !allowed.is_empty()) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed.clone());
        }
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        if self.private_network && preflight.private_network {
            headers.insert(&ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
        }
    }
}

impl Asked {
    /// Whether the gateway is to answer.
    pub(crate) const fn is_preflight(&self) -> bool {
        self.preflight.is_some()
    }
}

/// Names of fields as a list; `None` of none.
fn list(names: &[HeaderName], more: &[&str]) -> Option<HeaderValue> {
    let names: Vec<_> = names.iter().map(HeaderName::as_str).collect();
    let more = more.iter().filter(|name| !names.contains(*name));
    let all: Vec<_> = names.iter().chain(more).copied().collect();
    (!all.is_empty()).then(|| joined(&all))
}

fn joined(words: &[&str]) -> HeaderValue {
    // Methods and names of fields are tokens, which any value may hold.
    HeaderValue::try_from(words.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
