//! Every way in which clients, gateways and a store can take their turns, up to a bound.
//!
//! Three clients use one key, two of them for the same request, on two gateways. A gateway sends
//! commands to the store; each arrives at any later moment, or never, or twice; its answer is heard
//! or lost. Gateways crash, and what they had sent still arrives. A pause is a gateway whose turn
//! does not come while time passes. Time is counted in leases.
//!
//! Searched breadth first, each state once, by its hash.

use std::{collections::HashSet, hash::BuildHasher};

use foldhash::fast::FixedState;
use smallvec::SmallVec;

use super::*;

const LEASE: Duration = Duration::from_nanos(1);
const TTL: u64 = 3;
/// The last moment of the search.
const HORIZON: u64 = 5;

/// The functions under test, or bad copies of them.
#[derive(Clone, Copy)]
struct Machine {
    claim: fn(&mut Kept, Bid<'_>, &Terms, Tick) -> Claimed<u8>,
    complete: fn(&mut Kept, Fence, u8, &Terms, Tick) -> bool,
    release: fn(&mut Kept, Fence, &Terms, Tick) -> bool,
    withdraw: fn(&mut Kept, Owner, &Terms, Tick) -> bool,
}

const SOUND: Machine = Machine {
    claim: Slot::claim,
    complete: Slot::complete,
    release: Slot::release,
    withdraw: Slot::withdraw,
};

/// What is sent to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Command {
    /// By a client, which has this one left to hear of.
    Claim {
        client: u8,
        owner: u8,
    },
    Renew {
        grant: u8,
    },
    Complete {
        grant: u8,
    },
    Release {
        grant: u8,
    },
    Forsake {
        grant: u8,
    },
    Withdraw {
        owner: u8,
    },
}

/// A client's request at a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Run {
    /// The client has no request under way.
    Idle,
    /// Its claim is sent.
    Asked { owner: u8 },
    /// It is claimed, and nothing is sent to the upstream yet.
    Granted { grant: u8, renewed: bool },
    /// It is sent.
    Sent { grant: u8, renewed: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Client {
    run: Run,
    gateway: u8,
    /// Requests that it still makes.
    left: u8,
}

/// A right to run that somebody heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Grant {
    fence: Fence,
    at: u64,
    executed: bool,
    /// Whether the key was known to be unknown.
    redrive: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    now: u64,
    slot: Kept,
    clients: [Client; 3],
    /// What is on its way, and how often it may yet arrive.
    sent: SmallVec<[(Command, u8); 6]>,
    grants: SmallVec<[Grant; 4]>,
    /// Names of claims that were granted when the key was known to be unknown, one bit each.
    redrives: u32,
    /// Which outcome clients were told first.
    told: Option<u8>,
    crashes: u8,
}

/// How large the search is.
#[derive(Clone, Copy)]
struct Bounds {
    requests: [u8; 3],
    crashes: u8,
    /// How often a command arrives at the most.
    copies: u8,
    steps: usize,
}

struct Search {
    machine: Machine,
    terms: Terms,
    bounds: Bounds,
    next: Vec<World>,
    seen: HashSet<u64>,
    broken: Option<(&'static str, World)>,
}

const fn tick(now: u64) -> Tick {
    Tick::from_nanos(now)
}

impl World {
    fn new(bounds: &Bounds) -> Self {
        let client =
            |i: usize| Client { run: Run::Idle, gateway: i as u8 % 2, left: bounds.requests[i] };
        Self {
            now: 0,
            slot: None,
            clients: [0, 1, 2].map(client),
            sent: SmallVec::new(),
            grants: SmallVec::new(),
            redrives: 0,
            told: None,
            crashes: bounds.crashes,
        }
    }

    fn send(&mut self, command: Command, copies: u8) {
        let at = self.sent.partition_point(|(other, _)| *other < command);
        self.sent.insert(at, (command, copies));
    }

    /// The request is over for its client, whatever it heard.
    fn end(&mut self, client: usize) {
        let client = &mut self.clients[client];
        client.run = Run::Idle;
        // The next one goes to the other gateway.
        client.gateway = 1 - client.gateway;
    }
}

impl Search {
    fn new(machine: Machine, redrive: bool, bounds: Bounds) -> Self {
        let ttl = Duration::from_nanos(TTL);
        let terms = Terms { lease: LEASE, ttl, redrive, runs_unclaimed: false };
        let (next, seen) = (Vec::new(), HashSet::new());
        Self { machine, terms, bounds, next, seen, broken: None }
    }

    /// Searches all, or until something is broken; how many states there are.
    fn run(&mut self, name: &str) -> usize {
        self.reach(World::new(&self.bounds));
        let mut steps = 0;
        while steps < self.bounds.steps && !self.next.is_empty() && self.broken.is_none() {
            steps += 1;
            for world in std::mem::take(&mut self.next) {
                self.step(&world);
            }
        }
        let whole = if self.next.is_empty() { "all of them" } else { "up to the bound" };
        println!("{name}: {} states in {steps} steps, {whole}", self.seen.len());
        self.seen.len()
    }

    fn reach(&mut self, world: World) {
        if self.seen.insert(FixedState::default().hash_one(&world)) {
            self.next.push(world);
        }
    }

    fn require(&mut self, holds: bool, what: &'static str, world: &World) {
        if !holds && self.broken.is_none() {
            self.broken = Some((what, world.clone()));
        }
    }

    fn step(&mut self, world: &World) {
        if world.now < HORIZON {
            self.reach(World { now: world.now + 1, ..world.clone() });
        }
        for client in 0..3 {
            self.turn(world, client);
        }
        for gateway in 0..2 {
            let runs = |client: &&Client| client.gateway == gateway && client.run != Run::Idle;
            if world.crashes > 0 && world.clients.iter().any(|client| runs(&client)) {
                let mut next = World { crashes: world.crashes - 1, ..world.clone() };
                for client in 0..3 {
                    if runs(&&world.clients[client]) {
                        next.end(client);
                    }
                }
                self.reach(next);
            }
        }
        for i in 0..world.sent.len() {
            self.arrive(world, i);
        }
    }

    /// What the gateway can do next for a client's request.
    fn turn(&mut self, world: &World, client: usize) {
        let copies = self.bounds.copies;
        let mut next = world.clone();
        match world.clients[client].run {
            Run::Idle if world.clients[client].left > 0 => {
                let state = &mut next.clients[client];
                state.left -= 1;
                // Nobody else ever has this name.
                let owner = client as u8 * 8 + state.left;
                state.run = Run::Asked { owner };
                next.send(Command::Claim { client: client as u8, owner }, copies);
                self.reach(next);
            }
            Run::Idle => {}
            Run::Asked { owner } => {
                // No answer in time: it is denied.
                next.send(Command::Withdraw { owner }, copies);
                next.end(client);
                self.reach(next);
            }
            Run::Granted { grant, renewed } => {
                let mut released = world.clone();
                released.send(Command::Release { grant }, copies);
                released.end(client);
                self.reach(released);
                self.renew(world, client, Run::Granted { grant, renewed: true }, renewed, grant);
                next.clients[client].run = Run::Sent { grant, renewed };
                next.grants[usize::from(grant)].executed = true;
                self.executed(&next, grant);
                self.reach(next);
            }
            Run::Sent { grant, renewed } => {
                for last in [Command::Complete { grant }, Command::Forsake { grant }] {
                    let mut ended = world.clone();
                    ended.send(last, copies);
                    ended.end(client);
                    self.reach(ended);
                }
                self.renew(world, client, Run::Sent { grant, renewed: true }, renewed, grant);
            }
        }
    }

    fn renew(&mut self, world: &World, client: usize, run: Run, renewed: bool, grant: u8) {
        if !renewed {
            let mut next = world.clone();
            next.clients[client].run = run;
            next.send(Command::Renew { grant }, 1);
            self.reach(next);
        }
    }

    /// A command reaches the store; the answer is heard, or lost.
    fn arrive(&mut self, world: &World, i: usize) {
        let mut next = world.clone();
        let (command, left) = next.sent[i];
        if left > 1 {
            next.sent[i].1 -= 1;
        } else {
            next.sent.remove(i);
        }
        let (machine, terms, now) = (self.machine, self.terms, tick(world.now));
        let fence = |grant: u8| world.grants[usize::from(grant)].fence;
        match command {
            Command::Claim { client, owner } => return self.claim(next, client.into(), owner),
            Command::Renew { grant } => {
                Slot::renew(&mut next.slot, fence(grant), &terms, now);
            }
            Command::Complete { grant } => {
                let done = (machine.complete)(&mut next.slot, fence(grant), grant, &terms, now);
                let stale = world.slot.as_ref().is_none_or(|slot| {
                    slot.fence != fence(grant) || slot.phase(now) == Phase::Unknown
                });
                self.require(!done || !stale, "a stale holder's outcome was taken", &next);
            }
            Command::Release { grant } => {
                (machine.release)(&mut next.slot, fence(grant), &terms, now);
            }
            Command::Forsake { grant } => {
                Slot::forsake(&mut next.slot, fence(grant), &terms, now);
            }
            Command::Withdraw { owner } => {
                (machine.withdraw)(&mut next.slot, Owner::new(owner.into()), &terms, now);
            }
        }
        self.reach(next);
    }

    fn claim(&mut self, mut next: World, client: usize, owner: u8) {
        let print = if client == 2 { &OTHER } else { &PRINT };
        // A store that has forgotten a key begins again with the same numbers.
        let bid = Bid { print, owner: Owner::new(owner.into()), floor: 1 };
        let now = tick(next.now);
        let live = next.slot.clone().filter(|slot| slot.expires() > now);
        let unknown = live.is_some_and(|slot| slot.phase(now) == Phase::Unknown);
        let claimed = (self.machine.claim)(&mut next.slot, bid, &self.terms, now);
        if unknown && self.terms.redrive && matches!(claimed, Claimed::Granted(_)) {
            next.redrives |= 1 << owner;
        }
        // Nobody waits for it any more, or the answer is lost.
        self.reach(next.clone());
        if next.clients[client].run != (Run::Asked { owner }) {
            return;
        }
        match claimed {
            Claimed::Granted(fence) => {
                let grant = next.grants.len() as u8;
                let redrive = next.redrives & (1 << owner) > 0;
                let (at, executed) = (next.now, false);
                next.grants.push(Grant { fence, at, executed, redrive });
                next.clients[client].run = Run::Granted { grant, renewed: false };
            }
            Claimed::Done(outcome) => {
                let ran = next.grants[usize::from(outcome)].executed;
                self.require(ran, "an outcome of a run that was not", &next);
                let told = *next.told.get_or_insert(outcome);
                let at = |grant: u8| next.grants[usize::from(grant)].at;
                let same = told == outcome || at(told).abs_diff(at(outcome)) >= TTL;
                self.require(same, "two outcomes were told", &next);
                next.end(client);
            }
            Claimed::InFlight { .. } | Claimed::Mismatch | Claimed::Unknown => next.end(client),
        }
        self.reach(next);
    }

    /// The invariant, when something was sent to the upstream.
    fn executed(&mut self, world: &World, grant: u8) {
        let this = world.grants[usize::from(grant)];
        for (i, other) in world.grants.iter().enumerate() {
            if i != usize::from(grant) && other.executed {
                let later = if i > usize::from(grant) { other } else { &this };
                let apart = other.at.abs_diff(this.at) >= TTL;
                self.require(apart || later.redrive, "it ran twice", world);
            }
        }
    }
}

const WIDE: Bounds = Bounds { requests: [1, 1, 1], crashes: 1, copies: 2, steps: 11 };
const DEEP: Bounds = Bounds { requests: [2, 2, 1], crashes: 1, copies: 1, steps: 10 };

const FEW: Bounds = Bounds { requests: [2, 1, 0], crashes: 0, copies: 2, steps: 14 };

fn sound(name: &str, redrive: bool, bounds: Bounds) {
    let mut search = Search::new(SOUND, redrive, bounds);
    search.run(name);
    assert!(search.broken.is_none(), "{:#?}", search.broken);
}

/// What a bad machine does is found.
fn caught(name: &str, machine: Machine, redrive: bool) -> &'static str {
    let mut search = Search::new(machine, redrive, FEW);
    search.run(name);
    search.broken.expect("the search finds nothing any more").0
}

#[test]
fn nothing_runs_twice() {
    sound("wide", false, WIDE);
    sound("deep", false, DEEP);
    sound("few", false, Bounds { steps: 11, ..FEW });
}

#[test]
fn nothing_runs_twice_but_by_a_redrive() {
    sound("wide, redriven", true, WIDE);
    sound("deep, redriven", true, DEEP);
    sound("few, redriven", true, Bounds { steps: 11, ..FEW });
}

/// Some minutes, in a debug build.
#[test]
#[ignore = "as far as there is patience"]
fn nothing_runs_twice_however_long() {
    for redrive in [false, true] {
        sound("wide", redrive, Bounds { steps: 14, ..WIDE });
        sound("deep", redrive, Bounds { steps: 12, ..DEEP });
    }
}

#[test]
fn a_lease_that_ends_absent_is_caught() {
    let claim = |slot: &mut Kept, bid: Bid<'_>, terms: &Terms, now: Tick| {
        *slot = slot.take().filter(|slot| slot.phase(now) != Phase::Unknown);
        Slot::claim(slot, bid, terms, now)
    };
    let machine = Machine { claim, ..SOUND };
    assert_eq!(caught("lease over: absent", machine, false), "it ran twice");
}

#[test]
fn claims_without_names_are_caught() {
    let claim = |slot: &mut Kept, bid: Bid<'_>, terms: &Terms, now: Tick| {
        Slot::claim(slot, Bid { owner: Owner::new(0), ..bid }, terms, now)
    };
    let machine = Machine { claim, ..SOUND };
    assert_eq!(caught("claims without names", machine, false), "it ran twice");
}

#[test]
fn a_completion_without_its_fence_is_caught() {
    let complete = |slot: &mut Kept, fence: Fence, outcome: u8, terms: &Terms, now: Tick| {
        let fence = slot.as_ref().map_or(fence, |slot| slot.fence);
        Slot::complete(slot, fence, outcome, terms, now)
    };
    let machine = Machine { complete, ..SOUND };
    let what = caught("completed by anybody", machine, true);
    assert_eq!(what, "a stale holder's outcome was taken");
}

#[test]
fn a_release_of_somebody_elses_claim_is_caught() {
    let release = |slot: &mut Kept, fence: Fence, terms: &Terms, now: Tick| {
        let fence = slot.as_ref().map_or(fence, |slot| slot.fence);
        Slot::release(slot, fence, terms, now)
    };
    let machine = Machine { release, ..SOUND };
    assert_eq!(caught("released by anybody", machine, false), "it ran twice");
}

#[test]
fn a_withdrawal_that_undoes_a_redrive_is_caught() {
    let withdraw = |slot: &mut Kept, owner: Owner, terms: &Terms, now: Tick| {
        let done = Slot::withdraw(slot, owner, terms, now);
        *slot = slot.take().filter(|_| !done);
        done
    };
    let machine = Machine { withdraw, ..SOUND };
    assert_eq!(caught("withdrawn to nothing", machine, true), "it ran twice");
}
