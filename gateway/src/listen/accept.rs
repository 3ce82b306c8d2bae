//! From an accepted socket to the right protocol.

use std::{
    future::poll_fn,
    io,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::atomic::Ordering,
    task::{Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead as _, ReadBuf},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;
use weir_config::model::Bind;

use super::{
    connection::{Carrier, Connection},
    h1, h2,
    prefixed::Prefixed,
    proxy_protocol,
    stream::{Listener, Stream},
    tls::Alpn,
    transport::Transport,
};
use crate::{
    clock,
    http::headers::Peer,
    snapshot::live::{ListenerState, Live},
    task,
    worker::Worker,
};

/// How long to wait when the process is out of descriptors: accepting again at once would spin.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a client that has just connected may take for its first byte once a drain has begun: a
/// request on its way is answered.
const LAST_CALL: Duration = Duration::from_millis(500);
/// What an HTTP/2 client says first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Accepts until the sender of `stopped` is dropped.
pub(crate) async fn run(
    worker: Rc<Worker>,
    listener: Listener,
    bind: Bind,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.changed() => break,
        };
        match accepted {
            Ok((stream, peer)) => admit(&worker, &bind, stream, peer.map(|peer| peer.ip())),
            Err(error) => {
                tracing::warn!(%bind, %error, "cannot accept connections for now");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    for (stream, peer) in listener.into_waiting() {
        admit(&worker, &bind, stream, peer.map(|peer| peer.ip()));
    }
}

/// Starts a connection's task, unless there are too many.
fn admit(worker: &Rc<Worker>, bind: &Bind, stream: Stream, peer: Option<IpAddr>) {
    let world = worker.world();
    let Some(listener) = world.listener(bind).cloned() else { return };
    listener.counters.accepted.add(1);
    let Some(slot) = Slot::take(worker, &listener, world.snapshot.limits.connections) else {
        listener.counters.refused.add(1);
        return;
    };
    let worker = worker.clone();
    task::spawn(async move {
        let _slot = slot;
        let patience = worker.world().snapshot.timeouts.handshake;
        // Boxed, as are the machines below: an idle connection pays for what it uses, not for the
        // largest thing it might have become.
        let greeting = Box::pin(greet(&listener, stream, peer));
        let greeted = tokio::time::timeout(patience, greeting).await;
        let Ok(Some(greeted)) = greeted else {
            listener.counters.handshake_failures.add(1);
            return;
        };
        let Greeted { transport, peer, tls, version } = greeted;
        let peer = Peer::new(peer, tls, listener.shared.config.trusted_hops);
        let carrier = if tls { Carrier::Tls } else { Carrier::Clear };
        let connection = Connection::new(worker.clone(), listener, peer, carrier, clock::now());
        if let Some(leaf) = leaf(&transport).filter(|_| connection.is_uncertified()) {
            connection.certify(leaf);
        }
        let _enrolled = worker.enroll(&connection);
        let settled = match (transport, version) {
            (Transport::Clear(stream), Version::Unknown) => {
                Box::pin(sniff(stream, &connection)).await
            }
            settled => Some(settled),
        };
        match settled {
            Some((transport, Version::H2)) => Box::pin(h2::serve(transport, connection)).await,
            Some((transport, Version::H1 | Version::Unknown)) => {
                h1::serve(transport, connection).await;
            }
            None => {}
        }
    });
}

/// A place among the gateway's connections.
pub(super) struct Slot {
    worker: Rc<Worker>,
    listener: Rc<ListenerState>,
}

impl Slot {
    pub(super) fn take(
        worker: &Rc<Worker>,
        listener: &Rc<ListenerState>,
        most: u32,
    ) -> Option<Self> {
        let live: &Live = &worker.live;
        live.accepted.fetch_add(1, Ordering::Relaxed);
        if live.connections.fetch_add(1, Ordering::Relaxed) >= most {
            live.connections.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        listener.counters.open.add(1);
        Some(Self { worker: worker.clone(), listener: listener.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.listener.counters.open.sub(1);
        self.worker.live.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Which machine serves a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    H1,
    H2,
    /// A clear port that offers both: the first bytes tell.
    Unknown,
}

struct Greeted {
    transport: Transport,
    peer: Option<IpAddr>,
    tls: bool,
    version: Version,
}

/// The certificate that the client has proved to own.
fn leaf(transport: &Transport) -> Option<&[u8]> {
    let Transport::ServerTls(stream) = transport else { return None };
    Some(stream.get_ref().1.peer_certificates()?.first()?.as_ref())
}

/// PROXY header and TLS handshake, where the listener has them.
async fn greet(
    listener: &ListenerState,
    mut stream: Stream,
    mut peer: Option<IpAddr>,
) -> Option<Greeted> {
    let config = &listener.shared.config;
    let mut early = Bytes::new();
    if config.proxy_protocol {
        let (header, rest) = proxy_protocol::read_header(&mut stream).await.ok()?;
        peer = header.source().map(|source| source.ip()).or(peer);
        early = rest;
    }
    let stream = Prefixed::new(early, stream);
    let Some(tls) = &listener.shared.tls else {
        let version = match (config.protocols.h1, config.protocols.h2) {
            (true, false) => Version::H1,
            (false, true) => Version::H2,
            _ => Version::Unknown,
        };
        return Some(Greeted { transport: Transport::Clear(stream), peer, tls: false, version });
    };
    let stream = TlsAcceptor::from(tls.config()).accept(stream).await.ok()?;
    let version = match stream.get_ref().1.alpn_protocol().and_then(Alpn::new) {
        Some(Alpn::H2) => Version::H2,
        Some(Alpn::H1) | None => Version::H1,
    };
    let transport = Transport::ServerTls(Box::new(stream));
    Some(Greeted { transport, peer, tls: true, version })
}

/// Reads until the client's first bytes tell HTTP/2 with prior knowledge from HTTP/1.
async fn sniff(stream: Prefixed<Stream>, connection: &Connection) -> Option<(Transport, Version)> {
    let (stream, h2) = read_preface(stream, connection).await.ok()??;
    Some((Transport::Clear(stream), if h2 { Version::H2 } else { Version::H1 }))
}

/// The stream with what was read put back, and whether it begins with the HTTP/2 preface; `None`
/// when the client leaves or stays silent.
async fn read_preface(
    mut stream: Prefixed<Stream>,
    connection: &Connection,
) -> io::Result<Option<(Prefixed<Stream>, bool)>> {
    let timeouts = connection.worker.world().snapshot.timeouts.clone();
    let deadline = connection.worker.timers.deadline();
    deadline.set(clock::now() + timeouts.keep_alive);
    let mut begun = BytesMut::new();
    let mut last_call = false;
    while begun.len() < PREFACE.len() && PREFACE.starts_with(&begun) {
        let mut scratch = [0; PREFACE.len()];
        let n = poll_fn(|cx| {
            connection.register(cx);
            if connection.is_draining() && !last_call {
                last_call = true;
                deadline.set(clock::now() + LAST_CALL);
            }
            if deadline.poll_expired(cx).is_ready() {
                return Poll::Ready(Ok(0));
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut stream).poll_read(cx, &mut buffer))?;
            Poll::Ready(io::Result::Ok(buffer.filled().len()))
        })
        .await?;
        begun.extend_from_slice(&scratch[..n]);
        if n == 0 {
            return Ok(None);
        }
        deadline.set(clock::now() + timeouts.header_read);
    }
    let h2 = begun.starts_with(PREFACE);
    let (rest, inner) = stream.into_parts();
    begun.extend_from_slice(&rest);
    Ok(Some((Prefixed::new(begun.freeze(), inner), h2)))
}
