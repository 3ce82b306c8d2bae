//! What the gateway knows of HTTP messages, whatever their version.

pub mod path;
