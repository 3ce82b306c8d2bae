//! One request at an origin, whatever the protocol, and the book that origins keep.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use tokio::sync::Notify;

use super::PATIENCE;

/// What the origins of all protocols can do with a request. Errors say what the peer did.
pub(crate) trait Exchange {
    /// The request's head.
    fn head(&self) -> &Request<()>;
    /// The next piece of its body; none at its end.
    async fn piece(&mut self) -> Result<Option<Bytes>, String>;
    /// Its trailers, once the body has ended.
    async fn trailers(&mut self) -> Result<HeaderMap, String>;
    /// Sends a head; with status 1xx another follows. `last` when no body does.
    async fn respond(&mut self, head: Response<()>, last: bool) -> Result<(), String>;
    /// Sends a piece of the body.
    async fn write(&mut self, piece: Bytes) -> Result<(), String>;
    /// Ends the response.
    async fn end(&mut self, trailers: HeaderMap) -> Result<(), String>;
    /// Breaks off: the response must not look complete.
    async fn abort(&mut self);
    /// Waits, with nothing to read or to write, for the peer to give the request up.
    async fn gone(&mut self);
    /// Wants no more of the request, whose response has ended.
    async fn refuse(&mut self);
}

/// A request as it went.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Its head.
    pub(crate) head: Request<()>,
    /// Bytes of its body.
    pub(crate) received: usize,
    /// Whether they were those of the pattern.
    pub(crate) intact: bool,
    /// Whether body and trailers came to their end.
    pub(crate) complete: bool,
    /// Trailers.
    pub(crate) trailers: HeaderMap,
    /// Bytes of the response's body that were handed over to be sent.
    pub(crate) sent: usize,
    /// What broke it off, in either direction.
    pub(crate) cut: Option<String>,
    /// Whether it is over.
    pub(crate) over: bool,
}

/// What an origin keeps of its requests.
#[derive(Default)]
pub(crate) struct Ledger {
    records: Mutex<Vec<Record>>,
    faults: Mutex<Vec<String>>,
    waiting: AtomicUsize,
    released: Notify,
    /// Connections so far.
    pub(crate) connections: AtomicUsize,
    /// Those of them that have ended.
    pub(crate) ended: AtomicUsize,
}

impl Ledger {
    /// A request whose head came.
    pub(super) fn open(self: &Arc<Self>, head: Request<()>) -> Entry {
        let mut records = self.records.lock().unwrap();
        records.push(Record {
            head,
            received: 0,
            intact: true,
            complete: false,
            trailers: HeaderMap::new(),
            sent: 0,
            cut: None,
            over: false,
        });
        Entry { ledger: Arc::clone(self), index: records.len() - 1 }
    }

    /// Notes what no strict peer would have sent.
    pub(crate) fn fault(&self, what: String) {
        self.faults.lock().unwrap().push(what);
    }

    /// Everything noted.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }

    /// Waits until `count` requests wait here at once; false when they never do.
    pub(super) async fn gather(&self, count: usize) -> bool {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        for _ in 0..PATIENCE.as_millis() / 2 {
            if self.waiting.load(Ordering::Acquire) >= count {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        false
    }

    /// Lets the request that waits for it go on.
    pub(crate) fn release(&self) {
        self.released.notify_one();
    }

    /// Waits for [`Ledger::release`].
    pub(super) async fn held(&self) {
        self.released.notified().await;
    }

    /// Forgets who gathered.
    pub(crate) fn disperse(&self) {
        self.waiting.store(0, Ordering::Release);
    }

    /// Requests whose path starts with `path`, in order of their heads.
    pub(crate) fn seen(&self, path: &str) -> Vec<Record> {
        let records = self.records.lock().unwrap();
        records.iter().filter(|r| r.head.uri().path().starts_with(path)).cloned().collect()
    }

    /// Waits for the last request at `path` to be as wanted.
    pub(crate) async fn when(
        &self,
        path: &str,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<Record, String> {
        let mut last = None;
        for _ in 0..PATIENCE.as_millis() / 4 {
            last = self.seen(path).pop();
            if last.as_ref().is_some_and(&wanted) {
                return Ok(last.unwrap());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err(format!("the origin at {path} has only {last:?}"))
    }

    /// Waits for the last request at `path` to have ended, well or not.
    pub(crate) async fn over(&self, path: &str) -> Result<Record, String> {
        self.when(path, |record| record.over).await
    }
}

/// The record of the request in hand.
pub(super) struct Entry {
    ledger: Arc<Ledger>,
    index: usize,
}

impl Entry {
    /// Changes it.
    pub(super) fn note(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.ledger.records.lock().unwrap()[self.index]);
    }
}
