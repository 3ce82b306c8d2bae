//! The unidirectional streams of an HTTP/3 connection (RFC 9114 section 6.2), for both sides of the
//! gateway: our control stream, and what the peer opens. Those of QPACK we need not open (RFC 9204
//! section 4.2): there is no dynamic table to speak of.

use std::{
    fmt, mem,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::{Connection, RecvStream, SendStream, Stopped};
use crate::h3::{
    code::Code,
    frame::{self, ControlFrames, ControlItem, Role, UniKind, UniType},
    qpack::instructions::{DecoderStream, EncoderStream},
    settings::{self, Settings},
    varint,
};

/// Streams of unknown types that a peer may open in a connection's life. They are there to keep
/// receivers tolerant, which takes a few.
const STRANGERS: u32 = 1000;

/// See the module's page. To be polled by the task that drives the connection.
pub(crate) struct ControlStreams {
    role: Role,
    /// Our control stream, once the peer allows one.
    ours: Option<SendStream>,
    /// What goes out on it next.
    unsent: Bytes,
    peers: Vec<Peer>,
    frames: ControlFrames,
    encoder: EncoderStream,
    decoder: DecoderStream,
    /// Streams that the peer may open once and has opened.
    seen: SmallVec<[UniKind; 3]>,
    strangers: u32,
}

struct Peer {
    stream: RecvStream,
    reading: Reading,
}

enum Reading {
    Kind(UniType),
    Known(UniKind),
}

impl fmt::Debug for ControlStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlStreams").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl ControlStreams {
    /// Streams of an endpoint in this role that announces these settings.
    pub(crate) fn new(role: Role, settings: &Settings) -> Self {
        let mut preface = BytesMut::new();
        varint::encode(UniKind::CONTROL, &mut preface);
        settings::encode(settings, &mut preface);
        Self {
            role,
            ours: None,
            unsent: preface.freeze(),
            peers: Vec::new(),
            frames: ControlFrames::new(role),
            encoder: EncoderStream::new(),
            decoder: DecoderStream::new(),
            seen: SmallVec::new(),
            strangers: 0,
        }
    }

    /// Opens and writes our streams and reads the peer's. `on_item` is called for each frame of the
    /// peer's control stream.
    ///
    /// # Errors
    /// The peer broke the rules: the connection is to be closed with this code.
    pub(crate) fn poll(
        &mut self,
        connection: &Rc<Connection>,
        cx: &mut Context<'_>,
        mut on_item: impl FnMut(ControlItem),
    ) -> Result<(), Code> {
        self.write(connection, cx)?;
        while let Some(stream) = connection.accept_uni() {
            self.peers.push(Peer { stream, reading: Reading::Kind(UniType::new()) });
        }
        let mut peers = mem::take(&mut self.peers);
        let mut read = Ok(());
        peers.retain_mut(|peer| {
            let kept = read.and_then(|()| self.read(peer, cx, &mut on_item));
            read = kept.map(|_| ());
            kept.unwrap_or(false)
        });
        self.peers = peers;
        read
    }

    /// Says on the control stream that requests (to a server) or pushes (to a client) from this
    /// number on are not looked at.
    pub(crate) fn go_away(&mut self, id: u64) {
        let mut frames = BytesMut::from(&*self.unsent);
        frame::encode_goaway(id, &mut frames);
        self.unsent = frames.freeze();
    }

    fn write(&mut self, connection: &Rc<Connection>, cx: &mut Context<'_>) -> Result<(), Code> {
        if self.ours.is_none() {
            self.ours = connection.open_uni();
        }
        let Some(stream) = &mut self.ours else { return Ok(()) };
        let written = stream.poll_write(cx, &mut self.unsent);
        // Its end is the connection's (section 6.2.1).
        match (written, stream.poll_stopped(cx)) {
            (Poll::Ready(Err(Stopped::Code(_))), _) | (_, Poll::Ready(Stopped::Code(_))) => {
                Err(Code::ClosedCriticalStream)
            }
            _ => Ok(()),
        }
    }

    /// Reads what is there of a stream of the peer's; whether to come again.
    fn read(
        &mut self,
        peer: &mut Peer,
        cx: &mut Context<'_>,
        on_item: &mut impl FnMut(ControlItem),
    ) -> Result<bool, Code> {
        loop {
            match peer.stream.poll_read(cx) {
                Poll::Pending | Poll::Ready(Err(Stopped::Lost(_))) => return Ok(true),
                Poll::Ready(Ok(Some(chunk))) => {
                    if !self.take(peer, chunk, on_item)? {
                        return Ok(false);
                    }
                }
                Poll::Ready(Ok(None) | Err(Stopped::Code(_))) => {
                    return match peer.reading {
                        // It may end before it has said what it is.
                        Reading::Kind(_) => Ok(false),
                        Reading::Known(_) => Err(Code::ClosedCriticalStream),
                    };
                }
            }
        }
    }

    /// Takes bytes of a stream of the peer's; false when it is of no interest.
    fn take(
        &mut self,
        peer: &mut Peer,
        mut chunk: Bytes,
        on_item: &mut impl FnMut(ControlItem),
    ) -> Result<bool, Code> {
        let kind = match &mut peer.reading {
            Reading::Known(kind) => *kind,
            Reading::Kind(reader) => {
                let Some(kind) = reader.take(&mut chunk) else { return Ok(true) };
                if !self.admit(kind, &mut peer.stream)? {
                    return Ok(false);
                }
                peer.reading = Reading::Known(kind);
                kind
            }
        };
        match kind {
            UniKind::Control => {
                self.frames.push(chunk);
                while let Some(item) = self.frames.next()? {
                    on_item(item);
                }
            }
            UniKind::QpackEncoder => self.encoder.push(&chunk)?,
            UniKind::QpackDecoder => self.decoder.push(&chunk)?,
            UniKind::Push | UniKind::Unknown => return Ok(false),
        }
        Ok(true)
    }

    /// Whether a stream of this type is read.
    fn admit(&mut self, kind: UniKind, stream: &mut RecvStream) -> Result<bool, Code> {
        match kind {
            UniKind::Control | UniKind::QpackEncoder | UniKind::QpackDecoder => {
                if self.seen.contains(&kind) {
                    return Err(Code::StreamCreationError);
                }
                self.seen.push(kind);
                Ok(true)
            }
            // A client has nothing to push, and a server may not: it is never told that it may.
            UniKind::Push if self.role == Role::Server => Err(Code::StreamCreationError),
            UniKind::Push => Err(Code::IdError),
            UniKind::Unknown => {
                stream.stop(Code::StreamCreationError.value());
                self.strangers += 1;
                if self.strangers > STRANGERS { Err(Code::ExcessiveLoad) } else { Ok(false) }
            }
        }
    }
}
