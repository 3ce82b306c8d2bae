//! Running a test: the script is read, the workers run its scenarios, the collector adds up what
//! they count, and the end is told.
//!
//! One thread collects and judges; each worker thread has an interpreter and its share of the
//! virtual users, and shares nothing with the others but the schedules.

mod arrivals;
mod collector;
mod control;
mod finish;
mod inspect;
mod read;
mod run;
mod vus;
mod worker;

use worker::{Crew, Planned};

pub use self::{
    inspect::inspect,
    run::{Invocation, SummaryMode, run},
};

fn index_of(crew: &Crew, planned: &Planned) -> usize {
    let all = crew.share.planned.iter();
    all.take_while(|other| !std::ptr::eq(*other, planned)).count()
}
