//! A request stream, in either direction (RFC 9114 sections 4.1 and 7.2).

use bytes::{Bytes, BytesMut};

use super::{FrameHeader, Role, kind, skip};
use crate::h3::code::Code;

/// What a request stream carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The block of a HEADERS frame, whole.
    Headers(Bytes),
    /// A HEADERS frame begins that is longer than allowed; its block is skipped.
    HeadersTooLong,
    /// A piece of a DATA frame, never empty.
    Data(Bytes),
}

/// Reads a request stream.
#[derive(Debug)]
pub struct MessageFrames {
    role: Role,
    max_headers: usize,
    chunk: Bytes,
    header: FrameHeader,
    within: Within,
    expected: Expected,
}

/// Which frame's payload comes next.
#[derive(Debug)]
enum Within {
    /// None: the type and length of a frame.
    Header,
    /// A HEADERS block of which so many bytes are missing.
    Headers(BytesMut, usize),
    Data(u64),
    Skipped(u64),
}

/// Which part of the message comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Head,
    BodyOrTrailers,
    Nothing,
}

impl MessageFrames {
    /// A reader that takes no HEADERS block of more than `max_headers` bytes.
    pub fn new(role: Role, max_headers: usize) -> Self {
        Self {
            role,
            max_headers,
            chunk: Bytes::new(),
            header: FrameHeader::default(),
            within: Within::Header,
            expected: Expected::Head,
        }
    }

    /// Takes what came over the stream. The chunk before must have been read: [`Self::next`] said
    /// `None`.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "a chunk still waits");
        self.chunk = chunk;
    }

    /// The next item; `None` when more bytes are needed. Frames of unknown type are skipped, and so
    /// are empty DATA frames.
    ///
    /// # Errors
    /// [`Code::FrameUnexpected`] for a frame that may not be there or then, [`Code::IdError`] for a
    /// push that was never allowed. All are connection errors; nothing may be read after one.
    #[expect(clippy::should_implement_trait, reason = "no iterator: it goes on after `None`")]
    pub fn next(&mut self) -> Result<Option<Item>, Code> {
        loop {
            match &mut self.within {
                Within::Header => {
                    let Some((kind, length)) = self.header.take(&mut self.chunk) else {
                        return Ok(None);
                    };
                    if let Some(item) = self.begin(kind, length)? {
                        return Ok(Some(item));
                    }
                }
                Within::Headers(block, missing) => {
                    let here = (*missing).min(self.chunk.len());
                    block.extend_from_slice(&self.chunk.split_to(here));
                    *missing -= here;
                    if *missing > 0 {
                        return Ok(None);
                    }
                    let block = std::mem::take(block).freeze();
                    self.within = Within::Header;
                    return Ok(Some(Item::Headers(block)));
                }
                Within::Data(0) | Within::Skipped(0) => self.within = Within::Header,
                _ if self.chunk.is_empty() => return Ok(None),
                Within::Data(left) => {
                    let here = (*left).min(self.chunk.len() as u64);
                    *left -= here;
                    return Ok(Some(Item::Data(self.chunk.split_to(here as usize))));
                }
                Within::Skipped(left) => *left = skip(&mut self.chunk, *left),
            }
        }
    }

    /// To be called after the head of an interim response (1xx): another head follows.
    pub fn interim(&mut self) {
        self.expected = Expected::Head;
    }

    /// To be called at the stream's end, after [`Self::next`] said `None`. Whether the message is
    /// complete is for the caller to know.
    ///
    /// # Errors
    /// [`Code::FrameError`] when the last frame is not whole (section 7.1).
    pub fn finish(&self) -> Result<(), Code> {
        let whole = match self.within {
            Within::Header => self.header.is_empty(),
            Within::Headers(..) => false,
            Within::Data(left) | Within::Skipped(left) => left == 0,
        };
        if whole { Ok(()) } else { Err(Code::FrameError) }
    }

    /// A frame begins; gives the item when the chunk holds all of a block, or the block is too
    /// long.
    fn begin(&mut self, kind: u64, length: u64) -> Result<Option<Item>, Code> {
        match kind {
            kind::DATA if self.expected == Expected::BodyOrTrailers => {
                self.within = Within::Data(length);
                Ok(None)
            }
            kind::HEADERS if self.expected != Expected::Nothing => {
                self.expected = match self.expected {
                    Expected::Head => Expected::BodyOrTrailers,
                    Expected::BodyOrTrailers | Expected::Nothing => Expected::Nothing,
                };
                Ok(self.begin_headers(length))
            }
            kind::PUSH_PROMISE if self.role == Role::Client => Err(Code::IdError),
            kind::DATA
            | kind::HEADERS
            | kind::PUSH_PROMISE
            | kind::CANCEL_PUSH
            | kind::SETTINGS
            | kind::GOAWAY
            | kind::MAX_PUSH_ID => Err(Code::FrameUnexpected),
            reserved if kind::is_reserved(reserved) => Err(Code::FrameUnexpected),
            _ => {
                self.within = Within::Skipped(length);
                Ok(None)
            }
        }
    }

    fn begin_headers(&mut self, length: u64) -> Option<Item> {
        let Some(length_here) = usize::try_from(length).ok().filter(|n| *n <= self.max_headers)
        else {
            self.within = Within::Skipped(length);
            return Some(Item::HeadersTooLong);
        };
        if length_here <= self.chunk.len() {
            return Some(Item::Headers(self.chunk.split_to(length_here)));
        }
        // It grows as bytes come: a length alone makes us hold nothing.
        self.within = Within::Headers(BytesMut::new(), length_here);
        None
    }
}
