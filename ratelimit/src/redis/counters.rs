//! What has been asked of the servers, in numbers.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::fault::Fault;

/// What the shared store has done, since the beginning: all workers together.
#[derive(Debug, Default)]
pub struct Counters {
    answered: AtomicU64,
    remembered: AtomicU64,
    lent: AtomicU64,
    skipped: AtomicU64,
    alone: AtomicU64,
    connections: AtomicU64,
    reloads: AtomicU64,
    faults: [AtomicU64; Fault::ALL.len()],
}

impl Counters {
    /// Calls that servers answered.
    pub fn answered(&self) -> u64 {
        self.answered.load(Relaxed)
    }

    /// Requests denied from memory, without a call.
    pub fn remembered(&self) -> u64 {
        self.remembered.load(Relaxed)
    }

    /// Limits decided on without a call, with tokens that had been lent or the want of them.
    pub fn lent(&self) -> u64 {
        self.lent.load(Relaxed)
    }

    /// Calls not made since the server counted as down.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Relaxed)
    }

    /// Requests of [`SharedConcurrency`](super::SharedConcurrency) decided on by what it does while
    /// a server does not answer.
    pub fn alone(&self) -> u64 {
        self.alone.load(Relaxed)
    }

    /// Connections opened.
    pub fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Calls for which a script had to be sent again.
    pub fn reloads(&self) -> u64 {
        self.reloads.load(Relaxed)
    }

    /// Calls that failed, by fault.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::ALL.into_iter().map(|fault| (fault, self.faults[fault as usize].load(Relaxed)))
    }

    pub(super) fn answer(&self) {
        self.answered.fetch_add(1, Relaxed);
    }

    pub(super) fn fail(&self, fault: Fault) {
        self.faults[fault as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn remember(&self) {
        self.remembered.fetch_add(1, Relaxed);
    }

    pub(super) fn lend(&self) {
        self.lent.fetch_add(1, Relaxed);
    }

    pub(super) fn skip(&self) {
        self.skipped.fetch_add(1, Relaxed);
    }

    pub(super) fn go_alone(&self) {
        self.alone.fetch_add(1, Relaxed);
    }

    pub(super) fn connect(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(super) fn reload(&self) {
        self.reloads.fetch_add(1, Relaxed);
    }
}
