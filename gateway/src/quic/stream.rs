//! The two halves of a stream. Dropped before its end, either half says so: a cut message never
//! looks complete, and what nobody reads is not sent.

use std::{
    rc::Rc,
    slice,
    task::{Context, Poll},
};

use bytes::Bytes;
use quinn_proto::{Chunk, ReadError, StreamId, VarInt, WriteError};

use super::{connection::Connection, lost::Lost, waiting::Half};

/// What a dropped half says: H3_REQUEST_CANCELLED (RFC 9114 section 8.1).
const CANCELLED: VarInt = VarInt::from_u32(0x10c);

/// Why a half of a stream came to no good end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The peer reset it or asked to stop, with this code.
    Code(u64),
    /// The connection is over.
    Lost(Lost),
}

/// The sending half.
#[derive(Debug)]
pub(crate) struct SendStream {
    connection: Rc<Connection>,
    id: StreamId,
    /// Finished, reset or stopped: not to be touched any more.
    over: bool,
}

impl SendStream {
    pub(super) const fn new(connection: Rc<Connection>, id: StreamId) -> Self {
        Self { connection, id, over: false }
    }

    /// Its number (RFC 9000 section 2.1).
    pub(crate) fn id(&self) -> u64 {
        VarInt::from(self.id).into_inner()
    }

    /// The connection it belongs to.
    pub(crate) const fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Takes `data` from the front until nothing is left; pending while the peer's windows or our
    /// own buffer are full.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut Bytes,
    ) -> Poll<Result<(), Stopped>> {
        while !data.is_empty() {
            if let Some(lost) = self.connection.lost() {
                return Poll::Ready(Err(Stopped::Lost(lost)));
            }
            let written = {
                let mut proto = self.connection.proto.borrow_mut();
                proto.send_stream(self.id).write_chunks(slice::from_mut(data))
            };
            match written {
                Ok(_) => self.connection.touch(),
                Err(WriteError::Blocked) => {
                    self.connection.waiting.write(self.id, cx);
                    return Poll::Pending;
                }
                Err(WriteError::Stopped(code)) => return Poll::Ready(Err(self.stopped(code))),
                Err(WriteError::ClosedStream) => {
                    self.over = true;
                    return Poll::Ready(Err(Stopped::Code(CANCELLED.into_inner())));
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready once the peer wants no more of it.
    pub(crate) fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<Stopped> {
        if let Some(lost) = self.connection.lost() {
            return Poll::Ready(Stopped::Lost(lost));
        }
        if self.over {
            return Poll::Pending;
        }
        let stopped = self.connection.proto.borrow_mut().send_stream(self.id).stopped();
        match stopped {
            Ok(None) => {
                self.connection.waiting.write(self.id, cx);
                Poll::Pending
            }
            Ok(Some(code)) => Poll::Ready(self.stopped(code)),
            Err(_) => Poll::Pending,
        }
    }

    /// STOP_SENDING is answered with RESET_STREAM and its code (RFC 9000 section 3.5).
    fn stopped(&mut self, code: VarInt) -> Stopped {
        self.abandon(code);
        Stopped::Code(code.into_inner())
    }

    /// Nothing more comes; what was written is still sent.
    pub(crate) fn finish(&mut self) {
        if !self.over {
            self.over = true;
            // Stopped by the peer, it is reset instead.
            let finished = self.connection.proto.borrow_mut().send_stream(self.id).finish();
            if finished.is_err() {
                self.over = false;
                self.abandon(CANCELLED);
            }
            self.connection.touch();
        }
    }

    /// Nothing more comes, and what was written is worth nothing.
    pub(crate) fn reset(&mut self, code: u64) {
        self.abandon(VarInt::from_u64(code).unwrap_or(CANCELLED));
    }

    fn abandon(&mut self, code: VarInt) {
        if !self.over {
            self.over = true;
            // Fails only for a stream that is gone already.
            let _ = self.connection.proto.borrow_mut().send_stream(self.id).reset(code);
            self.connection.touch();
        }
    }
}

impl Drop for SendStream {
    fn drop(&mut self) {
        if self.connection.lost().is_none() {
            self.abandon(CANCELLED);
        }
        self.connection.waiting.forget(self.id, Half::Send);
    }
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct RecvStream {
    connection: Rc<Connection>,
    id: StreamId,
    /// Read to its end, reset by the peer, or stopped: what there is to say from then on.
    over: Option<Result<(), Stopped>>,
}

impl RecvStream {
    pub(super) const fn new(connection: Rc<Connection>, id: StreamId) -> Self {
        Self { connection, id, over: None }
    }

    /// Its number (RFC 9000 section 2.1).
    pub(crate) fn id(&self) -> u64 {
        VarInt::from(self.id).into_inner()
    }

    /// The connection it belongs to.
    pub(crate) const fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// The next bytes; `None` at the end. The peer's window opens as they are taken.
    pub(crate) fn poll_read(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Bytes>, Stopped>> {
        if let Some(over) = self.over {
            return Poll::Ready(over.map(|()| None));
        }
        Poll::Ready(match self.next() {
            Ok(Some(chunk)) => Ok(Some(chunk.bytes)),
            Ok(None) => {
                self.over = Some(Ok(()));
                Ok(None)
            }
            Err(ReadError::Reset(code)) => Err(self.fail(code)),
            Err(ReadError::Blocked) => {
                // What came before the end can still be read; what did not, never comes.
                if let Some(lost) = self.connection.lost() {
                    return Poll::Ready(Err(Stopped::Lost(lost)));
                }
                self.connection.waiting.read(self.id, cx);
                return Poll::Pending;
            }
        })
    }

    fn next(&self) -> Result<Option<Chunk>, ReadError> {
        let mut proto = self.connection.proto.borrow_mut();
        let mut stream = proto.recv_stream(self.id);
        // A stream that the machine has forgotten is as good as reset.
        let mut chunks = stream.read(true).map_err(|_| ReadError::Reset(CANCELLED))?;
        let next = chunks.next(usize::MAX);
        if chunks.finalize().should_transmit() {
            self.connection.touch();
        }
        next
    }

    fn fail(&mut self, code: VarInt) -> Stopped {
        let stopped = Stopped::Code(code.into_inner());
        self.over = Some(Err(stopped));
        stopped
    }

    /// Asks the peer to send no more (RFC 9000 section 3.5).
    pub(crate) fn stop(&mut self, code: u64) {
        if self.over.is_none() {
            let code = VarInt::from_u64(code).unwrap_or(CANCELLED);
            self.fail(code);
            // Fails only for a stream that is gone already.
            let _ = self.connection.proto.borrow_mut().recv_stream(self.id).stop(code);
            self.connection.touch();
        }
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        if self.connection.lost().is_none() {
            self.stop(CANCELLED.into_inner());
        }
        self.connection.waiting.forget(self.id, Half::Receive);
    }
}
