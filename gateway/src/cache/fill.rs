//! Answers on their way in: one asks, the others wait, and all read the same bytes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use slab::Slab;
use weir_cache::{
    entry::Key,
    http::{page::Page, stored::Head},
    purges::Ticket,
    store::Store,
};

use super::room::Place;
use crate::error::Error;

/// All that are under way, and since when. Misses alone come here.
#[derive(Debug, Default)]
pub(super) struct Fills(Mutex<HashMap<Key, (Ticket, Arc<Fill>)>>);

/// What a request becomes that asks for something.
#[derive(Debug)]
pub(super) enum Joined {
    /// The one who asks.
    Lead(Lead),
    /// One who waits.
    Follow(Reader),
}

impl Fills {
    /// Asks for `key`, or waits for who does already, unless what that one gets may be from before
    /// a purge of `store`: who comes after it wants what is new.
    pub(super) fn join(self: &Arc<Self>, key: &Key, store: &Store<Page>) -> Joined {
        let mut fills = self.lock();
        if let Some((ticket, fill)) = fills.get(key) {
            let head = fill.lock().head.clone();
            if !store.is_superseded(key, head.as_deref().map(Head::tags), *ticket) {
                return Joined::Follow(Reader::new(fill.clone()));
            }
        }
        let fill = Arc::<Fill>::default();
        fills.insert(key.clone(), (store.ticket(), fill.clone()));
        Joined::Lead(Lead { fill, place: Some((self.clone(), key.clone())) })
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Takes one out of the list, if it is still the one that is found there.
    fn forget(&self, key: &Key, fill: &Arc<Fill>) {
        let mut fills = self.lock();
        if fills.get(key).is_some_and(|(_, other)| Arc::ptr_eq(other, fill)) {
            fills.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, (Ticket, Arc<Fill>)>> {
        // Nothing panics between two statements that belong together.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One answer on its way in.
#[derive(Debug, Default)]
pub(super) struct Fill(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    head: Option<Arc<Head>>,
    pieces: Vec<Bytes>,
    length: u64,
    /// The room that the pieces take.
    place: Option<Place>,
    waiting: Slab<Option<Waker>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// There is no head yet.
    #[default]
    Asking,
    /// The head is there. Whether its length is known, and so that all of it will fit.
    Streaming { sized: bool },
    /// It is in the store.
    Stored,
    /// It is all there, but is not in the store.
    Whole,
    /// It is nothing to share.
    Alone,
    /// The upstream failed before there was anything to share.
    Failed,
    /// It became too long: the rest is the leader's.
    TooLong,
    /// The source failed.
    Broken(Error),
    /// Who asked has gone before there was an answer.
    Abandoned,
}

/// What one who waits is told.
#[derive(Debug)]
pub(super) enum News {
    /// This comes: its body may be read from the same [`Reader`].
    Head(Arc<Head>),
    /// Look into the store.
    Stored,
    /// Ask for yourself.
    Alone,
    /// The upstream failed whoever asked: somebody else may try.
    Failed,
    /// Somebody else must ask.
    Abandoned,
}

/// What comes next of a body.
#[derive(Debug)]
pub(super) enum Next {
    Piece(Bytes),
    End,
    Broken(Error),
    /// The rest is with the leader.
    Elsewhere,
}

impl Fill {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes everybody.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        // They are woken without the lock, which each of them takes at once.
        let woken: Vec<Waker> =
            state.waiting.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// The one who asks. Dropped before it knows what comes, another must ask.
#[derive(Debug)]
pub(super) struct Lead {
    fill: Arc<Fill>,
    /// Where others find it.
    place: Option<(Arc<Fills>, Key)>,
}

impl Lead {
    /// One whom nobody follows.
    pub(super) fn alone() -> Self {
        Self { fill: Arc::default(), place: None }
    }

    /// One who reads what comes.
    pub(super) fn reader(&self) -> Reader {
        Reader::new(self.fill.clone())
    }

    /// The head is there, and its body is on its way to this `place`.
    pub(super) fn begin(&self, head: Arc<Head>, sized: bool, place: Place) {
        self.fill.change(|state| {
            state.place = Some(place);
            state.phase = Phase::Streaming { sized };
            state.head = Some(head);
        });
    }

    /// Some of the body; how much there is by now, unless no room is left for more.
    pub(super) fn push(&self, piece: Bytes) -> Option<u64> {
        let mut length = None;
        self.fill.change(|state| {
            state.length += piece.len() as u64;
            let fits = state.place.as_mut().is_some_and(|place| place.cover(state.length));
            length = Some(state.length).filter(|_| fits);
            state.pieces.push(piece);
        });
        length
    }

    /// The whole body, in a piece of its own: what came may be parts of larger buffers. Who still
    /// reads goes on with parts of it.
    pub(super) fn whole(&self) -> Bytes {
        let mut state = self.fill.lock();
        let mut whole = Vec::with_capacity(state.length as usize);
        for piece in &state.pieces {
            whole.extend_from_slice(piece);
        }
        let whole = match state.place.take() {
            Some(place) => place.hold(whole),
            None => whole.into(),
        };
        let mut at = 0;
        for piece in &mut state.pieces {
            let end = at + piece.len();
            *piece = whole.slice(at..end);
            at = end;
        }
        whole
    }

    /// All is there, and in the store if it `is_stored`.
    pub(super) fn finish(self, is_stored: bool) {
        self.settle(if is_stored { Phase::Stored } else { Phase::Whole });
    }

    /// What came is for nobody else.
    pub(super) fn dismiss(self) {
        self.settle(Phase::Alone);
    }

    /// The upstream had no answer, or an error. Another may have more luck.
    pub(super) fn give_up(self) {
        self.settle(Phase::Failed);
    }

    /// What came is longer than what is stored; all of it so far is there to be read.
    pub(super) fn overflow(self) {
        self.settle(Phase::TooLong);
    }

    /// The source failed.
    pub(super) fn fail(self, error: Error) {
        self.settle(Phase::Broken(error));
    }

    fn settle(mut self, phase: Phase) {
        self.leave(phase);
    }

    /// Out of the list first: who finds it there has not missed the end.
    fn leave(&mut self, phase: Phase) {
        if let Some((fills, key)) = self.place.take() {
            fills.forget(&key, &self.fill);
        }
        self.fill.change(|state| {
            if matches!(state.phase, Phase::Asking | Phase::Streaming { .. }) {
                state.phase = phase;
            }
        });
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let asking = self.fill.lock().phase == Phase::Asking;
        // A body that nobody brings in any more has broken off.
        let phase = if asking { Phase::Abandoned } else { Phase::Broken(Error::Draining) };
        self.leave(phase);
    }
}

/// One who reads, from the beginning.
#[derive(Debug)]
pub(super) struct Reader {
    fill: Arc<Fill>,
    at: usize,
    place: Option<usize>,
}

impl Reader {
    const fn new(fill: Arc<Fill>) -> Self {
        Self { fill, at: 0, place: None }
    }

    /// What became of the question. A body of unknown length may turn out too long to be shared:
    /// it is waited for, as is any body by who does not `share` it on its way.
    pub(super) fn poll_news(&mut self, share: bool, cx: &Context<'_>) -> Poll<News> {
        let mut state = self.fill.lock();
        let head = match state.phase {
            Phase::Streaming { sized: true } | Phase::Whole if share => state.head.clone(),
            Phase::Asking | Phase::Streaming { .. } => None,
            Phase::Stored => return Poll::Ready(News::Stored),
            Phase::Abandoned => return Poll::Ready(News::Abandoned),
            Phase::Failed | Phase::Broken(_) => return Poll::Ready(News::Failed),
            Phase::Alone | Phase::TooLong | Phase::Whole => return Poll::Ready(News::Alone),
        };
        match head {
            Some(head) => Poll::Ready(News::Head(head)),
            None => {
                wait(&mut state, &mut self.place, cx);
                Poll::Pending
            }
        }
    }

    /// The next piece of the body.
    pub(super) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Next> {
        let mut state = self.fill.lock();
        if let Some(piece) = state.pieces.get(self.at) {
            self.at += 1;
            return Poll::Ready(Next::Piece(piece.clone()));
        }
        Poll::Ready(match state.phase {
            Phase::Asking | Phase::Streaming { .. } => {
                wait(&mut state, &mut self.place, cx);
                return Poll::Pending;
            }
            Phase::Stored | Phase::Whole => Next::End,
            Phase::TooLong => Next::Elsewhere,
            Phase::Broken(error) => Next::Broken(error),
            Phase::Alone | Phase::Failed | Phase::Abandoned => Next::Broken(Error::Bug),
        })
    }
}

fn wait(state: &mut State, place: &mut Option<usize>, cx: &Context<'_>) {
    let waker = Some(cx.waker().clone());
    match place {
        Some(place) => state.waiting[*place] = waker,
        None => *place = Some(state.waiting.insert(waker)),
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.fill.lock().waiting.remove(place);
        }
    }
}

#[cfg(test)]
mod tests;
