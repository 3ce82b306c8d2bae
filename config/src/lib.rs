//! `weir.yaml`: words, units, defaults, diagnostics.
//!
//! Text goes in, a [`model::Config`] or the list of everything wrong with it comes out. This crate
//! knows nothing of sockets or of the running gateway.

pub mod model;
