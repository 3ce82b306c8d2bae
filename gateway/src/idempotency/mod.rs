//! Idempotency keys: a request that a client repeats runs once.
//!
//! [`state`] is what may become of a key, as a value; [`memory`] and [`redis`] keep such values,
//! for one process and for all gateways, and [`store`] is the choice between them. What names a
//! request is [`key`], what tells two of them apart is [`fingerprint`], and [`record`] is what is
//! kept of an outcome.

pub mod fingerprint;
pub mod key;
pub mod memory;
pub mod record;
pub mod state;
pub mod store;
