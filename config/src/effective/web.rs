//! What a route does for browsers, and with codings of bodies.

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use crate::{
    model::{Compress, Cors, Decompress, FrameOptions, Names, Origins, SecurityHeaders, Web},
    units::{show_duration, show_size},
};

pub(super) fn route(web: &Web, out: &mut Map<String, Value>) {
    let policies = [
        ("cors", web.cors.as_ref().map(cors)),
        ("security_headers", web.security.as_ref().map(security)),
        ("compress", web.compress.as_ref().map(compress)),
        ("decompress", web.decompress.map(decompress)),
        ("grpc_web", web.grpc_web.then_some(json!(true))),
    ];
    for (name, policy) in policies {
        out.extend(policy.map(|policy| (name.to_owned(), policy)));
    }
}

fn cors(cors: &Cors) -> Value {
    let methods: Vec<_> = cors.methods.iter().map(http::Method::as_str).collect();
    json!({
        "origins": match &cors.origins {
            Origins::Any => json!("*"),
            Origins::Of(origins) => origins.iter().map(ToString::to_string).collect(),
        },
        "methods": methods,
        "headers": names(&cors.headers),
        "expose": names(&cors.expose),
        "credentials": cors.credentials,
        "max_age": show_duration(cors.max_age),
        "private_network": cors.private_network,
    })
}

fn names(names: &Names) -> Value {
    match names {
        Names::Any => json!("*"),
        Names::Of(names) => names.iter().map(HeaderName::as_str).collect(),
    }
}

fn security(one: &SecurityHeaders) -> Value {
    let text = |value: &Option<HeaderValue>| {
        value.as_ref().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    json!({
        "hsts": text(&one.hsts),
        "nosniff": one.nosniff,
        "frame_options": match one.frame_options {
            FrameOptions::Deny => "deny",
            FrameOptions::SameOrigin => "sameorigin",
            FrameOptions::Off => "off",
        },
        "referrer_policy": text(&one.referrer_policy),
        "permissions_policy": text(&one.permissions_policy),
        "content_security_policy": text(&one.content_security_policy),
        "cross_origin_opener_policy": text(&one.cross_origin_opener_policy),
        "cross_origin_resource_policy": text(&one.cross_origin_resource_policy),
        "replace": one.replace,
    })
}

fn compress(one: &Compress) -> Value {
    let types: Vec<_> =
        one.types.iter().map(|range| format!("{}/{}", range.kind, range.subtype)).collect();
    let encodings: Vec<_> = one.encodings.iter().map(|encoding| encoding.name()).collect();
    json!({
        "types": types,
        "min_size": show_size(one.min_size),
        "encodings": encodings,
        "levels": { "br": one.levels.br, "zstd": one.levels.zstd, "gzip": one.levels.gzip },
        "secrets": one.secrets,
    })
}

fn decompress(one: Decompress) -> Value {
    let mut out = Map::new();
    out.extend(one.max_size.map(|size| ("max_size".to_owned(), json!(show_size(size)))));
    out.insert("max_ratio".to_owned(), json!(one.max_ratio));
    Value::Object(out)
}
