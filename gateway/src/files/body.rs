//! A file on its way to a client: a piece at a time, each read aside of the worker's thread when
//! there is room for it.

use std::{
    fs::File,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use smallvec::SmallVec;
use tokio::sync::Semaphore;

use super::{disk, respond::Slice};
use crate::{error::Error, http::body::Pourable, task};

/// Bytes that are read at once: all of a file that is in memory for a client.
const PIECE: u64 = 128 * 1024;

type Reading = Pin<Box<dyn Future<Output = io::Result<Bytes>>>>;

/// See the module's page.
pub(super) struct FileBody {
    file: Arc<File>,
    /// What is left, the next last.
    slices: SmallVec<[Slice; 1]>,
    left: u64,
    reading: Option<Reading>,
    reads: Rc<Semaphore>,
}

impl FileBody {
    pub(super) fn new(file: File, mut slices: SmallVec<[Slice; 1]>, reads: Rc<Semaphore>) -> Self {
        slices.reverse();
        let left = slices.iter().map(Slice::len).sum();
        Self { file: Arc::new(file), slices, left, reading: None, reads }
    }

    /// Begins to read the next piece of a range.
    fn read(&self, at: u64, length: u64) -> Reading {
        let (file, reads) = (self.file.clone(), self.reads.clone());
        Box::pin(async move {
            let _turn = reads.acquire().await.map_err(io::Error::other)?;
            let read = task::aside(move || disk::piece(&file, at, length as usize));
            read.await.map_err(io::Error::other)?
        })
    }

    fn passed(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.left -= bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(reading) = &mut this.reading {
                let read = ready!(reading.as_mut().poll(cx));
                this.reading = None;
                // What is not there any more was promised: the client must see that it is cut.
                let Some(bytes) = read.ok().filter(|bytes| !bytes.is_empty()) else {
                    return Poll::Ready(Some(Err(Error::FileUnreadable)));
                };
                if let Some(Slice::File(range)) = this.slices.last_mut() {
                    range.start += bytes.len() as u64;
                }
                return this.passed(bytes);
            }
            match this.slices.last() {
                None => return Poll::Ready(None),
                Some(Slice::File(range)) if range.is_empty() => {
                    this.slices.pop();
                }
                Some(Slice::File(range)) => {
                    let length = (range.end - range.start).min(PIECE);
                    this.reading = Some(this.read(range.start, length));
                }
                Some(Slice::Text(text)) => {
                    let text = text.clone();
                    this.slices.pop();
                    return this.passed(text);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Pourable for FileBody {}
