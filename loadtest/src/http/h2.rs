//! HTTP/2 from the client's side.

use std::{net::SocketAddr, rc::Rc, time::Instant};

use ::h2::client::SendRequest;
use bytes::Bytes;

use super::{
    HttpError,
    connect::Dialed,
    counted::{Counted, Traffic},
    fields::{head_of, reply_of},
    message::{Proto, Reply, Request, TlsInfo},
};
use crate::{clock, task};

/// A connection that takes many requests at once.
#[derive(Clone, Debug)]
pub(super) struct Session {
    send: SendRequest<Bytes>,
    pub(super) remote: SocketAddr,
    pub(super) tls: Option<Rc<TlsInfo>>,
    traffic: Rc<Traffic>,
}

impl Session {
    pub(super) async fn begin(dialed: Dialed) -> Result<Self, HttpError> {
        let traffic = Rc::new(Traffic::default());
        let stream = Counted::new(dialed.stream, Rc::clone(&traffic));
        let (send, connection) = ::h2::client::Builder::new()
            .initial_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(|error| HttpError::h2(&error))?;
        let closed = Rc::clone(&traffic);
        task::spawn("h2 connection", async move {
            // Its end is told to the requests on it.
            let _ = connection.await;
            closed.is_closed.set(true);
        });
        Ok(Self { send, remote: dialed.remote, tls: dialed.tls, traffic })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.traffic.is_closed.get()
    }

    /// Sends `request` and reads the response. `begun` is when the connection was at hand.
    pub(super) async fn exchange(
        &self,
        request: &Request,
        begun: Instant,
        is_reused: bool,
    ) -> Result<Reply, HttpError> {
        let stale = |error: ::h2::Error| {
            let error = HttpError::h2(&error);
            if is_reused { error.stale() } else { error }
        };
        let head = head_of(request)?;
        let mut send = self.send.clone().ready().await.map_err(stale)?;
        let has_body = request.body.as_ref().is_some_and(|body| !body.is_empty());
        let (response, mut stream) = send.send_request(head, !has_body).map_err(stale)?;
        if let Some(body) = request.body.clone().filter(|_| has_body) {
            stream.send_data(body, true).map_err(|error| HttpError::h2(&error))?;
        }
        let wrote = clock::now();
        let response = response.await.map_err(|error| HttpError::h2(&error))?;
        let first = clock::now();
        let (parts, mut incoming) = response.into_parts();
        let mut body = Vec::new();
        while let Some(data) = incoming.data().await {
            let data = data.map_err(|error| HttpError::h2(&error))?;
            // A window of a stream that is gone needs no release.
            let _ = incoming.flow_control().release_capacity(data.len());
            if request.keeps_body {
                body.extend_from_slice(&data);
            }
        }
        let mut reply = reply_of(&parts, Proto::Http2);
        reply.body = body.into();
        (reply.remote, reply.tls) = (Some(self.remote), self.tls.clone());
        (reply.sent, reply.received) = self.traffic.take();
        reply.timings.sending = wrote - begun;
        reply.timings.waiting = first - wrote;
        reply.timings.receiving = clock::now() - first;
        Ok(reply)
    }
}
