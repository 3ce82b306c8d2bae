//! `weir.yaml`: words, units, defaults, diagnostics.
//!
//! Text goes in, a [`model::Config`] or the list of everything wrong with it comes out. This crate
//! knows nothing of sockets or of the running gateway.

pub mod defaults;
pub mod model;
pub mod units;

mod address;
mod decode;
mod diagnostic;
mod diff;
mod effective;
mod environment;
mod explain;
mod fields;
mod lint;
mod load;
mod origin;
mod pattern;
mod reference;
mod report;
mod schema;
mod source;
mod yaml;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use diff::{Change, ChangeKind, diff};
pub use explain::explain;
pub use load::{FILE_MAX, Loaded, load, load_endpoints, load_str};
pub use reference::reference;
pub use schema::schema;
