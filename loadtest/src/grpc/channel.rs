//! A connection for calls, made anew when it is gone.

use std::{cell::RefCell, future::poll_fn, rc::Rc, time::Duration};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::{RecvStream, SendStream, client::SendRequest};
use http::{HeaderMap, Request, StatusCode, header::HeaderName};
use tokio::time::timeout;

use super::{Code, Status};
use crate::{
    http::{Alpn, Counted, HttpError, Net, Target, Traffic},
    task,
};

/// Where a client is connected to.
pub(crate) struct Channel {
    net: Rc<Net>,
    target: Target,
    tls: Option<rustls::ClientConfig>,
    send: RefCell<Option<SendRequest<Bytes>>>,
    traffic: Rc<Traffic>,
    /// The largest message that is taken.
    receives_max: usize,
}

/// A call, its messages apart.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// `/package.Service/Method`.
    pub(crate) path: String,
    pub(crate) metadata: Vec<(String, String)>,
    pub(crate) timeout: Option<Duration>,
}

/// What came of a unary call.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: Status,
    pub(crate) messages: Vec<Bytes>,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: HeaderMap,
}

/// What goes out of a call.
pub(crate) struct Outgoing(SendStream<Bytes>);

/// What comes in.
pub(crate) struct Incoming {
    response: Option<h2::client::ResponseFuture>,
    body: Option<RecvStream>,
    buffer: BytesMut,
    receives_max: usize,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: HeaderMap,
}

impl Channel {
    pub(crate) fn new(
        net: Rc<Net>,
        target: Target,
        tls: Option<rustls::ClientConfig>,
        receives_max: usize,
    ) -> Self {
        let (send, traffic) = (RefCell::default(), Rc::default());
        Self { net, target, tls, send, traffic, receives_max }
    }

    /// Connects unless it is connected.
    pub(crate) async fn connect(&self) -> Result<SendRequest<Bytes>, HttpError> {
        let open = self.send.borrow().clone().filter(|_| !self.traffic.is_closed.get());
        if let Some(send) = open {
            return Ok(send);
        }
        let dialed = self.net.dial_with(&self.target, Alpn::Http2, self.tls.as_ref()).await?;
        self.traffic.is_closed.set(false);
        let stream = Counted::new(dialed.stream, Rc::clone(&self.traffic));
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(|error| HttpError::h2(&error))?;
        let traffic = Rc::clone(&self.traffic);
        task::spawn("gRPC connection", async move {
            // Its end is told to the calls on it.
            let _ = connection.await;
            traffic.is_closed.set(true);
        });
        *self.send.borrow_mut() = Some(send.clone());
        Ok(send)
    }

    /// Bytes sent and received since the last time.
    pub(crate) fn take_traffic(&self) -> (u64, u64) {
        self.traffic.take()
    }

    /// Where it leads, as scripts wrote it.
    pub(crate) fn authority(&self) -> &str {
        &self.target.authority
    }

    /// Begins a call.
    pub(crate) async fn open(&self, call: &Call) -> Result<(Outgoing, Incoming), Status> {
        let unavailable = |error: HttpError| Status::new(Code::UNAVAILABLE, error.text);
        let send = self.connect().await.map_err(unavailable)?;
        let head = self.head(call).map_err(|why| Status::new(Code::INTERNAL, why))?;
        let mut send = send.ready().await.map_err(|error| Status::of_h2(&error))?;
        let (response, stream) =
            send.send_request(head, false).map_err(|error| Status::of_h2(&error))?;
        let incoming = Incoming {
            response: Some(response),
            body: None,
            buffer: BytesMut::new(),
            receives_max: self.receives_max,
            headers: HeaderMap::new(),
            trailers: HeaderMap::new(),
        };
        Ok((Outgoing(stream), incoming))
    }

    /// Sends a message and reads the answer.
    pub(crate) async fn unary(&self, call: &Call, message: &Bytes) -> Reply {
        let mut reply = Reply {
            status: Status::new(Code::OK, ""),
            messages: Vec::new(),
            headers: HeaderMap::new(),
            trailers: HeaderMap::new(),
        };
        let exchange = self.exchange(call, message, &mut reply);
        if let Err(status) = within(call.timeout, exchange).await {
            reply.status = status;
        }
        reply
    }

    async fn exchange(
        &self,
        call: &Call,
        message: &Bytes,
        reply: &mut Reply,
    ) -> Result<(), Status> {
        let (mut outgoing, mut incoming) = self.open(call).await?;
        outgoing.send(message, true).await?;
        let ended = loop {
            match incoming.message().await {
                Ok(Some(message)) if reply.messages.is_empty() => reply.messages.push(message),
                Ok(Some(_)) => {
                    let text = "grpc: the server sent more than one message for a unary call";
                    break Err(Status::new(Code::INTERNAL, text));
                }
                Ok(None) => break Ok(()),
                Err(status) => break Err(status),
            }
        };
        reply.headers = std::mem::take(&mut incoming.headers);
        reply.trailers = std::mem::take(&mut incoming.trailers);
        ended
    }

    fn head(&self, call: &Call) -> Result<Request<()>, String> {
        let scheme = if self.target.is_tls { "https" } else { "http" };
        let uri = format!("{scheme}://{}{}", self.target.authority, call.path);
        let mut builder = Request::post(uri)
            .version(http::Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(time) = call.timeout {
            builder = builder.header("grpc-timeout", timeout_text(time));
        }
        for (name, value) in &call.metadata {
            let name: HeaderName =
                name.parse().map_err(|_| format!("invalid metadata '{name}'"))?;
            builder = builder.header(name, value);
        }
        builder.body(()).map_err(|error| error.to_string())
    }
}

/// Does `work`, for no longer than a call may take.
pub(crate) async fn within<T>(
    time: Option<Duration>,
    work: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match time {
        Some(time) => timeout(time, work).await.unwrap_or_else(|_| Err(Status::late())),
        None => work.await,
    }
}

/// At most eight digits and a unit.
fn timeout_text(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..=99_999_999 => format!("{ms}m"),
        ms => format!("{}S", (ms / 1000).min(99_999_999)),
    }
}

impl Outgoing {
    /// Sends a message; waits for the other side to have room for it.
    pub(crate) async fn send(&mut self, message: &Bytes, is_last: bool) -> Result<(), Status> {
        let mut frame = BytesMut::with_capacity(message.len() + 5);
        frame.put_u8(0);
        frame.put_u32(message.len() as u32);
        frame.extend_from_slice(message);
        let mut frame = frame.freeze();
        while !frame.is_empty() {
            self.0.reserve_capacity(frame.len());
            let room = poll_fn(|task| self.0.poll_capacity(task)).await;
            let room = match room {
                Some(Ok(room)) => room,
                Some(Err(error)) => return Err(Status::of_h2(&error)),
                // The other side has answered already: what it said is read.
                None => return Ok(()),
            };
            let part = frame.split_to(room.min(frame.len()));
            let ends = is_last && frame.is_empty();
            self.0.send_data(part, ends).map_err(|error| Status::of_h2(&error))?;
        }
        Ok(())
    }

    /// Says that there will be no more.
    pub(crate) fn end(&mut self) {
        // A stream that is gone has ended.
        let _ = self.0.send_data(Bytes::new(), true);
    }
}

impl Incoming {
    /// The next message; `None` when the call ended well.
    pub(crate) async fn message(&mut self) -> Result<Option<Bytes>, Status> {
        if let Some(response) = self.response.take() {
            self.begin(response).await?;
        }
        loop {
            if let Some(message) = self.take_message()? {
                return Ok(Some(message));
            }
            let Some(body) = &mut self.body else { return Ok(None) };
            match body.data().await {
                Some(Ok(data)) => {
                    // A window of a stream that is gone needs no release.
                    let _ = body.flow_control().release_capacity(data.len());
                    self.buffer.extend_from_slice(&data);
                }
                Some(Err(error)) => return Err(Status::of_h2(&error)),
                None => return self.finish().await,
            }
        }
    }

    async fn begin(&mut self, response: h2::client::ResponseFuture) -> Result<(), Status> {
        let (parts, body) = response.await.map_err(|error| Status::of_h2(&error))?.into_parts();
        if parts.status != StatusCode::OK {
            return Err(Status::of_http(parts.status));
        }
        let kind = parts.headers.get("content-type").map(http::HeaderValue::as_bytes);
        if !kind.is_some_and(|kind| kind.starts_with(b"application/grpc")) {
            let kind = String::from_utf8_lossy(kind.unwrap_or_default());
            let text = format!("unexpected content-type \"{kind}\": the server speaks no gRPC");
            return Err(Status::new(Code::UNKNOWN, text));
        }
        if body.is_end_stream()
            && let Some(status) = Status::of(&parts.headers)
        {
            self.trailers = parts.headers;
            return if status.code == Code::OK { Ok(()) } else { Err(status) };
        }
        self.headers = parts.headers;
        self.body = Some(body);
        Ok(())
    }

    async fn finish(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(mut body) = self.body.take() else { return Ok(None) };
        let trailers = body.trailers().await.map_err(|error| Status::of_h2(&error))?;
        let missing = || {
            let text = "server closed the stream without sending trailers";
            Status::new(Code::INTERNAL, text)
        };
        self.trailers = trailers.ok_or_else(missing)?;
        let status = Status::of(&self.trailers).ok_or_else(missing)?;
        if status.code == Code::OK { Ok(None) } else { Err(status) }
    }

    fn take_message(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(prefix) = self.buffer.get(..5) else { return Ok(None) };
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        if prefix[0] != 0 {
            let text = "grpc: the server compressed a message, which was not asked for";
            return Err(Status::new(Code::UNIMPLEMENTED, text));
        }
        if length > self.receives_max {
            let most = self.receives_max;
            let text = format!("grpc: received message larger than max ({length} vs. {most})");
            return Err(Status::new(Code::RESOURCE_EXHAUSTED, text));
        }
        if self.buffer.len() < 5 + length {
            return Ok(None);
        }
        self.buffer.advance(5);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}
