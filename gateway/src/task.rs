//! The only place that starts a task.
//!
//! A panic in a task ends that task (one connection, one probe), never the worker; the panic hook
//! in [`crate::app`] counts it.

use std::future::Future;

use tokio::task::JoinHandle;

/// Runs what may block, such as on a disk, or takes a while, on a thread where that does no harm.
/// Whoever calls it bounds how many there are at a time.
pub(crate) fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(work)
}

/// Runs a future on this worker's thread.
#[expect(clippy::disallowed_methods, reason = "this is the one door")]
pub(crate) fn spawn<F>(future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + 'static,
{
    tokio::task::spawn_local(future)
}
