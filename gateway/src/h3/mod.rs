//! The HTTP/3 codec: frames, QPACK and field sections (RFC 9114, RFC 9204). Pure.
//!
//! Both adapters, towards clients and towards endpoints, read streams with [`frame`] and turn field
//! sections into `http` types with [`fields`]. Neither peer is trusted: each rule that the RFCs
//! tie to a connection error is checked here, and what is read is bounded while it is read. The
//! dynamic table of QPACK is never used, in either direction.

pub mod code;
pub mod fields;
pub mod frame;
pub mod qpack;
pub mod settings;
pub mod varint;
