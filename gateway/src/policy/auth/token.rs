//! Tokens: what is signed, with what, and whether what it says is enough.
//!
//! Nothing of a token is believed before its signature is. Of its header three things are read: the
//! algorithm, which must be one that the configuration names and one of the key's; the key's name;
//! and whether it demands something that is not known here. Keys and addresses of keys that a
//! header brings along (`jwk`, `jku`, `x5u`, `x5c`) are not looked at.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use http::{HeaderName, HeaderValue};
use jsonwebtoken::{Algorithm, crypto, decode_header};
use serde_json::{Map, Value};
use weir_config::model::{JwtAuth, ValueMatch};

use super::{
    identity::{self, Identity},
    keys::{self, KeySet},
};

/// What a token must be like.
#[derive(Debug)]
pub struct Rules {
    algorithms: Box<[Algorithm]>,
    issuers: Box<[String]>,
    audiences: Box<[String]>,
    leeway: Duration,
    require_exp: bool,
    conditions: Box<[(String, ValueMatch)]>,
    headers: Box<[(HeaderName, String)]>,
    name: Box<str>,
    most: usize,
}

/// Why a token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It is longer than `max_token`.
    TooLong,
    /// There are several of them.
    Several,
    /// It is not three parts of base64url with JSON in them.
    Malformed,
    /// Its algorithm is not one that is taken, `none` included.
    Algorithm,
    /// Its header demands what is not known here (RFC 7515 section 4.1.11).
    Critical,
    /// No key has its name and its algorithm.
    UnknownKey,
    /// The signature is not that of a key.
    Signature,
    /// `exp` or `nbf` are no times.
    Times,
    /// It does not say when it ends.
    Endless,
    /// It has ended.
    Expired,
    /// It has not begun.
    Early,
    /// Another issuer.
    Issuer,
    /// For somebody else.
    Audience,
    /// A condition on its claims does not hold, by its place.
    Claim(usize),
}

impl Flaw {
    /// For clients and operators alike: it says what is wrong, and nothing of the token.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::TooLong => "the token is too long",
            Self::Several => "there are several tokens",
            Self::Malformed => "the token is malformed",
            Self::Algorithm => "the token's algorithm is not accepted",
            Self::Critical => "the token demands what is not known here",
            Self::UnknownKey => "the token's key is unknown",
            Self::Signature => "the token's signature is wrong",
            Self::Times => "the token's times are malformed",
            Self::Endless => "the token does not expire",
            Self::Expired => "the token has expired",
            Self::Early => "the token is not valid yet",
            Self::Issuer => "the token's issuer is not accepted",
            Self::Audience => "the token is for another audience",
            Self::Claim(_) => "the token's claims do not allow this",
        }
    }

    /// Whether the client is known and may not, rather than unknown.
    pub(crate) const fn is_forbidden(self) -> bool {
        matches!(self, Self::Claim(_))
    }
}

/// A good token.
#[derive(Debug)]
pub struct Good {
    pub(crate) identity: Identity,
    /// Until when, in seconds since 1970, leeway included; `None` is for ever.
    pub(crate) until: Option<f64>,
}

impl Rules {
    /// What the file says.
    #[must_use]
    pub fn new(config: &JwtAuth) -> Self {
        Self {
            algorithms: config.algorithms.iter().map(|one| keys::algorithm(*one)).collect(),
            issuers: config.issuers.as_slice().into(),
            audiences: config.audiences.as_slice().into(),
            leeway: config.leeway,
            require_exp: config.require_exp,
            conditions: config.claims.as_slice().into(),
            headers: config.headers.as_slice().into(),
            name: config.identity.as_str().into(),
            most: config.max_token as usize,
        }
    }

    /// The algorithms that are taken.
    pub(crate) fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// Name of the condition at a place.
    pub(crate) fn condition(&self, place: usize) -> &str {
        self.conditions.get(place).map_or("", |(name, _)| name)
    }

    /// Whether a token is worth looking at.
    pub(crate) fn is_short(&self, token: &[u8]) -> bool {
        token.len() <= self.most
    }

    /// Checks a token; `now` is the time since 1970.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, token: &[u8], keys: &KeySet, now: Duration) -> Result<Good, Flaw> {
        if !self.is_short(token) {
            return Err(Flaw::TooLong);
        }
        let claims = self.verify(token, keys)?;
        let until = self.judge_times(&claims, now.as_secs_f64())?;
        self.judge(&claims)?;
        let name = identity::find(&claims, &self.name).and_then(identity::text);
        let name = name.filter(|name| !name.is_empty()).map(|name| (&*name).into());
        let told = self.headers.iter().filter_map(|(name, claim)| {
            let text = identity::find(&claims, claim).and_then(identity::text)?;
            // What is no field value is not told: no claim writes another line.
            Some((name.clone(), HeaderValue::from_bytes(text.as_bytes()).ok()?))
        });
        let told = told.collect();
        Ok(Good { identity: Identity { name, claims, told }, until })
    }

    /// Checks the signature, and returns what is signed.
    fn verify(&self, token: &[u8], keys: &KeySet) -> Result<Map<String, Value>, Flaw> {
        let text = std::str::from_utf8(token).map_err(|_| Flaw::Malformed)?;
        let (message, signature) = text.rsplit_once('.').ok_or(Flaw::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(Flaw::Malformed)?;
        if payload.contains('.') || signature.is_empty() && payload.is_empty() {
            return Err(Flaw::Malformed);
        }
        let header = decode_header(text).map_err(|_| unknown_algorithm(header))?;
        if header.crit.is_some() {
            return Err(Flaw::Critical);
        }
        if !self.algorithms.contains(&header.alg) {
            return Err(Flaw::Algorithm);
        }
        let mut candidates = keys.candidates(header.kid.as_deref(), header.alg).peekable();
        if candidates.peek().is_none() {
            return Err(Flaw::UnknownKey);
        }
        let signed = |key: &keys::Key| {
            crypto::verify(signature, message.as_bytes(), &key.material, header.alg)
                .unwrap_or(false)
        };
        if !candidates.any(signed) {
            return Err(Flaw::Signature);
        }
        let payload = BASE64URL.decode(payload).map_err(|_| Flaw::Malformed)?;
        match serde_json::from_slice(&payload) {
            Ok(Value::Object(claims)) => Ok(claims),
            _ => Err(Flaw::Malformed),
        }
    }

    fn judge_times(&self, claims: &Map<String, Value>, now: f64) -> Result<Option<f64>, Flaw> {
        let leeway = self.leeway.as_secs_f64();
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            // A number of seconds, maybe with a fraction (RFC 7519 section 2).
            Some(value) => value.as_f64().filter(|t| t.is_finite()).map(Some).ok_or(Flaw::Times),
        };
        let (ends, begins) = (time("exp")?, time("nbf")?);
        match ends {
            None if self.require_exp => return Err(Flaw::Endless),
            Some(ends) if now >= ends + leeway => return Err(Flaw::Expired),
            _ => {}
        }
        if begins.is_some_and(|begins| now < begins - leeway) {
            return Err(Flaw::Early);
        }
        Ok(ends.map(|ends| ends + leeway))
    }

    fn judge(&self, claims: &Map<String, Value>) -> Result<(), Flaw> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let issued = || self.issuers.iter().any(|issuer| text("iss") == Some(issuer));
        if !self.issuers.is_empty() && !issued() {
            return Err(Flaw::Issuer);
        }
        let wanted = |one: &Value| {
            one.as_str().is_some_and(|one| self.audiences.iter().any(|audience| audience == one))
        };
        let meant = || match claims.get("aud") {
            Some(Value::Array(list)) => list.iter().any(wanted),
            Some(one) => wanted(one),
            None => false,
        };
        if !self.audiences.is_empty() && !meant() {
            return Err(Flaw::Audience);
        }
        let holds = |(name, wanted): &(String, ValueMatch)| {
            let words = matches!(name.as_str(), "scope" | "scp");
            identity::find(claims, name).is_some_and(|value| fits(value, wanted, words))
        };
        let failed = self.conditions.iter().position(|condition| !holds(condition));
        failed.map_or(Ok(()), |place| Err(Flaw::Claim(place)))
    }
}

/// Why a header cannot be read: what it says of its algorithm may be something nobody knows.
fn unknown_algorithm(header: &str) -> Flaw {
    let header = BASE64URL.decode(header).ok();
    let header: Option<Value> = header.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    match header.as_ref().and_then(|header| header.get("alg")) {
        Some(Value::String(_)) => Flaw::Algorithm,
        _ => Flaw::Malformed,
    }
}

/// Whether a claim is what is wanted: of a list one entry, of `words` one word.
fn fits(value: &Value, wanted: &ValueMatch, words: bool) -> bool {
    let text = |text: &str| match wanted {
        ValueMatch::Exact(exact) => text == exact,
        ValueMatch::Present => true,
        ValueMatch::Regex(regex) => regex.is_match(text),
    };
    match value {
        Value::Array(items) => items.iter().any(|item| fits(item, wanted, false)),
        Value::String(whole) => text(whole) || words && whole.split(' ').any(text),
        Value::Bool(_) | Value::Number(_) => text(&value.to_string()),
        Value::Object(_) => *wanted == ValueMatch::Present,
        Value::Null => false,
    }
}

#[cfg(test)]
mod tests;
