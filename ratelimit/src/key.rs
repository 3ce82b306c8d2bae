//! Who is limited: sixteen bytes in place of addresses, headers and paths.
//!
//! A key is a keyed 128-bit hash (SipHash-1-3 with 128 bits of output) of the limit and of the
//! parts of the request that it looks at. The parts themselves are read once and never stored, so
//! that a key made of a megabyte takes no more room than one made of an address.
//!
//! **Collisions.** Two clients with one key would share a bucket. Among n keys of 128 bits some
//! two collide with a probability of about n^2 / 2^129: with a thousand million keys, 2^-69. An
//! attacker who wants to share a victim's bucket cannot look for a collision at home, since the
//! secret is unknown to him; he can only send requests and has 2^-128 per try. For the same reason
//! he cannot aim many keys at one shard or one place of the table. Parts are hashed with their
//! lengths and their number, so that `("ab", "c")`, `("a", "bc")` and `("abc",)` differ, and an
//! absent part differs from an empty one.

use std::{fmt, hash::Hasher};

use siphasher::sip128::{Hasher128, SipHasher13};

/// A limit's name and a client's parts, hashed. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Chooses the place in a shard.
    pub(crate) place: u64,
    /// Chooses the shard.
    pub(crate) shard: u64,
}

impl Key {
    /// Of no key: marks free room in a table.
    pub(crate) const NONE: Self = Self { place: 0, shard: 0 };

    /// The key as one number, the same in every process that has the same secret.
    pub const fn number(self) -> u128 {
        (self.shard as u128) << 64 | self.place as u128
    }
}

/// 32 hexadecimal digits: how a shared store names the key.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.number())
    }
}

/// What makes keys unpredictable: random bytes, one set for all who share a store.
#[derive(Clone, Copy)]
pub struct Secret([u8; 16]);

impl Secret {
    /// Takes 16 random bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A key in the making: begins with a limit, takes part after part.
///
/// Keep one per limit and copy it per request: the limit's name is hashed once.
#[derive(Debug, Clone, Copy)]
pub struct KeyHasher {
    hasher: SipHasher13,
    parts: u64,
}

impl KeyHasher {
    /// Begins the keys of the limit that is called `limit`.
    pub fn new(secret: &Secret, limit: &str) -> Self {
        let mut hasher = SipHasher13::new_with_key(&secret.0);
        hasher.write(&(limit.len() as u64).to_le_bytes());
        hasher.write(limit.as_bytes());
        // Up to a multiple of the hash's block, so that requests begin with nothing left over.
        let rest = (8 - limit.len() % 8) % 8;
        hasher.write(&[0; 8][..rest]);
        Self { hasher, parts: 0 }
    }

    /// Adds a part of the request.
    #[must_use]
    pub fn part(mut self, part: &[u8]) -> Self {
        self.hasher.write(&(part.len() as u64).to_le_bytes());
        self.hasher.write(part);
        self.parts += 1;
        self
    }

    /// Adds a part that the request does not have: not the same as an empty one.
    #[must_use]
    pub fn absent(mut self) -> Self {
        // No part is as long as that.
        self.hasher.write(&u64::MAX.to_le_bytes());
        self.parts += 1;
        self
    }

    /// The key.
    pub fn finish(mut self) -> Key {
        self.hasher.write(&self.parts.to_le_bytes());
        let hash = self.hasher.finish128();
        // Zero is taken; that one hash moves over to its neighbour harms nobody.
        let key = Key { place: hash.h1, shard: hash.h2 };
        if key == Key::NONE { Key { place: 1, shard: 0 } } else { key }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SECRET: Secret = Secret::new([7; 16]);

    fn key(limit: &str, parts: &[Option<&[u8]>]) -> Key {
        let add = |hasher: KeyHasher, part: &Option<&[u8]>| match part {
            Some(part) => hasher.part(part),
            None => hasher.absent(),
        };
        parts.iter().fold(KeyHasher::new(&SECRET, limit), add).finish()
    }

    #[test]
    fn what_is_told_apart() {
        let big = vec![b'x'; 1 << 20];
        let mut bigger = big.clone();
        bigger[777_777] = b'y';
        let keys = [
            key("a", &[]),
            key("b", &[]),
            key("a", &[None]),
            key("a", &[Some(b"")]),
            key("a", &[Some(b""), Some(b"")]),
            key("a", &[None, Some(b"")]),
            key("a", &[Some(b"a")]),
            key("a\0", &[Some(b"a")]),
            key("aa", &[]),
            key("a", &[Some(b"ab"), Some(b"c")]),
            key("a", &[Some(b"a"), Some(b"bc")]),
            key("a", &[Some(b"abc")]),
            key("a", &[Some(b"abc\0")]),
            key("a", &[Some(&big)]),
            key("a", &[Some(&bigger)]),
            KeyHasher::new(&Secret::new([8; 16]), "a").finish(),
        ];
        assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len());
        assert_eq!(key("a", &[Some(&big)]), keys[13]);
    }

    #[test]
    fn a_key_stays_the_same() {
        // Gateways of different releases share a store: these must not change.
        let key = key("api/per-ip", &[Some(&[192, 0, 2, 7])]);
        assert_eq!(key.to_string(), "70c6b8a0cab26633f5ee081484a39262");
    }

    #[test]
    fn keys_spread() {
        let mut ones = [0_u32; 128];
        for i in 0..10_000_u32 {
            let number = key("a", &[Some(&i.to_be_bytes())]).number();
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += (number >> bit & 1) as u32;
            }
        }
        assert!(ones.iter().all(|count| (4_700..5_300).contains(count)), "{ones:?}");
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", SECRET), "Secret(..)");
    }
}
