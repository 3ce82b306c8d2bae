//! The fields of a section one by one, decoded, bounded and checked (RFC 9114 section 4.2).

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue};

use super::{Bounds, Malformed};
use crate::h3::qpack::{Line, Lines, Text, static_table};

/// Reads the fields of a block. Never more is decoded than the bounds allow.
#[derive(Debug)]
pub(super) struct Section<'a> {
    lines: Lines<'a>,
    /// Where strings are decoded; the values are cut off its front and share its memory.
    scratch: BytesMut,
    left: Bounds,
}

/// A field.
#[derive(Debug)]
pub(super) enum Field {
    Pseudo(Pseudo, Bytes),
    /// TE, which may only say one thing in one place.
    Te(HeaderValue),
    Regular(HeaderName, HeaderValue),
}

/// Names of pseudo-header fields (RFC 9114 section 4.3, RFC 9220 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pseudo {
    Method,
    Scheme,
    Authority,
    Path,
    Protocol,
    Status,
}

impl Pseudo {
    pub(super) const COUNT: usize = 6;

    fn named(name: &[u8]) -> Result<Self, Malformed> {
        Ok(match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            b":status" => Self::Status,
            _ => return Err(Malformed::Message),
        })
    }
}

/// What each field counts beside its name and value (RFC 9114 section 4.2.2).
const FIELD_BYTES: usize = 32;

impl<'a> Section<'a> {
    pub(super) fn new(block: &'a [u8], bounds: Bounds) -> Result<Self, Malformed> {
        Ok(Self { lines: Lines::new(block)?, scratch: BytesMut::new(), left: bounds })
    }

    /// About how many fields there are, within reason.
    pub(super) fn expected(&self) -> usize {
        // A field that is not in the static table takes some thirty bytes.
        (self.lines.longest() / 32 + 6).min(self.left.count).min(256)
    }

    /// The next field; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Field>, Malformed> {
        let Some(line) = self.lines.next()? else { return Ok(None) };
        self.left.count = self.left.count.checked_sub(1).ok_or(Malformed::TooLarge)?;
        self.charge(FIELD_BYTES)?;
        match line {
            Line::Static(index) => {
                let (name, value) = static_table::text(index);
                self.charge(name.len() + value.len())?;
                match static_table::field(index) {
                    Some((name, value)) => Ok(Field::Regular(name.clone(), value.clone())),
                    None => {
                        let value = Bytes::from_static(value.as_bytes());
                        Pseudo::named(name.as_bytes()).map(|name| Field::Pseudo(name, value))
                    }
                }
            }
            Line::StaticName { index, value, never_indexed } => {
                let (name, _) = static_table::text(index);
                self.charge(name.len())?;
                let value = self.decode(value)?;
                match static_table::field(index) {
                    Some((name, _)) => {
                        Ok(Field::Regular(name.clone(), checked(value, never_indexed)?))
                    }
                    None => Pseudo::named(name.as_bytes()).map(|name| Field::Pseudo(name, value)),
                }
            }
            Line::Literal { name, value, never_indexed } => {
                // Both are decoded before either is judged: a fault of QPACK's is the graver one.
                let value = self.decode(value)?;
                self.append(name)?;
                let field = literal(&self.scratch, value, never_indexed);
                self.scratch.clear();
                field
            }
        }
        .map(Some)
    }

    /// Ends with `result`. A message that is malformed may yet turn out to be worse: the rest of
    /// the block is read for what breaks the connection.
    pub(super) fn finish<T>(self, result: Result<T, Malformed>) -> Result<T, Malformed> {
        if let Err(Malformed::Message) = result {
            self.lines.check()?;
        }
        result
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.left.bytes = self.left.bytes.checked_sub(bytes).ok_or(Malformed::TooLarge)?;
        Ok(())
    }

    fn decode(&mut self, text: Text<'_>) -> Result<Bytes, Malformed> {
        self.append(text)?;
        Ok(self.scratch.split().freeze())
    }

    /// Decodes to the end of the scratch buffer, which is empty before.
    fn append(&mut self, text: Text<'_>) -> Result<(), Malformed> {
        if self.scratch.capacity() == 0 {
            // Once for all: the decoder writes up to two bytes more than it keeps.
            let most = (self.lines.longest() + text.longest()).min(self.left.bytes);
            self.scratch.reserve(most + 2);
        }
        if !text.append_to(self.left.bytes, &mut self.scratch)? {
            return Err(Malformed::TooLarge);
        }
        self.charge(self.scratch.len())
    }
}

fn literal(name: &[u8], value: Bytes, never_indexed: bool) -> Result<Field, Malformed> {
    match name {
        [b':', ..] => return Pseudo::named(name).map(|name| Field::Pseudo(name, value)),
        b"te" => return checked(value, never_indexed).map(Field::Te),
        // Section 4.2: they belong to a connection of HTTP/1.
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
            return Err(Malformed::Message);
        }
        // The `http` crate takes it for a token's byte (RFC 9110 section 5.6.2).
        _ if name.contains(&b'"') => return Err(Malformed::Message),
        _ => {}
    }
    let name = HeaderName::from_lowercase(name).map_err(|_| Malformed::Message)?;
    Ok(Field::Regular(name, checked(value, never_indexed)?))
}

/// A value with no byte that it must not have and no space around it (RFC 9110 section 5.5).
fn checked(value: Bytes, never_indexed: bool) -> Result<HeaderValue, Malformed> {
    if let [b' ' | b'\t', ..] | [.., b' ' | b'\t'] = value[..] {
        return Err(Malformed::Message);
    }
    let mut value = HeaderValue::from_maybe_shared(value).map_err(|_| Malformed::Message)?;
    if never_indexed {
        value.set_sensitive(true);
    }
    Ok(value)
}
