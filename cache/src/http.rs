//! HTTP's rules for caches as pure functions: headers and `now` in, decisions out (RFC 9111, 9213,
//! 5861, 9211; the parts of RFC 9110 about ranges and conditions).
//!
//! A request has its key written by [`key`], finds a [`page::Page`] in the store and is decided on
//! by [`decide`]. [`serve`] answers it from what is stored. What the origin answers is weighed by
//! [`admission`] and kept as [`stored`] has it; after a question whether what is stored still holds
//! [`validate`] takes the answer in.

pub mod admission;
pub mod date;
pub mod decide;
pub mod directives;
#[cfg(test)]
mod fixture;
pub mod freshness;
pub mod key;
mod named;
pub mod page;
pub mod policy;
pub mod range;
pub mod serve;
pub mod status;
pub mod stored;
mod structured;
pub mod validate;
pub mod vary;
