//! What HTTP demands of a gateway beyond parsing: checks of what comes in, edits of what goes on.

pub mod guard;
pub mod headers;
pub mod host;
#[cfg(test)]
mod wire;
