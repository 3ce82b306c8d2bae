//! Limits on how much and how often.
pub mod algorithm;
pub mod bucket;
pub mod decision;
pub mod key;
pub mod leaky;
pub mod local;
pub mod moment;
pub mod rate;
mod table;
pub mod window;
