//! Who else is there: other gateways, and the endpoints of upstreams that no file names.
//!
//! All of it runs on the control thread, and no request ever waits for it.

mod change;
pub(crate) mod discovery;
mod file;
pub(crate) mod found;
mod members;
pub(crate) mod membership;
mod names;
mod regard;
pub(crate) mod roll;
mod watch;

pub use found::{Found, SourceReport};
