//! QPACK without its dynamic table (RFC 9204).
//!
//! Our settings allow the peer no dynamic table and we use none of its own, so field sections stand
//! alone: [`Lines`] reads one without any state, and the `encode` functions write one.

use bytes::{BufMut, BytesMut};

use super::code::Code;

mod huffman;
pub mod instructions;
mod integer;
pub(super) mod static_table;
#[cfg(test)]
mod tests;

use huffman::Undecodable;
use static_table::Found;

const FAILED: Code = Code::QpackDecompressionFailed;

/// The field lines of an encoded field section (section 4.5), nothing decoded yet.
#[derive(Debug, Clone)]
pub struct Lines<'a>(&'a [u8]);

/// A field line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// An entry of the static table.
    Static(usize),
    /// The name of an entry of the static table, and a value.
    StaticName {
        /// The entry.
        index: usize,
        /// The value.
        value: Text<'a>,
        /// It must stay a literal wherever it goes (section 7.1.3).
        never_indexed: bool,
    },
    /// A name and a value.
    Literal {
        /// The name.
        name: Text<'a>,
        /// The value.
        value: Text<'a>,
        /// It must stay a literal wherever it goes (section 7.1.3).
        never_indexed: bool,
    },
}

/// A string as it is sent (section 4.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    bytes: &'a [u8],
    huffman: bool,
}

impl<'a> Lines<'a> {
    /// The lines of a whole block.
    ///
    /// # Errors
    /// [`Code::QpackDecompressionFailed`] when its prefix asks for a dynamic table or is cut off.
    pub fn new(block: &'a [u8]) -> Result<Self, Code> {
        let mut rest = block;
        let inserts = integer::take(&mut rest, 8).ok_or(FAILED)?;
        let negative = rest.first().is_some_and(|byte| byte & 0x80 != 0);
        // Any base will do where nothing refers to it, but it must not be negative.
        integer::take(&mut rest, 7).ok_or(FAILED)?;
        if inserts != 0 || negative {
            return Err(FAILED);
        }
        Ok(Self(rest))
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// [`Code::QpackDecompressionFailed`] for what is cut off, refers to the dynamic table, or to
    /// an entry that the static table has not.
    #[expect(clippy::should_implement_trait, reason = "as a Result of an Option it reads better")]
    pub fn next(&mut self) -> Result<Option<Line<'a>>, Code> {
        let Some(&first) = self.0.first() else { return Ok(None) };
        let line = match first {
            // 1Txxxxxx
            0b1100_0000.. => Line::Static(self.index(6)?),
            // 01NTxxxx
            0b0101_0000..=0b0101_1111 | 0b0111_0000..=0b0111_1111 => Line::StaticName {
                index: self.index(4)?,
                value: self.text(7)?,
                never_indexed: first & 0b0010_0000 != 0,
            },
            // 001NHxxx
            0b0010_0000..=0b0011_1111 => Line::Literal {
                name: self.text(3)?,
                value: self.text(7)?,
                never_indexed: first & 0b0001_0000 != 0,
            },
            // The rest is about the dynamic table.
            _ => return Err(FAILED),
        };
        Ok(Some(line))
    }

    fn index(&mut self, prefix: u32) -> Result<usize, Code> {
        let index = integer::take(&mut self.0, prefix).ok_or(FAILED)?;
        usize::try_from(index).ok().filter(|index| *index < static_table::LENGTH).ok_or(FAILED)
    }

    /// The H bit stands right above the length.
    fn text(&mut self, prefix: u32) -> Result<Text<'a>, Code> {
        let first = self.0.first().ok_or(FAILED)?;
        let huffman = first & 1 << prefix != 0;
        let length = integer::take(&mut self.0, prefix).ok_or(FAILED)?;
        let length = usize::try_from(length).map_err(|_| FAILED)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(FAILED)?;
        self.0 = rest;
        Ok(Text { bytes, huffman })
    }
}

impl Lines<'_> {
    /// Greatest length of all the strings that are left, together.
    pub(super) fn longest(&self) -> usize {
        huffman::longest(self.0.len())
    }

    /// Reads the lines that are left for nothing but their faults.
    ///
    /// # Errors
    /// [`Code::QpackDecompressionFailed`] for the first one.
    pub(super) fn check(mut self) -> Result<(), Code> {
        let mut scratch = BytesMut::new();
        while let Some(line) = self.next()? {
            let texts = match line {
                Line::Static(_) => [None, None],
                Line::StaticName { value, .. } => [None, Some(value)],
                Line::Literal { name, value, .. } => [Some(name), Some(value)],
            };
            for text in texts.into_iter().flatten() {
                text.append_to(usize::MAX, &mut scratch)?;
                scratch.clear();
            }
        }
        Ok(())
    }
}

impl Text<'_> {
    /// Greatest length of what it stands for.
    pub(super) fn longest(&self) -> usize {
        huffman::longest(self.bytes.len())
    }

    /// Appends what it stands for to `out`; `false`, and nothing appended, when that is more than
    /// `limit` bytes.
    ///
    /// # Errors
    /// [`Code::QpackDecompressionFailed`] for what is no Huffman code.
    pub fn append_to(&self, limit: usize, out: &mut BytesMut) -> Result<bool, Code> {
        if self.huffman {
            return match huffman::decode(self.bytes, limit, out) {
                Ok(()) => Ok(true),
                Err(Undecodable::TooLong) => Ok(false),
                Err(Undecodable::Garbage) => Err(FAILED),
            };
        }
        let fits = self.bytes.len() <= limit;
        if fits {
            out.extend_from_slice(self.bytes);
        }
        Ok(fits)
    }
}

// === Encoding ===

/// Writes the prefix of a field section (section 4.5.1): no dynamic table.
pub(crate) fn encode_prefix(out: &mut BytesMut) {
    out.put_u16(0);
}

/// Writes a field in the shortest way. Sensitive ones are marked to be never indexed (section
/// 7.1.3).
pub(crate) fn encode(name: &str, value: &[u8], sensitive: bool, out: &mut BytesMut) {
    match static_table::find(name, value) {
        Found::Both(index) if !sensitive => integer::put(index, 6, 0b1100_0000, out),
        Found::Both(index) | Found::Name(index) => {
            integer::put(index, 4, 0b0101_0000 | u8::from(sensitive) << 5, out);
            encode_text(value, 7, 0, out);
        }
        Found::Nothing => {
            encode_text(name.as_bytes(), 3, 0b0010_0000 | u8::from(sensitive) << 4, out);
            encode_text(value, 7, 0, out);
        }
    }
}

/// Strings up to this length are encoded in one go.
const SHORT: usize = 128;

/// Writes a string whose length has `prefix` bits, Huffman coded when that is shorter.
fn encode_text(text: &[u8], prefix: u32, pattern: u8, out: &mut BytesMut) {
    if text.len() <= SHORT {
        let mut scratch = [0; SHORT];
        let encoded = huffman::encode_shorter(text, &mut scratch[..text.len()]);
        let (coded, huffman) =
            encoded.map_or((text, 0), |length| (&scratch[..length], 1 << prefix));
        integer::put(coded.len(), prefix, pattern | huffman, out);
        return out.extend_from_slice(coded);
    }
    let encoded = huffman::encoded_length(text);
    if encoded < text.len() {
        integer::put(encoded, prefix, pattern | 1 << prefix, out);
        huffman::encode(text, out);
    } else {
        integer::put(text.len(), prefix, pattern, out);
        out.extend_from_slice(text);
    }
}
