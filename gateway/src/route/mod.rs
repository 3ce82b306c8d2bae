//! Which route takes a request, and what its path becomes on the way on.
//!
//! Everything here is pure and built once, when a configuration is compiled: [`Matcher`] from all
//! routes, [`PathRewrite`] and [`Location`] from one route each. A request then costs a few hash
//! look-ups, however many routes there are that do not match it.
//!
//! Callers pass the host through [`canonical_host`] and the path through
//! [`crate::http::path::normalize`] first; routes are compiled to the same forms.

pub(crate) mod act;
mod carry;
mod condition;
mod early;
mod explain;
pub(crate) mod gate;
mod host;
mod matcher;
mod outbound;
mod recall;
mod rewrite;
mod shadow;
pub(crate) mod stack;
mod table;
mod template;

pub(crate) use carry::{Ran, carry_out, own, run_once};
pub use condition::MethodSet;
pub(crate) use condition::decoded;
pub use explain::{Explanation, Failed, PassedOver, Why};
pub use host::canonical_host;
pub use matcher::{BuildError, BuildReason, Found, Matched, Matcher};
pub use rewrite::{Location, Origin, PathRewrite, RewriteError, TemplateError, join};
pub use shadow::Shadowed;
pub use table::{Span, Spans};

/// A map whose keys come from the configuration alone.
///
/// The hash is fast and unkeyed: requests look keys up but never insert any, so that a client
/// cannot make a bucket longer than the operator's own file did.
type Map<V> = std::collections::HashMap<Box<str>, V, foldhash::fast::FixedState>;
