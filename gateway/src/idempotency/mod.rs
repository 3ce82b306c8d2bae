//! Idempotency keys: a request that a client repeats runs once.
//!
//! [`state`] is what may become of a key, as a value; [`memory`] keeps such values for this process,
//! and [`store`] is the choice of where they are kept. What names a
//! request is [`key`], what tells two of them apart is [`fingerprint`], and [`record`] is what is
//! kept of an outcome.
//!
//! Around that is the way of a request. `rule` looks whether it has a key, `carry` reads its body
//! and waits on the client's behalf; `run` is the task that claims the key, forwards and records,
//! with `lease` to hold the claim, `verdict` to judge the response's head, and `intake` and `tape`
//! for its body. `tell` is what clients and operators hear of it.

pub mod fingerprint;
pub mod key;
pub mod memory;
pub mod record;
pub mod redis;
pub mod state;
pub mod store;

mod carry;
mod intake;
mod lease;
mod rule;
mod run;
mod tape;
mod tell;
mod verdict;

pub(crate) use carry::carry;
pub(crate) use rule::{Keyed, Records, Rule, Target, look};
pub(crate) use tell::{Outcome, Told, explain, tell};
