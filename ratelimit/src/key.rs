//! Who is limited: sixteen bytes in place of addresses, headers and paths.
//!
//! A key is a keyed 128-bit hash (SipHash-1-3 with 128 bits of output) of the limit and of the
//! parts of the request that it looks at. The parts themselves are read once and never stored, so
//! that a key made of a megabyte takes no more room than one made of an address.
//!
//! **Collisions.** Two clients with one key would share a bucket. Among n keys of 128 bits some two
//! collide with a probability of about n^2 / 2^129: with a thousand million keys, 2^-69. An
//! attacker who wants to share a victim's bucket cannot look for a collision at home, since the
//! secret is unknown to him; he can only send requests and has 2^-128 per try. For the same reason
//! he cannot aim many keys at one shard or one place of the table. Parts are hashed with their
//! lengths, and no message but one can be taken apart into them, so that `("ab", "c")`, `("a",
//! "bc")` and `("abc",)` differ, and an absent part differs from an empty one.

use std::fmt;

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

    /// Which of so many shards it belongs in.
    #[inline]
    pub(crate) const fn shard_of(self, shards: usize) -> usize {
        share(self.shard, shards)
    }

    /// Which of so many places it would like.
    #[inline]
    pub(crate) const fn place_of(self, places: usize) -> usize {
        share(self.place, places)
    }

    /// This key, kept where `other` is: on one server, in one slot of a cluster, so that both can
    /// be decided on at one moment.
    ///
    /// `other` must follow from what makes this key and always be the same for it, say a key of the
    /// client alone. What else tells keys apart is left with 64 bits then: enough for the limits of
    /// one client, not for all the clients of a limit.
    #[must_use]
    pub const fn beside(self, other: Self) -> Self {
        let place = if self.place == 0 { 1 } else { self.place };
        Self { place, shard: other.shard }
    }

    /// The key as one number, the same in every process that has the same secret.
    pub const fn number(self) -> u128 {
        ((self.shard as u128) << 64) | self.place as u128
    }
}

/// Spreads hashes over any number of rooms, without a division: the high half of the product is
/// below `rooms`.
#[inline]
const fn share(hash: u64, rooms: usize) -> usize {
    ((hash as u128 * rooms as u128) >> 64) as usize
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

    /// The same secret wherever the same `text` is configured, for gateways that share a store. No
    /// harder to guess than the text.
    pub fn derive(text: &str) -> Self {
        let key = KeyHasher::new(&Self([0; 16]), "secret").part(text.as_bytes()).finish();
        Self(key.number().to_le_bytes())
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
    sip: Sip,
}

impl KeyHasher {
    /// Begins the keys of the limit that is called `limit`.
    pub fn new(secret: &Secret, limit: &str) -> Self {
        let hasher = Self { sip: Sip::new(secret.0) };
        hasher.part(limit.as_bytes())
    }

    /// Adds a part of the request.
    #[inline]
    #[must_use]
    pub fn part(mut self, part: &[u8]) -> Self {
        self.sip.absorb(part.len() as u64);
        let (words, rest) = part.as_chunks();
        words.iter().for_each(|word| self.sip.absorb(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.sip.absorb(u64::from_le_bytes(word));
        }
        self
    }

    /// Adds a part that the request does not have: not the same as an empty one.
    #[inline]
    #[must_use]
    pub fn absent(mut self) -> Self {
        // No part is as long as that.
        self.sip.absorb(u64::MAX);
        self
    }

    /// The key.
    #[inline]
    pub fn finish(self) -> Key {
        let [place, shard] = self.sip.finish();
        // Zero is taken; that one hash moves over to its neighbour harms nobody.
        let key = Key { place, shard };
        if key == Key::NONE { Key { place: 1, shard: 0 } } else { key }
    }
}

/// SipHash-1-3 with 128 bits of output (Aumasson and Bernstein 2012, and their reference code for
/// the longer output), for messages of whole 64-bit words.
///
/// Without a half-filled block there is nothing to keep but four words: they stay in registers from
/// the limit's name to the key, which takes half the time of a hasher that buffers.
#[derive(Debug, Clone, Copy)]
struct Sip {
    v: [u64; 4],
    words: u64,
}

impl Sip {
    const fn new(secret: [u8; 16]) -> Self {
        let both = u128::from_le_bytes(secret);
        let (k0, k1) = (both as u64, (both >> 64) as u64);
        // "somepseudorandomlygeneratedbytes", and the mark of 128-bit output.
        let v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        Self { v, words: 0 }
    }

    #[inline]
    fn absorb(&mut self, word: u64) {
        self.compress(word);
        self.words = self.words.wrapping_add(1);
    }

    #[inline]
    fn compress(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.v[0] ^= word;
    }

    #[inline]
    fn finish(mut self) -> [u64; 2] {
        // The last block is the length in bytes, modulo 256, in its highest byte.
        self.compress(self.words.wrapping_mul(8) << 56);
        let mut squeeze = |lane: usize, mark| {
            self.v[lane] ^= mark;
            (0..3).for_each(|_| self.round());
            self.v[0] ^ self.v[1] ^ self.v[2] ^ self.v[3]
        };
        [squeeze(2, 0xee), squeeze(1, 0xdd)]
    }

    #[inline]
    fn round(&mut self) {
        let [mut v0, mut v1, mut v2, mut v3] = self.v;
        v0 = v0.wrapping_add(v1);
        v1 = v1.rotate_left(13) ^ v0;
        v0 = v0.rotate_left(32);
        v2 = v2.wrapping_add(v3);
        v3 = v3.rotate_left(16) ^ v2;
        v0 = v0.wrapping_add(v3);
        v3 = v3.rotate_left(21) ^ v0;
        v2 = v2.wrapping_add(v1);
        v1 = v1.rotate_left(17) ^ v2;
        v2 = v2.rotate_left(32);
        self.v = [v0, v1, v2, v3];
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, hash::Hasher};

    use siphasher::sip128::{Hasher128, SipHasher13};

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
        assert_eq!(key.to_string(), "729c4baebdab0d1e6cec126326f0e4ee");
    }

    #[test]
    fn agrees_with_another_siphash() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            let mut secret = [0; 16];
            rng.fill(&mut secret);
            let mut hasher = KeyHasher::new(&Secret::new(secret), "limit");
            let mut message = b"\x05\0\0\0\0\0\0\0limit\0\0\0".to_vec();
            for _ in 0..rng.usize(0..4) {
                let mut part = vec![0; rng.usize(0..100)];
                rng.fill(&mut part);
                hasher = hasher.part(&part);
                message.extend((part.len() as u64).to_le_bytes());
                part.resize(part.len().next_multiple_of(8), 0);
                message.extend(part);
                if rng.bool() {
                    hasher = hasher.absent();
                    message.extend([0xff; 8]);
                }
            }
            let mut other = SipHasher13::new_with_key(&secret);
            other.write(&message);
            let expected = u128::from(other.finish128());
            assert_eq!(hasher.finish().number(), expected);
        }
    }

    #[test]
    fn keys_spread() {
        let mut ones = [0_u32; 128];
        for i in 0..10_000_u32 {
            let number = key("a", &[Some(&i.to_be_bytes())]).number();
            for (bit, count) in ones.iter_mut().enumerate() {
                *count += ((number >> bit) & 1) as u32;
            }
        }
        assert!(ones.iter().all(|count| (4_700..5_300).contains(count)), "{ones:?}");
    }

    #[test]
    fn a_derived_secret_depends_on_its_text() {
        let of = |text| KeyHasher::new(&Secret::derive(text), "a").finish();
        assert_eq!(of("one"), of("one"));
        assert_ne!(of("one"), of("two"));
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", SECRET), "Secret(..)");
    }
}
