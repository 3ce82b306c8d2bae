//! The upstream side: which endpoint, how many at a time, over which connection.

pub mod limit;
pub mod load;
pub mod pick;
//! Towards the services behind the gateway.

pub mod tls;
