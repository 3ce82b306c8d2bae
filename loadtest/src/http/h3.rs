//! HTTP/3 from the client's side.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use ::h3::error::{Code, StreamError};
use bytes::Buf as _;

use super::{
    HttpError, Net, Target,
    fields::{head_of, reply_of},
    message::{Proto, Reply, Request, TlsInfo},
    quic::Quic,
};
use crate::clock;

/// A connection that takes many requests at once.
#[derive(Debug)]
pub(super) struct Session {
    quic: Quic,
    remote: SocketAddr,
    tls: Rc<TlsInfo>,
    /// How long its handshake took.
    pub(super) connecting: Duration,
    /// Bytes of its datagrams that requests were told of.
    told: Cell<(u64, u64)>,
    /// The server takes no further requests.
    is_going: Cell<bool>,
}

/// Why there is no reply.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request was not sent: any may be sent anew.
    Unsent(HttpError),
    /// It may have been.
    Sent(HttpError),
}

impl Session {
    pub(super) async fn begin(net: &Net, target: &Target) -> Result<Self, HttpError> {
        let (quic, remote, connecting) = net.dial_quic(target).await?;
        // QUIC has no other; the library does not tell the cipher.
        let tls = Rc::new(TlsInfo { version: "tls1.3", cipher: String::new() });
        let (told, is_going) = (Cell::default(), Cell::default());
        Ok(Self { quic, remote, tls, connecting, told, is_going })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_going.get() || self.quic.connection.close_reason().is_some()
    }

    /// Sends `request` and reads the response. `begun` is when the connection was at hand.
    pub(super) async fn exchange(
        &self,
        request: &Request,
        begun: Instant,
        is_reused: bool,
    ) -> Result<Reply, Failure> {
        let failed = |error: StreamError| {
            if let StreamError::RemoteTerminate { code: Code::H3_REQUEST_REJECTED, .. } = error {
                // RFC 9114, 4.1.1: it was not looked at.
                self.is_going.set(true);
                return Failure::Unsent(self.error(&error));
            }
            // Only a connection that was over is no fault of the request. A stream that the server
            // resets would be reset again, for as long as the connection lives.
            let is_over = self.quic.connection.close_reason().is_some();
            let error = self.error(&error);
            Failure::Sent(if is_reused && is_over { error.stale() } else { error })
        };
        let head = head_of(request).map_err(Failure::Sent)?;
        let mut send = self.quic.send.clone();
        let stream = send.send_request(head).await.map_err(|error| {
            self.is_going.set(true);
            Failure::Unsent(self.error(&error))
        })?;
        let (mut outgoing, mut incoming) = stream.split();
        let mut wrote = begun;
        let sending = async {
            if let Some(body) = request.body.clone().filter(|body| !body.is_empty()) {
                outgoing.send_data(body).await?;
            }
            outgoing.finish().await?;
            wrote = clock::now();
            Ok::<(), StreamError>(())
        };
        // A server may answer before it has the whole body, and refuse the rest of it.
        let (sent, response) = tokio::join!(sending, incoming.recv_response());
        let response = match (response, sent) {
            (Ok(response), _) => response,
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(failed(error)),
        };
        let first = clock::now();
        let mut body = Vec::new();
        // What has begun to be answered is not asked again.
        let broken = |error: StreamError| Failure::Sent(self.error(&error));
        while let Some(mut data) = incoming.recv_data().await.map_err(broken)? {
            while request.keeps_body && data.has_remaining() {
                let piece = data.chunk();
                body.extend_from_slice(piece);
                let length = piece.len();
                data.advance(length);
            }
        }
        let (parts, ()) = response.into_parts();
        let mut reply = reply_of(&parts, Proto::Http3);
        reply.body = body.into();
        (reply.remote, reply.tls) = (Some(self.remote), Some(Rc::clone(&self.tls)));
        (reply.sent, reply.received) = self.take_traffic();
        reply.timings.sending = wrote - begun;
        reply.timings.waiting = first - wrote;
        reply.timings.receiving = clock::now() - first;
        Ok(reply)
    }

    /// Bytes of datagrams sent and received since the last time.
    fn take_traffic(&self) -> (u64, u64) {
        let stats = self.quic.connection.stats();
        let now = (stats.udp_tx.bytes, stats.udp_rx.bytes);
        let told = self.told.replace(now);
        (now.0 - told.0, now.1 - told.1)
    }

    fn error(&self, error: &StreamError) -> HttpError {
        if let Some(reason) = self.quic.connection.close_reason() {
            return HttpError::quic(&reason);
        }
        let code = match error {
            StreamError::RemoteClosing { .. } => HttpError::H3_CLOSED,
            StreamError::RemoteTerminate { .. } => HttpError::H3_STREAM,
            StreamError::ConnectionError { .. } => HttpError::H3_CONNECTION,
            _ => HttpError::H3,
        };
        HttpError::new(code, format!("http3: {error}"))
    }
}
