//! The upstream side: which endpoint, how many at a time, over which connection.

pub mod alt_svc;
mod attempt;
pub(crate) mod check;
mod clocks;
pub mod connect;
pub(crate) mod draft;
pub mod endpoint;
pub(crate) mod forward;
pub mod h1;
pub(crate) mod h2;
pub(crate) mod h3;
pub mod health;
pub mod limit;
pub mod load;
pub mod outlier;
pub mod pick;
pub(crate) mod pool;
pub mod retry;
pub mod roster;
mod shared;
pub mod tls;
mod trial;
pub(crate) mod wire;
