//! A member that must refute again and again, since healthy ones get no answer from it, hears or is
//! heard too badly to be one. It says so itself and steps aside: it has left, for the others, and
//! comes back as a new life once its own probes are answered. Nobody can be put out by others this
//! way, but by one that has the secret and lies, and all agree on it as on any that leaves.
//! Meanwhile it suspects nobody, and believes others what they say of the dead.

use std::sync::Arc;

use super::{
    Chance, Effects, Event, Phase, Record, State, Swim,
    effects::micros,
    message::{Mark, Witnesses},
};

/// So many doubts,
const DOUBTS: usize = 8;
/// within so many periods,
const WITHIN: u64 = 90;
/// from so many members.
const DOUBTERS: usize = 3;
/// It may happen to many at once: each waits up to so many periods, and looks again.
const HESITATION: u64 = 5;
/// Not when one in so many has left within as many periods, for a cause that they may share; so
/// never among fewer.
const SHARE: usize = 8;
const LATELY: u64 = 600;
/// Periods aside, the first time; twice as many each time, up to so many doublings.
const REST: u64 = 30;
const DOUBLINGS: u32 = 5;
/// What part of the probes must be answered at once for a return.
const HEARD: f64 = 0.5;
/// A period's part in that.
const SMOOTHING: f64 = 1.0 / 16.0;

/// What speaks for being aside, and what for coming back.
#[derive(Debug, Clone, Default)]
pub(super) struct Aside {
    /// When healthy members held a suspicion that had to be refuted, and one that did; in a ring.
    doubts: [Option<(u64, Mark)>; DOUBTS],
    next: usize,
    /// When it steps aside, or comes back at the soonest.
    due_us: Option<u64>,
    /// How many times in a row, and when it came back last.
    times: u32,
    back_us: Option<u64>,
    /// Probes of this period, those of them that were answered at once, and the part that were.
    asked: u32,
    answered: u32,
    heard: f64,
}

impl Aside {
    fn is_doubted(&self, now: u64, period: u64) -> bool {
        let recent = |(at, _): &(u64, Mark)| now.saturating_sub(*at) <= WITHIN * period;
        let doubts = || self.doubts.iter().flatten().filter(|doubt| recent(doubt));
        let is_first = |at: usize, mark: Mark| !doubts().take(at).any(|doubt| doubt.1 == mark);
        let doubters = doubts().enumerate().filter(|(at, doubt)| is_first(*at, doubt.1)).count();
        doubts().count() == DOUBTS && doubters >= DOUBTERS
    }

    pub(super) const fn asked(&mut self) {
        self.asked += 1;
    }

    pub(super) const fn answered(&mut self) {
        self.answered += 1;
    }
}

impl Swim {
    /// Whether it has stepped aside: it hears, or is heard, too badly.
    #[must_use]
    pub const fn is_aside(&self) -> bool {
        matches!(self.phase, Phase::Aside)
    }

    /// A suspicion had to be refuted. Members in bad health are no witnesses.
    pub(super) fn doubted(&mut self, witnesses: &Witnesses, now: u64, rng: &mut Chance) {
        let Some(mark) = witnesses.iter().next().filter(|_| self.params.lifeguard) else { return };
        let period = micros(self.params.period);
        let aside = &mut self.aside;
        aside.doubts[aside.next] = Some((now, mark));
        aside.next = (aside.next + 1) % DOUBTS;
        if aside.due_us.is_none() && aside.is_doubted(now, period) {
            aside.due_us = Some(now + rng.below(HESITATION * period));
        }
    }

    /// A period ends: is it time to go, or to come back?
    pub(super) fn weigh_aside(&mut self, now: u64, out: &mut Effects) {
        let aside = &mut self.aside;
        if aside.asked > 0 {
            let part = f64::from(aside.answered) / f64::from(aside.asked);
            aside.heard += (part - aside.heard) * SMOOTHING;
        }
        (aside.asked, aside.answered) = (0, 0);
        if aside.due_us.is_none_or(|due| now < due) {
            return;
        }
        match self.phase {
            Phase::Member => self.step_aside(now, out),
            Phase::Aside if aside.heard >= HEARD => self.come_back(now, out),
            Phase::Aside | Phase::Leaving | Phase::Silent => {}
        }
    }

    fn step_aside(&mut self, now: u64, out: &mut Effects) {
        let period = micros(self.params.period);
        self.aside.due_us = None;
        let lately = |since_us: u64| now.saturating_sub(since_us) <= LATELY * period;
        let left = self.gone.iter().filter(|gone| {
            lately(gone.since_us) && self.table.state(gone.slot) == Some(State::Left)
        });
        if left.count() >= self.table.live() / SHARE || !self.aside.is_doubted(now, period) {
            return;
        }
        let again = self.aside.back_us.is_some_and(lately);
        self.aside.times = if again { (self.aside.times + 1).min(DOUBLINGS) } else { 0 };
        self.aside.due_us = Some(now + (REST << self.aside.times) * period);
        self.aside.heard = 0.0;
        // Whom it suspects it may only not have heard.
        while let Some(slot) = self.suspicions.first().map(|suspicion| suspicion.slot) {
            self.believe(slot, State::Alive, self.table.incarnation(slot), now, out);
        }
        self.phase = Phase::Aside;
        self.table.set(self.me, State::Left, self.table.incarnation(self.me));
        self.spread(self.me, now, 0);
        out.events.push(Event::Aside);
    }

    /// As after a start: who has left in one life returns in another.
    fn come_back(&mut self, now: u64, out: &mut Effects) {
        let Some(own) = self.table.record(self.me) else { return };
        let record = Record { generation: own.generation.saturating_add(1), ..Record::clone(own) };
        let Aside { times, .. } = self.aside;
        self.aside = Aside { times, back_us: Some(now), ..Aside::default() };
        self.phase = Phase::Member;
        self.table.replace(self.me, Arc::new(record));
        self.table.set(self.me, State::Alive, 0);
        self.spread(self.me, now, 0);
        out.events.push(Event::Back);
    }
}
