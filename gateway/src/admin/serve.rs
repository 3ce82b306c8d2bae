//! The admin listener's connections: few, short, with a time-out on every wait.

use std::{
    convert::Infallible,
    future::Future as _,
    io::{self, IoSlice},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Semaphore, watch},
    time::{Sleep, sleep, timeout},
};

use super::{Shared, answer, guard::Peer};
use crate::{
    listen::stream::{Listener, Stream},
    task,
};

/// Connections open at once; others wait to be accepted.
pub(super) const CONNECTIONS: usize = 64;
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// For a request's head, the wait for a next request included.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// For the client to take more of a response.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// Age at which a connection is asked to end, so that none holds a slot forever.
const LIFETIME: Duration = Duration::from_secs(600);
/// For a request under way when its connection is asked to end; a reload may be one.
const FAREWELL: Duration = Duration::from_secs(75);
/// How long to wait when the process is out of descriptors: accepting again at once would spin.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts until the sender of `stopped` is dropped; connections end soon after that, too.
pub(super) async fn run(
    shared: Rc<Shared>,
    listener: Listener,
    slots: Arc<Semaphore>,
    mut stopped: watch::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            _ = stopped.changed() => return,
        };
        match accepted {
            Ok((slot, stream, peer)) => {
                let (shared, stopped) = (shared.clone(), stopped.clone());
                task::spawn(async move {
                    let _slot = slot;
                    connection(shared, stream, peer, stopped).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the admin API cannot accept connections for now");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn accept(
    listener: &Listener,
    slots: &Arc<Semaphore>,
) -> io::Result<(tokio::sync::OwnedSemaphorePermit, Stream, Peer)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((slot, stream, Peer::of(address)))
}

async fn connection(
    shared: Rc<Shared>,
    stream: Stream,
    peer: Peer,
    mut stopped: watch::Receiver<()>,
) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(answer::answer(&shared, peer, request).await) }
    });
    let machine = http1::Builder::new()
        .max_header_size(HEAD_BYTES)
        .max_buf_size(2 * HEAD_BYTES)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(Patient { stream, stalled: None }), service);
    let mut machine = pin!(machine);
    tokio::select! {
        // A connection that broke concerns its client only.
        _ = machine.as_mut() => return,
        _ = stopped.changed() => {}
        () = sleep(LIFETIME) => {}
    }
    machine.as_mut().graceful_shutdown();
    let _ = timeout(FAREWELL, machine).await;
}

/// A socket whose writes fail when the other end takes nothing for [`WRITE_TIME`].
struct Patient {
    stream: Stream,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(WRITE_TIME)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.watch(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, pieces);
        this.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
