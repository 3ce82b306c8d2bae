//! `tracing`: where spans of requests go.

use http::Uri;

use super::{Complaint, Decoder, header};
use crate::{
    address,
    defaults::COLLECTOR,
    fields::Fields,
    model::{Collector, Tracing},
    yaml::shorten,
};

/// What is added to the path of the URL (OTLP specification, "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";
/// Longest name of a service, in bytes.
const SERVICE_MAX: usize = 255;

/// Where spans go; `None` is nowhere, or was wrong.
pub(super) fn read(d: &mut Decoder<'_>, file: &Fields<'_>) -> Option<Tracing> {
    let fields = file.policy(d, "tracing", "tracing")?;
    let at = file.entry("tracing")?.key.span.at();
    let otlp = fields.parsed(d, "otlp", collector);
    let sample = fields.percent(d, "sample");
    let service = fields.parsed(d, "service", service);
    let headers = header::pairs(d, &fields, "headers");
    let timeout = fields.duration(d, "timeout");
    fields.finish();
    Some(Tracing { at, otlp: otlp?, sample, service: service?, headers, timeout })
}

fn collector(text: &str) -> Result<Collector, Complaint> {
    let wrong = |why: &str| {
        Complaint::new(format!("expected {COLLECTOR}, found `{}`: {why}", shorten(text)))
    };
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(wrong("it has no scheme").hint(format!("write `http://{}`", shorten(text))));
    };
    let (tls, port) = match scheme {
        "http" => (false, 80),
        "https" => (true, 443),
        _ => return Err(wrong("the scheme is neither `http` nor `https`")),
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if path.contains(['?', '#']) {
        return Err(wrong("it has a query or a fragment"));
    }
    let path = format!("{}{PATH}", path.trim_end_matches('/'));
    if path.parse::<Uri>().is_err() {
        return Err(wrong("the path is none"));
    }
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let address = if has_port { host.to_owned() } else { format!("{host}:{port}") };
    if host.contains('@') {
        return Err(wrong("it names a user").hint("write what proves it in `tracing.headers`"));
    }
    let address = address::endpoint(&address).map_err(|_| wrong("the host is none"))?;
    Ok(Collector { tls, address, path })
}

fn service(text: &str) -> Result<String, Complaint> {
    if text.is_empty() || text.len() > SERVICE_MAX || text.chars().any(char::is_control) {
        let what = format!("expected a name, found `{}`", shorten(text));
        return Err(Complaint::new(what).hint(format!("1 to {SERVICE_MAX} characters")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, tls, address, path) in [
            ("http://127.0.0.1:4318", false, "127.0.0.1:4318", "/v1/traces"),
            ("http://127.0.0.1:4318/", false, "127.0.0.1:4318", "/v1/traces"),
            ("https://otel.example.com", true, "otel.example.com:443", "/v1/traces"),
            ("http://otel/a/b", false, "otel:80", "/a/b/v1/traces"),
            ("http://[::1]:4318", false, "[::1]:4318", "/v1/traces"),
            ("http://[::1]", false, "[::1]:80", "/v1/traces"),
        ] {
            let read = collector(text).unwrap_or_else(|wrong| panic!("{text}: {wrong:?}"));
            assert_eq!((read.tls, read.address.to_string()), (tls, address.to_owned()), "{text}");
            assert_eq!(read.path, path);
        }
    }

    #[test]
    fn what_is_no_collector_is_refused_with_the_reason() {
        for (text, why) in [
            ("127.0.0.1:4318", "no scheme"),
            ("grpc://127.0.0.1:4317", "neither"),
            ("http://", "host"),
            ("http://a b", "host"),
            ("http://a/?q", "query"),
            ("http://me:secret@a", "user"),
            ("http://a/ b", "path"),
            ("http://a:99999", "host"),
        ] {
            let wrong = collector(text).expect_err(text);
            assert!(wrong.what.contains(why), "{text}: {}", wrong.what);
        }
    }
}
