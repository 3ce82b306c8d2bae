//! What travels between members is sealed: AES-256-GCM under a key that all of them share, with the
//! membership's label bound in.
//!
//! ```text
//! sealed  version(1) session(8) counter(4) ciphertext tag(16)
//! ```
//!
//! 29 bytes more than what is sealed. The nonce is the sender's session, drawn at random when it
//! starts, and a counter: never the same twice under a key, short of 64 random bits falling alike.
//! A receiver remembers of each session which counters it has seen, so that what is sent again is
//! refused. Several keys may open; only the first one seals: a key is replaced without a pause by
//! adding the new one last everywhere, then moving it first, then taking the old one out.
//!
//! Not covered: a member that has the key and lies, and what was recorded from a session that its
//! receiver never met or has forgotten: generations and incarnations make old news void.

use std::{collections::HashMap, fmt};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, rand,
};

/// By how much what is sealed is longer.
pub const OVERHEAD_BYTES: usize = 1 + NONCE_LEN + 16;
/// Most keys at once.
pub const KEYS_MAX: usize = 8;
/// Most bytes in a label.
pub const LABEL_BYTES_MAX: usize = 128;
/// Most sessions of which the counters are remembered: the least recently heard goes first.
const SESSIONS_MAX: usize = 16_384;
const VERSION: u8 = 1;

/// What a sealed message is: one is never taken for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// A packet.
    Packet = 1,
    /// What is said first on a stream.
    Request = 2,
    /// What is answered on it.
    Response = 3,
}

/// A secret that cannot be a key, or too many or none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidKeys(&'static str);

impl fmt::Display for InvalidKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidKeys {}

/// Not sealed by anybody who has a key and the label, or seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No key opens it.
    Unsealed,
    /// It was opened before, or is too old to tell.
    Replayed,
}

/// The keys, the label and what was seen.
pub struct Seal {
    keys: Vec<LessSafeKey>,
    label: Box<[u8]>,
    session: u64,
    counter: u32,
    seen: HashMap<u64, Window>,
    clock: u64,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// Which of the last counters of a session were seen.
#[derive(Debug, Clone, Copy)]
struct Window {
    highest: u32,
    /// The highest and the 127 below it, a bit each.
    bits: u128,
    heard: u64,
}

impl Window {
    fn admits(&self, counter: u32) -> bool {
        match self.highest.checked_sub(counter) {
            Some(behind) => behind < 128 && self.bits & (1 << behind) == 0,
            None => true,
        }
    }

    fn note(&mut self, counter: u32) {
        if let Some(behind) = self.highest.checked_sub(counter) {
            self.bits |= 1 << behind;
            return;
        }
        self.bits = self.bits.checked_shl(counter - self.highest).unwrap_or(0) | 1;
        self.highest = counter;
    }
}

impl Seal {
    /// Secrets of at least 16 bytes each, the one to seal with first, and the membership's label.
    pub fn new<S: AsRef<[u8]>>(secrets: &[S], label: &str) -> Result<Self, InvalidKeys> {
        if label.len() > LABEL_BYTES_MAX {
            return Err(InvalidKeys("a label has at most 128 bytes"));
        }
        let mut seal = Self {
            keys: Vec::new(),
            label: label.as_bytes().into(),
            session: 0,
            counter: 0,
            seen: HashMap::new(),
            clock: 0,
        };
        seal.rekey(secrets)?;
        Ok(seal)
    }

    /// Replaces the keys. On an error those of before stay.
    pub fn rekey<S: AsRef<[u8]>>(&mut self, secrets: &[S]) -> Result<(), InvalidKeys> {
        if !(1..=KEYS_MAX).contains(&secrets.len()) {
            return Err(InvalidKeys("1 to 8 secrets"));
        }
        let keys: Result<Vec<_>, _> = secrets.iter().map(|secret| key(secret.as_ref())).collect();
        let session = session()?;
        self.keys = keys?;
        (self.session, self.counter) = (session, 0);
        Ok(())
    }

    fn aad(&self, what: Use) -> Aad<Vec<u8>> {
        let mut aad = Vec::with_capacity(self.label.len() + 2);
        aad.extend([VERSION, what as u8]);
        aad.extend(&*self.label);
        Aad::from(aad)
    }

    /// Appends `message`, sealed.
    pub fn seal(
        &mut self,
        what: Use,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), InvalidKeys> {
        let Some(counter) = self.counter.checked_add(1) else {
            (self.session, self.counter) = (session()?, 0);
            return self.seal(what, message, out);
        };
        self.counter = counter;
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&self.session.to_be_bytes());
        nonce[8..].copy_from_slice(&counter.to_be_bytes());
        let mut body = message.to_vec();
        let key = self.keys.first().ok_or(InvalidKeys("1 to 8 secrets"))?;
        let unique = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(unique, self.aad(what), &mut body)
            .map_err(|_| InvalidKeys("the message is too long to seal"))?;
        out.push(VERSION);
        out.extend(nonce);
        out.extend(body);
        Ok(())
    }

    /// Opens what was sealed, in place.
    pub fn open<'a>(&mut self, what: Use, sealed: &'a mut [u8]) -> Result<&'a [u8], Refused> {
        let (head, body) = sealed.split_first_chunk_mut::<13>().ok_or(Refused::Unsealed)?;
        let [version, nonce @ ..] = *head;
        if version != VERSION {
            return Err(Refused::Unsealed);
        }
        let [a, b, c, d, e, f, g, h, counter @ ..] = nonce;
        let session = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let counter = u32::from_be_bytes(counter);
        if self.seen.get(&session).is_some_and(|window| !window.admits(counter)) {
            return Err(Refused::Replayed);
        }
        let length = self.unlock(what, nonce, body).ok_or(Refused::Unsealed)?;
        self.note(session, counter);
        Ok(&body[..length])
    }

    /// Tries every key; the length of what was sealed. A key that does not fit leaves zeros behind,
    /// so that the next one needs a copy.
    fn unlock(&self, what: Use, nonce: [u8; NONCE_LEN], body: &mut [u8]) -> Option<usize> {
        let (last, others) = self.keys.split_last()?;
        for key in others {
            let mut copy = body.to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce);
            if let Ok(message) = key.open_in_place(nonce, self.aad(what), &mut copy) {
                body[..message.len()].copy_from_slice(message);
                return Some(message.len());
            }
        }
        let nonce = Nonce::assume_unique_for_key(nonce);
        last.open_in_place(nonce, self.aad(what), body).ok().map(|message| message.len())
    }

    fn note(&mut self, session: u64, counter: u32) {
        self.clock += 1;
        if self.seen.len() >= SESSIONS_MAX && !self.seen.contains_key(&session) {
            let half = self.clock - self.clock.min(SESSIONS_MAX as u64);
            self.seen.retain(|_, window| window.heard >= half);
            if self.seen.len() >= SESSIONS_MAX {
                self.seen.clear();
            }
        }
        let fresh = Window { highest: counter, bits: 1, heard: 0 };
        let window = self.seen.entry(session).or_insert(fresh);
        window.note(counter);
        window.heard = self.clock;
    }
}

fn key(secret: &[u8]) -> Result<LessSafeKey, InvalidKeys> {
    if secret.len() < 16 {
        return Err(InvalidKeys("a secret has at least 16 bytes"));
    }
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"weir membership key 1\0");
    context.update(secret);
    let key = UnboundKey::new(&AES_256_GCM, context.finish().as_ref());
    key.map(LessSafeKey::new).map_err(|_| InvalidKeys("a key could not be made"))
}

fn session() -> Result<u64, InvalidKeys> {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).map_err(|_| InvalidKeys("the system has no random bytes"))?;
    Ok(u64::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests;
