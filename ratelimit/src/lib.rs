//! Limits on how much and how often, for a gateway to ask on each request.
//!
//! Everything here but [`redis`] is computation: no clock, no socket, no task, no word of HTTP or
//! of the configuration. The present moment is an argument, in nanoseconds from an origin that the
//! caller chooses; so a year of refills takes milliseconds to test.
//!
//! | | |
//! |---|---|
//! | [`Rate`] | so many per so long, an exact fraction |
//! | [`Bucket`], [`Leaky`], [`Window`] | the algorithms: state, cost, moment to decision, state |
//! | [`Key`] | who is limited, in 16 bytes |
//! | [`Local`] | what is kept of each key, shared by threads |
//! | [`Limit`], [`Limiter`] | limits with names that hold together |
//! | [`Concurrency`] | how many at once |
//! | [`Top`] | who is denied most |
//! | [`remote`] | limits as a script for a server that gateways share |
//! | [`redis`] | the store on such servers: asked over the network, and what to do without them |
//!
//! # Guarantees
//!
//! - **Exact.** A token bucket admits, in any interval with its ends, at most `burst + rate x
//!   length`, and a client who always asks gets all of it: no rounding, no drift, at any rate. A
//!   sliding window admits at most its quota in any window; it may remember for up to 8/7 of the
//!   window. Threads that share a key share its limit, exactly.
//! - **All or nothing.** Of several limits all are charged or none, with no moment in between.
//! - **Defined at the edges.** Rate 0, cost 0, costs over the burst, huge bursts, refunds, charges
//!   after the fact and clocks that step either way: each type says what happens. Nothing overflows
//!   and nothing panics, whatever the numbers.
//! - **Bounded.** Keys, their bytes, the list of those denied most, the time under a lock. Parts of
//!   requests are hashed, never kept.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use weir_ratelimit::{
//!     Algorithm, Bucket, InvalidLimit, Limit, Limiter, Local, Nanos, Rate, Secret,
//! };
//!
//! # fn main() -> Result<(), InvalidLimit> {
//! // Once, from the configuration.
//! let secret = Secret::new([0; 16]); // random bytes, in earnest
//! let store = Arc::new(Local::new(1_000_000));
//! let bucket = Bucket::new(Rate::new(100, Duration::from_secs(1))?, 200)?;
//! let limit = Limit::new(&secret, "api", "per-ip", Algorithm::TokenBucket(bucket));
//! let limiter = Limiter::new(store, vec![limit]);
//!
//! // Per request.
//! let now = Nanos::new(1_000);
//! let keys = [limiter.limits()[0].hasher().part(&[192, 0, 2, 7]).finish()];
//! let verdict = limiter.check(&keys, None, now);
//! assert!(verdict.allowed());
//! assert_eq!(verdict.rulings()[0].decision.remaining, 199);
//! # Ok(())
//! # }
//! ```

pub mod redis;
pub mod remote;

mod algorithm;
mod bucket;
mod concurrency;
mod decision;
mod key;
mod leaky;
mod lease;
mod limiter;
mod local;
mod moment;
mod rate;
mod table;
mod top;
mod window;

pub use algorithm::{Algorithm, Policy};
pub use bucket::{Bucket, Turn};
pub use concurrency::{Busy, Concurrency, Permit};
pub use decision::{Decision, Ruling, Verdict};
pub use key::{Key, KeyHasher, Secret};
pub use leaky::Leaky;
pub use limiter::{Charge, Limit, Limiter};
pub use local::{Ask, Local, Swept, Usage};
pub use moment::{Moment, Nanos};
pub use rate::{InvalidLimit, Rate};
pub use top::{Entry, Top};
pub use window::{Counts, SLICES, Window};
