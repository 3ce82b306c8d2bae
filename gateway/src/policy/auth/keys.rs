//! What signatures of tokens are checked with.
//!
//! A key knows which algorithms it may be used with, by its kind, its curve, its length and what is
//! written beside it. Nothing that a token says widens that: the public key of RSA is never the
//! secret of an HMAC.

use aws_lc_rs::signature::{self, ParsedPublicKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse},
};
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use serde_json::Value;
use smallvec::SmallVec;
use weir_config::model::{JwtAlgorithm, JwtKey, KeyMaterial};
use x509_parser::{
    oid_registry,
    prelude::{FromDer as _, SubjectPublicKeyInfo, X509Certificate},
};

/// Most keys of a set.
const MOST: usize = 256;
/// Most keys that one token is tried with.
const TRIED: usize = 16;
/// Bytes of RSA keys that are checked with: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// A key.
#[derive(Debug)]
pub struct Key {
    kid: Option<Box<str>>,
    algorithms: SmallVec<[Algorithm; 6]>,
    pub(crate) material: DecodingKey,
}

/// Keys, some of them with names.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Box<[Key]>,
}

/// Whose keys they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The operator's: secrets may be among them.
    Own,
    /// Everybody can read them: none of them is a secret, whatever it says.
    Public,
}

const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

impl KeySet {
    /// Keys as they stand in the configuration.
    ///
    /// # Errors
    /// The first key that cannot be used, by its place, and why.
    pub fn listed(keys: &[JwtKey]) -> Result<Self, (usize, String)> {
        let read = keys.iter().enumerate().map(|(place, key)| {
            let mut read = match &key.material {
                KeyMaterial::Pem(text) => from_pem(text),
                KeyMaterial::Secret(text) => secret(text.0.as_bytes()).map(|key| vec![key]),
                KeyMaterial::Jwk(text) => serde_json::from_str(&text.0)
                    // Not what the parser says of it, which may repeat a secret.
                    .map_err(|_| "it is not JSON".to_owned())
                    .and_then(|value| from_jwk(value, Source::Own))
                    .map(|key| vec![key]),
            };
            if let (Ok([one]), Some(kid)) = (read.as_deref_mut(), &key.kid) {
                one.kid = Some(kid.as_str().into());
            }
            if matches!(&read, Ok(keys) if keys.len() > 1) && key.kid.is_some() {
                read = Err("several keys cannot have one `kid`".to_owned());
            }
            read.map_err(|what| (place, what))
        });
        let read: Result<Vec<_>, _> = read.collect();
        let keys: Vec<Key> = read?.into_iter().flatten().collect();
        Ok(Self { keys: keys.into() })
    }

    /// Keys of a file: a set in JSON, one key in JSON, or PEM.
    ///
    /// # Errors
    /// Why none of them can be used.
    pub(crate) fn from_file(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('{') {
            return Self::from_jwks(text.as_bytes(), Source::Own);
        }
        let keys = from_pem(text)?;
        Ok(Self { keys: keys.into() })
    }

    /// A set in JSON (RFC 7517 section 5). What it holds beside keys for signatures of a kind that
    /// is known here is left out.
    ///
    /// # Errors
    /// Why none of them can be used.
    pub(crate) fn from_jwks(bytes: &[u8], source: Source) -> Result<Self, String> {
        let mut set: Value = serde_json::from_slice(bytes).map_err(|_| "it is not JSON")?;
        let list = match set.get_mut("keys").map(Value::take) {
            Some(Value::Array(list)) => list,
            Some(_) => return Err("its `keys` are no list".to_owned()),
            None => vec![set],
        };
        if list.len() > MOST {
            return Err(format!("it has {} keys; at most {MOST} are", list.len()));
        }
        let (mut keys, mut first_wrong) = (Vec::new(), None);
        for value in list {
            match from_jwk(value, source) {
                Ok(key) => keys.push(key),
                Err(wrong) => {
                    first_wrong.get_or_insert(wrong);
                }
            }
        }
        match first_wrong {
            _ if !keys.is_empty() => Ok(Self { keys: keys.into() }),
            Some(wrong) => Err(format!("no key of it can be used: {wrong}")),
            None => Err("it has no key".to_owned()),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether one of them may be used with one of these algorithms.
    pub(crate) fn serves(&self, algorithms: &[Algorithm]) -> bool {
        self.keys.iter().any(|key| key.algorithms.iter().any(|one| algorithms.contains(one)))
    }

    /// Those that a token of this algorithm may be signed with: of the name that it gives, or
    /// without one; all, where it gives none. A name is compared with names, and nothing else is
    /// done with it.
    pub(crate) fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &Key> {
        let fits = move |key: &&Key| {
            let named = match (kid, &key.kid) {
                (Some(wanted), Some(kid)) => **kid == *wanted,
                (None, _) | (_, None) => true,
            };
            named && key.algorithms.contains(&algorithm)
        };
        self.keys.iter().filter(fits).take(TRIED)
    }
}

/// The library's name of an algorithm.
pub(crate) const fn algorithm(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::Hs256 => Algorithm::HS256,
        JwtAlgorithm::Hs384 => Algorithm::HS384,
        JwtAlgorithm::Hs512 => Algorithm::HS512,
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Rs384 => Algorithm::RS384,
        JwtAlgorithm::Rs512 => Algorithm::RS512,
        JwtAlgorithm::Ps256 => Algorithm::PS256,
        JwtAlgorithm::Ps384 => Algorithm::PS384,
        JwtAlgorithm::Ps512 => Algorithm::PS512,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::Es384 => Algorithm::ES384,
        JwtAlgorithm::EdDsa => Algorithm::EdDSA,
    }
}

/// A secret, for the algorithms whose hash is no longer than it (RFC 7518 section 3.2).
fn secret(bytes: &[u8]) -> Result<Key, String> {
    let sizes = [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)];
    let algorithms: SmallVec<_> =
        sizes.iter().filter(|(_, size)| bytes.len() >= *size).map(|(one, _)| *one).collect();
    if algorithms.is_empty() {
        return Err(format!(
            "the secret has {} bytes; HS256 needs 32, HS384 48, HS512 64 (RFC 7518 section 3.2)",
            bytes.len()
        ));
    }
    Ok(Key { kid: None, algorithms, material: DecodingKey::from_secret(bytes) })
}

fn from_jwk(value: Value, source: Source) -> Result<Key, String> {
    let jwk: Jwk = serde_json::from_value(value).map_err(|_| "it is no key of RFC 7517")?;
    let common = &jwk.common;
    if common.public_key_use.as_ref().is_some_and(|one| *one != PublicKeyUse::Signature) {
        return Err("it is not for signatures (`use`)".to_owned());
    }
    if common.key_operations.as_ref().is_some_and(|ops| !ops.contains(&KeyOperations::Verify)) {
        return Err("it is not for checking signatures (`key_ops`)".to_owned());
    }
    let decode = |name: &str, text: &str| {
        BASE64URL.decode(text).map_err(|_| format!("its `{name}` is not base64url"))
    };
    let mut key = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(point) => {
            let mut bytes = vec![4];
            for (name, text) in [("x", &point.x), ("y", &point.y)] {
                bytes.extend(decode(name, text)?);
            }
            match point.curve {
                EllipticCurve::P256 => elliptic(&bytes, Algorithm::ES256),
                EllipticCurve::P384 => elliptic(&bytes, Algorithm::ES384),
                _ => Err("its curve is not P-256 or P-384".to_owned()),
            }
        }
        AlgorithmParameters::RSA(parts) => {
            rsa_parts(decode("n", &parts.n)?, &decode("e", &parts.e)?)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            edwards(&decode("x", &pair.x)?)
        }
        AlgorithmParameters::OctetKey(_) if source == Source::Public => {
            Err("it is a secret that everybody can read".to_owned())
        }
        AlgorithmParameters::OctetKey(key) => secret(&decode("k", &key.value)?),
        _ => Err("its kind (`kty`, `crv`) is not known here".to_owned()),
    }?;
    if let Some(written) = common.key_algorithm {
        key.algorithms.retain(|one| KeyAlgorithm::from(*one) == written);
    }
    if key.algorithms.is_empty() {
        return Err("its `alg` is not known here, or not for a key of its kind".to_owned());
    }
    key.kid = common.key_id.as_deref().map(Into::into);
    Ok(key)
}

/// A point of a curve, uncompressed.
fn elliptic(point: &[u8], algorithm: Algorithm) -> Result<Key, String> {
    let kind = match algorithm {
        Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
        _ => &signature::ECDSA_P256_SHA256_FIXED,
    };
    ParsedPublicKey::new(kind, point).map_err(|_| "it is no point of its curve")?;
    let algorithms = SmallVec::from_slice(&[algorithm]);
    Ok(Key { kid: None, algorithms, material: DecodingKey::from_ec_der(point) })
}

fn edwards(bytes: &[u8]) -> Result<Key, String> {
    ParsedPublicKey::new(&signature::ED25519, bytes).map_err(|_| "it is no key of Ed25519")?;
    let algorithms = SmallVec::from_slice(&[Algorithm::EdDSA]);
    Ok(Key { kid: None, algorithms, material: DecodingKey::from_ed_der(bytes) })
}

fn rsa_parts(mut modulus: Vec<u8>, exponent: &[u8]) -> Result<Key, String> {
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    modulus.drain(..zeros);
    rsa_length(modulus.len())?;
    if exponent.is_empty() || exponent.len() > 8 || exponent.last().is_some_and(|one| one % 2 == 0)
    {
        return Err("its exponent is none of RSA".to_owned());
    }
    let material = DecodingKey::from_rsa_raw_components(&modulus, exponent);
    Ok(Key { kid: None, algorithms: SmallVec::from_slice(&RSA), material })
}

fn rsa_length(bytes: usize) -> Result<(), String> {
    match RSA_BYTES.contains(&bytes) {
        true => Ok(()),
        false => Err(format!("RSA keys have 2048 to 8192 bits, this one has {}", bytes * 8)),
    }
}

/// The public keys of a text in PEM, of certificates as well.
fn from_pem(text: &str) -> Result<Vec<Key>, String> {
    let mut keys = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
        let (kind, der) = section.map_err(|_| "it is no PEM")?;
        keys.push(match kind {
            SectionKind::PublicKey => {
                let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| UNREADABLE)?;
                from_info(&info)?
            }
            SectionKind::Certificate => {
                let (_, leaf) = X509Certificate::from_der(&der).map_err(|_| UNREADABLE)?;
                from_info(leaf.public_key())?
            }
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey => {
                return Err("it is a private key, which nobody but the issuer may have".to_owned());
            }
            _ => return Err("it is neither a public key nor a certificate".to_owned()),
        });
        if keys.len() > MOST {
            return Err(format!("it has more than {MOST} keys"));
        }
    }
    if keys.is_empty() {
        return Err("it has no public key in PEM (`BEGIN PUBLIC KEY`)".to_owned());
    }
    Ok(keys)
}

const UNREADABLE: &str = "its public key cannot be read";

fn from_info(info: &SubjectPublicKeyInfo<'_>) -> Result<Key, String> {
    let bytes = &*info.subject_public_key.data;
    let kind = &info.algorithm.algorithm;
    if *kind == oid_registry::OID_PKCS1_RSAENCRYPTION {
        let (bits, what) = match info.parsed() {
            Ok(x509_parser::public_key::PublicKey::RSA(rsa)) => (rsa.key_size(), ""),
            _ => (0, UNREADABLE),
        };
        if !what.is_empty() {
            return Err(what.to_owned());
        }
        rsa_length(bits / 8)?;
        let material = DecodingKey::from_rsa_der(bytes);
        return Ok(Key { kid: None, algorithms: SmallVec::from_slice(&RSA), material });
    }
    if *kind == oid_registry::OID_SIG_ED25519 {
        return edwards(bytes);
    }
    if *kind == oid_registry::OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = info.algorithm.parameters.as_ref().and_then(|one| one.as_oid().ok());
        return match curve {
            Some(curve) if curve == oid_registry::OID_EC_P256 => elliptic(bytes, Algorithm::ES256),
            Some(curve) if curve == oid_registry::OID_NIST_EC_P384 => {
                elliptic(bytes, Algorithm::ES384)
            }
            _ => Err("its curve is not P-256 or P-384".to_owned()),
        };
    }
    Err("it is not of RSA, ECDSA or Ed25519".to_owned())
}

#[cfg(test)]
mod tests;
