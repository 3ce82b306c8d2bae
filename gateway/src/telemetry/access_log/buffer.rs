//! From the workers' buffers to the output, by a thread of its own, a buffer at a time.
//!
//! The channel is bounded. When the output is slower than the traffic, whole buffers are dropped
//! and their lines counted; a worker never waits for the output while it serves.

use std::{
    fmt,
    io::{self, Write},
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use super::{AccessRecord, Format, Stamp};

/// Size at which a buffer is handed over.
const FULL: usize = 64 * 1024;
/// Buffers a worker has under way; so many come back to it for use.
const RECYCLED: usize = 4;
/// A buffer that grew beyond this is not used again.
const OVERGROWN: usize = 2 * FULL;
/// How often and how long the last buffer of a worker knocks when the channel is full.
const KNOCK: Duration = Duration::from_millis(5);
const KNOCKS: u32 = 400;

/// A buffer on its way out, and the way back.
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
    back: SyncSender<Vec<u8>>,
}

/// The thread that writes the access log.
#[derive(Debug)]
pub struct LogWriter {
    batches: SyncSender<Batch>,
    done: Receiver<()>,
    dropped: Arc<AtomicU64>,
}

impl LogWriter {
    /// Starts the thread: at most `depth` buffers of 64 KiB wait before `output`. `dropped` counts
    /// the lines that are thrown away.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(
        output: impl Write + Send + 'static,
        depth: usize,
        dropped: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let (batches, queue) = sync_channel(depth);
        let (finished, done) = sync_channel(1);
        let lost = Arc::clone(&dropped);
        thread::Builder::new().name("weir-log".to_owned()).spawn(move || {
            write_all(&queue, output, &lost);
            // Nobody listens when the writer was not closed but dropped.
            let _ = finished.send(());
        })?;
        Ok(Self { batches, done, dropped })
    }

    /// A buffer for one worker.
    pub fn buffer(&self, format: Format) -> LogBuffer {
        let (back, empties) = sync_channel(RECYCLED);
        LogBuffer {
            format,
            bytes: Vec::new(),
            lines: 0,
            stamp: Stamp::new(),
            batches: self.batches.clone(),
            back,
            empties,
            dropped: Arc::clone(&self.dropped),
        }
    }

    /// Waits until everything handed over is written, which needs all [`LogBuffer`]s to be dropped
    /// first; whether that was within `patience`.
    pub fn close(self, patience: Duration) -> bool {
        drop(self.batches);
        self.done.recv_timeout(patience).is_ok()
    }
}

fn write_all(queue: &Receiver<Batch>, mut output: impl Write, dropped: &AtomicU64) {
    while let Ok(Batch { mut bytes, lines, back }) = queue.recv() {
        if output.write_all(&bytes).and_then(|()| output.flush()).is_err() {
            dropped.fetch_add(lines, Relaxed);
        }
        bytes.clear();
        if bytes.capacity() <= OVERGROWN {
            // A full channel or a worker that is gone: the buffer is freed.
            let _ = back.try_send(bytes);
        }
    }
}

/// One worker's part of the access log. Dropping it hands over what is left.
pub struct LogBuffer {
    format: Format,
    bytes: Vec<u8>,
    lines: u64,
    stamp: Stamp,
    batches: SyncSender<Batch>,
    back: SyncSender<Vec<u8>>,
    empties: Receiver<Vec<u8>>,
    dropped: Arc<AtomicU64>,
}

impl LogBuffer {
    /// Adds a line; hands the buffer over when it is full.
    pub fn log(&mut self, record: &AccessRecord<'_>) {
        record.append(&mut self.bytes, self.format, &mut self.stamp);
        self.lines += 1;
        if self.bytes.len() >= FULL {
            self.flush();
        }
    }

    /// Hands over what is there: to be called on a tick, so that lines appear when traffic is low.
    pub fn flush(&mut self) {
        if let Some(batch) = self.batch()
            && let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) =
                self.batches.try_send(batch)
        {
            self.give_up(batch);
        }
    }

    /// Changes the form of the lines to come.
    pub fn set_format(&mut self, format: Format) {
        self.format = format;
    }

    /// Takes what is there and leaves an empty buffer.
    fn batch(&mut self) -> Option<Batch> {
        if self.lines == 0 {
            return None;
        }
        // The worker that has none back yet gets one of full size at once, to grow it only once.
        let empty = self.empties.try_recv().unwrap_or_else(|_| Vec::with_capacity(FULL + FULL / 8));
        let bytes = mem::replace(&mut self.bytes, empty);
        Some(Batch { bytes, lines: mem::take(&mut self.lines), back: self.back.clone() })
    }

    fn give_up(&mut self, batch: Batch) {
        self.dropped.fetch_add(batch.lines, Relaxed);
        let mut bytes = batch.bytes;
        bytes.clear();
        if bytes.capacity() <= OVERGROWN {
            self.bytes = bytes;
        }
    }
}

/// The worker stops: it may wait a little for the output, but not for ever.
impl Drop for LogBuffer {
    fn drop(&mut self) {
        let Some(mut batch) = self.batch() else { return };
        for _ in 0..KNOCKS {
            batch = match self.batches.try_send(batch) {
                Ok(()) => return,
                Err(TrySendError::Full(batch)) => batch,
                Err(TrySendError::Disconnected(batch)) => return self.give_up(batch),
            };
            thread::sleep(KNOCK);
        }
        self.give_up(batch);
    }
}

impl fmt::Debug for LogBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogBuffer")
            .field("format", &self.format)
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}
