use super::*;

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md"));

/// Every variant, in the enum's order. `following` makes the compiler ask for new ones.
fn every() -> Vec<Error> {
    std::iter::successors(Some(Error::BadRequest(Reason::Syntax)), following).collect()
}

fn following(error: &Error) -> Option<Error> {
    Some(match error {
        Error::BadRequest(_) => Error::BodyTooLarge,
        Error::BodyTooLarge => Error::UriTooLong,
        Error::UriTooLong => Error::HeadersTooLarge,
        Error::HeadersTooLarge => Error::RequestTimeout,
        Error::RequestTimeout => Error::ExpectationFailed,
        Error::ExpectationFailed => Error::Misdirected,
        Error::Misdirected => Error::TooEarly,
        Error::TooEarly => Error::NotImplemented,
        Error::NotImplemented => Error::UnknownProtocol,
        Error::UnknownProtocol => Error::UnknownCoding,
        Error::UnknownCoding => Error::NoRoute,
        Error::NoRoute => Error::MethodNotAllowed,
        Error::MethodNotAllowed => Error::Denied,
        Error::Denied => Error::ScriptFailed,
        Error::ScriptFailed => Error::Unauthenticated,
        Error::Unauthenticated => Error::AuthUnavailable,
        Error::AuthUnavailable => Error::RateLimited,
        Error::RateLimited => Error::IdempotencyKeyMissing,
        Error::IdempotencyKeyMissing => Error::IdempotencyKeyMalformed,
        Error::IdempotencyKeyMalformed => Error::IdempotencyKeyUnscoped,
        Error::IdempotencyKeyUnscoped => Error::IdempotencyKeyReused,
        Error::IdempotencyKeyReused => Error::IdempotencyKeyInFlight,
        Error::IdempotencyKeyInFlight => Error::IdempotencyKeyUnknown,
        Error::IdempotencyKeyUnknown => Error::IdempotencyKeySpent,
        Error::IdempotencyKeySpent => Error::IdempotencyKeyTooLarge,
        Error::IdempotencyKeyTooLarge => Error::IdempotencyKeyStoreDown,
        Error::IdempotencyKeyStoreDown => Error::FileNotFound,
        Error::FileNotFound => Error::FileUnreadable,
        Error::FileUnreadable => Error::Maintenance,
        Error::Maintenance => Error::FaultInjected(StatusCode::SERVICE_UNAVAILABLE),
        Error::FaultInjected(_) => Error::Overloaded,
        Error::Overloaded => Error::RouteBusy,
        Error::RouteBusy => Error::Draining,
        Error::Draining => Error::NoEndpoint,
        Error::NoEndpoint => Error::UpstreamBusy,
        Error::UpstreamBusy => Error::QueueTimeout,
        Error::QueueTimeout => Error::BreakerOpen,
        Error::BreakerOpen => Error::LookupFailed,
        Error::LookupFailed => Error::ConnectRefused,
        Error::ConnectRefused => Error::ConnectTimeout,
        Error::ConnectTimeout => Error::ConnectFailed,
        Error::ConnectFailed => Error::UpstreamTls,
        Error::UpstreamTls => Error::UpstreamCertificate,
        Error::UpstreamCertificate => Error::UpstreamRefused,
        Error::UpstreamRefused => Error::UpstreamReset { reused: true },
        Error::UpstreamReset { reused: true } => Error::UpstreamReset { reused: false },
        Error::UpstreamReset { reused: false } => Error::UpstreamGarbage,
        Error::UpstreamGarbage => Error::UpstreamHeadersTooLarge,
        Error::UpstreamHeadersTooLarge => Error::UpgradeFailed,
        Error::UpgradeFailed => Error::UpgradeUnsupported,
        Error::UpgradeUnsupported => Error::HeadersTimeout,
        Error::HeadersTimeout => Error::DeadlinePassed,
        Error::DeadlinePassed => Error::UpstreamBodyBroken,
        Error::UpstreamBodyBroken => Error::UpstreamBodyTimeout,
        Error::UpstreamBodyTimeout => Error::TunnelBroken { connect: false },
        Error::TunnelBroken { .. } => Error::TunnelIdle,
        Error::TunnelIdle => Error::ClientGone,
        Error::ClientGone => Error::Bug,
        Error::Bug => return None,
    })
}

/// The row that `docs/errors.md` must hold for an error.
fn row(error: Error) -> String {
    let d = error.disposition();
    let retry = match d.retry {
        Retry::Never => "never",
        Retry::Safe => "safe",
        Retry::ReusedOrIdempotent => "reused or idempotent",
        Retry::Idempotent => "idempotent",
    };
    let side = match d.side {
        Side::Downstream => "client",
        Side::Upstream => "upstream",
        Side::Gateway => "gateway",
    };
    let name = match error {
        Error::UpstreamReset { reused: true } => "upstream_reset (kept connection)".to_owned(),
        other => other.name().to_owned(),
    };
    let token = d.proxy_status.unwrap_or("-");
    let close = if d.close { "yes" } else { "no" };
    let after = d.retry_after.map_or_else(|| "-".to_owned(), |t| format!("{} s", t.as_secs()));
    let (status, flag) = (d.status.as_u16(), d.flag);
    format!("| {name} | {status} | {token} | {flag} | {side} | {retry} | {close} | {after} |")
}

#[test]
fn the_document_lists_every_error_and_no_other() {
    let rows: Vec<String> = every().into_iter().map(row).collect();
    let written: Vec<&str> =
        DOCUMENT.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| error ")).collect();
    assert_eq!(written, rows, "docs/errors.md should hold\n{}", rows.join("\n"));
}

#[test]
fn names_and_texts_are_unique_and_short() {
    let all = every();
    for (i, error) in all.iter().enumerate() {
        assert!(error.to_string().len() <= 60, "{error}");
        for other in &all[i + 1..] {
            assert_ne!(error.to_string(), other.to_string());
        }
    }
}

#[test]
fn gateway_made_responses_have_error_statuses() {
    for error in every() {
        let d = error.disposition();
        assert!(d.status.is_client_error() || d.status.is_server_error());
        // A retry is only ever about an upstream.
        assert!(d.retry == Retry::Never || d.side == Side::Upstream, "{error:?}");
    }
}

#[test]
fn problem_names_status_text_and_flag() {
    assert_eq!(Error::ConnectRefused.problem(), "502 connection refused by the upstream (UF)\n");
    assert_eq!(Error::BadRequest(Reason::Host).problem(), "400 bad request: invalid host (DPE)\n");
}

#[test]
fn proxy_status_is_a_structured_field() {
    assert_eq!(Error::ConnectRefused.proxy_status_value("weir"), "weir; error=connection_refused");
    assert_eq!(Error::ClientGone.proxy_status_value("weir"), "weir");
    assert_eq!(
        Error::BadRequest(Reason::HostMissing).proxy_status_value("edge-1"),
        "edge-1; error=http_request_error; details=\"no host\""
    );
    assert_eq!(Error::Bug.proxy_status_value("a\nb"), "weir");
}
