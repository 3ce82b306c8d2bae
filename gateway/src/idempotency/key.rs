//! The key of a request: what its client calls it, and what the stores do.
//!
//! The header is a string of structured fields (draft-ietf-httpapi-idempotency-key-header-07
//! section 2.1, RFC 9651 section 3.3.3). Many clients send it without the quotes, which is read as
//! the same key.

use std::{borrow::Cow, fmt};

use aws_lc_rs::digest::{Context, SHA256};
use http::{HeaderMap, HeaderName};

/// Characters of a key at the most.
pub const LENGTH_MAX: usize = 255;

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidKey {
    /// Nothing between the quotes, or nothing at all.
    Empty,
    /// More than [`LENGTH_MAX`] characters.
    TooLong,
    /// A character that a key cannot have, or a string without an end.
    Malformed,
    /// More than one.
    Several,
}

/// Under what a key is kept: a hash, so that nobody who sees the store sees keys or identities.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey([u8; 32]);

impl InvalidKey {
    /// What to tell the client.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Empty => "the key is empty",
            Self::TooLong => "the key is longer than 255 characters",
            Self::Malformed => "the key is neither a quoted string nor plain visible ASCII",
            Self::Several => "there is more than one key",
        }
    }
}

/// The key in a request's fields; `None` if there is none.
pub fn find<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<Cow<'a, [u8]>>, InvalidKey> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(InvalidKey::Several);
    }
    parse(value.as_bytes()).map(Some)
}

/// The key in a field's value, without its quotes.
pub fn parse(value: &[u8]) -> Result<Cow<'_, [u8]>, InvalidKey> {
    let value = value.trim_ascii();
    let key = match value.strip_prefix(b"\"") {
        Some(quoted) => unquote(quoted)?,
        None => bare(value)?,
    };
    match key.len() {
        0 => Err(InvalidKey::Empty),
        1..=LENGTH_MAX => Ok(key),
        _ => Err(InvalidKey::TooLong),
    }
}

/// A comma may be what became of two keys on the way: lines of a field are joined by it.
fn bare(value: &[u8]) -> Result<Cow<'_, [u8]>, InvalidKey> {
    if value.contains(&b',') {
        return Err(InvalidKey::Several);
    }
    let sound = value.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"');
    if sound { Ok(Cow::Borrowed(value)) } else { Err(InvalidKey::Malformed) }
}

/// What is between the first quote and the last byte, which must be the other.
fn unquote(rest: &[u8]) -> Result<Cow<'_, [u8]>, InvalidKey> {
    let plain = |byte: u8| matches!(byte, 0x20..=0x7e);
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
    let end = end.ok_or(InvalidKey::Malformed)?;
    if rest[end] == b'"' {
        let key = &rest[..end];
        let sound = key.iter().all(|byte| plain(*byte));
        return after(&rest[end + 1..], sound).map(|()| Cow::Borrowed(key));
    }
    let mut key = Vec::with_capacity(rest.len());
    let mut bytes = rest.iter();
    while let Some(byte) = bytes.next() {
        match *byte {
            b'"' => return after(bytes.as_slice(), true).map(|()| Cow::Owned(key)),
            b'\\' => match bytes.next() {
                Some(escaped @ (b'"' | b'\\')) => key.push(*escaped),
                _ => return Err(InvalidKey::Malformed),
            },
            byte if plain(byte) => key.push(byte),
            _ => return Err(InvalidKey::Malformed),
        }
    }
    Err(InvalidKey::Malformed)
}

/// What follows the closing quote: nothing. Parameters have no meaning here.
fn after(rest: &[u8], sound: bool) -> Result<(), InvalidKey> {
    match rest.trim_ascii_start().first() {
        None if sound => Ok(()),
        Some(b',') => Err(InvalidKey::Several),
        _ => Err(InvalidKey::Malformed),
    }
}

impl RecordKey {
    /// The key `key` on the route `route` of a client whose identity is `scope`. What the scope
    /// lacks is another thing than what is empty in it.
    pub fn new(scope: &[Option<&[u8]>], route: &str, key: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(b"weir idempotency key 1");
        context.update(&(scope.len() as u64).to_be_bytes());
        for part in scope {
            context.update(&[u8::from(part.is_some())]);
            absorb(&mut context, part.unwrap_or_default());
        }
        absorb(&mut context, route.as_bytes());
        absorb(&mut context, key);
        Self(finish(context))
    }

    /// From the hash's hexadecimal digits, as an operator has them from the log.
    pub fn from_hex(digits: &str) -> Option<Self> {
        let digits: &[u8; 64] = digits.as_bytes().try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            // Two digits are at most 255.
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Some(Self(bytes))
    }

    /// The hash.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Hexadecimal.
impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({self})")
    }
}

/// Adds a part with its length before it, so that no two lists of parts are the same bytes.
pub(super) fn absorb(context: &mut Context, part: &[u8]) {
    context.update(&(part.len() as u64).to_be_bytes());
    context.update(part);
}

pub(super) fn finish(context: Context) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests;
