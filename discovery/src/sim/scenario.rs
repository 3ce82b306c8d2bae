//! What the world is put through, what is measured, and what must hold.

use std::fmt;

use super::{Network, SECOND, World};
use crate::swim::{Params, State, Swim};

mod detection;
mod faults;
mod lifeguard;
mod scale;

/// How a scenario is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many members.
    pub nodes: usize,
    /// The first seed; each run takes the next.
    pub seed: u64,
    /// How many times.
    pub runs: u64,
    /// What part of the packets is lost.
    pub loss: f64,
    /// For how long the world runs, in simulated seconds, where the scenario does not say.
    pub seconds: u64,
    /// What members run with.
    pub params: Params,
}

/// What a scenario showed.
#[derive(Debug, Default)]
pub struct Report {
    /// A figure a line.
    pub figures: Vec<(String, String)>,
    /// What broke: an invariant, or a bar.
    pub broken: Vec<String>,
}

impl Report {
    fn figure(&mut self, name: impl Into<String>, value: impl fmt::Display) {
        self.figures.push((name.into(), value.to_string()));
    }

    /// What must hold.
    fn bar(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.broken.push(what.into());
        }
    }

    fn take(&mut self, world: &World, seed: u64) {
        let broken = world.broken().iter().take(5);
        self.broken.extend(broken.map(|what| format!("seed {seed}: {what}")));
    }
}

/// What is done to the members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing: what it costs to be there.
    Steady,
    /// One process ends without a word.
    Crash,
    /// Ten processes end at once.
    Crashes,
    /// Packets are lost, and nobody is.
    Loss,
    /// Some members neither hear nor are heard for a while, again and again, while their timers
    /// run.
    Lifeguard,
    /// Two halves do not hear each other for ten minutes.
    Partition,
    /// A process stands still for half a minute.
    Pause,
    /// A process is starved for half a minute while its timers run.
    Starve,
    /// Some members do not hear, every other 20 seconds; then some hear a fifth only.
    Flipflop,
    /// All join through one at once.
    Bootstrap,
    /// Members come, go, crash and return, all at once, over a bad network.
    Churn,
}

impl Scenario {
    /// Every one, by name.
    pub const ALL: [(&'static str, Self); 11] = [
        ("steady", Self::Steady),
        ("crash", Self::Crash),
        ("crashes", Self::Crashes),
        ("loss", Self::Loss),
        ("lifeguard", Self::Lifeguard),
        ("partition", Self::Partition),
        ("pause", Self::Pause),
        ("starve", Self::Starve),
        ("flipflop", Self::Flipflop),
        ("bootstrap", Self::Bootstrap),
        ("churn", Self::Churn),
    ];

    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, scenario)| scenario)
    }

    /// Runs it.
    #[must_use]
    pub fn run(self, options: &Options) -> Report {
        match self {
            Self::Steady => scale::steady(options),
            Self::Crash => detection::crash(options),
            Self::Crashes => detection::crashes(options),
            Self::Loss => detection::loss(options),
            Self::Lifeguard => lifeguard::lifeguard(options),
            Self::Partition => faults::partition(options),
            Self::Pause => faults::pause(options),
            Self::Starve => faults::starve(options),
            Self::Flipflop => faults::flipflop(options),
            Self::Bootstrap => scale::bootstrap(options),
            Self::Churn => scale::churn(options),
        }
    }
}

impl Options {
    fn network(&self) -> Network {
        Network { loss: self.loss, ..Network::default() }
    }

    fn settled(&self, run: u64) -> World {
        World::settled(self.params.clone(), self.network(), self.nodes, self.seed + run)
    }
}

/// The value below which `share` of the sorted values lie; 0 without any.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}

fn seconds(us: u64) -> f64 {
    us as f64 / SECOND as f64
}

/// How often somebody of whom `counts` says so was held for dead; how often of these by somebody of
/// whom `judge` says so.
fn deaths(
    world: &World,
    counts: impl Fn(usize) -> bool,
    judge: impl Fn(usize) -> bool,
) -> (u64, u64) {
    let dead = world.seen.iter().filter(|seen| seen.state == State::Dead && counts(seen.subject));
    let (mut all, mut judged) = (0, 0);
    for seen in dead {
        all += 1;
        judged += u64::from(judge(seen.observer));
    }
    (all, judged)
}

/// What all that run believe of how many there are: the least and the most.
fn views(world: &World) -> (usize, usize) {
    let live = world.nodes.iter().filter_map(|node| node.swim.as_ref()).map(Swim::live);
    (live.clone().min().unwrap_or(0), live.max().unwrap_or(0))
}
