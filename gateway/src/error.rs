//! Why a request did not get its upstream's answer: one closed enum, one disposition for each.
//!
//! Four readers share the [`Disposition`]: the client (status, Proxy-Status, Retry-After), the
//! retry policy, the metrics and the access log. `docs/errors.md` lists every row; a test compares.

use std::{fmt, fmt::Write as _};

use http::{HeaderValue, StatusCode};

mod disposition;
#[cfg(test)]
mod tests;

pub use disposition::{Disposition, Retry, Side};

/// Everything that can go wrong with a request, as far as a client or an operator profits from
/// telling it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Error {
    /// The request is malformed.
    BadRequest(Reason),
    /// The request's body is longer than `limits.body`.
    BodyTooLarge,
    /// The request target alone exceeds `limits.headers.bytes`.
    UriTooLong,
    /// The request's head exceeds `limits.headers`, in bytes or in fields.
    HeadersTooLarge,
    /// The client took too long to send the head or a piece of the body.
    RequestTimeout,
    /// `Expect` holds something other than `100-continue`.
    ExpectationFailed,
    /// The connection does not serve this host (RFC 9110, 15.5.20).
    Misdirected,
    /// The request came in TLS early data, where it could be replayed, and is not safe (RFC 8470).
    TooEarly,
    /// The request needs a transfer coding that the gateway does not know (RFC 9112, 6.1).
    NotImplemented,
    /// Extended CONNECT for another protocol than WebSocket (RFC 8441, 5; RFC 9220, 3).
    UnknownProtocol,
    /// The request's body is in a coding that the route does not decode.
    UnknownCoding,
    /// No route takes the request.
    NoRoute,
    /// TRACE, or a method that no route takes at this path, CONNECT unless one names it.
    MethodNotAllowed,
    /// A rule forbids the request.
    Denied,
    /// The route's script failed.
    ScriptFailed,
    /// The client did not say who it is, or was not believed.
    Unauthenticated,
    /// Who the client is cannot be found out at present.
    AuthUnavailable,
    /// One of the route's `rate_limit`s is used up.
    RateLimited,
    /// A key is required, and the request has none.
    IdempotencyKeyMissing,
    /// The key is empty, too long, has characters that no key has, or there are several.
    IdempotencyKeyMalformed,
    /// The request does not say whose key it is.
    IdempotencyKeyUnscoped,
    /// The key was used for another request.
    IdempotencyKeyReused,
    /// Another request with the key is under way.
    IdempotencyKeyInFlight,
    /// Nobody knows what became of the first request with the key.
    IdempotencyKeyUnknown,
    /// The first request with the key ran, and its response was not stored.
    IdempotencyKeySpent,
    /// The body of a request with a key is longer than the route's `idempotency.max_body`.
    IdempotencyKeyTooLarge,
    /// The store of keys cannot be reached, or is full.
    IdempotencyKeyStoreDown,
    /// There is no such file.
    FileNotFound,
    /// The file could not be read, for no fault of the client's.
    FileUnreadable,
    /// The route is closed by its `maintenance`.
    Maintenance,
    /// The route's `fault` made the request fail, with this status.
    FaultInjected(StatusCode),
    /// The gateway itself is at a limit.
    Overloaded,
    /// The route's `concurrency` is under way already.
    RouteBusy,
    /// The gateway is about to stop and takes no more requests.
    Draining,
    /// The upstream has no endpoint.
    NoEndpoint,
    /// The upstream's connections, requests and queue are at their limits.
    UpstreamBusy,
    /// The request waited `queue_timeout` for its turn.
    QueueTimeout,
    /// All endpoints that could be asked have their breaker open.
    BreakerOpen,
    /// The endpoint's name could not be looked up.
    LookupFailed,
    /// The endpoint refused the connection.
    ConnectRefused,
    /// No connection within `connect_timeout`.
    ConnectTimeout,
    /// The connection failed for another reason: no way there, no free port, no such socket.
    ConnectFailed,
    /// The TLS handshake with the endpoint failed.
    UpstreamTls,
    /// The endpoint's certificate is not one to trust.
    UpstreamCertificate,
    /// The endpoint said that it did not look at the request (REFUSED_STREAM, or beyond GOAWAY).
    UpstreamRefused,
    /// The connection broke before the response's head.
    UpstreamReset {
        /// Whether the connection had served another request before.
        reused: bool,
    },
    /// What the endpoint sent is not a valid response.
    UpstreamGarbage,
    /// The response's head is longer than the gateway takes.
    UpstreamHeadersTooLarge,
    /// The endpoint switched protocols unasked or wrongly, or agreed without switching where that
    /// would tell the client of a success.
    UpgradeFailed,
    /// The connection to the endpoint takes no extended CONNECT (RFC 8441, 3; RFC 9220, 3).
    UpgradeUnsupported,
    /// No response head within the route's `timeout.headers`.
    HeadersTimeout,
    /// The route's `timeout.total` is over, or the client's own deadline.
    DeadlinePassed,
    /// The response's body ended early or broke its framing.
    UpstreamBodyBroken,
    /// No piece of the response's body within the route's `timeout.idle`.
    UpstreamBodyTimeout,
    /// The endpoint broke a tunnel off.
    TunnelBroken {
        /// Whether it is one of plain CONNECT, whose clients know a code for that.
        connect: bool,
    },
    /// Nothing moved in a tunnel within the route's `timeout.idle`.
    TunnelIdle,
    /// The client went away before the response was complete.
    ClientGone,
    /// A state that the gateway's code holds to be impossible.
    Bug,
}

/// What is wrong with a malformed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The head is not HTTP.
    Syntax,
    /// The request target has a form that does not go with the method, or forbidden characters.
    Target,
    /// No Host field and no authority.
    HostMissing,
    /// More than one Host field.
    HostRepeated,
    /// The host is not one by RFC 3986, carries user information or an impossible port.
    Host,
    /// Content-Length is not a number.
    ContentLength,
    /// More than one Content-Length.
    ContentLengthRepeated,
    /// Transfer-Encoding is malformed, repeated, or in a version that has none.
    TransferEncoding,
    /// Both Transfer-Encoding and Content-Length.
    Framing,
    /// A field name with forbidden characters.
    FieldName,
    /// A field value with forbidden characters.
    FieldValue,
    /// A field that belongs to an HTTP/1 connection, in another version.
    ConnectionField,
    /// The body's framing is broken, or it is shorter or longer than announced.
    Body,
    /// `grpc-timeout` of a call or `x-request-deadline` is malformed, or there are several.
    Deadline,
}

impl Error {
    /// Name in metrics and docs: the variant in snake case.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::BadRequest(_) => "bad_request",
            Self::BodyTooLarge => "body_too_large",
            Self::UriTooLong => "uri_too_long",
            Self::HeadersTooLarge => "headers_too_large",
            Self::RequestTimeout => "request_timeout",
            Self::ExpectationFailed => "expectation_failed",
            Self::Misdirected => "misdirected",
            Self::TooEarly => "too_early",
            Self::NotImplemented => "not_implemented",
            Self::UnknownProtocol => "unknown_protocol",
            Self::UnknownCoding => "unknown_coding",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Denied => "denied",
            Self::ScriptFailed => "script_failed",
            Self::Unauthenticated => "unauthenticated",
            Self::AuthUnavailable => "auth_unavailable",
            Self::RateLimited => "rate_limited",
            Self::IdempotencyKeyMissing => "idempotency_key_missing",
            Self::IdempotencyKeyMalformed => "idempotency_key_malformed",
            Self::IdempotencyKeyUnscoped => "idempotency_key_unscoped",
            Self::IdempotencyKeyReused => "idempotency_key_reused",
            Self::IdempotencyKeyInFlight => "idempotency_key_in_flight",
            Self::IdempotencyKeyUnknown => "idempotency_key_unknown",
            Self::IdempotencyKeySpent => "idempotency_key_spent",
            Self::IdempotencyKeyTooLarge => "idempotency_key_too_large",
            Self::IdempotencyKeyStoreDown => "idempotency_key_store_down",
            Self::FileNotFound => "file_not_found",
            Self::FileUnreadable => "file_unreadable",
            Self::Maintenance => "maintenance",
            Self::FaultInjected(_) => "fault_injected",
            Self::Overloaded => "overloaded",
            Self::RouteBusy => "route_busy",
            Self::Draining => "draining",
            Self::NoEndpoint => "no_endpoint",
            Self::UpstreamBusy => "upstream_busy",
            Self::QueueTimeout => "queue_timeout",
            Self::BreakerOpen => "breaker_open",
            Self::LookupFailed => "lookup_failed",
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectFailed => "connect_failed",
            Self::UpstreamTls => "upstream_tls",
            Self::UpstreamCertificate => "upstream_certificate",
            Self::UpstreamRefused => "upstream_refused",
            Self::UpstreamReset { .. } => "upstream_reset",
            Self::UpstreamGarbage => "upstream_garbage",
            Self::UpstreamHeadersTooLarge => "upstream_headers_too_large",
            Self::UpgradeFailed => "upgrade_failed",
            Self::UpgradeUnsupported => "upgrade_unsupported",
            Self::HeadersTimeout => "headers_timeout",
            Self::DeadlinePassed => "deadline_passed",
            Self::UpstreamBodyBroken => "upstream_body_broken",
            Self::UpstreamBodyTimeout => "upstream_body_timeout",
            Self::TunnelBroken { .. } => "tunnel_broken",
            Self::TunnelIdle => "tunnel_idle",
            Self::ClientGone => "client_gone",
            Self::Bug => "bug",
        }
    }

    /// Names of all errors, for those that count by name.
    pub const NAMES: &'static [&'static str] = &[
        "bad_request",
        "body_too_large",
        "uri_too_long",
        "headers_too_large",
        "request_timeout",
        "expectation_failed",
        "misdirected",
        "too_early",
        "not_implemented",
        "unknown_protocol",
        "unknown_coding",
        "no_route",
        "method_not_allowed",
        "denied",
        "script_failed",
        "unauthenticated",
        "auth_unavailable",
        "rate_limited",
        "idempotency_key_missing",
        "idempotency_key_malformed",
        "idempotency_key_unscoped",
        "idempotency_key_reused",
        "idempotency_key_in_flight",
        "idempotency_key_unknown",
        "idempotency_key_spent",
        "idempotency_key_too_large",
        "idempotency_key_store_down",
        "file_not_found",
        "file_unreadable",
        "maintenance",
        "fault_injected",
        "overloaded",
        "route_busy",
        "draining",
        "no_endpoint",
        "upstream_busy",
        "queue_timeout",
        "breaker_open",
        "lookup_failed",
        "connect_refused",
        "connect_timeout",
        "connect_failed",
        "upstream_tls",
        "upstream_certificate",
        "upstream_refused",
        "upstream_reset",
        "upstream_garbage",
        "upstream_headers_too_large",
        "upgrade_failed",
        "upgrade_unsupported",
        "headers_timeout",
        "deadline_passed",
        "upstream_body_broken",
        "upstream_body_timeout",
        "tunnel_broken",
        "tunnel_idle",
        "client_gone",
        "bug",
    ];

    /// Its place among [`Error::NAMES`].
    pub fn index(self) -> usize {
        let name = self.name();
        Self::NAMES.iter().position(|other| *other == name).unwrap_or(Self::NAMES.len())
    }

    /// Body of the response: `502 connection refused by the upstream (UF)` and a line's end.
    pub fn problem(&self) -> String {
        let Disposition { status, flag, .. } = self.disposition();
        format!("{} {self} ({flag})\n", status.as_u16())
    }

    /// Value of Proxy-Status (RFC 9209) for a response that the gateway made itself; `name` is what
    /// the gateway calls itself, a token.
    pub fn proxy_status_value(&self, name: &str) -> HeaderValue {
        let mut value = String::with_capacity(name.len() + 48);
        value.push_str(name);
        if let Some(error) = self.proxy_status() {
            value.push_str("; error=");
            value.push_str(error);
        }
        if let Self::BadRequest(reason) = self {
            // Writing to a String cannot fail.
            let _ = write!(value, "; details=\"{reason}\"");
        }
        HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("weir"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRequest(reason) => return write!(f, "bad request: {reason}"),
            Self::BodyTooLarge => "the request's body is too large",
            Self::UriTooLong => "the request target is too long",
            Self::HeadersTooLarge => "the request's header fields are too large or too many",
            Self::RequestTimeout => "the request took too long to arrive",
            Self::ExpectationFailed => "the request expects something other than 100-continue",
            Self::Misdirected => "this connection does not serve the requested host",
            Self::TooEarly => "this request must wait for the end of the handshake",
            Self::NotImplemented => "the request's transfer coding is not implemented",
            Self::UnknownProtocol => "tunnels of the requested protocol are not implemented",
            Self::UnknownCoding => "the request's content coding is not accepted",
            Self::NoRoute => "no route takes this request",
            Self::MethodNotAllowed => "this method is not allowed here",
            Self::Denied => "the request is denied",
            Self::ScriptFailed => "the script of this route failed",
            Self::Unauthenticated => "this needs a good credential",
            Self::AuthUnavailable => "credentials cannot be checked at present",
            Self::RateLimited => "too many requests",
            Self::IdempotencyKeyMissing => "this request needs an idempotency key",
            Self::IdempotencyKeyMalformed => "the idempotency key is malformed",
            Self::IdempotencyKeyUnscoped => "the idempotency key is nobody's",
            Self::IdempotencyKeyReused => "the idempotency key was used for another request",
            Self::IdempotencyKeyInFlight => "a request with this idempotency key is under way",
            Self::IdempotencyKeyUnknown => "what became of this idempotency key is unknown",
            Self::IdempotencyKeySpent => "the outcome of this idempotency key was not stored",
            Self::IdempotencyKeyTooLarge => "the request is too large for an idempotency key",
            Self::IdempotencyKeyStoreDown => "idempotency keys cannot be kept at present",
            Self::FileNotFound => "there is no such file",
            Self::FileUnreadable => "the file could not be read",
            Self::Maintenance => "closed for maintenance",
            Self::FaultInjected(_) => "this error was made on purpose",
            Self::Overloaded => "the gateway is at its limits",
            Self::RouteBusy => "the route is at its limit",
            Self::Draining => "the gateway is shutting down",
            Self::NoEndpoint => "no endpoint in the upstream",
            Self::UpstreamBusy => "the upstream is at its limits",
            Self::QueueTimeout => "no free place in the upstream in time",
            Self::BreakerOpen => "the upstream failed too often of late",
            Self::LookupFailed => "the upstream's name could not be looked up",
            Self::ConnectRefused => "connection refused by the upstream",
            Self::ConnectTimeout => "no connection to the upstream in time",
            Self::ConnectFailed => "no connection to the upstream",
            Self::UpstreamTls => "the TLS handshake with the upstream failed",
            Self::UpstreamCertificate => "the upstream's certificate was not accepted",
            Self::UpstreamRefused => "the upstream refused the request unseen",
            Self::UpstreamReset { reused: true } => "the upstream closed a kept connection",
            Self::UpstreamReset { reused: false } => {
                "the upstream closed the connection before it answered"
            }
            Self::UpstreamGarbage => "the upstream's response is invalid",
            Self::UpstreamHeadersTooLarge => "the upstream's response header is too large",
            Self::UpgradeFailed => "the upstream did not switch protocols as asked",
            Self::UpgradeUnsupported => "the upstream takes no extended CONNECT",
            Self::HeadersTimeout => "the upstream did not answer in time",
            Self::DeadlinePassed => "the time for this request is over",
            Self::UpstreamBodyBroken => "the upstream's response is incomplete",
            Self::UpstreamBodyTimeout => "the upstream's response stalled",
            Self::TunnelBroken { .. } => "the upstream broke the tunnel off",
            Self::TunnelIdle => "nothing moved in the tunnel for too long",
            Self::ClientGone => "the client went away",
            Self::Bug => "internal error of the gateway",
        })
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "not HTTP",
            Self::Target => "invalid request target",
            Self::HostMissing => "no host",
            Self::HostRepeated => "several Host fields",
            Self::Host => "invalid host",
            Self::ContentLength => "invalid Content-Length",
            Self::ContentLengthRepeated => "several Content-Length values",
            Self::TransferEncoding => "invalid Transfer-Encoding",
            Self::Framing => "both Transfer-Encoding and Content-Length",
            Self::FieldName => "invalid field name",
            Self::FieldValue => "invalid field value",
            Self::ConnectionField => "connection-specific field outside of HTTP/1",
            Self::Body => "invalid body",
            Self::Deadline => "invalid deadline",
        })
    }
}
