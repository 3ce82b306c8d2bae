//! An HTTP/2 origin (prior knowledge) that behaves as the path says.

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http::{HeaderMap, Request, Response, Version};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::oneshot,
    task,
};
use tokio_rustls::TlsAcceptor;

/// A request it was sent.
#[derive(Debug, Clone)]
pub(crate) struct H2Seen {
    /// Its head.
    pub(crate) head: Request<()>,
    /// Length of its body.
    pub(crate) body: usize,
    /// Trailers.
    pub(crate) trailers: Option<HeaderMap>,
}

/// A listening origin.
pub(crate) struct H2Origin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    ledger: Arc<Ledger>,
    stop: Option<oneshot::Sender<()>>,
}

#[derive(Default)]
struct Ledger {
    seen: Mutex<Vec<H2Seen>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
    given_up: AtomicUsize,
}

impl H2Origin {
    /// Starts it; `streams` is its SETTINGS_MAX_CONCURRENT_STREAMS.
    pub(crate) fn start(streams: u32) -> Self {
        Self::launch(streams, None, true)
    }

    /// The same, without SETTINGS_ENABLE_CONNECT_PROTOCOL.
    pub(crate) fn start_without_connect() -> Self {
        Self::launch(100, None, false)
    }

    /// The same over TLS; the configuration's ALPN must name h2.
    pub(crate) fn start_tls(tls: Arc<ServerConfig>) -> Self {
        Self::launch(100, Some(TlsAcceptor::from(tls)), true)
    }

    fn launch(streams: u32, tls: Option<TlsAcceptor>, connect: bool) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let ledger = Arc::new(Ledger::default());
        let shared = Arc::clone(&ledger);
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = task::LocalSet::new();
            local.block_on(&runtime, async move {
                let listener = TcpListener::from_std(listener).unwrap();
                task::spawn_local(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        let (ledger, tls) = (Arc::clone(&shared), tls.clone());
                        task::spawn_local(async move {
                            let _ = stream.set_nodelay(true);
                            let Some(tls) = tls else {
                                return serve(stream, streams, connect, ledger).await;
                            };
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, streams, connect, ledger).await;
                            }
                        });
                    }
                });
                let _ = stopped.await;
            });
        });
        Self { address, ledger, stop: Some(stop) }
    }

    /// Requests so far, in the order they ended.
    pub(crate) fn seen(&self, path: &str) -> Vec<H2Seen> {
        let all = self.ledger.seen.lock().unwrap();
        all.iter().filter(|s| s.head.uri().path().starts_with(path)).cloned().collect()
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.ledger.connections.load(Ordering::Acquire)
    }

    /// Requests that the peer gave up.
    pub(crate) fn given_up(&self) -> usize {
        self.ledger.given_up.load(Ordering::Acquire)
    }

    /// The most streams that were open at once.
    pub(crate) fn most(&self) -> usize {
        self.ledger.most.load(Ordering::Acquire)
    }
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    streams: u32,
    connect: bool,
    ledger: Arc<Ledger>,
) {
    ledger.connections.fetch_add(1, Ordering::AcqRel);
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(streams);
    if connect {
        builder.enable_connect_protocol();
    }
    let handshake = builder.handshake::<_, Bytes>(stream);
    let Ok(mut connection) = handshake.await else { return };
    let mut leaving = false;
    while let Some(Ok((request, respond))) = connection.accept().await {
        if request.uri().path() == "/goaway" && !leaving {
            connection.graceful_shutdown();
            leaving = true;
        }
        if request.uri().path() == "/abrupt" {
            connection.abrupt_shutdown(Reason::INTERNAL_ERROR);
        }
        task::spawn_local(stream_of(request, respond, Arc::clone(&ledger)));
    }
}

async fn stream_of(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    ledger: Arc<Ledger>,
) {
    let now = ledger.open.fetch_add(1, Ordering::AcqRel) + 1;
    ledger.most.fetch_max(now, Ordering::AcqRel);
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let first = !head.headers.contains_key("x-weir-attempts");
    if let (Some(what), true) = (path.strip_prefix("/once/"), first) {
        ledger.seen.lock().unwrap().push(H2Seen {
            head: Request::from_parts(head, ()),
            body: 0,
            trailers: None,
        });
        if fail(what, &mut respond).await {
            ledger.given_up.fetch_add(1, Ordering::AcqRel);
        }
        ledger.open.fetch_sub(1, Ordering::AcqRel);
        return;
    }
    let early = early(&path, &mut respond).await;
    if path.starts_with("/tunnel") {
        echo(&path, &mut body, &mut respond).await;
    }
    let mut length = 0;
    while let Some(Ok(piece)) = body.data().await {
        length += piece.len();
        let _ = body.flow_control().release_capacity(piece.len());
    }
    let trailers = body.trailers().await.ok().flatten();
    let text = format!("{} {path} {length}", head.method);
    let seen = H2Seen { head: Request::from_parts(head, ()), body: length, trailers };
    ledger.seen.lock().unwrap().push(seen);
    if !early && !path.starts_with("/tunnel") {
        let _ = answer(&path, &mut respond, text).await;
    }
    ledger.open.fetch_sub(1, Ordering::AcqRel);
}

/// Sends back what comes, or resets the stream at the first of it.
async fn echo(path: &str, body: &mut RecvStream, respond: &mut SendResponse<Bytes>) {
    let Ok(mut send) = respond.send_response(Response::new(()), false) else { return };
    while let Some(Ok(piece)) = body.data().await {
        if path.ends_with("reset") {
            return send.send_reset(Reason::INTERNAL_ERROR);
        }
        let _ = body.flow_control().release_capacity(piece.len());
        let _ = send.send_data(piece, false);
    }
    let _ = send.send_data(Bytes::new(), true);
}

/// Fails a first attempt; whether the peer gave it up.
async fn fail(how: &str, respond: &mut SendResponse<Bytes>) -> bool {
    match how {
        "reset" => respond.send_reset(Reason::INTERNAL_ERROR),
        "refuse" => respond.send_reset(Reason::REFUSED_STREAM),
        "stall" => return poll_fn(|cx| respond.poll_reset(cx)).await.is_ok(),
        status => {
            let mut response = Response::new(());
            *response.status_mut() = status.parse().unwrap();
            let _ = respond.send_response(response, true);
        }
    }
    false
}

/// What is said before the request's body is read; true when that was all.
async fn early(path: &str, respond: &mut SendResponse<Bytes>) -> bool {
    match path {
        "/reset" => respond.send_reset(Reason::INTERNAL_ERROR),
        "/refuse" => respond.send_reset(Reason::REFUSED_STREAM),
        "/enhance" => respond.send_reset(Reason::ENHANCE_YOUR_CALM),
        "/forbidden" => {
            let mut forbidden = Response::new(());
            *forbidden.status_mut() = http::StatusCode::FORBIDDEN;
            if let Ok(mut send) = respond.send_response(forbidden, false) {
                let _ = send.send_data(Bytes::from_static(b"no"), true);
            }
        }
        "/hints" => {
            let mut hints = Response::new(());
            *hints.status_mut() = http::StatusCode::EARLY_HINTS;
            hints.headers_mut().insert("link", "</a.css>; rel=preload".parse().unwrap());
            let _ = respond.send_informational(hints);
            return false;
        }
        _ => return false,
    }
    true
}

async fn answer(
    path: &str,
    respond: &mut SendResponse<Bytes>,
    text: String,
) -> Result<(), h2::Error> {
    let mut response = Response::new(());
    *response.version_mut() = Version::HTTP_2;
    match path {
        "/stall" => tokio::time::sleep(Duration::from_secs(30)).await,
        "/slow" => tokio::time::sleep(Duration::from_millis(100)).await,
        _ => {}
    }
    if path == "/trailers" {
        response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
    }
    if path == "/short" || path == "/long" {
        let length = if path == "/short" { "100" } else { "2" };
        response.headers_mut().insert("content-length", length.parse().unwrap());
    }
    let mut send = respond.send_response(response, false)?;
    match path {
        "/late-reset" => {
            send.send_data(Bytes::from_static(b"half"), false)?;
            tokio::time::sleep(Duration::from_millis(50)).await;
            send.send_reset(Reason::INTERNAL_ERROR);
        }
        "/trailers" => {
            send.send_data(text.into(), false)?;
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", "42".parse().unwrap());
            send.send_trailers(trailers)?;
        }
        _ => send.send_data(text.into(), true)?,
    }
    Ok(())
}
