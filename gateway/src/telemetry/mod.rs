//! What the gateway tells about itself: metrics and the access log.

//ACCESS
pub mod counters;
pub mod names;
pub mod registry;
