#![allow(clippy::unwrap_used, reason = "tests")]

use crate::{
    Diagnostics, load_str,
    model::{
        AuthWay, Config, CredentialPlace, JwtAlgorithm, JwtAuth, JwtKeys, KeyPart, SubjectField,
        Users, ValueMatch,
    },
};

const TLS: &str = "listeners: [{ bind: \":443\", tls: { cert: a, key: b, client_ca: c } }]\n";
const CLEAR: &str = "listeners: [\":80\"]\n";

fn load_on(listeners: &str, route: &str) -> Result<Config, Diagnostics> {
    let file = format!(
        "{listeners}upstreams: {{ api: {{ endpoints: [\"127.0.0.1:1\"] }}, \
         id: {{ endpoints: [\"127.0.0.1:2\"] }} }}\nroutes: [{{ to: api, {route} }}]\n"
    );
    load_str("weir.yaml", &file, &|_| None).map(|loaded| loaded.config)
}

fn ways(route: &str) -> Vec<AuthWay> {
    let mut config = load_on(TLS, route).unwrap_or_else(|wrong| panic!("{wrong}"));
    config.routes.remove(0).auth
}

fn jwt(keys: &str) -> JwtAuth {
    match ways(&format!("auth: {{ jwt: {{ {keys} }} }}")).remove(0) {
        AuthWay::Jwt(jwt) => *jwt,
        other => panic!("{other:?}"),
    }
}

fn refused(route: &str) -> String {
    load_on(CLEAR, route).unwrap_err().render()
}

#[test]
fn a_token_needs_keys_and_algorithms_and_no_more() {
    let jwt = jwt("jwks: https://id.example.com/keys, algorithms: ES256");
    let JwtKeys::Url(url) = &jwt.keys else { panic!("{jwt:?}") };
    assert_eq!(
        (url.tls, url.port, &*url.host, &*url.target),
        (true, 443, "id.example.com", "/keys")
    );
    assert_eq!(url.to_string(), "https://id.example.com:443/keys");
    assert_eq!(jwt.algorithms, [JwtAlgorithm::Es256]);
    assert_eq!(jwt.token, [CredentialPlace::Header(http::header::AUTHORIZATION)]);
    assert_eq!((jwt.identity.as_str(), jwt.max_token, jwt.leeway.as_secs()), ("sub", 8192, 60));
    assert!(jwt.require_exp && jwt.issuers.is_empty() && jwt.claims.is_empty());
}

#[test]
fn keys_come_from_the_file_from_files_and_from_urls() {
    let of = |keys: &str| jwt(&format!("{keys}, algorithms: [HS256]")).keys;
    assert!(matches!(of("keys: { secret: abc }"), JwtKeys::Inline(keys) if keys.len() == 1));
    assert!(matches!(of("jwks: keys.json"), JwtKeys::File(path) if path.ends_with("keys.json")));
    let url = jwt("jwks: \"http://[::1]:8080/k?a=b\", algorithms: [RS256]").keys;
    let JwtKeys::Url(url) = url else { panic!("{url:?}") };
    assert_eq!((url.tls, url.port, &*url.host, &*url.target), (false, 8080, "::1", "/k?a=b"));
    assert_eq!(url.to_string(), "http://[::1]:8080/k?a=b");
}

#[test]
fn conditions_on_claims_may_be_several() {
    let jwt =
        jwt("jwks: k, algorithms: [ES256], claims: { scope: [a, b], sub: \"*\", r: \"~ ^x\" }, \
         headers: { X-User: sub }");
    assert_eq!(jwt.claims.len(), 4);
    assert_eq!(jwt.claims[1], ("scope".into(), ValueMatch::Exact("b".into())));
    assert_eq!(jwt.headers[0].0, "x-user");
}

#[test]
fn every_kind_has_a_short_form() {
    let list = ways(
        "auth: [{ mtls: true }, { forward: id }, { basic: { users: htpasswd } }, \
         { mtls: [\"cn:a\", \"uri:~ ^spiffe:\"] }, { api_key: { file: keys } }]",
    );
    assert!(matches!(&list[0], AuthWay::Mtls(one) if one.subjects.is_empty()));
    let AuthWay::Forward(forward) = &list[1] else { panic!("{list:?}") };
    assert_eq!((forward.to, forward.path.as_str(), forward.max_body), (1, "/", 65_536));
    assert_eq!(forward.request_headers, [http::header::AUTHORIZATION, http::header::COOKIE]);
    assert!(!forward.allow_on_failure);
    assert!(matches!(&list[2], AuthWay::Basic(one) if matches!(one.users, Users::File(_))));
    let AuthWay::Mtls(mtls) = &list[3] else { panic!("{list:?}") };
    assert_eq!(mtls.subjects[1].field, SubjectField::Uri);
    let AuthWay::ApiKey(key) = &list[4] else { panic!("{list:?}") };
    assert_eq!(key.header.as_ref().unwrap(), "x-api-key");
    assert!(ways("auth: off").is_empty());
}

#[test]
fn tokens_without_a_signature_cannot_be_asked_for() {
    for word in ["none", "None", "NONE"] {
        let error = refused(&format!("auth: {{ jwt: {{ jwks: k, algorithms: [{word}] }} }}"));
        assert!(error.contains("never taken"), "{error}");
    }
    let error = refused("auth: { jwt: { jwks: k } }");
    assert!(error.contains("`algorithms` is missing"), "{error}");
    let error = refused("auth: { jwt: { jwks: \"http://a/\", algorithms: [RS256, HS256] } }");
    assert!(error.contains("public"), "{error}");
}

#[test]
fn what_cannot_work_is_refused() {
    let of = |auth: &str| refused(&format!("auth: {auth}"));
    assert!(of("[]").contains("`auth: off`"));
    assert!(of("{}").contains("no kind of `auth`"));
    assert!(of("{ jwt: {}, basic: {} }").contains("a list of them"));
    assert!(of("{ jwt: { algorithms: [ES256] } }").contains("`jwks` is missing"));
    assert!(of("{ jwt: { jwks: k, keys: [], algorithms: [ES256] } }").contains("exclude"));
    assert!(of("{ jwt: { keys: [{}], algorithms: [ES256] } }").contains("`pem` is missing"));
    assert!(of("{ jwt: { jwks: \"ftp://a/b\", algorithms: [ES256] } }").contains("expected a URL"));
    assert!(of("{ jwt: { jwks: \"http://a@b/\", algorithms: [ES256] } }").contains("no user"));
    assert!(of("{ mtls: true }").contains("no listener asks"));
    assert!(of("{ forward: nobody }").contains("unknown upstream"));
    assert!(of("{ forward: {} }").contains("`to` is missing"));
    assert!(of("{ basic: {} }").contains("`users` is missing"));
    assert!(of("{ api_key: {} }").contains("`keys` is missing"));
    let hash = of("{ api_key: { keys: [{ name: a, sha256: hunter2 }] } }");
    assert!(hash.contains("64 hexadecimal digits") && !hash.contains("found `hunter2`"), "{hash}");
    let plain = of("{ basic: { users: { ann: hunter2 } } }");
    assert!(plain.contains("`htpasswd -nB NAME`"), "{plain}");
}

#[test]
fn an_identity_needs_somebody_who_asks_for_it() {
    for keys in [
        "rate_limit: { key: identity, rate: 5/s }",
        "rate_limit: { key: [client_ip, \"claim:org\"], rate: 5/s }",
        "concurrency: { key: identity, max: 5 }",
        "idempotency: { scope: identity }",
    ] {
        assert!(refused(keys).contains("asks nobody who they are"), "{keys}");
        let good = format!("auth: {{ forward: id }}, {keys}");
        load_on(CLEAR, &good).unwrap_or_else(|wrong| panic!("{wrong}"));
    }
    let config = load_on(CLEAR, "auth: { forward: id }, idempotency: { scope: \"claim:org\" }");
    let scope = config.unwrap().routes.remove(0).idempotency.unwrap().scope;
    assert_eq!(scope, [KeyPart::Claim("org".into())]);
}

#[test]
fn what_is_odd_is_warned_of() {
    let warnings = |route: &str, upstream: &str| {
        let file = format!(
            "{CLEAR}upstreams: {{ api: {{ endpoints: [\"127.0.0.1:1\"]{upstream} }} }}\n\
             routes: [{{ to: api, {route} }}]\n"
        );
        load_str("weir.yaml", &file, &|_| None).unwrap_or_else(|e| panic!("{e}")).warnings.render()
    };
    let key = "auth: { api_key: { file: k } }, cache: 60s";
    assert!(warnings(key, "").contains("keeps answers behind `auth`"));
    let apart = "auth: { api_key: { file: k } }, cache: { key: { headers: [x-user] } }";
    assert_eq!(warnings(apart, ""), "");
    assert_eq!(warnings("auth: { jwt: { jwks: k, algorithms: ES256 } }, cache: 60s", ""), "");
    let hashed = ", balance: { rendezvous: { key: identity } }";
    assert!(warnings("name: a", hashed).contains("asks nobody who they are"));
    assert_eq!(warnings("auth: { api_key: { file: k } }", hashed), "");
}
