//! Stories of a few members whose messages pass at once, unless the story says otherwise.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000;

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn record(name: &str, generation: u64, port: u16) -> Arc<Record> {
    Arc::new(Record::new(name, generation, addr(port), b"m").unwrap())
}

/// Some members, by port.
struct Play {
    members: BTreeMap<u16, (Swim, Chance)>,
    /// Ports that neither send nor receive.
    cut: Vec<u16>,
    now: u64,
    events: Vec<(u16, Event)>,
}

impl Play {
    fn new() -> Self {
        Self { members: BTreeMap::new(), cut: Vec::new(), now: 0, events: Vec::new() }
    }

    /// So many members that know the first.
    fn of(count: u16) -> Self {
        let mut play = Self::new();
        (1..=count).for_each(|port| play.enter(&format!("n{port}"), 1, port));
        play.run(5);
        assert!(play.members.values().all(|(swim, _)| swim.live() == usize::from(count)));
        play.events.clear();
        play
    }

    fn enter(&mut self, name: &str, generation: u64, port: u16) {
        let mut rng = Chance::seeded(u64::from(port) * 7 + generation);
        let record = record(name, generation, port);
        let now = Moment::from_micros(self.now);
        let swim = Swim::new(Arc::new(Params::default()), record, &[addr(1)], now, &mut rng);
        self.members.insert(port, (swim, rng));
    }

    fn swim(&self, port: u16) -> &Swim {
        &self.members[&port].0
    }

    fn believed(&self, port: u16, name: &str) -> Option<(State, u64, u32)> {
        let belief = self.swim(port).belief(Id::of(name), Moment::from_micros(self.now))?;
        Some((belief.state, belief.record.generation, belief.incarnation))
    }

    fn give(&mut self, port: u16, input: Input<'_>) {
        let Some((swim, rng)) = self.members.get_mut(&port) else { return };
        let mut out = Effects::default();
        swim.handle(input, Moment::from_micros(self.now), rng, &mut out);
        self.events.extend(out.events.drain(..).map(|event| (port, event)));
        let packets: Vec<_> =
            out.packets().map(|(to, bytes)| (to.port(), bytes.to_vec())).collect();
        for (to, bytes) in packets {
            if !self.cut.contains(&port) && !self.cut.contains(&to) {
                self.give(to, Input::Packet(addr(port), &bytes));
            }
        }
        for speak in out.streams {
            let Speak::Call { to, call, body } = speak else { panic!("unasked") };
            let answer = self.ask(port, to.port(), &body);
            match &answer {
                Some(body) => self.give(port, Input::Response(call, body)),
                None => self.give(port, Input::Failed(call)),
            }
        }
    }

    fn ask(&mut self, port: u16, to: u16, body: &[u8]) -> Option<Vec<u8>> {
        if self.cut.contains(&port) || self.cut.contains(&to) {
            return None;
        }
        let (swim, rng) = self.members.get_mut(&to)?;
        let mut out = Effects::default();
        swim.handle(Input::Request(1, body), Moment::from_micros(self.now), rng, &mut out);
        self.events.extend(out.events.drain(..).map(|event| (to, event)));
        match out.streams.pop() {
            Some(Speak::Answer { body, .. }) => Some(body),
            _ => None,
        }
    }

    fn run(&mut self, seconds: u64) {
        let until = self.now + seconds * SECOND;
        loop {
            let next = self.members.iter().map(|(port, (swim, _))| (swim.deadline(), *port)).min();
            let Some((due, port)) = next else { break };
            if due.micros() > until {
                break;
            }
            self.now = self.now.max(due.micros());
            self.give(port, Input::Timeout);
        }
        self.now = until;
    }

    fn changes(&self, name: &str) -> Vec<State> {
        let id = Id::of(name);
        let changes = self.events.iter().filter_map(|(_, event)| match event {
            Event::Member(change) if change.record.id == id => Some(change.state),
            _ => None,
        });
        changes.collect()
    }
}

#[test]
fn a_crash_is_suspected_then_believed() {
    let mut play = Play::of(5);
    play.cut.push(3);
    play.members.remove(&3);
    play.run(10);
    for port in [1, 2, 4, 5] {
        assert_eq!(play.believed(port, "n3"), Some((State::Dead, 1, 0)));
        assert_eq!(play.swim(port).live(), 4);
    }
    let changes = play.changes("n3");
    assert_eq!(changes.iter().filter(|state| **state == State::Suspect).count(), 4);
    assert_eq!(changes.iter().filter(|state| **state == State::Dead).count(), 4);
}

#[test]
fn a_suspect_that_lives_refutes_with_a_higher_incarnation() {
    let mut play = Play::of(5);
    let mut bytes = Vec::new();
    let kind = Kind::Gossip;
    let header = Header { from: Id::of("n2"), generation: 1, digest: 0, sequence: 0, kind };
    codec::write_header(&header, &mut bytes);
    let stamp = Stamp { id: Id::of("n3"), generation: 1, incarnation: 0 };
    codec::write_update(&Update::Suspect(stamp, Witnesses::default()), &mut bytes);
    play.give(1, Input::Packet(addr(2), &bytes));
    assert_eq!(play.believed(1, "n3"), Some((State::Suspect, 1, 0)));
    play.run(3);
    for port in [1, 2, 4, 5] {
        assert_eq!(play.believed(port, "n3"), Some((State::Alive, 1, 1)));
    }
    assert!(!play.changes("n3").contains(&State::Dead));
}

#[test]
fn who_is_doubted_again_and_again_steps_aside_for_a_while() {
    // Of ever the same two that doubt it, it makes nothing; nor among few.
    for (count, doubters, leaves) in [(10, 2, false), (7, 3, false), (10, 3, true)] {
        let mut play = Play::of(count);
        for doubt in 0..8 {
            let mut bytes = Vec::new();
            let kind = Kind::Gossip;
            let from = Id::of(&format!("n{}", 2 + doubt % doubters));
            let header = Header { from, generation: 1, digest: 0, sequence: 0, kind };
            codec::write_header(&header, &mut bytes);
            let mut witnesses = Witnesses::default();
            witnesses.insert(from);
            codec::write_update(&Update::Suspect(play.swim(1).own(), witnesses), &mut bytes);
            play.give(1, Input::Packet(addr(2), &bytes));
            play.run(1);
        }
        play.run(7);
        assert_eq!(play.swim(1).is_aside(), leaves);
        let state = if leaves { State::Left } else { State::Alive };
        assert_eq!(play.believed(2, "n1").map(|belief| belief.0), Some(state));
        play.run(40);
        let generation = if leaves { 2 } else { 1 };
        let belief = play.believed(2, "n1").map(|belief| (belief.0, belief.1));
        assert_eq!(belief, Some((State::Alive, generation)));
        assert_eq!(play.swim(1).live(), usize::from(count));
    }
}

#[test]
fn a_later_life_wins_at_once_and_an_earlier_one_never_returns() {
    let mut play = Play::of(4);
    // Again at another address, before anybody missed it.
    play.members.remove(&3);
    play.enter("n3", 2, 33);
    play.run(3);
    assert_eq!(play.believed(1, "n3"), Some((State::Alive, 2, 0)));
    assert!(!play.changes("n3").contains(&State::Dead));
    // News of the earlier life, however high its incarnation, means nothing.
    let mut bytes = Vec::new();
    let kind = Kind::Gossip;
    let header = Header { from: Id::of("n2"), generation: 1, digest: 0, sequence: 0, kind };
    codec::write_header(&header, &mut bytes);
    codec::write_update(&Update::Alive(record("n3", 1, 3).profile(), 99), &mut bytes);
    let stamp = Stamp { id: Id::of("n3"), generation: 1, incarnation: 99 };
    codec::write_update(&Update::Dead(stamp), &mut bytes);
    play.give(1, Input::Packet(addr(2), &bytes));
    assert_eq!(play.believed(1, "n3"), Some((State::Alive, 2, 0)));
}

#[test]
fn a_later_life_returns_from_the_dead() {
    let mut play = Play::of(4);
    play.members.remove(&3);
    play.run(12);
    assert_eq!(play.believed(1, "n3"), Some((State::Dead, 1, 0)));
    play.enter("n3", 2, 3);
    play.run(3);
    assert_eq!(play.believed(2, "n3"), Some((State::Alive, 2, 0)));
}

#[test]
fn a_clock_that_was_ahead_in_an_earlier_life_is_outlived() {
    let mut play = Play::of(3);
    play.members.remove(&2);
    play.enter("n2", 100, 2);
    play.run(3);
    play.members.remove(&2);
    play.enter("n2", 50, 2);
    play.run(5);
    assert_eq!(play.believed(1, "n2"), Some((State::Alive, 101, 0)));
    assert_eq!(play.swim(2).own().generation, 101);
}

#[test]
fn of_two_with_a_name_the_later_stays() {
    let mut play = Play::of(3);
    play.enter("n2", 2, 22);
    play.run(5);
    assert!(play.events.contains(&(2, Event::Superseded)));
    assert_eq!(play.swim(2).deadline(), Moment::from_micros(NEVER_US));
    assert_eq!(play.believed(1, "n2"), Some((State::Alive, 2, 0)));
    assert_eq!(play.swim(22).live(), 3);
}

#[test]
fn who_leaves_is_not_suspected_and_not_sought() {
    let mut play = Play::of(5);
    let now = Moment::from_micros(play.now);
    play.members.get_mut(&4).unwrap().0.leave(now);
    play.run(3);
    assert!(play.swim(4).has_left());
    play.members.remove(&4);
    play.run(20);
    for port in [1, 2, 3, 5] {
        assert_eq!(play.believed(port, "n4").map(|belief| belief.0), Some(State::Left));
    }
    let changes = play.changes("n4");
    assert!(changes.iter().all(|state| *state == State::Left), "{changes:?}");
}

#[test]
fn new_metadata_reaches_all() {
    let mut play = Play::of(5);
    let now = Moment::from_micros(play.now);
    let swim = &mut play.members.get_mut(&5).unwrap().0;
    assert!(!swim.set_meta(&[0; META_BYTES_MAX + 1], now));
    assert!(swim.set_meta(b"zone=b", now));
    play.run(3);
    for port in 1..=5 {
        let belief = play.swim(port).belief(Id::of("n5"), now).unwrap();
        assert_eq!((&*belief.record.meta, belief.incarnation), (&b"zone=b"[..], 1));
    }
}

#[test]
fn a_stall_of_ones_own_is_nobody_elses_fault() {
    let mut play = Play::of(5);
    // n2 stands still, and half a minute later its timers are all due before it hears anything.
    let paused = play.members.remove(&2).unwrap();
    play.run(30);
    assert_eq!(play.believed(1, "n2").map(|belief| belief.0), Some(State::Dead));
    play.members.insert(2, paused);
    play.events.clear();
    play.give(2, Input::Timeout);
    assert!(matches!(play.events[0], (2, Event::Stalled(late)) if late.as_secs() >= 29));
    assert!(play.swim(2).health() > 1);
    play.run(5);
    for port in 1..=5 {
        assert_eq!(play.swim(port).live(), 5);
    }
    let blamed = ["n1", "n3", "n4", "n5"].map(|name| play.changes(name));
    assert_eq!(blamed, [const { Vec::new() }; 4]);
    assert_eq!(play.believed(1, "n2"), Some((State::Alive, 1, 1)));
}

#[test]
fn who_is_cut_off_for_long_is_found_again() {
    let mut play = Play::of(6);
    play.cut = vec![5, 6];
    play.run(300);
    assert_eq!(play.swim(1).live(), 4);
    assert_eq!(play.swim(5).live(), 1);
    play.cut.clear();
    play.run(15);
    assert!((1..=6).all(|port| play.swim(port).live() == 6));
}

#[test]
fn the_dead_are_forgotten_after_a_day() {
    let mut play = Play::of(3);
    play.members.remove(&3);
    play.run(20);
    assert_eq!(play.swim(1).load().gone, 1);
    for _ in 0..2 {
        // Standing still does for waiting: nobody hears anything meanwhile.
        play.now += 25 * 3600 * SECOND;
        play.run(10);
    }
    assert_eq!(play.believed(1, "n3"), None);
    assert_eq!(play.swim(1).load().gone, 0);
    assert_eq!(play.swim(1).live(), 2);
}

#[test]
fn phi_and_round_trips_are_told_of_the_watched() {
    let mut play = Play::of(5);
    play.run(10);
    let now = Moment::from_micros(play.now);
    let watched: Vec<_> = play.swim(1).beliefs(now).filter_map(|belief| belief.watched).collect();
    assert_eq!(watched.len(), 3);
    assert!(watched.iter().all(|(phi, trip)| *phi < 1.0 && trip.is_some()), "{watched:?}");
}

#[test]
fn parameters_out_of_range_are_refused() {
    assert!(Params::default().check().is_ok());
    let fast = Params { haste: 9.0, ..Params::default() };
    assert_eq!(fast.check().unwrap_err().to_string(), "haste: at most suspicion");
    let nan = Params { pause: f64::NAN, ..Params::default() };
    assert!(nan.check().is_err());
}

proptest! {
    /// Whatever it is sent, well-formed or not, a member neither panics nor outgrows its bounds.
    #[test]
    fn hostile_messages_do_no_harm(
        messages in prop::collection::vec(
            (0..4_u8, prop::collection::vec(any::<u8>(), 0..200), 1..24_u8, 0..2_000_000_u64),
            1..60,
        ),
    ) {
        let mut play = Play::of(3);
        play.cut = vec![2, 3];
        for (way, mut bytes, kind, wait) in messages {
            play.now += wait;
            if let [version, tag, ..] = &mut *bytes {
                (*version, *tag) = (codec::VERSION, kind);
            }
            let input = match way {
                0 | 1 => Input::Packet(addr(9), &bytes),
                2 => Input::Request(7, &bytes),
                _ => Input::Response(1, &bytes),
            };
            let (swim, rng) = play.members.get_mut(&1).unwrap();
            let mut out = Effects::default();
            swim.handle(input, Moment::from_micros(play.now), rng, &mut out);
            prop_assert!(out.packets().all(|(_, bytes)| bytes.len() <= 1371));
            let load = swim.load();
            prop_assert!(load.relays <= 1024 && load.probes <= 128 && load.calls <= 64);
        }
    }
}
