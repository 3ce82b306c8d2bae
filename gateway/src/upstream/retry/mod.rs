//! Whether and when a request that failed is tried again.

pub mod backoff;
pub mod budget;
pub mod policy;
