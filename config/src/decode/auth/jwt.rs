//! `routes[].auth[].jwt`.

use std::collections::HashSet;

use http::Uri;

use super::{ENTRIES, conditions, credential, end_to_end, filled};
use crate::{
    decode::{Complaint, Decoder, header},
    defaults::{CREDENTIAL, JWKS},
    fields::Fields,
    model::{CredentialPlace, JwksUrl, JwtAlgorithm, JwtAuth, JwtKey, JwtKeys, KeyMaterial},
    yaml::{Node, Value, Word, shorten},
};

/// Most keys in the configuration.
const KEYS: usize = 64;
/// Most places of a token.
const PLACES: usize = 8;

pub(super) fn read(d: &mut Decoder<'_>, node: &Node) -> Option<JwtAuth> {
    let fields = Fields::open(d, node, "routes[].auth[].jwt");
    let keys = fields.at(d, "keys", |d, node| d.each(node, KEYS, key));
    let jwks = jwks(d, &fields);
    let algorithms = algorithms(d, &fields);
    let texts = |d: &mut Decoder<'_>, name: &str| {
        let read = |d: &mut Decoder<'_>, node: &Node| {
            if node.is_empty_list() {
                d.report.error(node.span, format!("`{name}` is empty")).hint =
                    Some("leave it out for any".to_owned());
            }
            d.each(node, ENTRIES, |d, node| d.parsed(node, "a text", filled))
        };
        fields.at(d, name, read).unwrap_or_default()
    };
    let issuers = texts(d, "issuer");
    let audiences = texts(d, "audience");
    let read = JwtAuth {
        at: node.span.at(),
        // Stands for keys that are wrong, which was reported.
        keys: JwtKeys::Inline(Vec::new()),
        algorithms,
        issuers,
        audiences,
        leeway: fields.duration(d, "leeway"),
        require_exp: fields.flag(d, "require_exp"),
        claims: conditions(d, &fields),
        headers: headers(d, &fields),
        token: places(d, &fields),
        max_token: fields.size32(d, "max_token"),
        identity: fields.parsed(d, "identity", filled)?,
    };
    fields.finish();
    let keys = match (fields.entry("keys"), fields.entry("jwks")) {
        (Some(_), Some(jwks)) => {
            d.report.error(jwks.key.span, "`keys` and `jwks` exclude each other");
            return None;
        }
        (Some(entry), None) => {
            let keys = keys.unwrap_or_default();
            if entry.value.is_empty_list() {
                d.report.error(entry.value.span, "`keys` is empty: no token could be good");
            }
            JwtKeys::Inline(keys)
        }
        (None, Some(_)) => jwks?,
        (None, None) => {
            fields.missing(d, "jwks", "such as `jwks: https://id.example.com/keys.json`");
            return None;
        }
    };
    mixed(d, &fields, &keys, &read.algorithms);
    Some(JwtAuth { keys, ..read })
}

fn algorithms(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<JwtAlgorithm> {
    let Some(node) = fields.node("algorithms") else {
        fields.choices(d, "algorithms");
        fields.missing(d, "algorithms", "name those that the issuer uses: `algorithms: [ES256]`");
        return Vec::new();
    };
    let none = |text: &str| text.eq_ignore_ascii_case("none");
    let unsigned = match &node.value {
        Value::Text(text) => none(text),
        Value::List(items) => {
            items.iter().any(|item| matches!(&item.value, Value::Text(text) if none(text)))
        }
        _ => false,
    };
    let words = fields.choices(d, "algorithms").unwrap_or_default();
    if unsigned {
        d.report.amend("tokens without a signature are never taken".to_owned());
    }
    let known = |word: &str| JwtAlgorithm::ALL.iter().find(|(_, name)| *name == word);
    words.into_iter().filter_map(known).map(|(one, _)| *one).collect()
}

/// Who fetches keys from elsewhere and takes HMAC as well as signatures is one mistake of the
/// server away from taking its public keys for secrets.
fn mixed(d: &mut Decoder<'_>, fields: &Fields<'_>, keys: &JwtKeys, algorithms: &[JwtAlgorithm]) {
    let Some(node) = fields.node("algorithms") else { return };
    let symmetric = algorithms.iter().filter(|one| one.is_symmetric()).count();
    if let (JwtKeys::Url(_), 1..) = (keys, symmetric) {
        let what = "keys from a URL are public, and whoever knows the key of HMAC can sign";
        d.report.error(node.span, what).hint =
            Some("write the secret under `keys`, in a `jwt` of its own".to_owned());
    }
}

fn key(d: &mut Decoder<'_>, node: &Node) -> Option<JwtKey> {
    let fields = Fields::open(d, node, "routes[].auth[].jwt.keys[]");
    let kid = fields.parsed(d, "kid", filled);
    let pem = fields.parsed(d, "pem", |text| Ok(text.to_owned()));
    let secret = fields.secret(d, "secret");
    let jwk = fields.secret(d, "jwk");
    fields.finish();
    let written: Vec<_> =
        ["pem", "secret", "jwk"].iter().filter_map(|name| fields.entry(name)).collect();
    match written.as_slice() {
        [] => {
            fields.missing(d, "pem", "a key is one of `pem`, `secret`, `jwk`");
            None
        }
        [entry] => {
            let material = pem
                .map(KeyMaterial::Pem)
                .or_else(|| secret.map(KeyMaterial::Secret))
                .or_else(|| jwk.map(KeyMaterial::Jwk));
            if material.is_none() && !d.report.failed() {
                d.report.error(entry.key.span, format!("`{}` is empty", entry.key.text));
            }
            Some(JwtKey { at: node.span.at(), kid, material: material? })
        }
        [first, second, ..] => {
            let what = format!("`{}` and `{}` are two keys", first.key.text, second.key.text);
            d.report.error(second.key.span, what).hint =
                Some("give each an entry of its own".to_owned());
            None
        }
    }
}

fn jwks(d: &mut Decoder<'_>, jwt: &Fields<'_>) -> Option<JwtKeys> {
    let fields = jwt.policy(d, "jwks", "routes[].auth[].jwt.jwks")?;
    let from = fields.parsed(d, "from", source);
    if fields.node("from").is_none() {
        fields.missing(d, "from", "such as `from: https://id.example.com/keys.json`");
    }
    let refresh = fields.duration(d, "refresh");
    let timeout = fields.duration(d, "timeout");
    let ca = fields.path(d, "ca");
    fields.finish();
    match from? {
        Source::Url { tls, host, port, target } => {
            if let Some(entry) = fields.entry("ca").filter(|_| !tls) {
                d.report.error(entry.key.span, "`ca` has no effect: the URL is not `https`");
            }
            Some(JwtKeys::Url(JwksUrl { tls, host, port, target, ca, refresh, timeout }))
        }
        Source::File(path) => {
            for entry in ["refresh", "timeout", "ca"].iter().filter_map(|key| fields.entry(key)) {
                let what = format!("`{}` has no effect: `from` is a file", entry.key.text);
                d.report.error(entry.key.span, what).hint =
                    Some("a file is read again when it changes".to_owned());
            }
            Some(JwtKeys::File(d.base.join(path)))
        }
    }
}

enum Source {
    Url { tls: bool, host: String, port: u16, target: String },
    File(String),
}

fn source(text: &str) -> Result<Source, Complaint> {
    let unknown = || Complaint::new(format!("expected {JWKS}, found `{}`", shorten(text)));
    if !text.contains("://") {
        return match text {
            "" => Err(unknown()),
            _ if text.contains('\0') => Err(Complaint::new("a path holds no NUL")),
            _ => Ok(Source::File(text.to_owned())),
        };
    }
    let uri: Uri = text.parse().map_err(|_| unknown())?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(unknown()),
    };
    let authority = uri.authority().ok_or_else(unknown)?;
    if authority.as_str().contains('@') {
        return Err(Complaint::new("the URL of a set of keys has no user and no password"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = match authority.port_u16() {
        Some(port @ 1..) => port,
        None if authority.port().is_none() => {
            if tls {
                443
            } else {
                80
            }
        }
        _ => return Err(unknown()),
    };
    if host.is_empty() {
        return Err(unknown());
    }
    let target = uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
    Ok(Source::Url { tls, host, port, target })
}

fn headers(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<(http::HeaderName, String)> {
    let mut seen = HashSet::new();
    fields.pairs(d, "headers", ENTRIES, |d: &mut Decoder<'_>, word: &Word, node: &Node| {
        let name = end_to_end(&word.text).and_then(|name| match seen.insert(name.clone()) {
            true => Ok(name),
            false => Err(header::twice(&name)),
        });
        let name = name.map_err(|wrong| d.complain(word.span, &word.text, wrong)).ok();
        let claim = d.parsed(node, "a claim", filled);
        name.zip(claim)
    })
}

fn places(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<CredentialPlace> {
    let read = |d: &mut Decoder<'_>, node: &Node| {
        if node.is_empty_list() {
            d.report.error(node.span, "`token` is empty: none could be found");
        }
        d.each(node, PLACES, |d, node| d.parsed(node, CREDENTIAL, credential))
    };
    let default = || credential(fields.default_text("token")).into_iter().collect();
    fields.at(d, "token", read).filter(|places| !places.is_empty()).unwrap_or_else(default)
}
