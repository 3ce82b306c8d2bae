//! Who may use a route.

use serde_json::{Map, Value, json};

use super::{Secrets, file, object, secret};
use crate::{
    model::{
        ApiKey, ApiKeyAuth, AuthWay, BasicAuth, Config, ForwardAuth, JwtAlgorithm, JwtAuth, JwtKey,
        JwtKeys, KeyMaterial, MtlsAuth, Network, Networks, Route, Users,
    },
    pattern::show_value,
    units::{show_duration, show_size},
};

/// Who may use the route.
pub(super) fn who(route: &Route, config: &Config, secrets: Secrets, out: &mut Map<String, Value>) {
    for (name, networks) in [("allow", &route.allow), ("deny", &route.deny)] {
        out.extend(networks.iter().map(|one| (name.to_owned(), self::networks(one))));
    }
    if !route.auth.is_empty() {
        let ways: Vec<_> = route.auth.iter().map(|one| way(one, config, secrets)).collect();
        out.insert("auth".to_owned(), ways.into());
    }
}

fn networks(networks: &Networks) -> Value {
    let listed: Vec<_> = networks.listed.iter().map(Network::to_string).collect();
    object([
        ("networks", (!listed.is_empty()).then(|| json!(listed))),
        ("file", networks.file.as_deref().map(file)),
    ])
}

fn way(way: &AuthWay, config: &Config, secrets: Secrets) -> Value {
    let (kind, value) = match way {
        AuthWay::Jwt(one) => ("jwt", jwt(one, secrets)),
        AuthWay::ApiKey(one) => ("api_key", api_key(one)),
        AuthWay::Basic(one) => ("basic", basic(one, secrets)),
        AuthWay::Mtls(one) => ("mtls", mtls(one)),
        AuthWay::Forward(one) => ("forward", forward(one, config)),
    };
    object([(kind, Some(value))])
}

fn some<T: Into<Value>>(list: Vec<T>) -> Option<Value> {
    (!list.is_empty()).then(|| list.into())
}

fn jwt(jwt: &JwtAuth, secrets: Secrets) -> Value {
    let (keys, jwks) = match &jwt.keys {
        JwtKeys::Inline(keys) => (some(keys.iter().map(|one| key(one, secrets)).collect()), None),
        JwtKeys::File(path) => (None, Some(object([("from", Some(file(path)))]))),
        JwtKeys::Url(url) => {
            let jwks = object([
                ("from", Some(json!(url.to_string()))),
                ("refresh", Some(json!(show_duration(url.refresh)))),
                ("timeout", Some(json!(show_duration(url.timeout)))),
                ("ca", url.ca.as_deref().map(file)),
            ]);
            (None, Some(jwks))
        }
    };
    let mut claims: Map<String, Value> = Map::new();
    for (name, value) in &jwt.claims {
        let list = claims.entry(name.clone()).or_insert_with(|| json!([]));
        if let Value::Array(list) = list {
            list.push(json!(show_value(value)));
        }
    }
    let headers: Map<_, _> =
        jwt.headers.iter().map(|(name, claim)| (name.to_string(), json!(claim))).collect();
    object([
        ("keys", keys),
        ("jwks", jwks),
        ("algorithms", Some(jwt.algorithms.iter().map(|one| JwtAlgorithm::name(*one)).collect())),
        ("issuer", some(jwt.issuers.clone())),
        ("audience", some(jwt.audiences.clone())),
        ("leeway", Some(json!(show_duration(jwt.leeway)))),
        ("require_exp", Some(json!(jwt.require_exp))),
        ("claims", (!claims.is_empty()).then(|| claims.into())),
        ("headers", (!headers.is_empty()).then(|| headers.into())),
        ("token", some(jwt.token.iter().map(ToString::to_string).collect())),
        ("max_token", Some(json!(show_size(jwt.max_token.into())))),
        ("identity", Some(json!(jwt.identity))),
    ])
}

fn key(key: &JwtKey, secrets: Secrets) -> Value {
    let (name, value) = match &key.material {
        KeyMaterial::Pem(text) => ("pem", json!(text)),
        KeyMaterial::Secret(text) => ("secret", secret(text, secrets)),
        KeyMaterial::Jwk(text) => ("jwk", secret(text, secrets)),
    };
    object([("kid", key.kid.clone().map(Value::from)), (name, Some(value))])
}

fn api_key(auth: &ApiKeyAuth) -> Value {
    let digits = |key: &ApiKey| key.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = |key: &ApiKey| {
        let digits: String = digits(key);
        json!({ "name": key.name, "sha256": digits })
    };
    object([
        ("header", auth.header.as_ref().map(|name| json!(name.as_str()))),
        ("query", auth.query.clone().map(Value::from)),
        ("keys", some(auth.keys.iter().map(key).collect())),
        ("file", auth.file.as_deref().map(file)),
    ])
}

fn basic(auth: &BasicAuth, secrets: Secrets) -> Value {
    let users = match &auth.users {
        Users::File(path) => file(path),
        Users::Listed(users) => users
            .iter()
            .map(|(name, hash)| (name.clone(), secret(hash, secrets)))
            .collect::<Map<_, _>>()
            .into(),
    };
    json!({ "users": users, "realm": auth.realm })
}

fn mtls(auth: &MtlsAuth) -> Value {
    if auth.subjects.is_empty() {
        return json!(true);
    }
    let subjects: Vec<_> = auth
        .subjects
        .iter()
        .map(|one| json!(format!("{}:{}", one.field.word(), show_value(&one.value))))
        .collect();
    json!({ "subjects": subjects })
}

fn forward(auth: &ForwardAuth, config: &Config) -> Value {
    let names = |names: &[http::HeaderName]| -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    };
    object([
        ("to", Some(json!(super::upstream_name(config, auth.to)))),
        ("path", Some(json!(auth.path))),
        ("request_headers", Some(json!(names(&auth.request_headers)))),
        ("response_headers", some(names(&auth.response_headers))),
        ("identity", Some(json!(auth.identity.as_str()))),
        ("timeout", Some(json!(show_duration(auth.timeout)))),
        ("max_body", Some(json!(show_size(auth.max_body.into())))),
        ("on_failure", Some(json!(if auth.allow_on_failure { "allow" } else { "deny" }))),
    ])
}
