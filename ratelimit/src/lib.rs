//! Limits on how much and how often.
pub mod bucket;
pub mod decision;
pub mod leaky;
pub mod moment;
pub mod rate;
pub mod window;
