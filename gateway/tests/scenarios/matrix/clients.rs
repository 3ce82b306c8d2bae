//! Clients of the three versions behind one interface.

use std::{cell::Cell, cell::RefCell, net::SocketAddr, rc::Rc, sync::Arc};

use bytes::{Buf, Bytes};
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use rustls::ClientConfig;
use tokio::net::TcpStream;

use super::{
    origins::{read_h2, send_h2},
    wire::{Framing, Reader, Wire, Writer, add_line, framing_of, write_fields},
};
use crate::support::{h2_client, h3_client, said};

/// A final head, and the status codes of those before it.
pub(super) type Heads = (Response<()>, Vec<u16>);

/// One connection, or what stands for one.
pub(super) trait Client: Sized {
    type Up: Upload;
    type Down: Download;
    async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Self, String>;
    /// Sends a head; `body` when the request has one.
    async fn open(&self, head: Request<()>, body: bool) -> Result<(Self::Up, Self::Down), String>;
}

/// The request's body on its way.
pub(super) trait Upload {
    async fn write(&mut self, piece: Bytes) -> Result<(), String>;
    async fn end(&mut self, trailers: HeaderMap) -> Result<(), String>;
    /// Takes the request back.
    fn abort(self);
}

/// The response on its way.
pub(super) trait Download {
    async fn head(&mut self) -> Result<Heads, String>;
    async fn piece(&mut self) -> Result<Option<Bytes>, String>;
    async fn trailers(&mut self) -> Result<HeaderMap, String>;
}

// === HTTP/1.1 ===

/// Keeps connections whose exchange ended well, and takes the last of them for the next.
pub(super) struct H1 {
    address: SocketAddr,
    idle: Rc<RefCell<Vec<Wire>>>,
}

pub(super) struct H1Up {
    writer: Writer,
    sent: Rc<Cell<bool>>,
}

pub(super) struct H1Down {
    method: Method,
    wire: Wire,
    reader: Option<Reader>,
    reusable: bool,
    sent: Rc<Cell<bool>>,
    idle: Rc<RefCell<Vec<Wire>>>,
}

impl Client for H1 {
    type Up = H1Up;
    type Down = H1Down;

    async fn connect(address: SocketAddr, _: &Arc<ClientConfig>) -> Result<Self, String> {
        Ok(Self { address, idle: Rc::default() })
    }

    async fn open(&self, head: Request<()>, body: bool) -> Result<(H1Up, H1Down), String> {
        let kept = self.idle.borrow_mut().pop();
        let wire = match kept {
            Some(wire) => wire,
            None => Wire::new(TcpStream::connect(self.address).await.map_err(said)?),
        };
        let framing = match framing_of(head.headers()) {
            Some(framing) => framing,
            None if body => Framing::Chunked,
            None => Framing::None,
        };
        let target = head.uri().path_and_query().unwrap();
        let mut text = format!("{} {target} HTTP/1.1\r\nhost: weir.test\r\n", head.method());
        if framing == Framing::Chunked {
            text += "transfer-encoding: chunked\r\n";
        }
        if head.headers().contains_key("te") {
            text += "connection: te\r\n";
        }
        write_fields(head.headers(), &mut text);
        wire.send(text.as_bytes()).await?;
        let sent = Rc::new(Cell::new(!body));
        let down = H1Down {
            method: head.method().clone(),
            wire: wire.clone(),
            reader: None,
            reusable: true,
            sent: Rc::clone(&sent),
            idle: Rc::clone(&self.idle),
        };
        Ok((H1Up { writer: Writer { wire, framing }, sent }, down))
    }
}

impl Upload for H1Up {
    async fn write(&mut self, piece: Bytes) -> Result<(), String> {
        self.writer.piece(&piece).await
    }

    async fn end(&mut self, trailers: HeaderMap) -> Result<(), String> {
        self.writer.end(&trailers).await?;
        self.sent.set(true);
        Ok(())
    }

    fn abort(self) {
        self.writer.wire.shut();
        self.writer.wire.reset();
    }
}

impl Download for H1Down {
    async fn head(&mut self) -> Result<Heads, String> {
        let mut interim = Vec::new();
        loop {
            let head = self.wire.until(b"\r\n\r\n").await?;
            let text = String::from_utf8_lossy(&head).into_owned();
            let mut lines = text.split("\r\n");
            let start = lines.next().unwrap_or_default();
            let code = start.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
            let status = code.and_then(|code| code.parse::<StatusCode>().ok());
            let status = status.ok_or_else(|| format!("status line {start:?}"))?;
            let mut response = Response::builder().status(status).body(()).unwrap();
            for line in lines {
                add_line(response.headers_mut(), line)?;
            }
            if status.is_informational() {
                interim.push(status.as_u16());
                continue;
            }
            let fields = response.headers();
            self.reusable = fields.get("connection").is_none_or(|c| c != "close");
            let bare = self.method == Method::HEAD || matches!(status.as_u16(), 204 | 304);
            let framing = if bare { Some(Framing::None) } else { framing_of(fields) };
            let framing = framing.ok_or("a body that ends with the connection")?;
            self.reader = Some(Reader::new(self.wire.clone(), framing));
            return Ok((response, interim));
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        self.reader.as_mut().unwrap().piece().await
    }

    async fn trailers(&mut self) -> Result<HeaderMap, String> {
        if self.reusable && self.sent.get() {
            self.idle.borrow_mut().push(self.wire.clone());
        }
        Ok(self.reader.as_mut().unwrap().trailers())
    }
}

// === HTTP/2 ===

pub(super) struct H2 {
    send: SendRequest<Bytes>,
}

pub(super) struct H2Up(h2::SendStream<Bytes>);

pub(super) enum H2Down {
    Waiting(ResponseFuture),
    Reading(h2::RecvStream),
}

impl Client for H2 {
    type Up = H2Up;
    type Down = H2Down;

    async fn connect(address: SocketAddr, _: &Arc<ClientConfig>) -> Result<Self, String> {
        Ok(Self { send: h2_client::connect(address).await })
    }

    async fn open(&self, head: Request<()>, body: bool) -> Result<(H2Up, H2Down), String> {
        let mut send = self.send.clone().ready().await.map_err(said)?;
        let (response, stream) = send.send_request(head, !body).map_err(said)?;
        Ok((H2Up(stream), H2Down::Waiting(response)))
    }
}

impl Upload for H2Up {
    async fn write(&mut self, piece: Bytes) -> Result<(), String> {
        send_h2(&mut self.0, piece).await
    }

    async fn end(&mut self, trailers: HeaderMap) -> Result<(), String> {
        if trailers.is_empty() {
            return self.0.send_data(Bytes::new(), true).map_err(said);
        }
        self.0.send_trailers(trailers).map_err(said)
    }

    fn abort(mut self) {
        self.0.send_reset(h2::Reason::CANCEL);
    }
}

impl Download for H2Down {
    async fn head(&mut self) -> Result<Heads, String> {
        let Self::Waiting(future) = self else { return Err("a second head".to_owned()) };
        let mut interim = Vec::new();
        while let Some(head) = std::future::poll_fn(|cx| future.poll_informational(cx)).await {
            interim.push(head.map_err(said)?.status().as_u16());
        }
        let (parts, body) = future.await.map_err(said)?.into_parts();
        *self = Self::Reading(body);
        Ok((Response::from_parts(parts, ()), interim))
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        let Self::Reading(body) = self else { return Err("no head yet".to_owned()) };
        read_h2(body).await
    }

    async fn trailers(&mut self) -> Result<HeaderMap, String> {
        let Self::Reading(body) = self else { return Err("no head yet".to_owned()) };
        Ok(body.trailers().await.map_err(said)?.unwrap_or_default())
    }
}

// === HTTP/3 ===

pub(super) struct H3 {
    client: h3_client::H3Client,
}

pub(super) struct H3Up(h3::client::RequestStream<h3_quinn::SendStream<Bytes>, Bytes>);

pub(super) struct H3Down(h3::client::RequestStream<h3_quinn::RecvStream, Bytes>);

impl Client for H3 {
    type Up = H3Up;
    type Down = H3Down;

    async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>) -> Result<Self, String> {
        let client = h3_client::connect(address, Arc::clone(tls), super::EDGE).await?;
        Ok(Self { client })
    }

    async fn open(&self, head: Request<()>, body: bool) -> Result<(H3Up, H3Down), String> {
        let (mut up, down) = self.client.open(head).await?.split();
        if !body {
            up.finish().await.map_err(said)?;
        }
        Ok((H3Up(up), H3Down(down)))
    }
}

impl Upload for H3Up {
    async fn write(&mut self, piece: Bytes) -> Result<(), String> {
        self.0.send_data(piece).await.map_err(said)
    }

    async fn end(&mut self, trailers: HeaderMap) -> Result<(), String> {
        if !trailers.is_empty() {
            self.0.send_trailers(trailers).await.map_err(said)?;
        }
        self.0.finish().await.map_err(said)
    }

    fn abort(mut self) {
        self.0.stop_stream(h3::error::Code::H3_REQUEST_CANCELLED);
    }
}

impl Download for H3Down {
    async fn head(&mut self) -> Result<Heads, String> {
        let mut interim = Vec::new();
        loop {
            let head = self.0.recv_response().await.map_err(said)?;
            if !head.status().is_informational() {
                return Ok((head, interim));
            }
            interim.push(head.status().as_u16());
        }
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        let piece = self.0.recv_data().await.map_err(said)?;
        Ok(piece.map(|mut piece| piece.copy_to_bytes(piece.remaining())))
    }

    async fn trailers(&mut self) -> Result<HeaderMap, String> {
        Ok(self.0.recv_trailers().await.map_err(said)?.unwrap_or_default())
    }
}
