//! Who else is there: other gateways, and the endpoints of upstreams that no file names.
//!
//! All of it runs on the control thread, and no request ever waits for it.

pub(crate) mod membership;
pub(crate) mod roll;
mod watch;
