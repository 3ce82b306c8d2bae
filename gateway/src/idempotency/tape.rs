//! A response's body on its way into a record, and to the client that asked.
//!
//! A task of the same worker brings it in as fast as the upstream sends, up to the length that is
//! stored: a client that is slow, or gone, changes nothing. What turns out longer goes on from the
//! upstream to the client as any other body does.

use std::{
    cell::RefCell,
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use crate::{
    cache::Place,
    error::Error,
    http::body::{Body, Pourable},
    limit::Toll,
    upstream::limit::Permit,
};

/// What a piece takes beside its bytes, about.
const PIECE_BYTES: u64 = 64;

/// What the task writes and the client reads.
#[derive(Debug)]
pub(super) struct Tape(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    pieces: Vec<Bytes>,
    length: u64,
    trailers: Option<HeaderMap>,
    phase: Phase,
    /// The room that the pieces take, for as long as either side has them.
    place: Place,
    reading: Option<Waker>,
}

#[derive(Debug)]
enum Phase {
    Running,
    Whole,
    /// It is too long.
    Elsewhere(Box<Rest>),
    Broken(Error),
}

/// What is not stored of a body goes on from the upstream to the client.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) body: Body,
    /// Reads what it did cost.
    pub(super) toll: Option<Toll>,
    /// Its place among the upstream's requests, held until the body is read.
    pub(super) _permit: Option<Permit>,
}

impl Rest {
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(toll), Some(Ok(frame))) = (&mut self.toll, &frame)
            && let Some(piece) = frame.data_ref()
        {
            toll.read(piece);
        }
        Poll::Ready(frame)
    }
}

/// The client's side.
#[derive(Debug)]
pub(super) struct Playback {
    tape: Rc<RefCell<State>>,
    at: usize,
    /// Bytes that are still to come, if that is known.
    left: Option<u64>,
}

impl Tape {
    /// Nothing so far, in this `place`.
    pub(super) fn new(place: Place) -> Self {
        Self(Rc::new(RefCell::new(State {
            pieces: Vec::new(),
            length: 0,
            trailers: None,
            phase: Phase::Running,
            place,
            reading: None,
        })))
    }

    /// Reads from the beginning what is `length` bytes long, if that is known.
    pub(super) fn play(&self, length: Option<u64>) -> Playback {
        Playback { tape: self.0.clone(), at: 0, left: length }
    }

    /// Whether there is room for so many bytes more.
    pub(super) fn has_room(&self, more: usize) -> bool {
        let mut state = self.0.borrow_mut();
        let pieces = (state.pieces.len() as u64 + 1) * PIECE_BYTES;
        let length = state.length + more as u64 + pieces;
        state.place.cover(length)
    }

    /// Adds a piece.
    pub(super) fn push(&self, piece: Bytes) {
        self.change(|state| {
            state.length += piece.len() as u64;
            state.pieces.push(piece);
        });
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> u64 {
        self.0.borrow().length
    }

    /// All of it so far, and then `last`, in memory of its own: pieces may be parts of larger
    /// buffers.
    pub(super) fn whole(&self, last: &Bytes) -> Bytes {
        let state = self.0.borrow();
        let mut whole = Vec::with_capacity(state.length as usize + last.len());
        state.pieces.iter().chain([last]).for_each(|piece| whole.extend_from_slice(piece));
        whole.into()
    }

    /// That was all of it, but for trailers.
    pub(super) fn finish(self, trailers: Option<HeaderMap>) {
        self.settle(Phase::Whole, trailers);
    }

    /// It is longer than what is stored.
    pub(super) fn hand_over(self, rest: Rest) {
        self.settle(Phase::Elsewhere(Box::new(rest)), None);
    }

    /// Its source failed.
    pub(super) fn fail(self, error: Error) {
        self.settle(Phase::Broken(error), None);
    }

    fn settle(&self, phase: Phase, trailers: Option<HeaderMap>) {
        self.change(|state| (state.phase, state.trailers) = (phase, trailers));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.borrow_mut();
        change(&mut state);
        let reading = state.reading.take();
        drop(state);
        reading.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        if matches!(self.0.borrow().phase, Phase::Running) {
            self.settle(Phase::Broken(Error::Bug), None);
        }
    }
}

impl Playback {
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut state = self.tape.borrow_mut();
        if let Some(piece) = state.pieces.get(self.at).cloned() {
            self.at += 1;
            self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match &mut state.phase {
            Phase::Running => {
                state.reading = Some(cx.waker().clone());
                Poll::Pending
            }
            Phase::Whole => {
                Poll::Ready(state.trailers.take().map(|last| Ok(Frame::trailers(last))))
            }
            Phase::Elsewhere(rest) => rest.next(cx),
            Phase::Broken(error) => Poll::Ready(Some(Err(*error))),
        }
    }
}

impl http_body::Body for Playback {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.get_mut().next(cx)
    }

    fn is_end_stream(&self) -> bool {
        let state = self.tape.borrow();
        self.left == Some(0)
            || (self.at >= state.pieces.len()
                && match &state.phase {
                    Phase::Whole => state.trailers.is_none(),
                    Phase::Elsewhere(rest) => rest.body.is_end_stream(),
                    Phase::Running | Phase::Broken(_) => false,
                })
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Pourable for Playback {}

impl Drop for Playback {
    fn drop(&mut self) {
        let mut state = self.tape.borrow_mut();
        state.reading = None;
        // The endpoint is to know that nobody reads the rest.
        let rest = match &mut state.phase {
            Phase::Elsewhere(..) => Some(mem::replace(&mut state.phase, Phase::Whole)),
            _ => None,
        };
        drop(state);
        drop(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Room;

    #[test]
    fn short_pieces_take_more_room_than_their_bytes() {
        let room = Room::new(6_400);
        let tape = Tape::new(room.take(0).unwrap());
        let pieces = (0..6_400).take_while(|_| {
            let fits = tape.has_room(1);
            tape.push(Bytes::from_static(b"x"));
            fits
        });
        assert_eq!(pieces.count(), 98);
        drop(tape);
        assert!(room.take(6_400).is_some());
    }
}
