//! An upload that several attempts may send, one after another.
//!
//! What the client sends still goes to the attempt as it comes; beside that it is kept. Only the
//! reader whose turn it is reads: with the next attempt the turn passes on, and what an attempt
//! that failed left somewhere in its connection gets an error, for an end would make a cut body
//! whole.

use std::{
    cell::{Cell, RefCell},
    mem,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use smallvec::SmallVec;

use super::{Progress, Stream};
use crate::{error::Error, http::body::End};

/// Pieces up to so many bytes are copied together instead of shared: a shared one holds on to the
/// whole buffer in which it was read.
const COPIED: usize = 4 * 1024;

/// What a reader gets that is out of turn; its stream is reset without blame.
const STALE: Error = Error::ClientGone;

/// No reader's turn.
const NEVER: u32 = 0;

#[derive(Debug)]
struct Replay {
    turn: Cell<u32>,
    progress: Option<Rc<Progress>>,
    /// The task of a connection that waits for its turn to go on. The client wakes it no more once
    /// another attempt waits.
    waiting: RefCell<Option<Waker>>,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    stream: Stream,
    /// The stream has said that it is over.
    ended: bool,
    kept: Kept,
}

/// What was read so far.
#[derive(Debug)]
struct Kept {
    pieces: SmallVec<[Piece; 1]>,
    /// Short pieces behind the last of `pieces`. The reader has had all of them.
    tail: BytesMut,
    /// The piece that the reader gets next; beyond the last of them it reads from the client.
    next: usize,
    /// Bytes for which there is room.
    room: usize,
    /// Whether it is all that was read.
    whole: bool,
    /// Whether there will be another reader, as far as anybody knows.
    wanted: bool,
}

#[derive(Debug, Clone)]
enum Piece {
    Data(Bytes),
    Trailers(Box<HeaderMap>),
}

/// One attempt's right to read.
#[derive(Debug)]
pub(super) struct Reader {
    replay: Rc<Replay>,
    turn: u32,
    /// Whether a connection has it, and somebody else decides on another attempt.
    lent: bool,
}

impl Reader {
    pub(super) fn new(stream: Stream, most: u32) -> Self {
        let progress = stream.watch.as_ref().map(|watch| watch.progress.clone());
        let state = RefCell::new(State { stream, ended: false, kept: Kept::new(most) });
        let turn = NEVER + 1;
        let (first, waiting) = (Cell::new(turn), RefCell::new(None));
        let replay = Rc::new(Replay { turn: first, progress, waiting, state });
        Self { replay, turn, lent: false }
    }

    /// Passes the turn to a connection.
    pub(super) fn lend(&mut self) -> Self {
        let turn = mem::replace(&mut self.turn, NEVER);
        Self { replay: self.replay.clone(), turn, lent: true }
    }

    /// Hangs a watcher on what the client sends.
    pub(super) fn watched(&self, end: Box<dyn End>) -> bool {
        self.replay.state.borrow_mut().stream.watched(end)
    }

    /// Takes the turn back, and begins anew.
    pub(super) fn again(&mut self) -> bool {
        let mut state = self.replay.state.borrow_mut();
        if !state.kept.whole {
            return false;
        }
        state.kept.rewind();
        self.turn = self.replay.turn.get().wrapping_add(1).max(NEVER + 1);
        self.replay.turn.set(self.turn);
        if let Some(progress) = &self.replay.progress {
            progress.over.set(state.is_end_stream());
        }
        drop(state);
        // Out of turn, it must find out.
        let waiting = self.replay.waiting.take();
        if let Some(waiting) = waiting {
            waiting.wake();
        }
        true
    }

    pub(super) fn is_repeatable(&self) -> bool {
        self.replay.state.borrow().kept.whole
    }

    fn has_turn(&self) -> bool {
        self.turn == self.replay.turn.get()
    }

    pub(super) fn finish(&self) {
        if let Some(progress) = self.replay.progress.as_ref().filter(|_| self.has_turn()) {
            progress.end();
        }
    }

    pub(super) fn poll_stalled(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_turn() {
            return Poll::Ready(());
        }
        let stalled = self.replay.state.borrow_mut().stream.poll_stalled(cx);
        self.wait(cx, stalled.is_pending());
        stalled
    }

    /// Notes whose turn it is to be woken for.
    fn wait(&self, cx: &Context<'_>, pending: bool) {
        if !(pending && self.lent) {
            return;
        }
        let waiting = self.replay.waiting.take();
        let known = waiting.filter(|waiting| waiting.will_wake(cx.waker()));
        self.replay.waiting.replace(known.or_else(|| Some(cx.waker().clone())));
    }

    pub(super) fn poll_frame(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.has_turn() {
            return Poll::Ready(Some(Err(STALE)));
        }
        let mut state = self.replay.state.borrow_mut();
        let frame = state.poll_frame(cx);
        if let Some(progress) = self.replay.progress.as_ref().filter(|_| !state.kept.whole) {
            progress.spent.set(true);
        }
        drop(state);
        self.wait(cx, frame.is_pending());
        if matches!(frame, Poll::Ready(None)) {
            self.finish();
        }
        frame
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.has_turn() && self.replay.state.borrow().is_end_stream()
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let kept = &self.replay.state.borrow().kept;
        kept.tail.len() + kept.pieces.iter().map(Piece::length).sum::<usize>()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let state = self.replay.state.borrow();
        let (kept, rest) = (state.kept.ahead(), state.stream.body.size_hint());
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(kept.saturating_add(upper));
        }
        hint.set_lower(kept.saturating_add(rest.lower()));
        hint
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Borrowed, it is being read, by somebody whose own waker brought us here.
        if !self.lent
            && let Ok(mut state) = self.replay.state.try_borrow_mut()
        {
            state.kept.release();
        }
    }
}

impl State {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(frame) = self.kept.repeat() {
            return Poll::Ready(Some(Ok(frame)));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = ready!(self.stream.poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => self.kept.keep(frame),
            Some(Err(_)) => self.kept.drop_all(),
            None => self.ended = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.kept.is_at_end() && (self.ended || self.stream.body.is_end_stream())
    }
}

impl Kept {
    fn new(most: u32) -> Self {
        Self {
            pieces: SmallVec::new(),
            tail: BytesMut::new(),
            next: 0,
            room: most as usize,
            whole: true,
            wanted: true,
        }
    }

    /// Whether the reader has had all that is there.
    fn is_at_end(&self) -> bool {
        self.next >= self.pieces.len()
    }

    /// Bytes that the reader has before it.
    fn ahead(&self) -> u64 {
        self.pieces.iter().skip(self.next).map(|piece| piece.length() as u64).sum()
    }

    /// What the reader gets of what is there.
    fn repeat(&mut self) -> Option<Frame<Bytes>> {
        let piece = self.pieces.get_mut(self.next)?;
        self.next += 1;
        let last = Piece::Data(Bytes::new());
        let piece = if self.wanted { piece.clone() } else { mem::replace(piece, last) };
        Some(match piece {
            Piece::Data(data) => Frame::data(data),
            Piece::Trailers(trailers) => Frame::trailers(*trailers),
        })
    }

    /// Notes what came from the client.
    fn keep(&mut self, frame: &Frame<Bytes>) {
        if !self.whole {
            return;
        }
        let room = self.room.checked_sub(weight(frame)).filter(|_| self.wanted);
        let Some(room) = room else { return self.drop_all() };
        self.room = room;
        match frame.data_ref() {
            Some(data) if data.len() <= COPIED => self.tail.extend_from_slice(data),
            Some(data) => {
                self.close_tail();
                self.pieces.push(Piece::Data(data.clone()));
            }
            None => {
                self.close_tail();
                let trailers = frame.trailers_ref().cloned().unwrap_or_default();
                self.pieces.push(Piece::Trailers(Box::new(trailers)));
            }
        }
        // The reader has it already.
        self.next = self.pieces.len();
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push(Piece::Data(self.tail.split().freeze()));
        }
    }

    fn rewind(&mut self) {
        self.close_tail();
        self.next = 0;
    }

    /// Nobody will ask for it once more: what the reader has had goes at once, the rest as it goes
    /// by.
    fn release(&mut self) {
        self.wanted = false;
        self.whole = false;
        self.tail = BytesMut::new();
        if self.is_at_end() {
            self.pieces = SmallVec::new();
        } else {
            self.pieces.drain(..self.next);
        }
        self.next = 0;
    }

    fn drop_all(&mut self) {
        self.pieces = SmallVec::new();
        self.tail = BytesMut::new();
        self.next = 0;
        self.whole = false;
    }
}

impl Piece {
    /// Bytes of the body.
    fn length(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::Trailers(_) => 0,
        }
    }
}

/// Bytes that it takes to keep a frame.
fn weight(frame: &Frame<Bytes>) -> usize {
    let data = frame.data_ref().map_or(0, Bytes::len);
    let fields = |trailers: &HeaderMap| {
        trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD).sum()
    };
    data + frame.trailers_ref().map_or(0, fields)
}

/// What a field takes beside its text, about.
const FIELD: usize = 64;
