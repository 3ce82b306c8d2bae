//! Who waits for what on a connection.

use std::{
    cell::RefCell,
    collections::HashMap,
    task::{Context, Waker},
};

use quinn_proto::StreamId;

/// Wakers of tasks that wait for streams. They are called and dropped with nothing borrowed: the
/// last waker of a task takes the task with it.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    streams: RefCell<HashMap<StreamId, Halves, foldhash::fast::RandomState>>,
    /// For a bidirectional stream to be opened.
    openers: RefCell<Vec<Waker>>,
}

#[derive(Debug, Default)]
struct Halves {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A half of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Half {
    Receive,
    Send,
}

impl Waiting {
    /// Waits until the stream can be read.
    pub(super) fn read(&self, id: StreamId, cx: &Context<'_>) {
        let mut streams = self.streams.borrow_mut();
        note(&mut streams.entry(id).or_default().reader, cx);
    }

    /// Waits until the stream can be written, or was stopped.
    pub(super) fn write(&self, id: StreamId, cx: &Context<'_>) {
        let mut streams = self.streams.borrow_mut();
        note(&mut streams.entry(id).or_default().writer, cx);
    }

    /// Waits until a bidirectional stream may be opened.
    pub(super) fn open(&self, cx: &Context<'_>) {
        let mut openers = self.openers.borrow_mut();
        if !openers.iter().any(|waker| waker.will_wake(cx.waker())) {
            openers.push(cx.waker().clone());
        }
    }

    /// One half of a stream is done for.
    pub(super) fn forget(&self, id: StreamId, half: Half) {
        let mut streams = self.streams.borrow_mut();
        let Some(halves) = streams.get_mut(&id) else { return };
        let gone = match half {
            Half::Receive => halves.reader.take(),
            Half::Send => halves.writer.take(),
        };
        if halves.reader.is_none() && halves.writer.is_none() {
            streams.remove(&id);
        }
        drop(streams);
        drop(gone);
    }

    pub(super) fn wake_reader(&self, id: StreamId) {
        let waker = self.streams.borrow_mut().get_mut(&id).and_then(|halves| halves.reader.take());
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn wake_writer(&self, id: StreamId) {
        let waker = self.streams.borrow_mut().get_mut(&id).and_then(|halves| halves.writer.take());
        waker.into_iter().for_each(Waker::wake);
    }

    pub(super) fn wake_openers(&self) {
        let openers = self.openers.take();
        openers.into_iter().for_each(Waker::wake);
    }

    /// The connection is over.
    pub(super) fn wake_all(&self) {
        let streams = self.streams.take();
        for halves in streams.into_values() {
            halves.reader.into_iter().chain(halves.writer).for_each(Waker::wake);
        }
        self.wake_openers();
    }
}

fn note(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if !slot.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
    }
}
