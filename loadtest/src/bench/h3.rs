//! HTTP/3: as with HTTP/2, over QUIC.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Buf as _, Bytes};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use http::Request;
use quinn::{Endpoint, crypto::rustls::QuicClientConfig};
use tokio::time::timeout;

use super::{
    args::Plan,
    h2::head,
    tally::Answered,
    worker::{Session, Slot},
};
use crate::task;

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
    let own: SocketAddr = match address {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    };
    let endpoint = Endpoint::client(own).map_err(said)?;
    let crypto = QuicClientConfig::try_from(plan.tls.clone()).map_err(said)?;
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let connecting = endpoint.connect_with(config, address, &plan.target.host).map_err(said)?;
    let quic = connecting.await.map_err(said)?;
    let made = h3::client::builder()
        .send_grease(false)
        .build::<_, _, Bytes>(h3_quinn::Connection::new(quic))
        .await;
    let (mut driver, send) = made.map_err(said)?;
    task::spawn("h3 connection", async move {
        // Its streams hear why it ended.
        driver.wait_idle().await;
        drop(endpoint);
    });
    Ok(send)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
