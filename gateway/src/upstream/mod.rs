//! The upstream side: which endpoint, how many at a time, over which connection.

pub mod limit;
pub mod load;
pub mod pick;
