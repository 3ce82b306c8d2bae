//! Tiers one behind the other before a backend that is dead: each tries again what failed.

use std::time::Duration;

use fastrand::Rng;
use weir_config::model::{Backoff, RetryBudget};
use weir_gateway::{
    clock::Tick,
    upstream::retry::{backoff::full_jitter, budget::Budget},
};

use crate::agenda::{Agenda, interval};

const TIERS: usize = 3;
/// Tries of each tier, the first included.
const TRIES: u32 = 3;
const BACKOFF: Backoff =
    Backoff { base: Duration::from_millis(25), max: Duration::from_millis(250) };
const WINDOW: Duration = Duration::from_secs(10);
/// How long requests come.
const LENGTH: Duration = Duration::from_secs(60);
/// How long it takes until a call of the backend has failed.
const CALL: Duration = Duration::from_millis(1);

/// A chain of tiers that are all configured alike.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    /// Requests a second that come to the first tier.
    pub(crate) rate: u32,
    pub(crate) budget: Option<RetryBudget>,
}

/// What the table shows.
pub(crate) fn rows() -> [(&'static str, Chain); 5] {
    let share = |min_per_sec| Some(RetryBudget { percent: 0.2, min_per_sec, window: WINDOW });
    [
        ("none", Chain { rate: 1_000, budget: None }),
        ("20 %, no floor", Chain { rate: 1_000, budget: share(0) }),
        ("20 %, at least 3 a second", Chain { rate: 10_000, budget: share(3) }),
        ("20 %, at least 3 a second", Chain { rate: 100, budget: share(3) }),
        ("20 %, at least 3 a second", Chain { rate: 5, budget: share(3) }),
    ]
}

impl Chain {
    /// The most calls of the backend for one request.
    pub(crate) fn bound(&self) -> f64 {
        let Some(budget) = self.budget else { return f64::from(TRIES.pow(TIERS as u32)) };
        // The floor of the first window is there at once.
        let seconds = (LENGTH + budget.window).as_secs_f64();
        let floor = f64::from(budget.min_per_sec) * seconds / LENGTH.as_secs_f64();
        let rate = f64::from(self.rate);
        let tier =
            |calls: f64, _| (calls * (1.0 + budget.percent) + floor).min(calls * f64::from(TRIES));
        (0..TIERS).fold(rate, tier) / rate
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    /// What a tier asks of the next one, with the tries so far of each tier up to it.
    Ask {
        tier: usize,
        tries: [u32; TIERS],
    },
}

/// Calls that the backend gets for each request of the first tier's clients.
pub(crate) fn amplify(chain: &Chain, seed: u64) -> f64 {
    let mut rng = Rng::with_seed(seed);
    let budgets = [(); TIERS].map(|()| chain.budget.map(Budget::new));
    let mut agenda = Agenda::new();
    agenda.plan(Tick::ZERO, Event::Arrive);
    let (mut requests, mut calls) = (0_u32, 0_u32);
    while let Some((now, event)) = agenda.next() {
        match event {
            Event::Arrive if now > Tick::ZERO + LENGTH => {}
            Event::Arrive => {
                requests += 1;
                agenda.plan(now + interval(chain.rate.into(), &mut rng), Event::Arrive);
                begin(0, [0; TIERS], &budgets, now, &mut agenda);
            }
            Event::Ask { tier, tries } if tier + 1 < TIERS => {
                begin(tier + 1, tries, &budgets, now, &mut agenda);
            }
            Event::Ask { tries, .. } => {
                calls += 1;
                fail(tries, &budgets, now + CALL, &mut agenda, &mut rng);
            }
        }
    }
    f64::from(calls) / f64::from(requests)
}

type Budgets = [Option<Budget>; TIERS];

/// A request comes to a tier, which asks the next one.
fn begin(
    tier: usize,
    mut tries: [u32; TIERS],
    budgets: &Budgets,
    now: Tick,
    agenda: &mut Agenda<Event>,
) {
    if let Some(budget) = &budgets[tier] {
        budget.deposit(now);
    }
    tries[tier] = 1;
    agenda.plan(now, Event::Ask { tier, tries });
}

/// The backend has failed: the last tier that may try again does.
fn fail(
    mut tries: [u32; TIERS],
    budgets: &Budgets,
    now: Tick,
    agenda: &mut Agenda<Event>,
    rng: &mut Rng,
) {
    let retries = |tier: &usize| {
        tries[*tier] < TRIES && budgets[*tier].as_ref().is_none_or(|budget| budget.withdraw(now))
    };
    if let Some(tier) = (0..TIERS).rev().find(retries) {
        let wait = full_jitter(BACKOFF, tries[tier] - 1, rng);
        tries[tier] += 1;
        agenda.plan(now + wait, Event::Ask { tier, tries });
    }
}
