//! Who may use a route: no origin ever sees a request of somebody who may not.

mod addresses;
mod certificates;
mod example;
mod forward;
mod identity;
mod jwks;
mod passwords;
mod tokens;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{
    answer::Answer,
    client::Client,
    gateway::{Gateway, Setup},
    origin::Origin,
};

/// An origin that echoes, and a gateway whose one route has these keys.
fn guarded(keys: &str) -> (Origin, Gateway) {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).route(&format!("name: api, {keys}")).start();
    (origin, gateway)
}

/// A GET with these field lines, each with its line end.
fn get(client: &mut Client, target: &str, fields: &str) -> Answer {
    let head = format!("GET {target} HTTP/1.1\r\nHost: weir.test\r\n{fields}\r\n");
    client.send(head.as_bytes());
    client.answer("GET").unwrap()
}

/// The same on a connection of its own.
fn once(gateway: &Gateway, target: &str, fields: &str) -> Answer {
    get(&mut gateway.client(), target, fields)
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// Seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// What signs tokens.
struct Issuer {
    kid: String,
    pair: EcdsaKeyPair,
}

impl Issuer {
    fn new(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { kid: kid.to_owned(), pair }
    }

    /// Its public key.
    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        })
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.kid, claims)
    }

    fn sign_as(&self, kid: &str, claims: &Value) -> String {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::ES256) };
        let key = EncodingKey::from_ec_der(self.pair.to_pkcs8v1().unwrap().as_ref());
        encode(&header, claims, &key).unwrap()
    }

    /// A token that is good for a while.
    fn token(&self, subject: &str) -> String {
        self.sign(&json!({ "sub": subject, "exp": now() + 600 }))
    }
}

/// A set of keys in JSON.
fn set(issuers: &[&Issuer]) -> String {
    let keys: Vec<Value> = issuers.iter().map(|issuer| issuer.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

/// A key as YAML may hold it.
fn inline(issuer: &Issuer) -> String {
    format!("{{ jwk: '{}' }}", issuer.jwk())
}
