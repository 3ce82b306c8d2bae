//! What the gateway tells about itself: metrics and the access log.

pub mod access_log;
pub mod counters;
pub(crate) mod date;
pub mod log;
pub mod names;
pub(crate) mod record;
pub mod registry;
pub(crate) mod trace;
