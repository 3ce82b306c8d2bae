#![allow(clippy::unwrap_used, reason = "tests")]

use aws_lc_rs::{
    encoding::AsDer as _,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use jsonwebtoken::{EncodingKey, Header, encode};
use proptest::prelude::*;
use serde_json::json;
use weir_config::{load_str, model::AuthWay};

use super::*;

/// 2023-11-14.
const NOW: u64 = 1_700_000_000;
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// Rules as the file writes them, with keys of its own.
fn rules(words: &str) -> (Rules, KeySet) {
    let file = format!(
        "listeners: [\":80\"]\nroutes:\n  - respond: 200\n    auth: {{ jwt: {{ {words} }} }}\n"
    );
    let config = load_str("weir.yaml", &file, &|_| None).unwrap_or_else(|e| panic!("{e}")).config;
    let AuthWay::Jwt(jwt) = &config.routes[0].auth[0] else { panic!("no token") };
    let keys = match &jwt.keys {
        weir_config::model::JwtKeys::Inline(keys) => KeySet::listed(keys).unwrap(),
        _ => KeySet::default(),
    };
    (Rules::new(jwt), keys)
}

fn hs256(more: &str) -> (Rules, KeySet) {
    rules(&format!("keys: [{{ kid: k, secret: \"{KEY}\" }}], algorithms: [HS256] {more}"))
}

fn sign(claims: &Value) -> String {
    sign_with(&Header::new(Algorithm::HS256), claims)
}

fn sign_with(header: &Header, claims: &Value) -> String {
    encode(header, claims, &EncodingKey::from_secret(KEY.as_bytes())).unwrap()
}

fn check((rules, keys): &(Rules, KeySet), token: &str) -> Result<Good, Flaw> {
    rules.check(token.as_bytes(), keys, Duration::from_secs(NOW))
}

fn flaw(rules: &(Rules, KeySet), token: &str) -> Flaw {
    check(rules, token).unwrap_err()
}

fn claims() -> Value {
    json!({ "sub": "ann", "exp": NOW + 300 })
}

fn raw(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| BASE64URL.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), BASE64URL.encode(signature))
}

#[test]
fn a_good_token_says_who_and_until_when() {
    let rules = hs256(", headers: { x-user: sub, x-org: org.name, x-none: none }");
    let token = sign(&json!({ "sub": "ann", "exp": NOW + 300, "org": { "name": "weir" } }));
    let good = check(&rules, &token).unwrap();
    assert_eq!(good.identity.name.as_deref(), Some("ann"));
    assert_eq!(good.until, Some((NOW + 360) as f64));
    let told: Vec<_> =
        good.identity.told.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(told, [("x-user", &b"ann"[..]), ("x-org", b"weir")]);
}

#[test]
fn a_claim_never_writes_another_line() {
    let rules = hs256(", headers: { x-user: sub }");
    let token = sign(&json!({ "sub": "ann\r\nx-admin: 1", "exp": NOW + 300 }));
    assert!(check(&rules, &token).unwrap().identity.told.is_empty());
}

#[test]
fn a_token_without_a_signature_is_never_good() {
    let rules = hs256("");
    for word in ["none", "None", "NONE", "nOnE", "", "HS1"] {
        let token = raw(&json!({ "alg": word, "typ": "JWT" }), &claims(), b"");
        assert_eq!(flaw(&rules, &token), Flaw::Algorithm, "{word}");
        let token = token.trim_end_matches('.');
        assert_eq!(flaw(&rules, &format!("{token}.")), Flaw::Algorithm, "{word}");
    }
    let token = raw(&json!({ "alg": "HS256" }), &claims(), b"");
    assert_eq!(flaw(&rules, &token), Flaw::Signature);
    for header in [json!({}), json!({ "alg": null }), json!({ "alg": ["HS256"] }), json!([])] {
        assert_eq!(flaw(&rules, &raw(&header, &claims(), b"x")), Flaw::Malformed, "{header}");
    }
}

/// The classic: a public key, which everybody has, used as the secret of an HMAC.
#[test]
fn a_public_key_is_no_secret() {
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let public = pair.public_key().as_der().unwrap();
    let pem = {
        let text = base64::engine::general_purpose::STANDARD.encode(public.as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    };
    let quoted = pem.replace('\n', "\\n");
    // Also where the configuration takes both kinds.
    for algorithms in ["[RS256]", "[RS256, HS256]", "[HS256, RS256]"] {
        let rules = rules(&format!("keys: [{{ pem: \"{quoted}\" }}], algorithms: {algorithms}"));
        for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), public.as_ref()] {
            let key = EncodingKey::from_secret(secret);
            let token = encode(&Header::new(Algorithm::HS256), &claims(), &key).unwrap();
            let flaw = flaw(&rules, &token);
            assert!(matches!(flaw, Flaw::Algorithm | Flaw::UnknownKey), "{flaw:?}");
        }
    }
}

#[test]
fn a_key_is_used_with_algorithms_of_its_kind_alone() {
    let rules = hs256("");
    let key = EncodingKey::from_secret(KEY.as_bytes());
    let token = encode(&Header::new(Algorithm::HS384), &claims(), &key).unwrap();
    assert_eq!(flaw(&rules, &token), Flaw::Algorithm);
    // ES256, said of an HMAC's token.
    let token = sign(&claims());
    let (_, rest) = token.split_once('.').unwrap();
    let header = BASE64URL.encode(r#"{"alg":"ES256"}"#);
    assert_eq!(flaw(&rules, &format!("{header}.{rest}")), Flaw::Algorithm);
}

#[test]
fn times_are_kept_with_some_leeway() {
    let rules = hs256(", leeway: 10s");
    let of = |claims: Value| check(&rules, &sign(&claims)).map(|_| ());
    assert_eq!(of(json!({ "exp": NOW + 1 })), Ok(()));
    assert_eq!(of(json!({ "exp": NOW - 9 })), Ok(()));
    assert_eq!(of(json!({ "exp": NOW - 10 })), Err(Flaw::Expired));
    assert_eq!(of(json!({ "exp": NOW as f64 - 9.5 })), Ok(()));
    assert_eq!(of(json!({ "exp": 0 })), Err(Flaw::Expired));
    assert_eq!(of(json!({ "exp": -1 })), Err(Flaw::Expired));
    assert_eq!(of(json!({})), Err(Flaw::Endless));
    let nbf = |nbf: Value| of(json!({ "exp": NOW + 300, "nbf": nbf }));
    assert_eq!(nbf(json!(NOW + 10)), Ok(()));
    assert_eq!(nbf(json!(NOW + 11)), Err(Flaw::Early));
    for wrong in [json!("soon"), json!(null), json!([NOW]), json!(true), json!({})] {
        assert_eq!(nbf(wrong.clone()), Err(Flaw::Times), "{wrong}");
        assert_eq!(of(json!({ "exp": wrong })), Err(Flaw::Times), "{wrong}");
    }
    assert_eq!(of(json!({ "exp": 1e300 })), Ok(()));
    let rules = hs256(", require_exp: false");
    let good = check(&rules, &sign(&json!({ "sub": "ann" }))).unwrap();
    assert_eq!(good.until, None);
}

#[test]
fn issuer_and_audience_are_compared_whole() {
    let rules = hs256(", issuer: [a, b], audience: [x, y]");
    let of = |iss: Value, aud: Value| {
        let mut claims = claims();
        for (name, value) in [("iss", iss), ("aud", aud)] {
            if !value.is_null() {
                claims[name] = value;
            }
        }
        check(&rules, &sign(&claims)).map(|_| ())
    };
    assert_eq!(of(json!("b"), json!("x")), Ok(()));
    assert_eq!(of(json!("a"), json!(["q", "y"])), Ok(()));
    for iss in [json!("c"), json!("A"), json!("a "), json!(["a"]), json!(null), json!("")] {
        assert_eq!(of(iss.clone(), json!("x")), Err(Flaw::Issuer), "{iss}");
    }
    for aud in [json!("z"), json!(["z"]), json!([]), json!(null), json!({ "x": 1 }), json!([["x"]])]
    {
        assert_eq!(of(json!("a"), aud.clone()), Err(Flaw::Audience), "{aud}");
    }
}

#[test]
fn conditions_must_all_hold() {
    let rules =
        hs256(", claims: { scope: [read, write], org.tier: \"~ ^(gold|silver)$\", x: \"*\" }");
    let of = |scope: Value, tier: Value, x: Value| {
        let claims = json!({ "exp": NOW + 9, "scope": scope, "org": { "tier": tier }, "x": x });
        check(&rules, &sign(&claims)).map(|_| ())
    };
    let (scope, tier, x) = (json!("write read admin"), json!("gold"), json!(0));
    assert_eq!(of(scope.clone(), tier.clone(), x.clone()), Ok(()));
    assert_eq!(of(json!(["read", "write"]), tier.clone(), x.clone()), Ok(()));
    assert_eq!(of(json!("read"), tier.clone(), x.clone()), Err(Flaw::Claim(1)));
    assert_eq!(of(json!("reads writes"), tier.clone(), x.clone()), Err(Flaw::Claim(0)));
    assert_eq!(of(scope.clone(), tier, json!(null)), Err(Flaw::Claim(3)));
    assert_eq!(of(scope, json!("golden"), x), Err(Flaw::Claim(2)));
    assert_eq!(rules.0.condition(2), "org.tier");
    assert!(Flaw::Claim(0).is_forbidden() && !Flaw::Expired.is_forbidden());
}

#[test]
fn a_name_of_a_key_is_looked_up_and_no_more() {
    let rules = hs256("");
    let named = |kid: &str| {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        check(&rules, &sign_with(&header, &claims())).map(|_| ())
    };
    assert_eq!(named("k"), Ok(()));
    for kid in ["", "K", "k\0", "../../../dev/null", "/etc/passwd", "k' OR '1'='1", "http://evil/"]
    {
        assert_eq!(named(kid), Err(Flaw::UnknownKey), "{kid}");
    }
}

#[test]
fn keys_that_a_token_brings_along_are_not_looked_at() {
    let rules = hs256("");
    let forged = "f".repeat(32);
    let jwk = json!({ "kty": "oct", "k": BASE64URL.encode(&forged) });
    let header =
        json!({ "alg": "HS256", "jwk": jwk, "jku": "http://evil/", "x5u": "http://evil/" });
    let message = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode("{}"));
    let key = EncodingKey::from_secret(forged.as_bytes());
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    assert_eq!(flaw(&rules, &format!("{message}.{signature}")), Flaw::Signature);
}

#[test]
fn what_must_be_understood_is_not() {
    let header = json!({ "alg": "HS256", "crit": ["b64"], "b64": false });
    let token = raw(&header, &claims(), b"x");
    assert_eq!(flaw(&hs256(""), &token), Flaw::Critical);
}

#[test]
fn garbage_is_no_token() {
    let rules = hs256("");
    let good = sign(&claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for token in [
        "",
        ".",
        "..",
        "...",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "\u{e9}.b.c",
        &format!("{good}.x"),
        &format!("{header}.{payload}"),
        &format!("{header}..{signature}"),
        &format!("{header}.{payload}.x.{signature}"),
        &format!(" {good}"),
    ] {
        let flaw = flaw(&rules, token);
        assert!(matches!(flaw, Flaw::Malformed | Flaw::Signature), "{token}: {flaw:?}");
    }
    assert_eq!(flaw(&rules, &format!("{header}.{payload}.{signature}=")), Flaw::Signature);
    let other = BASE64URL.encode(json!({ "sub": "bob", "exp": NOW + 300 }).to_string());
    assert_eq!(flaw(&rules, &format!("{header}.{other}.{signature}")), Flaw::Signature);
    for payload in ["[]", "7", "null", "\"a\"", "", "{", "{\"exp\":1}x"] {
        let message = format!("{header}.{}", BASE64URL.encode(payload));
        let key = EncodingKey::from_secret(KEY.as_bytes());
        let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
        assert_eq!(flaw(&rules, &format!("{message}.{signature}")), Flaw::Malformed, "{payload}");
    }
}

#[test]
fn a_long_token_is_not_looked_at() {
    let rules = hs256(", max_token: 200B");
    let long = sign(&json!({ "exp": NOW + 9, "x": "y".repeat(300) }));
    assert_eq!(flaw(&rules, &long), Flaw::TooLong);
}

proptest! {
    /// Whatever is sent, nothing panics and nothing passes.
    #[test]
    fn noise_never_passes(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let (rules, keys) = hs256("");
        prop_assert!(rules.check(&noise, &keys, Duration::from_secs(NOW)).is_err());
    }

    /// Nor does a good token of which a byte was changed.
    #[test]
    fn no_byte_can_be_changed(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let (rules, keys) = hs256("");
        let good = sign(&claims()).into_bytes();
        let mut token = good.clone();
        let at = at.index(token.len());
        token[at] = to;
        let passes = rules.check(&token, &keys, Duration::from_secs(NOW)).is_ok();
        prop_assert_eq!(passes, token == good);
    }
}

fn es256() -> (Rules, KeySet, String) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref();
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "kid": "k",
        "x": BASE64URL.encode(&point[1..33]), "y": BASE64URL.encode(&point[33..]),
    });
    let keys = KeySet::from_file(&jwk.to_string()).unwrap();
    let (rules, _) = rules("jwks: none.json, algorithms: [ES256], issuer: weir, audience: api");
    let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
    let claims = json!({
        "iss": "weir", "aud": "api", "sub": "ann", "exp": NOW + 300, "scope": "read write",
        "name": "Ann Example", "email": "ann@example.com",
    });
    let header = Header { kid: Some("k".to_owned()), ..Header::new(Algorithm::ES256) };
    (rules, keys, encode(&header, &claims, &private).unwrap())
}

#[test]
fn a_signature_on_a_curve_is_checked() {
    let (rules, keys, token) = es256();
    let now = Duration::from_secs(NOW);
    assert!(rules.check(token.as_bytes(), &keys, now).is_ok());
    let (_, others, _) = es256();
    assert_eq!(rules.check(token.as_bytes(), &others, now).unwrap_err(), Flaw::Signature);
    // A signature of zeros, which some libraries took (CVE-2022-21449).
    let (message, _) = token.rsplit_once('.').unwrap();
    let zeros = format!("{message}.{}", BASE64URL.encode([0; 64]));
    assert_eq!(rules.check(zeros.as_bytes(), &keys, now).unwrap_err(), Flaw::Signature);
}
