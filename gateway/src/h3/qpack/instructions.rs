//! The streams of QPACK instructions, when there is no dynamic table (RFC 9204 sections 4.3, 4.4).

use crate::h3::{code::Code, varint};

#[cfg(test)]
mod tests;

/// Checks what the peer's encoder sends.
///
/// Our settings allow no dynamic table, so all it may say is that the table's capacity is zero.
#[derive(Debug, Default)]
pub struct EncoderStream;

impl EncoderStream {
    /// Set Dynamic Table Capacity to 0 (section 4.3.1). Zero has no longer form.
    const CAPACITY_ZERO: u8 = 0b0010_0000;

    /// A checker at the stream's start, behind its type.
    pub fn new() -> Self {
        Self
    }

    /// Takes what came over the stream.
    ///
    /// # Errors
    /// [`Code::QpackEncoderStreamError`] for any instruction but the one allowed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Code> {
        if bytes.iter().all(|byte| *byte == Self::CAPACITY_ZERO) {
            Ok(())
        } else {
            Err(Code::QpackEncoderStreamError)
        }
    }
}

/// Checks what the peer's decoder sends.
///
/// Our field sections refer to no dynamic table, so there is nothing to acknowledge; it may say
/// that it gave up a stream.
#[derive(Debug, Default)]
pub struct DecoderStream {
    /// Within a stream id: its value so far and the place of its next seven bits.
    id: Option<(u64, u32)>,
}

impl DecoderStream {
    /// A checker at the stream's start, behind its type.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what came over the stream.
    ///
    /// # Errors
    /// [`Code::QpackDecoderStreamError`] for any instruction but Stream Cancellation (section
    /// 4.4.2), and for an id that no stream can have.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Code> {
        for &byte in bytes {
            self.id = match self.id {
                None if byte >> 6 != 0b01 => return Err(Code::QpackDecoderStreamError),
                None if byte & 0x3f == 0x3f => Some((0x3f, 0)),
                None => None,
                Some((id, shift)) => {
                    // Nine bytes hold the largest id; the shift stays below 64.
                    let id = id + (u64::from(byte & 0x7f) << shift);
                    if id > varint::MAX || shift >= 56 && byte >= 0x80 {
                        return Err(Code::QpackDecoderStreamError);
                    }
                    (byte >= 0x80).then_some((id, shift + 7))
                }
            };
        }
        Ok(())
    }
}
