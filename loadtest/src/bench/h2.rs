//! HTTP/2: the streams of a connection share it, and whoever finds it gone makes another.

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{Request, Version, header};

use super::{
    args::Plan,
    connect::dial,
    h1,
    tally::Answered,
    worker::{Session, Slot},
};
use crate::{http::Stream, task};

/// What a stream may have on its way to us, and a connection.
const WINDOWS: (u32, u32) = (1 << 20, 16 << 20);

/// What the streams of a connection share.
#[derive(Debug, Default)]
pub(super) enum Shared {
    #[default]
    None,
    Open(SendRequest<Bytes>),
    /// The server prefers HTTP/1.1, where one request at a time has a connection.
    Other,
}

/// Why a request failed, and whether that was for want of a connection.
type Failure = (String, bool);

/// Sends requests as streams of the connection of `session`.
pub(super) async fn run(slot: &Slot, session: &Session) {
    let request = head(slot.plan());
    let (mut own, mut now) = (None, None);
    while let Some(turn) = slot.next(now.take()).await {
        match exchange(slot, session, &mut own, &request).await {
            Ok(answered) => now = Some(slot.answered(turn, answered)),
            Err((error, is_connecting)) => {
                forget(session, own.take().is_some()).await;
                slot.failed(error, is_connecting).await;
            }
        }
    }
}

/// The same, in whichever protocol TLS agrees on.
pub(super) async fn run_agreed(slot: &Slot, session: &Session) {
    let mut shared = session.h2.lock().await;
    match &*shared {
        Shared::Open(_) => {}
        Shared::Other => return,
        Shared::None => match dial(slot.plan(), slot.address()).await {
            Ok((stream, false)) => {
                *shared = Shared::Other;
                drop(shared);
                return h1::run(slot, Some(stream)).await;
            }
            // Why it failed is told to the first request.
            Ok((stream, true)) => *shared = open(stream).await.unwrap_or_default(),
            Err(_) => {}
        },
    }
    drop(shared);
    run(slot, session).await;
}

async fn exchange(
    slot: &Slot,
    session: &Session,
    own: &mut Option<SendRequest<Bytes>>,
    head: &Request<()>,
) -> Result<Answered, Failure> {
    let failed = |error: h2::Error| (error.to_string(), false);
    let send = match own.take() {
        Some(send) => send,
        None => connection(slot, session).await?,
    };
    let mut send = send.ready().await.map_err(failed)?;
    let body = &slot.plan().body;
    let (response, mut stream) =
        send.send_request(head.clone(), body.is_empty()).map_err(failed)?;
    *own = Some(send);
    if !body.is_empty() {
        stream.send_data(body.clone(), true).map_err(failed)?;
    }
    let response = response.await.map_err(failed)?;
    let status = response.status().as_u16();
    let (mut incoming, mut bytes) = (response.into_body(), 0);
    while let Some(data) = incoming.data().await {
        let data = data.map_err(failed)?;
        bytes += data.len() as u64;
        // The window of a stream that is over needs no room.
        let _ = incoming.flow_control().release_capacity(data.len());
    }
    Ok(Answered { status, bytes })
}

/// The connection, made if there is none.
async fn connection(slot: &Slot, session: &Session) -> Result<SendRequest<Bytes>, Failure> {
    let mut shared = session.h2.lock().await;
    if let Shared::Open(send) = &*shared {
        return Ok(send.clone());
    }
    let (stream, _) = dial(slot.plan(), slot.address()).await.map_err(|error| (error, true))?;
    let opened = open(stream).await.map_err(|error| (error.to_string(), true))?;
    *shared = opened;
    match &*shared {
        Shared::Open(send) => Ok(send.clone()),
        Shared::None | Shared::Other => Err(("no connection".to_owned(), true)),
    }
}

async fn open(stream: Stream) -> Result<Shared, h2::Error> {
    let (send, connection) = Builder::new()
        .initial_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .enable_push(false)
        .handshake(stream)
        .await?;
    task::spawn("h2 connection", async move {
        // Its streams hear why it ended.
        let _ = connection.await;
    });
    Ok(Shared::Open(send))
}

/// The next request makes another connection, if this one broke under a request.
async fn forget(session: &Session, was_open: bool) {
    if was_open {
        *session.h2.lock().await = Shared::None;
    }
}

/// The head of the request.
pub(super) fn head(plan: &Plan) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = plan.method.clone();
    *request.version_mut() = Version::HTTP_2;
    // It was parsed as a URL before.
    *request.uri_mut() = plan.target.url().parse().unwrap_or_default();
    let mut headers = plan.headers.clone();
    for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    if !plan.body.is_empty() {
        headers.entry(header::CONTENT_LENGTH).or_insert(plan.body.len().into());
    }
    *request.headers_mut() = headers;
    request
}
