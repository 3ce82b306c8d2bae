//! Idempotency keys: a request that a client repeats runs once.
//!
//! [`state`] is what may become of a key, as a value; [`memory`] and [`redis`] keep such values,
//! for one process and for all gateways, and [`store`] is the choice between them. What names a
//! request is [`key`], what tells two of them apart is [`fingerprint`], and [`record`] is what is
//! kept of an outcome.
//!
//! Around that is the way of a request. `rule` looks whether it has a key, `carry` reads its body
//! and waits on the client's behalf; `run` is the task that claims the key, forwards and records,
//! with `lease` to hold the claim, `verdict` to judge the response's head, and `intake` and `tape`
//! for its body. `shared` is a thread's way to Redis, `tell` what clients and operators hear.

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
mod shared;
mod tape;
mod tell;
mod verdict;

pub(crate) use carry::carry;
pub(crate) use rule::{Keyed, Records, Rule, Target, look};
pub(crate) use shared::SharedRecords;
pub(crate) use tell::{Outcome, Told, explain, tell};
