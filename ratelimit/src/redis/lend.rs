//! Limits that are decided on here, with tokens that a server has lent.

use futures_util::future::join_all;
use smallvec::SmallVec;

use super::{
    Shared,
    leases::{Attempt, Lent, Taking, Want},
    limit::SharedAsk,
    name::{Name, Numbers},
    part::{Part, Parts, later},
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
                part.asked = lent.is_some_and(|(_, asked)| asked);
                part.note_lent(lent.map(|(lent, _)| lent));
            })
        });
        join_all(leased).await;
        later(now, wait.elapsed())
    }

    /// What becomes of a request, and whether the server was asked; `None` if it was needed and did
    /// not answer.
    async fn lend_one(
        &self,
        name: Name,
        want: Want<'_>,
        wait: Wait,
        begin: Nanos,
    ) -> Option<(Lent, bool)> {
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
                Some((lent, false))
            }
            // The last wait was the last.
            Attempt::Wait(_) => None,
            Attempt::Take(taking) => {
                let asked_at = now();
                let reply = self.take(name, &taking, want, wait.rest(), asked_at).await?;
                let lent = servers.leases.heard(&taking, want, &reply, asked_at, now())?;
                Some((lent, true))
            }
        }
    }

    /// Asks how things stand with limits of the other mode, when a lease denies: a client is told
    /// of all of them. Only with the call that was made for the denial, and remembered for those
    /// who are denied without one; where nobody says, what is remembered has to do.
    pub(super) async fn look(&self, parts: &mut [Part<'_>], wait: Wait, now: Nanos) {
        self.remember(parts, now);
        let unleased = |part: &&mut Part<'_>| !part.is_leased();
        if !parts.iter().any(|part| part.asked) {
            return;
        }
        let exact = parts.iter().map(|part| part.ask).filter(|ask| ask.limit.terms().is_none());
        let free = exact.map(|ask| Part::new(SharedAsk { cost: 0, dry_run: true, ..ask }));
        let mut looked: Parts<'_> = free.collect();
        if looked.is_empty() {
            return;
        }
        self.ask_servers(&mut looked, wait, now).await;
        let most = self.runner.servers().options.remembered;
        for (part, looked) in parts.iter_mut().filter(unleased).zip(looked) {
            let Some(known) = looked.known else { continue };
            part.known = Some(known);
            self.denied.borrow_mut().insert(part.ask.key, known, most, now);
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
