//! The upstream side: which endpoint, how many at a time, over which connection.

pub mod alt_svc;
mod clocks;
pub mod connect;
pub mod endpoint;
pub(crate) mod forward;
pub mod h1;
pub(crate) mod h2;
pub(crate) mod h3;
pub mod limit;
pub mod load;
pub mod pick;
pub(crate) mod pool;
mod shared;
pub mod tls;
mod trial;
pub(crate) mod wire;
