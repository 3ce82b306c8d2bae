//! The peer's control stream (RFC 9114 sections 6.2.1 and 7.2).

use bytes::Bytes;
use smallvec::SmallVec;

use super::{FrameHeader, Role, kind, skip};
use crate::h3::{
    code::Code,
    settings::{self, Settings},
    varint,
};

/// Longest payload of a frame that we know.
pub const PAYLOAD_BYTES: usize = 4 * 1024;

/// What a control stream carries.
///
/// CANCEL_PUSH is not among it. We promise no push and allow none, so whichever push it names, it
/// is an error (section 7.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlItem {
    /// SETTINGS, always first and only once.
    Settings(Settings),
    /// GOAWAY: to a client the first request that is not processed, to a server a push id.
    GoAway(u64),
    /// MAX_PUSH_ID, which only a server hears.
    MaxPushId(u64),
}

/// Reads a control stream, behind its type.
#[derive(Debug)]
pub struct ControlFrames {
    role: Role,
    chunk: Bytes,
    header: FrameHeader,
    within: Within,
    settled: bool,
    goaway: Option<u64>,
    max_push: Option<u64>,
}

/// Which frame's payload comes next.
#[derive(Debug)]
enum Within {
    /// None: the type and length of a frame.
    Header,
    /// A frame of this type, so much of it, and how many bytes are missing.
    Known(u64, SmallVec<[u8; 32]>, usize),
    Skipped(u64),
}

impl ControlFrames {
    /// A reader of the peer's control stream.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            chunk: Bytes::new(),
            header: FrameHeader::default(),
            within: Within::Header,
            settled: false,
            goaway: None,
            max_push: None,
        }
    }

    /// Takes what came over the stream. The chunk before must have been read: [`Self::next`] said
    /// `None`.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "a chunk still waits");
        self.chunk = chunk;
    }

    /// The next item; `None` when more bytes are needed. Frames of unknown type are skipped.
    ///
    /// # Errors
    /// [`Code::MissingSettings`], [`Code::FrameUnexpected`], [`Code::FrameError`],
    /// [`Code::SettingsError`], [`Code::IdError`], and [`Code::ExcessiveLoad`] for a payload above
    /// [`PAYLOAD_BYTES`]. All are connection errors; nothing may be read after one.
    #[expect(clippy::should_implement_trait, reason = "no iterator: it goes on after `None`")]
    pub fn next(&mut self) -> Result<Option<ControlItem>, Code> {
        loop {
            match &mut self.within {
                Within::Header => {
                    let Some((kind, length)) = self.header.take(&mut self.chunk) else {
                        return Ok(None);
                    };
                    self.begin(kind, length)?;
                }
                Within::Known(kind, payload, missing) => {
                    let here = (*missing).min(self.chunk.len());
                    payload.extend_from_slice(&self.chunk.split_to(here));
                    *missing -= here;
                    if *missing > 0 {
                        return Ok(None);
                    }
                    let (kind, payload) = (*kind, std::mem::take(payload));
                    self.within = Within::Header;
                    return self.read(kind, &payload).map(Some);
                }
                Within::Skipped(0) => self.within = Within::Header,
                Within::Skipped(_) if self.chunk.is_empty() => return Ok(None),
                Within::Skipped(left) => *left = skip(&mut self.chunk, *left),
            }
        }
    }

    fn begin(&mut self, kind: u64, length: u64) -> Result<(), Code> {
        if !self.settled && kind != kind::SETTINGS {
            return Err(Code::MissingSettings);
        }
        let known = match kind {
            kind::SETTINGS if self.settled => return Err(Code::FrameUnexpected),
            kind::MAX_PUSH_ID if self.role == Role::Client => return Err(Code::FrameUnexpected),
            kind::SETTINGS | kind::GOAWAY | kind::MAX_PUSH_ID | kind::CANCEL_PUSH => true,
            kind::DATA | kind::HEADERS | kind::PUSH_PROMISE => return Err(Code::FrameUnexpected),
            reserved if kind::is_reserved(reserved) => return Err(Code::FrameUnexpected),
            _ => false,
        };
        self.within = match usize::try_from(length) {
            _ if !known => Within::Skipped(length),
            Ok(length) if length <= PAYLOAD_BYTES => Within::Known(kind, SmallVec::new(), length),
            _ => return Err(Code::ExcessiveLoad),
        };
        Ok(())
    }

    fn read(&mut self, kind: u64, payload: &[u8]) -> Result<ControlItem, Code> {
        if kind == kind::SETTINGS {
            self.settled = true;
            return settings::decode(payload).map(ControlItem::Settings);
        }
        // The payload of each other frame is one integer and nothing else.
        let id = match varint::decode(payload) {
            Some((id, length)) if length == payload.len() => id,
            _ => return Err(Code::FrameError),
        };
        match kind {
            kind::GOAWAY => {
                // Requests are the client's bidirectional streams (RFC 9000 section 2.1).
                let no_request = self.role == Role::Client && !id.is_multiple_of(4);
                if no_request || self.goaway.is_some_and(|before| id > before) {
                    return Err(Code::IdError);
                }
                self.goaway = Some(id);
                Ok(ControlItem::GoAway(id))
            }
            kind::MAX_PUSH_ID if self.max_push.is_none_or(|before| id >= before) => {
                self.max_push = Some(id);
                Ok(ControlItem::MaxPushId(id))
            }
            // A MAX_PUSH_ID that decreases, or a CANCEL_PUSH.
            _ => Err(Code::IdError),
        }
    }
}
