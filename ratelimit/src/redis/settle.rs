//! Charges, put right after the fact.

use futures_util::future::join_all;
use smallvec::SmallVec;

use super::{
    Correction, OnFailure, Shared, Source,
    link::{Reply, Script},
    part::Part,
};
use crate::{key::Key, moment::Nanos};

/// What to add to a key's charge.
struct Change {
    key: Key,
    arguments: [i64; 2],
}

impl Change {
    const fn new(key: Key, arguments: [i64; 2]) -> Self {
        Self { key, arguments }
    }
}

impl Shared {
    /// Corrects what a request has been charged by `source`: what is missing is charged, even into
    /// debt where the bucket has it; what was too much is given back. A server that does not answer
    /// is not told, and none of them where the fallback decided.
    pub async fn settle(
        &self,
        corrections: &[Correction<'_>],
        source: Source,
        members: u32,
        now: Nanos,
    ) {
        let mut changes: SmallVec<[Change; 4]> = SmallVec::new();
        let wrong = corrections.iter().filter(|correction| correction.charged != correction.actual);
        for Correction { limit, key, charged, actual } in wrong.copied() {
            if limit.on_failure() == OnFailure::Local {
                let share = limit.share(members);
                self.fallback.charge(&share, key, actual.saturating_sub(charged), now);
                self.fallback.refund(&share, key, charged.saturating_sub(actual), now, now);
            }
            if source == Source::Server {
                self.denied.borrow_mut().remove(key);
                changes.push(Change::new(key, limit.remote().settlement(charged, actual)));
            }
        }
        self.change(&changes, now).await;
    }

    /// Takes back what some servers charged for a request that others denied.
    pub(super) async fn give_back(&self, parts: &mut [Part<'_>], now: Nanos) {
        let mut changes: SmallVec<[Change; 4]> = SmallVec::new();
        for part in parts.iter_mut().filter(|part| part.charged) {
            part.charged = false;
            let settlement = part.ask.limit.remote().settlement(part.ask.cost, 0);
            changes.push(Change::new(part.ask.key, settlement));
        }
        self.change(&changes, now).await;
    }

    async fn change(&self, changes: &[Change], now: Nanos) {
        if changes.is_empty() {
            return;
        }
        let calls = (0..self.servers.list.len()).filter_map(|server| {
            let mine = changes.iter().filter(|change| self.servers.of(change.key) == server);
            let (keys, arguments): (Vec<Key>, Vec<[i64; 2]>) =
                mine.map(|change| (change.key, change.arguments)).unzip();
            (!keys.is_empty()).then_some(async move {
                let sound = |reply: &Reply| reply.0 == [1];
                let arguments = arguments.concat();
                self.call(server, Script::Settle, &keys, &arguments, sound, now).await
            })
        });
        join_all(calls).await;
    }
}
