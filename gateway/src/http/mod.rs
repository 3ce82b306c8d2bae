//! What the gateway knows of HTTP messages, whatever their version.

pub(crate) mod body;
pub(crate) mod bridge;
pub(crate) mod deadline;
pub(crate) mod drain;
pub(crate) mod exchange;
pub mod guard;
pub mod headers;
pub(crate) mod hints;
pub mod host;
pub mod path;
pub(crate) mod pipe;
pub(crate) mod problem;
pub(crate) mod reply;
pub(crate) mod tunnel;
pub(crate) mod upload;
