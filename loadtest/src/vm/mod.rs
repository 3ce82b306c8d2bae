//! The scripts: an interpreter per worker thread, a context and a fiber per virtual user.
//!
//! [`Machine`] is the interpreter and the objects that all contexts of it share; [`Vu`] is one
//! virtual user; `modules` is what a script imports. Code of scripts runs only inside a fiber, so
//! whatever waits there ([`fiber::wait`]) lets the thread do other things.

mod bundle;
mod commonjs;
pub mod console;
mod error;
mod fiber;
mod machine;
mod modules;
mod operations;
mod pump;
mod state;
mod vu;

pub use self::{
    bundle::{Bundle, SharedArrays},
    error::{ScriptError, ScriptFailure},
    machine::Machine,
    state::{Abort, Environment, InstanceCounts, Local, MetricTable, Place},
    vu::{Answer, Exports, Job, Stopper, Vu},
};
