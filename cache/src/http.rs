//! HTTP's rules for caches as pure functions: headers and `now` in, decisions out (RFC 9111, 9213,
//! 5861, 9211; the parts of RFC 9110 about ranges and conditions).

pub mod date;
pub mod directives;
pub mod freshness;
pub mod key;
pub mod policy;
pub mod range;
mod structured;
pub mod vary;
