//! Limits that are decided on here, with tokens that a server has lent.

use futures_util::future::join_all;
use smallvec::SmallVec;

use super::{
    Shared,
    leases::{Attempt, Lent, Taking, Want},
    name::{Name, Numbers},
    part::{Part, later},
    script::{Call, Script},
    wait::Wait,
};
use crate::{
    lease::{Lease, Stretch, Terms},
    moment::Nanos,
    remote,
};

/// Sent again if need be: what is lent twice is spent once.
static LEASE: Script = Script::new(remote::LEASE).repeatable();
/// Never sent again: it would give twice.
static GIVE_BACK: Script = Script::new(remote::GIVE_BACK);

/// How often a request waits for another's answer, only to find that it is spent already.
const WAITS: usize = 3;
/// Keys that are given back at once.
const GIVEN: usize = 256;

impl Shared {
    /// Decides on the parts whose limits are leased. Returns the time then.
    pub(super) async fn lend(
        &self,
        parts: &mut [Part<'_>],
        members: u32,
        wait: Wait,
        now: Nanos,
    ) -> Nanos {
        let leased = parts.iter_mut().filter_map(|part| {
            let terms = part.ask.limit.terms()?;
            let (key, cost) = (part.ask.key, part.ask.cost);
            let want = Want { key, terms, cost, members };
            Some(async move {
                let lent = self.lend_one(part.name, want, wait, now).await;
                part.note_lent(lent);
            })
        });
        join_all(leased).await;
        later(now, wait.elapsed())
    }

    /// `None` if the server was needed and did not answer.
    async fn lend_one(&self, name: Name, want: Want<'_>, wait: Wait, begin: Nanos) -> Option<Lent> {
        let servers = self.runner.servers();
        let now = || later(begin, wait.elapsed());
        let mut attempt = servers.leases.begin(want, begin);
        for waits in 1..=WAITS {
            let Attempt::Wait(news) = attempt else { break };
            tokio::time::timeout_at(wait.until, news).await.ok()?;
            attempt = servers.leases.again(want, waits == WAITS, now());
        }
        match attempt {
            Attempt::Done(lent) => {
                servers.counters.lend();
                Some(lent)
            }
            // The last wait was the last.
            Attempt::Wait(_) => None,
            Attempt::Take(taking) => {
                let asked_at = now();
                let reply = self.take(name, &taking, want, wait.rest(), asked_at).await?;
                servers.leases.heard(&taking, want, &reply, asked_at, now())
            }
        }
    }

    /// Asks the server to lend.
    async fn take(
        &self,
        name: Name,
        taking: &Taking<'_>,
        want: Want<'_>,
        wait: Wait,
        now: Nanos,
    ) -> Option<Vec<i64>> {
        let Want { terms, cost, .. } = want;
        let numbers = Numbers::new(terms.asks(cost, taking.wanted));
        let sound = |reply: redis::Value| {
            let reply: Vec<i64> = redis::from_redis_value(reply).ok()?;
            Lease::default().heard(terms, cost, taking.wanted, &reply, now).map(|_| reply)
        };
        let beside = name.with(*b":b");
        let (keys, arguments) = ([name.bytes(), &beside], numbers.bytes());
        let call = Call::new(&LEASE, &keys, &arguments);
        let place = self.runner.place(name.bytes());
        self.runner.run_at(place, &call, wait, sound, now).await.ok()
    }

    /// Gives tokens back to their servers that were lent to this process and have not been used
    /// for half a second. To be called every so often, by one worker: some times a second.
    pub async fn give_back_idle(&self, now: Nanos) {
        let given_up = self.runner.servers().leases.give_up(false, GIVEN, now);
        self.return_all(given_up, now).await;
    }

    /// Gives all tokens back that were lent to this process: for its end.
    pub async fn give_back_all(&self, now: Nanos) {
        let given_up = self.runner.servers().leases.give_up(true, usize::MAX, now);
        self.return_all(given_up, now).await;
    }

    async fn return_all(&self, given_up: Vec<(crate::key::Key, Terms, Stretch)>, now: Nanos) {
        let patience = self.runner.servers().timeout();
        for chunk in given_up.chunks(GIVEN) {
            let calls = chunk.iter().map(|(key, terms, stretch)| async move {
                let name = Name::new(*key);
                let (beside, numbers) = (name.with(*b":b"), Numbers::new(terms.gives(stretch)));
                let arguments: SmallVec<[&[u8]; 16]> = numbers.bytes();
                let keys = [name.bytes(), &beside];
                let call = Call::new(&GIVE_BACK, &keys, &arguments);
                let sound = |reply| matches!(reply, redis::Value::Int(_)).then_some(());
                let place = self.runner.place(name.bytes());
                // What does not arrive is worthless when the bucket would have been full.
                let wait = Wait::new(patience);
                let _ = self.runner.run_at(place, &call, wait, sound, now).await;
            });
            join_all(calls).await;
        }
    }
}
