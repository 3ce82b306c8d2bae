#![allow(clippy::unwrap_used, reason = "tests")]

use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::json;
use weir_config::model::{At, Secret};

use super::*;

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn algorithms(key: &Key) -> &[Algorithm] {
    &key.algorithms
}

fn p256() -> (String, String) {
    let kind = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::generate(kind).unwrap();
    let point = pair.public_key().as_ref();
    (BASE64URL.encode(&point[1..33]), BASE64URL.encode(&point[33..65]))
}

#[test]
fn a_key_of_json_knows_its_algorithms() {
    let (x, y) = p256();
    let jwk = |value: Value| from_jwk(value, Source::Public);
    let key = jwk(json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "a" })).unwrap();
    assert_eq!(algorithms(&key), [Algorithm::ES256]);
    assert_eq!(key.kid.as_deref(), Some("a"));
    let ed = Ed25519KeyPair::generate().unwrap();
    let ed = BASE64URL.encode(ed.public_key().as_ref());
    let key = jwk(json!({ "kty": "OKP", "crv": "Ed25519", "x": ed, "use": "sig" })).unwrap();
    assert_eq!(algorithms(&key), [Algorithm::EdDSA]);
    let n = BASE64URL.encode([0xc1; 256]);
    let rsa = json!({ "kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256" });
    assert_eq!(algorithms(&jwk(rsa).unwrap()), [Algorithm::RS256]);
    let rsa = json!({ "kty": "RSA", "n": n, "e": "AQAB" });
    assert_eq!(algorithms(&jwk(rsa).unwrap()), RSA);
}

#[test]
fn a_key_that_cannot_be_used_says_why() {
    let (x, y) = p256();
    let n = BASE64URL.encode([0xc1; 256]);
    let k = BASE64URL.encode([7; 32]);
    for (value, why) in [
        (json!({ "kty": "EC", "crv": "P-256", "x": x, "y": x }), "no point"),
        (json!({ "kty": "EC", "crv": "P-384", "x": x, "y": y }), "no point"),
        (json!({ "kty": "EC", "crv": "P-521", "x": x, "y": y }), "its curve"),
        (json!({ "kty": "EC", "crv": "P-256", "x": "!", "y": y }), "`x` is not base64url"),
        (json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "enc" }), "not for signat"),
        (json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "HS256" }), "its `alg`"),
        (json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "alg": "none" }), "its `alg`"),
        (json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "key_ops": ["sign"] }), "key_ops"),
        (json!({ "kty": "RSA", "n": BASE64URL.encode([1; 128]), "e": "AQAB" }), "1024"),
        (json!({ "kty": "RSA", "n": n, "e": "AA" }), "exponent"),
        (json!({ "kty": "oct", "k": k }), "everybody can read"),
        (json!({ "kty": "??" }), "kind"),
        (json!("a"), "RFC 7517"),
        (json!({ "kid": 7 }), "RFC 7517"),
    ] {
        let wrong = from_jwk(value.clone(), Source::Public).unwrap_err();
        assert!(wrong.contains(why), "{value}: {wrong}");
    }
}

#[test]
fn a_set_keeps_what_it_can_use() {
    let (x, y) = p256();
    let good = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "a" });
    let odd = json!({ "kty": "EC", "crv": "secp256k1", "x": x, "y": y, "kid": "b" });
    let set = json!({ "keys": [odd, good, { "kty": "oct", "k": "AA" }] });
    let bytes = serde_json::to_vec(&set).unwrap();
    let set = KeySet::from_jwks(&bytes, Source::Public).unwrap();
    assert_eq!(set.len(), 1);
    assert!(set.serves(&[Algorithm::HS256, Algorithm::ES256]));
    assert!(!set.serves(&[Algorithm::HS256]));
    let of = |text: &str| KeySet::from_jwks(text.as_bytes(), Source::Own).unwrap_err();
    assert!(of("").contains("not JSON"));
    assert!(of("{\"keys\": 7}").contains("no list"));
    assert!(of("{\"keys\": []}").contains("no key"));
    assert!(of("{\"keys\": [{\"kty\": \"x\"}]}").contains("no key of it can be used: its kind"));
    let many = format!("{{\"keys\": [{}0]}}", "0,".repeat(MOST));
    assert!(of(&many).contains("at most 256"));
}

#[test]
fn names_are_compared_and_nothing_else() {
    let key = |kid: Option<&str>| {
        let mut key = secret(&[7; 32]).unwrap();
        key.kid = kid.map(Into::into);
        key
    };
    let set = KeySet { keys: [key(Some("a")), key(Some("b")), key(None)].into() };
    let found = |kid: Option<&str>, one| set.candidates(kid, one).count();
    assert_eq!(found(Some("a"), Algorithm::HS256), 2);
    assert_eq!(found(None, Algorithm::HS256), 3);
    assert_eq!(found(Some("../../a"), Algorithm::HS256), 1);
    assert_eq!(found(Some("a"), Algorithm::HS512), 0);
    assert_eq!(found(Some("a"), Algorithm::RS256), 0);
}

#[test]
fn pem_holds_public_keys_and_certificates() {
    for (kind, expected) in [
        (&PKCS_ECDSA_P384_SHA384, Algorithm::ES384),
        (&PKCS_ED25519, Algorithm::EdDSA),
        (&PKCS_RSA_SHA256, Algorithm::RS256),
    ] {
        let pair = KeyPair::generate_for(kind).unwrap();
        let public = from_pem(&pair.public_key_pem()).unwrap();
        assert_eq!(algorithms(&public[0])[0], expected);
        let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
        assert_eq!(algorithms(&from_pem(&certificate.pem()).unwrap()[0])[0], expected);
        let wrong = from_pem(&pair.serialize_pem()).unwrap_err();
        assert!(wrong.contains("private key"), "{wrong}");
    }
    assert!(from_pem("hello").unwrap_err().contains("no public key"));
    assert!(from_pem(&pem("PUBLIC KEY", b"\x30\x03abc")).unwrap_err().contains("cannot be read"));
    assert!(from_pem("-----BEGIN PUBLIC KEY-----\n!\n").is_err());
}

#[test]
fn listed_keys_are_named_when_they_are_wrong() {
    let key = |text: &str| JwtKey {
        at: At::default(),
        kid: Some("k".into()),
        material: KeyMaterial::Secret(Secret(text.into())),
    };
    let set = KeySet::listed(&[key(&"s".repeat(48))]).unwrap();
    assert!(set.serves(&[Algorithm::HS384]) && !set.serves(&[Algorithm::HS512]));
    let (place, wrong) = KeySet::listed(&[key(&"s".repeat(64)), key("short")]).unwrap_err();
    assert_eq!(place, 1);
    assert!(wrong.contains("has 5 bytes; HS256 needs 32"), "{wrong}");
}

#[test]
fn a_file_is_json_or_pem() {
    let (x, y) = p256();
    let one = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }).to_string();
    assert_eq!(KeySet::from_file(&one).unwrap().len(), 1);
    let pair = KeyPair::generate().unwrap();
    let two = pair.public_key_pem() + &KeyPair::generate().unwrap().public_key_pem();
    assert_eq!(KeySet::from_file(&two).unwrap().len(), 2);
    assert!(KeySet::from_file("").is_err());
}
