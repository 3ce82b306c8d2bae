//! HTTP/3: as with HTTP/2, over QUIC.

use std::{net::SocketAddr, time::Duration};

use bytes::{Buf as _, Bytes};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use http::Request;
use tokio::time::timeout;

use super::{
    args::Plan,
    h2::head,
    tally::Answered,
    worker::{Session, Slot},
};
use crate::http::{Quic, quic_config};

/// How long a connection may take to be there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the streams of a connection share.
pub(super) type Shared = Option<SendRequest<OpenStreams, Bytes>>;

/// Sends requests as streams of the connection of `session`.
pub(super) async fn run(slot: &Slot, session: &Session) {
    let request = head(slot.plan());
    let (mut own, mut now) = (None, None);
    while let Some(turn) = slot.next(now.take()).await {
        if own.is_none() {
            own = match connection(slot, session).await {
                Ok(send) => Some(send),
                Err(error) => {
                    slot.failed(format!("connect: {error}"), true).await;
                    continue;
                }
            };
        }
        let Some(send) = &mut own else { continue };
        match exchange(send, &request, &slot.plan().body).await {
            Ok(answered) => now = Some(slot.answered(turn, answered)),
            Err(error) => {
                own = None;
                *session.h3.lock().await = None;
                slot.failed(error, false).await;
            }
        }
    }
}

async fn exchange(
    send: &mut SendRequest<OpenStreams, Bytes>,
    head: &Request<()>,
    body: &Bytes,
) -> Result<Answered, String> {
    let mut stream = send.send_request(head.clone()).await.map_err(said)?;
    if !body.is_empty() {
        stream.send_data(body.clone()).await.map_err(said)?;
    }
    stream.finish().await.map_err(said)?;
    let status = stream.recv_response().await.map_err(said)?.status().as_u16();
    let mut bytes = 0;
    while let Some(piece) = stream.recv_data().await.map_err(said)? {
        bytes += piece.remaining() as u64;
    }
    Ok(Answered { status, bytes })
}

/// The connection, made if there is none.
async fn connection(
    slot: &Slot,
    session: &Session,
) -> Result<SendRequest<OpenStreams, Bytes>, String> {
    let mut shared = session.h3.lock().await;
    if let Some(send) = &*shared {
        return Ok(send.clone());
    }
    let made = timeout(CONNECT_TIMEOUT, connect(slot.plan(), slot.address())).await;
    let send = made.map_err(|_| "no answer in time".to_owned())??;
    *shared = Some(send.clone());
    Ok(send)
}

async fn connect(
    plan: &Plan,
    address: SocketAddr,
) -> Result<SendRequest<OpenStreams, Bytes>, String> {
    let config = quic_config(rustls::ClientConfig::clone(&plan.tls))?;
    let quic = Quic::connect(config, address, &plan.target.host).await.map_err(said)?;
    Ok(quic.send)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
