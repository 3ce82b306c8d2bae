//! QPACK without its dynamic table (RFC 9204).

pub mod instructions;
