//! From a UDP socket to HTTP/3 connections.

use std::{
    cell::RefCell,
    future::{Future as _, poll_fn},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
};

use quinn_proto::{ServerConfig, ValidationTokenConfig, crypto::rustls::QuicServerConfig};
use rustls::crypto::aws_lc_rs;
use tokio::sync::watch;
use weir_config::model::{Bind, Limits};

use super::{
    accept::Slot,
    connection::{Carrier, Connection},
    h3,
};
use crate::{
    clock,
    h3::code::Code,
    http::headers::Peer,
    quic::{self, Bounds, Endpoint, Newcomer, QuicSocket, Seat},
    snapshot::live::ListenerState,
    task,
    worker::{Worker, World},
};

/// Silence after which a connection is given up is at least this and the keep-alive time: the
/// gateway's own clocks speak first, with a GOAWAY.
const GRACE: std::time::Duration = std::time::Duration::from_secs(30);

/// Serves a socket until the sender of `stopped` is dropped; then takes no new client, and goes on
/// until the last connection is over.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    bind: Bind,
    socket: QuicSocket,
    mut stopped: watch::Receiver<bool>,
) {
    let acceptor = Acceptor { worker, bind, current: RefCell::default() };
    let Some(first) = acceptor.config() else { return };
    let seat = Seat { steering: socket.steering, index: socket.index };
    let random = aws_lc_rs::default_provider().secure_random;
    let endpoint = match Endpoint::new(socket.socket, Some(first), Some(seat), random) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            tracing::error!(bind = %acceptor.bind, %error, "cannot serve HTTP/3");
            return;
        }
    };
    let mut stopping = pin!(async move {
        let _ = stopped.changed().await;
    });
    let mut open = true;
    let ended = poll_fn(|cx| {
        if open && stopping.as_mut().poll(cx).is_ready() {
            open = false;
        }
        let received = endpoint.poll_receive(cx, |client| match open {
            true => acceptor.admit(&endpoint, client),
            false => endpoint.refuse(client),
        });
        acceptor.count(&endpoint);
        match received {
            Err(error) => Poll::Ready(Err(error)),
            Ok(()) if !open && endpoint.open() == 0 => Poll::Ready(Ok(())),
            Ok(()) => Poll::Pending,
        }
    })
    .await;
    if let Err(error) = ended {
        tracing::error!(bind = %acceptor.bind, %error, "lost the socket of HTTP/3");
    }
}

/// Takes clients in, by the configuration of the moment.
struct Acceptor {
    worker: Rc<Worker>,
    bind: Bind,
    current: RefCell<Option<Current>>,
}

/// What clients are taken in with, and what it was made of.
struct Current {
    tls: Arc<QuicServerConfig>,
    bounds: Bounds,
    config: Arc<ServerConfig>,
}

impl Acceptor {
    fn listener(&self, world: &World) -> Option<Rc<ListenerState>> {
        world.listener(&self.bind).cloned()
    }

    /// The machine's configuration: made anew when certificates or bounds have changed.
    fn config(&self) -> Option<Arc<ServerConfig>> {
        let world = self.worker.world();
        let listener = self.listener(&world)?;
        let state = listener.shared.tls.as_ref()?;
        let tls = state.quic()?;
        let bounds = bounds(&world.snapshot.limits, world.snapshot.timeouts.keep_alive);
        let mut current = self.current.borrow_mut();
        if let Some(current) = &*current
            && Arc::ptr_eq(&current.tls, &tls)
            && current.bounds == bounds
        {
            return Some(current.config.clone());
        }
        let mut tokens = ValidationTokenConfig::default();
        tokens.sent(0);
        let mut config = ServerConfig::new(tls.clone(), state.token_key());
        config.transport_config(bounds.transport()).validation_token_config(tokens);
        let config = Arc::new(config);
        *current = Some(Current { tls, bounds, config: config.clone() });
        Some(config)
    }

    fn admit(&self, endpoint: &Rc<Endpoint>, client: Newcomer) {
        let world = self.worker.world();
        let limits = &world.snapshot.limits;
        let (Some(listener), Some(config)) = (self.listener(&world), self.config()) else {
            return endpoint.refuse(client);
        };
        let crowded = endpoint.half_open() >= limits.h3_half_open as usize;
        if crowded && !client.is_proven() && client.may_retry() {
            listener.counters.quic_retries.add(1);
            endpoint.retry(client);
            return;
        }
        listener.counters.accepted.add(1);
        let Some(slot) = Slot::take(&self.worker, &listener, limits.connections) else {
            listener.counters.refused.add(1);
            return endpoint.refuse(client);
        };
        match endpoint.accept(client, config) {
            Some(quic) => self.begin(quic, listener, slot),
            None => listener.counters.handshake_failures.add(1),
        }
    }

    fn begin(&self, quic: Rc<quic::Connection>, listener: Rc<ListenerState>, slot: Slot) {
        let hops = listener.shared.config.trusted_hops;
        let peer = Peer::new(Some(quic.remote().ip()), true, hops);
        let worker = self.worker.clone();
        let farewell = Farewell(quic.clone());
        task::spawn(async move {
            let _farewell = farewell;
            let counters = listener.counters.clone();
            let connection =
                Connection::new(worker.clone(), listener, peer, Carrier::Quic, clock::now());
            let enrolled = worker.enroll(&connection);
            Box::pin(h3::serve(quic.clone(), connection)).await;
            if !quic.was_connected() {
                counters.handshake_failures.add(1);
            }
            drop((enrolled, slot));
        });
    }

    fn count(&self, endpoint: &Endpoint) {
        let (handed_over, dropped) = endpoint.take_steered();
        if handed_over + dropped > 0
            && let Some(listener) = self.listener(&self.worker.world())
        {
            listener.counters.quic_steered.add(handed_over);
            listener.counters.quic_steered_dropped.add(dropped);
        }
    }
}

/// Sees a connection off once its task has ended, however that came: somebody has to tell the
/// client.
struct Farewell(Rc<quic::Connection>);

impl Drop for Farewell {
    fn drop(&mut self) {
        let quic = self.0.clone();
        // Counts only when the task has panicked, or the worker ends with requests under way.
        quic.close(Code::InternalError.value(), "");
        quic.flush();
        task::spawn(async move { quic.linger().await });
    }
}

fn bounds(limits: &Limits, keep_alive: std::time::Duration) -> Bounds {
    Bounds {
        streams: limits.h3_streams,
        stream_window: limits.h3_stream_window,
        connection_window: limits.h3_connection_window,
        idle: keep_alive + GRACE,
    }
}
