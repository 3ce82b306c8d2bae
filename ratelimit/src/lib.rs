//! Limits on how much and how often.
pub mod bucket;
pub mod decision;
pub mod moment;
pub mod rate;
