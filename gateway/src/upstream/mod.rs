//! The upstream side: which endpoint, how many at a time, over which connection.

mod clocks;
pub mod connect;
pub mod endpoint;
pub(crate) mod forward;
pub mod h1;
pub(crate) mod h2;
pub mod limit;
pub mod load;
pub mod pick;
pub(crate) mod pool;
pub mod tls;
pub(crate) mod wire;
