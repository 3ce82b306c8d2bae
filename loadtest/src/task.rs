//! The one door for tasks of a worker thread.

use std::future::Future;

/// Runs `future` beside the others of this thread until it ends. `name` is for the reader of a
/// stack trace; the task must be inside a `LocalSet`.
#[allow(clippy::disallowed_methods, reason = "the one door")]
pub(crate) fn spawn<F>(name: &'static str, future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let _ = name;
    tokio::task::spawn_local(future)
}
