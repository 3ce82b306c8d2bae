//! What a route does for browsers, and with codings of bodies, in words.

use http::{HeaderName, HeaderValue, Method};
use weir_config::{
    model::{Compress, Cors, FrameOptions, Names, Origins, Route, SecurityHeaders},
    units::{show_duration, show_size},
};

use super::show;

/// Labels and what follows them.
pub(super) fn lines(Route { web, traffic, .. }: &Route) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    lines.extend(web.cors.as_ref().map(|one| ("cors", cors(one))));
    lines.extend(web.security.as_ref().map(|one| ("security headers", security(one))));
    lines.extend(web.compress.as_ref().map(|one| ("compress", compress(one))));
    lines.extend(web.decompress.map(|one| {
        let most = one.max_size.or(traffic.max_body);
        let most = most.map_or_else(|| "limits.body".to_owned(), show_size);
        ("decompress", format!("up to {most}, {} times as long as it came", one.max_ratio))
    }));
    lines.extend(web.grpc_web.then(|| ("grpc-web", "as calls of gRPC".to_owned())));
    lines
}

fn cors(cors: &Cors) -> String {
    let origins = match &cors.origins {
        Origins::Any => "any origin".to_owned(),
        Origins::Of(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let methods: Vec<_> = cors.methods.iter().map(Method::as_str).collect();
    let credentials = if cors.credentials { ", with credentials" } else { "" };
    let (methods, age) = (methods.join(", "), show_duration(cors.max_age));
    format!("{origins}{credentials}; {methods}; headers {}; for {age}", names(&cors.headers))
}

fn names(names: &Names) -> String {
    match names {
        Names::Any => "any".to_owned(),
        Names::Of(list) if list.is_empty() => "none".to_owned(),
        Names::Of(list) => list.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", "),
    }
}

fn security(one: &SecurityHeaders) -> String {
    let frame = match one.frame_options {
        FrameOptions::Deny => Some("DENY"),
        FrameOptions::SameOrigin => Some("SAMEORIGIN"),
        FrameOptions::Off => None,
    };
    let text = |value: &Option<HeaderValue>| value.as_ref().map(show);
    let all = [
        ("strict-transport-security", text(&one.hsts)),
        ("x-content-type-options", one.nosniff.then(|| "nosniff".to_owned())),
        ("x-frame-options", frame.map(str::to_owned)),
        ("referrer-policy", text(&one.referrer_policy)),
        ("permissions-policy", text(&one.permissions_policy)),
        ("content-security-policy", text(&one.content_security_policy)),
        ("cross-origin-opener-policy", text(&one.cross_origin_opener_policy)),
        ("cross-origin-resource-policy", text(&one.cross_origin_resource_policy)),
    ];
    let said = all.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}", value?)));
    let said = said.collect::<Vec<_>>().join("; ");
    if one.replace { said + " (in the place of the upstream's)" } else { said }
}

fn compress(one: &Compress) -> String {
    let codings: Vec<_> = one.encodings.iter().map(|encoding| encoding.name()).collect();
    let secrets = if one.secrets { ", secrets as well" } else { "" };
    format!("{} from {}{secrets}", codings.join(", "), show_size(one.min_size))
}
