//! What is believed of whom, and what changes it. Only a member itself raises its incarnation, a
//! later generation always wins, and an earlier one is never believed again.

use std::sync::Arc;

use super::{
    Chance, Change, Effects, Event, Gone, NEVER_US, Phase, Record, Slot, Stamp, State, Swim,
    Update,
    effects::micros,
    member::Id,
    message::{Profile, Witnesses},
    suspicion::Suspicion,
};

/// Up to so many members, one more or less changes how long suspicions last.
pub(super) const FEW: usize = 16;

/// How a piece of news came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Told while it is fresh.
    Gossip,
    /// Found when views were compared, with this member: it may be old, so that the dead are heard
    /// before they are buried.
    Sync(Id),
}

impl Swim {
    /// Takes in one piece of news; whether it changed a belief.
    pub(super) fn learn(
        &mut self,
        update: &Update<'_>,
        way: Way,
        now: u64,
        rng: &mut Chance,
        out: &mut Effects,
    ) -> bool {
        match update {
            Update::Alive(profile, incarnation) => {
                self.learn_alive(profile, *incarnation, now, rng, out)
            }
            Update::Suspect(stamp, witnesses) => {
                self.learn_suspect(stamp, witnesses, now, rng, out)
            }
            Update::Dead(stamp) => match way {
                Way::Sync(peer) if !self.is_aside() && self.believes_alive(stamp) => {
                    let mut witnesses = Witnesses::default();
                    witnesses.insert(peer);
                    self.learn_suspect(stamp, &witnesses, now, rng, out)
                }
                _ => self.learn_gone(stamp, State::Dead, now, rng, out),
            },
            Update::Left(stamp) => self.learn_gone(stamp, State::Left, now, rng, out),
        }
    }

    fn believes_alive(&self, stamp: &Stamp) -> bool {
        self.relevant(stamp).is_some_and(|slot| self.table.is_live(slot))
    }

    fn learn_alive(
        &mut self,
        profile: &Profile<'_>,
        incarnation: u32,
        now: u64,
        rng: &mut Chance,
        out: &mut Effects,
    ) -> bool {
        let id = Id::of(profile.name);
        if id == self.id {
            self.meet_namesake(profile, now, out);
            return false;
        }
        let Some(slot) = self.table.find(id) else {
            return self.welcome(profile, incarnation, now, rng, out);
        };
        let Some(known) = self.table.record(slot) else { return false };
        let state = self.table.state(slot);
        let current = (known.generation, self.table.incarnation(slot));
        // Two names with one number: the first one known keeps it.
        let stale = (profile.generation, incarnation) <= current || *known.name != *profile.name;
        let over = state == Some(State::Left) && profile.generation == known.generation;
        if stale || over {
            return false;
        }
        if !profile.matches(known) {
            let record = known_or_new(profile);
            let Some(record) = record else { return false };
            self.table.replace(slot, record);
        }
        self.believe(slot, State::Alive, incarnation, now, out);
        self.spread(slot, now, rng.below(self.hurry_us()));
        true
    }

    /// Somebody unknown so far.
    fn welcome(
        &mut self,
        profile: &Profile<'_>,
        incarnation: u32,
        now: u64,
        rng: &mut Chance,
        out: &mut Effects,
    ) -> bool {
        if self.table.known() >= self.params.members_max {
            self.forget_oldest();
        }
        if self.table.known() >= self.params.members_max {
            return false;
        }
        let Some(record) = known_or_new(profile) else { return false };
        let id = record.id;
        let slot = self.table.insert(Arc::clone(&record), incarnation);
        self.watch.came(slot, id, &self.table, now);
        let change = Change { record, incarnation, state: State::Alive, was: None };
        out.events.push(Event::Member(change));
        self.spread(slot, now, rng.below(self.hurry_us()));
        true
    }

    /// Somebody goes by the own name: an earlier or later life of this process, or another one.
    fn meet_namesake(&mut self, profile: &Profile<'_>, now: u64, out: &mut Effects) {
        let Some(own) = self.table.record(self.me) else { return };
        let elsewhere = profile.addr != own.addr;
        if (profile.generation, elsewhere) <= (own.generation, false) {
            return;
        }
        if profile.generation == own.generation && profile.addr < own.addr {
            // Both started at once; the other one goes, by this same rule.
            if self.phase == Phase::Member {
                self.raise(self.table.incarnation(self.me));
            }
            return self.spread(self.me, now, 0);
        }
        if elsewhere {
            self.phase = Phase::Silent;
            out.events.push(Event::Superseded);
            return;
        }
        // An earlier life at this very address, whose clock was ahead.
        self.outlive(profile.generation, now);
    }

    /// Starts a generation after `generation`, which was an earlier life of this process.
    fn outlive(&mut self, generation: u64, now: u64) {
        let Some(own) = self.table.record(self.me) else { return };
        let record = Record { generation: generation.saturating_add(1), ..Record::clone(own) };
        self.table.replace(self.me, Arc::new(record));
        self.spread(self.me, now, 0);
    }

    fn learn_suspect(
        &mut self,
        stamp: &Stamp,
        witnesses: &Witnesses,
        now: u64,
        rng: &mut Chance,
        out: &mut Effects,
    ) -> bool {
        if stamp.id == self.id {
            if self.refute(stamp, now) {
                self.doubted(witnesses, now, rng);
            }
            return false;
        }
        if self.is_aside() {
            return false;
        }
        let Some(slot) = self.relevant(stamp) else { return false };
        let newer = stamp.incarnation > self.table.incarnation(slot);
        match self.table.state(slot) {
            Some(State::Suspect) if !newer => self.add_witnesses(slot, witnesses, now),
            Some(State::Dead) if !newer => false,
            Some(State::Left) | None => false,
            Some(State::Alive | State::Suspect | State::Dead) => {
                self.believe(slot, State::Suspect, stamp.incarnation, now, out);
                self.add_witnesses(slot, witnesses, now);
                self.spread_doubt(slot, now, rng.below(self.hurry_us()));
                true
            }
        }
    }

    pub(super) fn learn_gone(
        &mut self,
        stamp: &Stamp,
        state: State,
        now: u64,
        rng: &mut Chance,
        out: &mut Effects,
    ) -> bool {
        if stamp.id == self.id {
            self.refute(stamp, now);
            return false;
        }
        let Some(slot) = self.table.find(stamp.id) else { return false };
        let Some(known) = self.table.record(slot) else { return false };
        if stamp.generation > known.generation {
            // A later life came and went unseen: the earlier one is over with it.
            let record = Record { generation: stamp.generation, ..Record::clone(known) };
            self.table.replace(slot, Arc::new(record));
        } else if self.relevant(stamp).is_none() || !self.table.is_live(slot) {
            return false;
        }
        self.believe(slot, state, stamp.incarnation, now, out);
        self.spread(slot, now, rng.below(self.hurry_us()));
        if state == State::Dead {
            self.end_together(now);
        }
        true
    }

    /// Whom a stamp is about, unless it is of a past life or says nothing newer.
    fn relevant(&self, stamp: &Stamp) -> Option<Slot> {
        let slot = self.table.find(stamp.id)?;
        let known = self.table.record(slot)?.generation;
        let fits = stamp.generation == known && stamp.incarnation >= self.table.incarnation(slot);
        fits.then_some(slot)
    }

    /// Somebody thinks that this member is not well. It is; whether that had to be said.
    fn refute(&mut self, stamp: &Stamp, now: u64) -> bool {
        let own = self.own();
        if stamp.generation > own.generation {
            self.outlive(stamp.generation, now);
            return false;
        }
        let current = stamp.generation == own.generation && stamp.incarnation >= own.incarnation;
        if !current || self.phase != Phase::Member {
            return false;
        }
        self.raise(stamp.incarnation);
        self.health.worsen(1);
        self.spread(self.me, now, 0);
        true
    }

    /// Raises the own incarnation above `claimed`; when there is none above, a new generation.
    pub(super) fn raise(&mut self, claimed: u32) {
        if let Some(incarnation) = claimed.checked_add(1) {
            self.table.set(self.me, State::Alive, incarnation);
        } else if let Some(own) = self.table.record(self.me) {
            let record =
                Record { generation: own.generation.saturating_add(1), ..Record::clone(own) };
            self.table.replace(self.me, Arc::new(record));
            self.table.set(self.me, State::Alive, 0);
        }
    }

    /// This member got no answer itself.
    pub(super) fn suspect(&mut self, slot: Slot, now: u64, rng: &mut Chance, out: &mut Effects) {
        let mut witnesses = Witnesses::default();
        if self.health.is_good() {
            witnesses.insert(self.id);
        }
        let stamp = self.stamp(slot);
        self.learn_suspect(&stamp, &witnesses, now, rng, out);
    }

    /// The one door through which a belief about another changes.
    pub(super) fn believe(
        &mut self,
        slot: Slot,
        state: State,
        incarnation: u32,
        now: u64,
        out: &mut Effects,
    ) {
        let was = self.table.state(slot);
        match was {
            Some(State::Suspect) => self.drop_suspicion(slot),
            Some(State::Dead | State::Left) => self.drop_gone(slot),
            Some(State::Alive) | None => {}
        }
        self.table.set(slot, state, incarnation);
        match state {
            State::Suspect => {
                self.table.set_position(slot, self.suspicions.len());
                let (started_us, deadline_us) = (now, NEVER_US);
                let witnesses = Witnesses::default();
                let put_off = false;
                self.suspicions.push(Suspicion {
                    slot,
                    started_us,
                    deadline_us,
                    witnesses,
                    put_off,
                });
                let deadline_us = now + self.span().lasts_us(0);
                self.suspicion_us = self.suspicion_us.min(deadline_us);
                if let Some(suspicion) = self.suspicions.last_mut() {
                    suspicion.deadline_us = deadline_us;
                }
            }
            State::Dead | State::Left => {
                self.table.set_position(slot, self.gone.len());
                self.gone.push(Gone { slot, since_us: now });
                self.watch.went(slot, &self.table, now);
            }
            State::Alive => {}
        }
        self.hasten(now);
        let Some(record) = self.table.record(slot).map(Arc::clone) else { return };
        if state.is_live() && !was.is_some_and(State::is_live) {
            self.watch.came(slot, record.id, &self.table, now);
        }
        out.events.push(Event::Member(Change { record, incarnation, state, was }));
    }

    fn drop_gone(&mut self, slot: Slot) {
        let position = self.table.position(slot);
        self.gone.swap_remove(position);
        if let Some(moved) = self.gone.get(position) {
            self.table.set_position(moved.slot, position);
        }
    }

    /// Forgets who has been gone for too long, and the one gone longest when there is no room.
    pub(super) fn forget(&mut self, now: u64) {
        let keep = micros(self.params.gone_keep);
        let mut at = 0;
        while let Some(gone) = self.gone.get(at) {
            if now.saturating_sub(gone.since_us) >= keep {
                self.remove_gone(gone.slot);
            } else {
                at += 1;
            }
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.gone.iter().min_by_key(|gone| gone.since_us) {
            self.remove_gone(oldest.slot);
        }
    }

    fn remove_gone(&mut self, slot: Slot) {
        self.drop_gone(slot);
        self.queue.remove(slot);
        self.probes.retain(|probe| probe.slot != slot);
        self.table.remove(slot);
    }
}

fn known_or_new(profile: &Profile<'_>) -> Option<Arc<Record>> {
    Record::new(profile.name, profile.generation, profile.addr, profile.meta).map(Arc::new)
}
