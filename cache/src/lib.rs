//! Weir's cache: a store of responses that is bounded by bytes, and the rules of HTTP about when
//! one may be stored and used again.
//!
//! The store knows nothing of HTTP: [`store`] holds anything under any key, evicts by [`sieve`],
//! keeps within its budget at every moment and purges by name, prefix and tag. Nothing here opens a
//! socket, reads a clock or starts a task: `now` is an argument.

pub mod entry;
mod ghost;
pub mod http;
pub mod purges;
mod shard;
pub mod sieve;
pub mod store;
mod tags;
pub mod time;
