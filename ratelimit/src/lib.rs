//! Limits on how much and how often.
mod algorithm;
mod bucket;
mod decision;
mod key;
mod leaky;
mod local;
mod moment;
mod rate;
mod table;
mod window;

pub use algorithm::{Algorithm, Policy};
pub use bucket::{Bucket, Turn};
pub use decision::{Decision, Ruling, Verdict};
pub use key::{Key, KeyHasher, Secret};
pub use leaky::Leaky;
pub use local::{Ask, Local, Swept, Usage};
pub use moment::{Moment, Nanos};
pub use rate::{InvalidLimit, Rate};
pub use window::{Counts, SLICES, Window};
