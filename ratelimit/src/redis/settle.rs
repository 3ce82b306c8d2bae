//! Charges, put right after the fact.

use futures_util::future::join_all;
use smallvec::SmallVec;

use super::{
    Correction, Mode, OnFailure, Shared, Source,
    name::{Name, Numbers},
    part::{Part, later},
    script::{Call, Script},
    wait::Wait,
};
use crate::{key::Key, moment::Nanos, remote};

/// Never sent again: it would give or take twice.
static SETTLE: Script = Script::new(remote::SETTLE);

/// What to add to a key's charge.
struct Change {
    name: Name,
    arguments: [i64; 2],
}

impl Change {
    fn new(key: Key, arguments: [i64; 2]) -> Self {
        Self { name: Name::new(key), arguments }
    }
}

impl Shared {
    /// Corrects what a request has been charged by `source`: what is missing is charged, even into
    /// debt where the bucket has it; what was too much is given back. A server that does not answer
    /// is not told; where the fallback decided, servers are told of what is missing only.
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
            // Some servers may have charged it, some not: who has is told of what is missing, and
            // who has not is not made to give back.
            if source != Source::Server && charged > actual {
                continue;
            }
            let leases = &self.runner.servers().leases;
            if limit.mode() == Mode::Leased {
                if charged > actual {
                    leases.put_back(key, charged - actual);
                    continue;
                } else if leases.charge(key, actual - charged, now) {
                    continue;
                }
            }
            self.denied.borrow_mut().remove(key);
            let settlement = limit.remote().settlement(charged, actual);
            changes.extend(settlement.map(|settlement| Change::new(key, settlement)));
        }
        self.change(&changes, Wait::new(self.runner.servers().timeout()), now).await;
    }

    /// Takes back what some servers charged for a request that others denied. Where no time is left
    /// to hear of it they are told all the same.
    pub(super) async fn give_back(&self, parts: &mut [Part<'_>], wait: Wait, now: Nanos) {
        let mut changes: SmallVec<[Change; 4]> = SmallVec::new();
        for part in parts.iter_mut().filter(|part| part.charged) {
            part.charged = false;
            if part.is_leased() {
                self.runner.servers().leases.put_back(part.ask.key, part.ask.cost);
                continue;
            }
            let settlement = part.ask.limit.remote().settlement(part.ask.cost, 0);
            changes.extend(settlement.map(|settlement| Change::new(part.ask.key, settlement)));
        }
        if !changes.is_empty() {
            let now = later(now, wait.elapsed());
            self.change(&changes, wait.rest(), now).await;
        }
    }

    async fn change(&self, changes: &[Change], wait: Wait, now: Nanos) {
        if changes.is_empty() {
            return;
        }
        let groups = self.runner.places(changes.iter().map(|change| &change.name).enumerate());
        let calls = groups.iter().map(|(place, members)| async move {
            let keys: SmallVec<[&[u8]; 4]> =
                members.iter().map(|i| changes[*i].name.bytes()).collect();
            let numbers = Numbers::new(members.iter().flat_map(|i| changes[*i].arguments));
            let arguments = numbers.bytes();
            let call = Call::new(&SETTLE, &keys, &arguments);
            let sound = |reply| (reply == redis::Value::Int(1)).then_some(());
            // Who is not told does not know.
            let _ = self.runner.run_at(*place, &call, wait, sound, now).await;
        });
        join_all(calls).await;
    }
}
