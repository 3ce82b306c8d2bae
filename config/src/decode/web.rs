//! `routes[].cors`, `.security_headers`, `.compress`, `.decompress` and `.grpc_web`.

use http::{HeaderName, HeaderValue, Method};

use super::{Complaint, Decoder, condition, header};
use crate::{
    defaults::{MEDIA_RANGE, ORIGIN},
    fields::Fields,
    model::{
        Compress, Cors, Decompress, Encoding, FrameOptions, Levels, MediaRange, Names, Origins,
        SecurityHeaders, Web,
    },
    origin,
    yaml::{Node, Value, shorten},
};

/// Most entries of a list.
const ENTRIES: usize = 256;

/// All of it, for one route.
pub(super) fn read(d: &mut Decoder<'_>, route: &Fields<'_>) -> Web {
    Web {
        cors: cors(d, route),
        security: security(d, route),
        compress: compress(d, route),
        decompress: decompress(d, route),
        grpc_web: route.flag(d, "grpc_web"),
    }
}

fn cors(d: &mut Decoder<'_>, route: &Fields<'_>) -> Option<Cors> {
    let fields = route.policy(d, "cors", "routes[].cors")?;
    let origins = fields.at(d, "origins", origins);
    if origins.is_none() {
        fields.missing(d, "origins", "such as `origins: [\"https://app.example.com\"]`");
    }
    let cors = Cors {
        origins: origins.flatten().unwrap_or(Origins::Of(Vec::new())),
        methods: methods(d, &fields),
        headers: names(d, &fields, "headers"),
        expose: names(d, &fields, "expose"),
        credentials: fields.flag(d, "credentials"),
        max_age: fields.duration(d, "max_age"),
        private_network: fields.flag(d, "private_network"),
    };
    fields.finish();
    if let Some(node) = fields.node("credentials").filter(|_| cors.credentials) {
        if cors.origins == Origins::Any {
            let what = "with `credentials` any site could read what belongs to its visitors";
            d.report.error(node.span, what).hint =
                Some("name the `origins` that may, or remove it".to_owned());
        } else if cors.expose == Names::Any {
            let span = fields.node("expose").map_or(node.span, |expose| expose.span);
            let what = "`expose: \"*\"` means nothing where credentials are sent";
            d.report.error(span, what).hint = Some("name the headers".to_owned());
        }
    }
    Some(cors)
}

fn origins(d: &mut Decoder<'_>, node: &Node) -> Option<Origins> {
    let is_any = |node: &Node| matches!(&node.value, Value::Text(text) if text == "*");
    let alone = match &node.value {
        Value::List(items) => items.len() == 1 && is_any(&items[0]),
        _ => is_any(node),
    };
    if alone {
        return Some(Origins::Any);
    }
    if node.is_empty_list() {
        d.report.error(node.span, "`origins` is empty: nobody could read anything").hint =
            Some("write `cors: off` to leave it to the upstream".to_owned());
        return None;
    }
    let found = d.each(node, ENTRIES, |d, node| {
        if is_any(node) {
            d.report.error(node.span, "`*` is every origin: the others say nothing").hint =
                Some("`*` stands alone".to_owned());
            return None;
        }
        let origin = d.pattern(node, ORIGIN, origin::origin)?;
        if matches!(&origin, crate::model::Origin::Exact(text) if text == "null") {
            let what = "`null` is the origin of any sandboxed frame, on whatever site";
            d.report.warn(node.span, what);
        }
        Some(origin)
    });
    Some(Origins::Of(found))
}

fn methods(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Method> {
    let written = fields.at(d, "methods", |d, node| {
        d.each(node, ENTRIES, |d, node| d.parsed(node, "an HTTP method", condition::method))
    });
    let default = || fields.default_text("methods").split(", ").flat_map(condition::method);
    written.unwrap_or_else(|| default().collect())
}

/// Names of headers, or `*`.
fn names(d: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> Names {
    let read = |text: &str| match text {
        "*" => Ok(None),
        name => header::name(name).map(Some),
    };
    let written = fields
        .at(d, key, |d, node| d.each(node, ENTRIES, |d, n| d.parsed(n, "a header name", read)));
    let default = || fields.default_text(key).split(", ").filter(|text| !text.is_empty());
    let names = written.unwrap_or_else(|| default().flat_map(read).collect());
    let all: Option<Vec<HeaderName>> = names.into_iter().collect();
    all.map_or(Names::Any, Names::Of)
}

fn security(d: &mut Decoder<'_>, route: &Fields<'_>) -> Option<SecurityHeaders> {
    let fields = route.policy(d, "security_headers", "routes[].security_headers")?;
    let headers = SecurityHeaders {
        hsts: value(d, &fields, "hsts"),
        nosniff: fields.flag(d, "nosniff"),
        frame_options: match fields.choice(d, "frame_options") {
            "deny" => FrameOptions::Deny,
            "off" => FrameOptions::Off,
            _ => FrameOptions::SameOrigin,
        },
        referrer_policy: value(d, &fields, "referrer_policy"),
        permissions_policy: value(d, &fields, "permissions_policy"),
        content_security_policy: value(d, &fields, "content_security_policy"),
        cross_origin_opener_policy: value(d, &fields, "cross_origin_opener_policy"),
        cross_origin_resource_policy: value(d, &fields, "cross_origin_resource_policy"),
        replace: fields.flag(d, "replace"),
    };
    fields.finish();
    Some(headers)
}

/// The value of a field; `None` where it is off.
fn value(d: &mut Decoder<'_>, fields: &Fields<'_>, key: &str) -> Option<HeaderValue> {
    let default = fields.default_text(key);
    if fields.node(key).is_some_and(Node::is_off) {
        return None;
    }
    let written = fields.parsed(d, key, |text| match text {
        "" => Err(Complaint::new("an empty field says nothing").hint(format!("`{key}: off`"))),
        text => header::value(text),
    });
    written.or_else(|| header::value(default).ok().filter(|value| !value.is_empty()))
}

fn compress(d: &mut Decoder<'_>, route: &Fields<'_>) -> Option<Compress> {
    let fields = route.policy(d, "compress", "routes[].compress")?;
    let compress = Compress {
        types: types(d, &fields),
        min_size: fields.size(d, "min_size"),
        encodings: encodings(d, &fields),
        levels: levels(d, &fields),
        secrets: fields.flag(d, "secrets"),
    };
    fields.finish();
    Some(compress)
}

fn types(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<MediaRange> {
    let written = fields.at(d, "types", |d, node| {
        if node.is_empty_list() {
            d.report.error(node.span, "`types` is empty: nothing would be coded").hint =
                Some("write `compress: off` for that".to_owned());
        }
        d.each(node, ENTRIES, |d, node| d.parsed(node, MEDIA_RANGE, media_range))
    });
    let default = || fields.default_text("types").split(", ").flat_map(media_range);
    written.unwrap_or_else(|| default().collect())
}

/// Reads `text/html`, `text/*`, `application/*+json` or `*/*`.
fn media_range(text: &str) -> Result<MediaRange, Complaint> {
    let complaint = || Complaint::new(format!("expected {MEDIA_RANGE}, found `{}`", shorten(text)));
    let lower = text.to_ascii_lowercase();
    let (kind, subtype) = lower.split_once('/').ok_or_else(complaint)?;
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    let suffix = subtype.strip_prefix("*+").is_some_and(token);
    let good = match (kind, subtype) {
        ("*", subtype) => subtype == "*",
        (kind, "*") => token(kind),
        (kind, subtype) => token(kind) && (suffix || token(subtype)),
    };
    match good {
        true => Ok(MediaRange { kind: kind.to_owned(), subtype: subtype.to_owned() }),
        false if text.contains(';') => Err(complaint().hint("parameters are no part of it")),
        false => Err(complaint()),
    }
}

fn encodings(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Encoding> {
    let words = fields.choices(d, "encodings").unwrap_or_else(|| vec!["zstd", "br", "gzip"]);
    let mut encodings = Vec::with_capacity(words.len());
    for word in words {
        let encoding = match word {
            "br" => Encoding::Br,
            "zstd" => Encoding::Zstd,
            _ => Encoding::Gzip,
        };
        if !encodings.contains(&encoding) {
            encodings.push(encoding);
        }
    }
    encodings
}

fn levels(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Levels {
    let fields = fields.section(d, "levels", "routes[].compress.levels");
    let levels = Levels {
        br: fields.count(d, "br"),
        zstd: fields.count(d, "zstd"),
        gzip: fields.count(d, "gzip"),
    };
    fields.finish();
    levels
}

fn decompress(d: &mut Decoder<'_>, route: &Fields<'_>) -> Option<Decompress> {
    let fields = route.policy(d, "decompress", "routes[].decompress")?;
    let size = fields.size(d, "max_size");
    let max_size = fields.node("max_size").map(|_| size);
    let decompress = Decompress { max_size, max_ratio: fields.count(d, "max_ratio") };
    fields.finish();
    Some(decompress)
}

#[cfg(test)]
mod tests;
