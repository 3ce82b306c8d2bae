//! Weir's cache.

pub mod sieve;
