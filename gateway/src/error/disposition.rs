//! What follows from each error: the table of `docs/errors.md` as code.

use std::time::Duration;

use http::StatusCode;

use super::Error;

/// The HTTP party at whose door the fault lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client.
    Downstream,
    /// An endpoint, or the way there.
    Upstream,
    /// The gateway or its configuration.
    Gateway,
}

/// When another attempt is right, budget and deadline permitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// Another attempt is wrong or would end in the same way.
    Never,
    /// Always: the endpoint has seen nothing of the request, or says so.
    Safe,
    /// The connection had been idle and most likely was closed before the request arrived: for
    /// idempotent requests, and for others where the caller knows that not a byte was answered.
    ReusedOrIdempotent,
    /// Only for idempotent requests: the endpoint may have acted.
    Idempotent,
}

/// What follows from an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disposition {
    /// Status of the response, if its head is not sent yet. 499 is for the log only.
    pub status: StatusCode,
    /// Error type of RFC 9209, 2.3; `None` where nobody is there to read it.
    pub proxy_status: Option<&'static str>,
    /// Short flag of the access log and the metrics; `-` for a bug.
    pub flag: &'static str,
    /// Whose fault it is.
    pub side: Side,
    /// Whether another attempt is right.
    pub retry: Retry,
    /// Whether an HTTP/1 downstream connection must close after the response.
    pub close: bool,
    /// Value of Retry-After, unless more is known ([`Error::BreakerOpen`], [`Error::RateLimited`]).
    pub retry_after: Option<Duration>,
}

/// How long clients are asked to stay away at least while a limit is reached, or a breaker open.
const BACK_OFF: Duration = Duration::from_secs(1);

impl Error {
    /// What follows from it; allocates nothing.
    pub fn disposition(&self) -> Disposition {
        let status = self.status();
        let (flag, side, retry) = self.classify();
        Disposition {
            status,
            proxy_status: self.proxy_status(),
            flag,
            side,
            retry,
            close: self.closes(),
            retry_after: match self {
                Self::Overloaded
                | Self::RouteBusy
                | Self::Draining
                | Self::UpstreamBusy
                | Self::QueueTimeout
                | Self::BreakerOpen
                | Self::AuthUnavailable
                | Self::IdempotencyKeyInFlight
                | Self::IdempotencyKeyStoreDown => Some(BACK_OFF),
                _ => None,
            },
        }
    }

    /// Status of the response.
    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_)
            | Self::IdempotencyKeyMissing
            | Self::IdempotencyKeyMalformed
            | Self::IdempotencyKeyUnscoped => StatusCode::BAD_REQUEST,
            Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::IdempotencyKeyInFlight
            | Self::IdempotencyKeyUnknown
            | Self::IdempotencyKeySpent => StatusCode::CONFLICT,
            Self::BodyTooLarge | Self::IdempotencyKeyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UriTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::TooEarly => StatusCode::TOO_EARLY,
            Self::NotImplemented | Self::UnknownProtocol => StatusCode::NOT_IMPLEMENTED,
            Self::UnknownCoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NoRoute | Self::FileNotFound => StatusCode::NOT_FOUND,
            Self::FaultInjected(status) => *status,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Maintenance
            | Self::Overloaded
            | Self::RouteBusy
            | Self::Draining
            | Self::NoEndpoint
            | Self::UpstreamBusy
            | Self::QueueTimeout
            | Self::BreakerOpen
            | Self::AuthUnavailable
            | Self::IdempotencyKeyStoreDown => StatusCode::SERVICE_UNAVAILABLE,
            Self::LookupFailed
            | Self::ConnectRefused
            | Self::ConnectFailed
            | Self::UpstreamTls
            | Self::UpstreamCertificate
            | Self::UpstreamRefused
            | Self::UpstreamReset { .. }
            | Self::UpstreamGarbage
            | Self::UpstreamHeadersTooLarge
            | Self::UpgradeFailed
            | Self::UpgradeUnsupported
            | Self::TunnelBroken { .. }
            | Self::UpstreamBodyBroken => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout
            | Self::HeadersTimeout
            | Self::DeadlinePassed
            | Self::TunnelIdle
            | Self::UpstreamBodyTimeout => StatusCode::GATEWAY_TIMEOUT,
            // 499 is what nginx made customary; it is a valid code, so the fallback never shows.
            Self::ClientGone => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            Self::FileUnreadable | Self::ScriptFailed | Self::Bug => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// Error type of RFC 9209, 2.3.
    pub(super) const fn proxy_status(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadRequest(_)
            | Self::BodyTooLarge
            | Self::UriTooLong
            | Self::HeadersTooLarge
            | Self::RequestTimeout
            | Self::ExpectationFailed
            | Self::Misdirected
            | Self::NotImplemented
            | Self::UnknownProtocol
            | Self::UnknownCoding
            | Self::IdempotencyKeyMissing
            | Self::IdempotencyKeyMalformed
            | Self::IdempotencyKeyTooLarge => "http_request_error",
            Self::NoRoute => "destination_not_found",
            Self::TooEarly
            | Self::MethodNotAllowed
            | Self::Denied
            | Self::Unauthenticated
            | Self::RateLimited
            | Self::IdempotencyKeyUnscoped
            | Self::IdempotencyKeyReused
            | Self::IdempotencyKeyInFlight
            | Self::IdempotencyKeyUnknown
            | Self::IdempotencyKeySpent => "http_request_denied",
            Self::Maintenance
            | Self::FaultInjected(_)
            | Self::Overloaded
            | Self::RouteBusy
            | Self::Draining
            | Self::AuthUnavailable
            | Self::IdempotencyKeyStoreDown => "proxy_internal_response",
            Self::NoEndpoint | Self::ConnectFailed => "destination_unavailable",
            Self::UpstreamBusy | Self::QueueTimeout | Self::BreakerOpen => {
                "connection_limit_reached"
            }
            Self::LookupFailed => "dns_error",
            Self::ConnectRefused => "connection_refused",
            Self::ConnectTimeout => "connection_timeout",
            Self::UpstreamTls => "tls_protocol_error",
            Self::UpstreamCertificate => "tls_certificate_error",
            Self::UpstreamRefused | Self::UpstreamReset { .. } | Self::TunnelBroken { .. } => {
                "connection_terminated"
            }
            Self::TunnelIdle => "connection_read_timeout",
            Self::UpstreamGarbage => "http_protocol_error",
            Self::UpstreamHeadersTooLarge => "http_response_header_section_size",
            Self::UpgradeFailed | Self::UpgradeUnsupported => "http_upgrade_failed",
            Self::HeadersTimeout | Self::DeadlinePassed | Self::UpstreamBodyTimeout => {
                "http_response_timeout"
            }
            Self::UpstreamBodyBroken => "http_response_incomplete",
            // The gateway is the origin of it: nothing went wrong on a way.
            Self::FileNotFound | Self::ClientGone => return None,
            Self::FileUnreadable | Self::ScriptFailed | Self::Bug => "proxy_internal_error",
        })
    }

    /// Flag, side and retry rule.
    const fn classify(&self) -> (&'static str, Side, Retry) {
        match self {
            Self::BadRequest(_)
            | Self::BodyTooLarge
            | Self::UriTooLong
            | Self::HeadersTooLarge
            | Self::RequestTimeout
            | Self::ExpectationFailed
            | Self::Misdirected
            | Self::NotImplemented
            | Self::UnknownProtocol
            | Self::UnknownCoding => ("DPE", Side::Downstream, Retry::Never),
            Self::TooEarly => ("DN", Side::Downstream, Retry::Never),
            Self::RateLimited => ("RL", Side::Downstream, Retry::Never),
            Self::ScriptFailed => ("SC", Side::Gateway, Retry::Never),
            Self::IdempotencyKeyMissing
            | Self::IdempotencyKeyMalformed
            | Self::IdempotencyKeyUnscoped
            | Self::IdempotencyKeyReused
            | Self::IdempotencyKeyInFlight
            | Self::IdempotencyKeyUnknown
            | Self::IdempotencyKeySpent
            | Self::IdempotencyKeyTooLarge => ("IK", Side::Downstream, Retry::Never),
            Self::IdempotencyKeyStoreDown => ("IK", Side::Gateway, Retry::Never),
            Self::NoRoute => ("NR", Side::Gateway, Retry::Never),
            Self::FileNotFound => ("NF", Side::Downstream, Retry::Never),
            Self::FileUnreadable => ("FE", Side::Gateway, Retry::Never),
            Self::Maintenance => ("MT", Side::Gateway, Retry::Never),
            Self::FaultInjected(_) => ("FI", Side::Gateway, Retry::Never),
            Self::Unauthenticated => ("DN", Side::Downstream, Retry::Never),
            Self::MethodNotAllowed | Self::Denied | Self::AuthUnavailable => {
                ("DN", Side::Gateway, Retry::Never)
            }
            Self::Overloaded | Self::RouteBusy | Self::Draining => {
                ("OM", Side::Gateway, Retry::Never)
            }
            Self::NoEndpoint => ("UH", Side::Upstream, Retry::Never),
            Self::UpstreamBusy => ("UO", Side::Upstream, Retry::Safe),
            Self::QueueTimeout | Self::BreakerOpen => ("UO", Side::Upstream, Retry::Never),
            Self::LookupFailed
            | Self::ConnectRefused
            | Self::ConnectTimeout
            | Self::ConnectFailed
            | Self::UpstreamTls => ("UF", Side::Upstream, Retry::Safe),
            Self::UpstreamCertificate => ("UF", Side::Upstream, Retry::Never),
            Self::UpstreamRefused => ("UC", Side::Upstream, Retry::Safe),
            Self::UpstreamReset { reused: true } => {
                ("UC", Side::Upstream, Retry::ReusedOrIdempotent)
            }
            Self::UpstreamReset { reused: false } | Self::UpstreamGarbage => {
                ("UC", Side::Upstream, Retry::Idempotent)
            }
            Self::UpstreamHeadersTooLarge
            | Self::UpgradeFailed
            | Self::UpgradeUnsupported
            | Self::TunnelBroken { .. }
            | Self::UpstreamBodyBroken => ("UC", Side::Upstream, Retry::Never),
            Self::HeadersTimeout => ("UT", Side::Upstream, Retry::Idempotent),
            Self::DeadlinePassed | Self::UpstreamBodyTimeout => {
                ("UT", Side::Upstream, Retry::Never)
            }
            Self::TunnelIdle => ("UT", Side::Gateway, Retry::Never),
            Self::ClientGone => ("DC", Side::Downstream, Retry::Never),
            Self::Bug => ("-", Side::Gateway, Retry::Never),
        }
    }

    /// Whether the rest of the downstream connection is not to be trusted, or nobody reads it.
    const fn closes(&self) -> bool {
        matches!(
            self,
            Self::BadRequest(_)
                | Self::BodyTooLarge
                | Self::UriTooLong
                | Self::HeadersTooLarge
                | Self::RequestTimeout
                | Self::NotImplemented
                | Self::IdempotencyKeyTooLarge
                | Self::FileUnreadable
                | Self::Draining
                | Self::UpstreamBodyBroken
                | Self::UpstreamBodyTimeout
                | Self::TunnelBroken { .. }
                | Self::TunnelIdle
                | Self::ClientGone
                | Self::Bug
        )
    }
}
