//! Origins of HTTP/1.1 and HTTP/2 that behave as [`crate::support::script`] says.

use std::{
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    thread,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, Method, Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task,
};

use super::wire::{Framing, Reader, Wire, Writer, add_line, framing_of, write_fields};
use crate::support::{
    exchange::{Exchange, Ledger},
    said, script,
    seen::Seen,
};

/// A listening origin.
pub(crate) struct TcpOrigin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it was sent.
    pub(crate) ledger: Arc<Ledger>,
    stop: Option<oneshot::Sender<()>>,
}

impl TcpOrigin {
    /// Starts it, with HTTP/2 by prior knowledge or with HTTP/1.1.
    pub(crate) fn start(h2: bool) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let ledger = Arc::new(Ledger::default());
        let shared = Arc::clone(&ledger);
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            task::LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::from_std(listener).unwrap();
                task::spawn_local(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        shared.connections.fetch_add(1, Ordering::AcqRel);
                        let ledger = Arc::clone(&shared);
                        if h2 {
                            task::spawn_local(serve_h2(stream, ledger));
                        } else {
                            task::spawn_local(serve_h1(Wire::new(stream), ledger));
                        }
                    }
                });
                let _ = stopped.await;
            });
        });
        Self { address, ledger, stop: Some(stop) }
    }
}

impl Drop for TcpOrigin {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }
}

async fn serve_h1(wire: Wire, ledger: Arc<Ledger>) {
    while let Ok(head) = wire.until(b"\r\n\r\n").await {
        let (seen, faults) = Seen::parse(0, &head);
        for fault in faults {
            ledger.fault(format!("{} {}: {fault}", seen.method, seen.target));
        }
        let Ok(method) = Method::from_bytes(seen.method.as_bytes()) else { return };
        let uri = format!("http://{}{}", seen.field("host").unwrap_or("-"), seen.target);
        let mut request = Request::builder().method(method).uri(uri).body(()).unwrap();
        for (name, value) in &seen.fields {
            let _ = add_line(request.headers_mut(), &format!("{name}: {value}"));
        }
        let framing = framing_of(request.headers()).unwrap_or(Framing::None);
        let kept = Rc::new(std::cell::Cell::new(false));
        let exchange = H1Exchange {
            writer: Writer { wire: wire.clone(), framing: Framing::None },
            reader: Reader::new(wire.clone(), framing),
            head: request,
            kept: Rc::clone(&kept),
            answered: false,
        };
        script::play(exchange, Arc::clone(&ledger)).await;
        if !kept.get() {
            return;
        }
    }
}

struct H1Exchange {
    head: Request<()>,
    reader: Reader,
    writer: Writer,
    kept: Rc<std::cell::Cell<bool>>,
    answered: bool,
}

impl H1Exchange {
    fn ended(&mut self) {
        self.answered = true;
        self.kept.set(self.reader.done);
    }
}

impl Exchange for H1Exchange {
    fn head(&self) -> &Request<()> {
        &self.head
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        let piece = self.reader.piece().await;
        // Read behind the answer, the request leaves the connection as good as any.
        if self.answered {
            self.ended();
        }
        piece
    }

    async fn trailers(&mut self) -> Result<HeaderMap, String> {
        Ok(self.reader.trailers())
    }

    async fn respond(&mut self, mut head: Response<()>, last: bool) -> Result<(), String> {
        let status = head.status();
        let framing = framing_of(head.headers());
        if !last && !status.is_informational() && framing.is_none() {
            head.headers_mut().insert("transfer-encoding", "chunked".parse().unwrap());
        }
        self.writer.framing = framing.unwrap_or(Framing::Chunked);
        let mut text = format!("HTTP/1.1 {} Text\r\n", status.as_u16());
        write_fields(head.headers(), &mut text);
        if last {
            self.ended();
        }
        self.writer.wire.send(text.as_bytes()).await
    }

    async fn write(&mut self, piece: Bytes) -> Result<(), String> {
        self.writer.piece(&piece).await
    }

    async fn end(&mut self, trailers: HeaderMap) -> Result<(), String> {
        // A body shorter than its length ends with the connection.
        let short = self.head.uri().path() == "/abort/short";
        self.writer.end(&trailers).await?;
        if !short {
            self.ended();
        }
        Ok(())
    }

    async fn abort(&mut self) {
        self.writer.wire.reset();
    }

    async fn gone(&mut self) {
        while self.writer.wire.fill().await.is_ok() {}
    }

    async fn refuse(&mut self) {
        // A close with bytes unread would be a reset, which may overtake the response.
        while self.writer.wire.fill().await.is_ok() {
            self.writer.wire.clear();
        }
    }
}

async fn serve_h2(stream: TcpStream, ledger: Arc<Ledger>) {
    let _ = stream.set_nodelay(true);
    let mut builder = h2::server::Builder::new();
    builder.initial_connection_window_size(1 << 20);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    let crash = Rc::new(Notify::new());
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = crash.notified() => return,
        };
        let Some(Ok((request, respond))) = accepted else { return };
        let (parts, body) = request.into_parts();
        let head = Request::from_parts(parts, ());
        let exchange =
            H2Exchange { head, body: Some(body), respond, send: None, crash: crash.clone() };
        task::spawn_local(script::play(exchange, Arc::clone(&ledger)));
    }
}

struct H2Exchange {
    head: Request<()>,
    body: Option<RecvStream>,
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    crash: Rc<Notify>,
}

/// Sends a piece as the window allows.
pub(super) async fn send_h2(send: &mut SendStream<Bytes>, mut piece: Bytes) -> Result<(), String> {
    while !piece.is_empty() {
        send.reserve_capacity(piece.len());
        let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await;
        let room = room.ok_or("reset")?.map_err(said)?;
        send.send_data(piece.split_to(room.min(piece.len())), false).map_err(said)?;
    }
    Ok(())
}

/// Reads a piece and gives its window back.
pub(super) async fn read_h2(body: &mut RecvStream) -> Result<Option<Bytes>, String> {
    let Some(piece) = body.data().await else { return Ok(None) };
    let piece = piece.map_err(said)?;
    body.flow_control().release_capacity(piece.len()).map_err(said)?;
    Ok(Some(piece))
}

impl Exchange for H2Exchange {
    fn head(&self) -> &Request<()> {
        &self.head
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        read_h2(self.body.as_mut().unwrap()).await
    }

    async fn trailers(&mut self) -> Result<HeaderMap, String> {
        let trailers = self.body.as_mut().unwrap().trailers().await;
        Ok(trailers.map_err(said)?.unwrap_or_default())
    }

    async fn respond(&mut self, head: Response<()>, last: bool) -> Result<(), String> {
        if head.status().is_informational() {
            return self.respond.send_informational(head).map_err(said);
        }
        self.send = Some(self.respond.send_response(head, last).map_err(said)?);
        Ok(())
    }

    async fn write(&mut self, piece: Bytes) -> Result<(), String> {
        send_h2(self.send.as_mut().unwrap(), piece).await
    }

    async fn end(&mut self, trailers: HeaderMap) -> Result<(), String> {
        let send = self.send.as_mut().unwrap();
        if trailers.is_empty() {
            return send.send_data(Bytes::new(), true).map_err(said);
        }
        send.send_trailers(trailers).map_err(said)
    }

    async fn abort(&mut self) {
        if self.head.uri().query() == Some("connection") {
            self.crash.notify_one();
        } else if let Some(send) = &mut self.send {
            send.send_reset(Reason::INTERNAL_ERROR);
        } else {
            self.respond.send_reset(match self.head.uri().query() {
                Some("unseen") => Reason::REFUSED_STREAM,
                _ => Reason::INTERNAL_ERROR,
            });
        }
    }

    async fn gone(&mut self) {
        let _ = std::future::poll_fn(|cx| self.respond.poll_reset(cx)).await;
    }

    async fn refuse(&mut self) {
        self.body = None;
    }
}
