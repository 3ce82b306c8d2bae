//! Tokens in requests: found, remembered or checked, and waited for where their keys are on their
//! way.

use std::{rc::Rc, sync::Arc};

use weir_config::model::CredentialPlace;

use super::{
    api_key::hash,
    credential::{self, Found},
    jwks::Jwks,
    keys::KeySet,
    memory::Memory,
    token::{Flaw, Good, Rules},
    verdict::{Verdict, Why},
};
use crate::{clock, policy::Asked};

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Jwt {
    pub(crate) rules: Rules,
    pub(crate) places: Box<[CredentialPlace]>,
    pub(crate) keys: Keys,
}

/// Where keys come from.
#[derive(Debug)]
pub(crate) enum Keys {
    /// The configuration, or a file.
    Fixed(KeySet),
    /// Whoever serves them.
    Remote(Arc<Jwks>),
}

const NO_KEYS: Verdict = Verdict::Down("the keys of tokens could not be fetched");

impl Jwt {
    /// What can be told at once.
    pub(crate) fn look(&self, asked: &Asked<'_>, memory: &Memory) -> Verdict {
        self.judge(asked, memory, true)
    }

    /// Waits for keys, and judges by those that are there then.
    pub(crate) async fn wait(&self, asked: &Asked<'_>, memory: &Memory) -> Verdict {
        if let Keys::Remote(jwks) = &self.keys {
            jwks.renewed().await;
        }
        self.judge(asked, memory, false)
    }

    fn judge(&self, asked: &Asked<'_>, memory: &Memory, may_wait: bool) -> Verdict {
        let token = match credential::find(&self.places, asked.headers, asked.query) {
            Found::Nothing => return Verdict::Absent,
            Found::Several => return Verdict::Bad(Why::Token(Flaw::Several)),
            Found::One(token) => token,
        };
        if !self.rules.is_short(&token) {
            return Verdict::Bad(Why::Token(Flaw::TooLong));
        }
        match &self.keys {
            Keys::Fixed(keys) => self.check(&token, keys, 0, memory),
            Keys::Remote(jwks) => {
                let awaited = || may_wait && jwks.is_awaited(clock::now());
                let Some(set) = jwks.current() else {
                    return if awaited() { Verdict::Later } else { NO_KEYS };
                };
                match self.check(&token, &set.keys, set.generation, memory) {
                    // Another key may have come, under a new name or under an old one.
                    Verdict::Bad(Why::Token(Flaw::UnknownKey | Flaw::Signature)) if awaited() => {
                        Verdict::Later
                    }
                    verdict => verdict,
                }
            }
        }
    }

    fn check(&self, token: &[u8], keys: &KeySet, generation: u64, memory: &Memory) -> Verdict {
        let now = clock::unix_time();
        let digest = hash(token);
        if let Some(identity) = memory.find(&digest, generation, now.as_secs_f64()) {
            return Verdict::Good(identity);
        }
        match self.rules.check(token, keys, now) {
            Ok(Good { identity, until }) => {
                let identity = Rc::new(identity);
                memory.insert(digest, identity.clone(), generation, until);
                Verdict::Good(identity)
            }
            Err(flaw) if flaw.is_forbidden() => Verdict::Forbidden(Why::Token(flaw)),
            Err(flaw) => Verdict::Bad(Why::Token(flaw)),
        }
    }
}
