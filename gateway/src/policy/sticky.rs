//! Who stays with which upstream of a split.
//!
//! Upstreams are chosen by weighted rendezvous over their names: whose key goes where depends on
//! nothing but names and weights, and a change of one weight moves only keys from that upstream or
//! to it.

use std::fmt::Write as _;

use http::HeaderValue;
use weir_config::model::{self, KeyPart};
use weir_discovery::{
    hash::{Node, xxh64},
    rendezvous::{Rendezvous, slot},
};

use crate::limit::key::{self, Subject};

/// Begins the hash of a key: the same key of an upstream's endpoints should not lie where this one
/// does.
const SEED: u64 = 0x73_70_6c_69_74;
/// Characters of a cookie's value.
const VALUE: usize = 32;

/// See the module's page.
#[derive(Debug)]
pub struct Sticky {
    by: By,
    set: Rendezvous,
    /// Indices of upstreams, in the order of the set.
    upstreams: Box<[usize]>,
}

#[derive(Debug)]
enum By {
    Key(Box<[KeyPart]>),
    /// The cookie, and what stands behind its value when it is set.
    Cookie(KeyPart, String),
}

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Index of the upstream; `None` where only the shares decide.
    pub(crate) upstream: Option<usize>,
    /// The cookie to be set, so that the next request goes there, too.
    pub(crate) cookie: Option<HeaderValue>,
}

/// Whether the gateway could have made this value of a cookie.
pub(super) fn is_own(value: &[u8]) -> bool {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    value.len() == VALUE && value.iter().all(is_digit)
}

impl Sticky {
    /// Over a split: upstreams by index, name and weight.
    pub(crate) fn new<'a>(
        config: &model::Sticky,
        split: impl Iterator<Item = (usize, &'a str, u32)>,
    ) -> Option<Self> {
        let split: Vec<_> = split.filter(|(_, _, weight)| *weight > 0).collect();
        let nodes: Vec<_> =
            split.iter().map(|(_, name, weight)| Node { name, weight: *weight }).collect();
        let by = match config {
            model::Sticky::Key(parts) => By::Key(parts.clone().into()),
            model::Sticky::Cookie { name, age } => {
                let age = age.as_secs();
                let tail = format!("; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax");
                By::Cookie(KeyPart::Cookie(name.clone()), tail)
            }
        };
        let upstreams = split.iter().map(|(index, ..)| *index).collect();
        // A split is short: without a table it takes no memory to speak of.
        Some(Self { by, set: Rendezvous::bare(&nodes).ok()?, upstreams })
    }

    /// Where a request goes. A cookie that is set is for `secure` connections where this is one.
    pub(crate) fn choose(
        &self,
        subject: &Subject<'_>,
        secure: bool,
        rng: &mut fastrand::Rng,
    ) -> Choice {
        match &self.by {
            By::Key(parts) => {
                let hashed = parts.iter().try_fold(SEED, |hash, part| {
                    key::value(part, subject, |value| xxh64(value, hash))
                });
                Choice { upstream: hashed.and_then(|hash| self.owner(hash)), cookie: None }
            }
            By::Cookie(part, tail) => {
                let own = |value: &[u8]| is_own(value).then(|| xxh64(value, SEED));
                if let Some(hash) = key::value(part, subject, own).flatten() {
                    return Choice { upstream: self.owner(hash), cookie: None };
                }
                let value = format!("{:032x}", rng.u128(..));
                let upstream = self.owner(xxh64(value.as_bytes(), SEED));
                let KeyPart::Cookie(name) = part else {
                    return Choice { upstream, cookie: None };
                };
                let mut cookie = format!("{name}={value}{tail}");
                if secure {
                    // Writing to a String cannot fail.
                    let _ = cookie.write_str("; Secure");
                }
                Choice { upstream, cookie: HeaderValue::try_from(cookie).ok() }
            }
        }
    }

    /// Whether it looks at a field that the gateway vouches for.
    pub(crate) fn reads_vouched(&self) -> bool {
        let By::Key(parts) = &self.by else { return false };
        parts.iter().any(key::may_be_vouched_for)
    }

    fn owner(&self, hash: u64) -> Option<usize> {
        let id = self.set.first(slot(hash))?;
        self.upstreams.get(usize::from(id)).copied()
    }

    /// What decides, for people.
    pub(crate) fn describe(&self) -> String {
        match &self.by {
            By::Key(parts) => parts.iter().map(key::word).collect::<Vec<_>>().join(", "),
            By::Cookie(part, _) => key::word(part),
        }
    }
}

#[cfg(test)]
mod tests;
