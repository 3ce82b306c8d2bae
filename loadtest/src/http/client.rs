//! The client of one virtual user: its own connections and nothing shared, as k6 has it.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Instant};

use tokio::{sync::OnceCell, time::timeout};

use super::{
    HttpError, Net, Target,
    connect::{Alpn, Stream},
    h1, h2, h3,
    message::{Reply, Request, TlsInfo, Version},
};
use crate::clock;

/// Idle connections to one origin: as many as a batch may use at once.
const IDLE_MAX: usize = 64;

/// Connections of one virtual user.
#[derive(Debug)]
pub struct Client {
    net: Rc<Net>,
    idle: RefCell<Vec<Idle>>,
    sessions: RefCell<Vec<(Rc<Target>, h2::Session)>>,
    /// Of HTTP/3; who comes while one is made waits for it.
    quic: RefCell<Vec<(Rc<Target>, QuicSlot)>>,
}

type QuicSlot = Rc<OnceCell<h3::Session>>;

#[derive(Debug)]
struct Idle {
    target: Rc<Target>,
    stream: Stream,
    remote: SocketAddr,
    tls: Option<Rc<TlsInfo>>,
}

impl Client {
    /// Without connections yet.
    pub fn new(net: Rc<Net>) -> Self {
        let (idle, sessions, quic) = Default::default();
        Self { net, idle, sessions, quic }
    }

    /// What the worker shares.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Sends `request`, waits for the whole response. What goes wrong is in the reply.
    pub async fn send(&self, request: &Request) -> Reply {
        let begun = clock::now();
        match timeout(request.timeout, self.attempts(request, begun)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => Reply { error: Some(error), ..Reply::default() },
            Err(_) => {
                let mut reply = Reply { error: Some(HttpError::timeout()), ..Reply::default() };
                // The time is known at least: what waited longest is what users look for.
                reply.timings.waiting = clock::now() - begun;
                reply
            }
        }
    }

    /// Closes all connections.
    pub fn close(&self) {
        self.idle.borrow_mut().clear();
        self.sessions.borrow_mut().clear();
        self.quic.borrow_mut().clear();
    }

    async fn attempts(&self, request: &Request, begun: Instant) -> Result<Reply, HttpError> {
        loop {
            let result = self.attempt(request, begun).await;
            match result {
                // The server closed an idle connection as we wrote to it: not the request's fault.
                Err(error) if error.was_stale && may_repeat(request) => {}
                result => return result,
            }
        }
    }

    async fn attempt(&self, request: &Request, begun: Instant) -> Result<Reply, HttpError> {
        let alpn = match request.version {
            Version::H3 => return self.attempt_quic(request, begun).await,
            Version::Agreed => Alpn::Any,
            Version::H1 => Alpn::Http1,
            Version::H2 => Alpn::Http2,
        };
        if alpn != Alpn::Http1
            && let Some(session) = self.session(&request.target)
        {
            let at_hand = clock::now();
            let result = session.exchange(request, at_hand, true).await;
            if result.is_err() {
                self.sessions.borrow_mut().retain(|(_, other)| !other.is_closed());
            }
            return result.map(|mut reply| {
                reply.timings.blocked = at_hand - begun;
                reply
            });
        }
        if alpn != Alpn::Http2
            && let Some(idle) = self.take(&request.target)
        {
            return self.exchange(idle, request, begun, None).await;
        }
        let dialed = self.net.dial(&request.target, alpn).await?;
        let spent = (dialed.connecting, dialed.tls_handshaking);
        if alpn == Alpn::Http2 && request.target.is_tls && !dialed.is_h2 {
            return Err(HttpError::new(HttpError::H2, "http2: the server does not speak it"));
        }
        if dialed.is_h2 || alpn == Alpn::Http2 {
            let session = h2::Session::begin(dialed).await?;
            if !self.net.options().no_connection_reuse {
                let entry = (Rc::clone(&request.target), session.clone());
                self.sessions.borrow_mut().push(entry);
            }
            let at_hand = clock::now();
            let mut reply = session.exchange(request, at_hand, false).await?;
            (reply.timings.connecting, reply.timings.tls_handshaking) = spent;
            reply.timings.blocked = (at_hand - begun).saturating_sub(spent.0 + spent.1);
            return Ok(reply);
        }
        let idle = Idle {
            target: Rc::clone(&request.target),
            stream: dialed.stream,
            remote: dialed.remote,
            tls: dialed.tls,
        };
        self.exchange(idle, request, begun, Some(spent)).await
    }

    async fn attempt_quic(&self, request: &Request, begun: Instant) -> Result<Reply, HttpError> {
        loop {
            let slot = self.quic_slot(&request.target);
            let mut spent = None;
            let made = slot.get_or_try_init(|| async {
                let session = h3::Session::begin(&self.net, &request.target).await?;
                spent = Some(session.connecting);
                Ok(session)
            });
            let session = made.await?;
            let at_hand = clock::now();
            let mut reply = match session.exchange(request, at_hand, spent.is_none()).await {
                Ok(reply) => reply,
                // The server said in the meantime that it is to be another connection.
                Err(h3::Failure::Unsent(_)) if spent.is_none() => continue,
                Err(h3::Failure::Unsent(error) | h3::Failure::Sent(error)) => return Err(error),
            };
            reply.timings.connecting = spent.unwrap_or_default();
            reply.timings.blocked = (at_hand - begun).saturating_sub(reply.timings.connecting);
            return Ok(reply);
        }
    }

    /// The place of the connection to an origin.
    fn quic_slot(&self, target: &Rc<Target>) -> QuicSlot {
        if self.net.options().no_connection_reuse {
            return QuicSlot::default();
        }
        let mut slots = self.quic.borrow_mut();
        slots.retain(|(_, slot)| !slot.get().is_some_and(h3::Session::is_closed));
        if let Some((_, slot)) = slots.iter().find(|(other, _)| is_same_origin(other, target)) {
            return Rc::clone(slot);
        }
        let slot = QuicSlot::default();
        slots.push((Rc::clone(target), Rc::clone(&slot)));
        slot
    }

    async fn exchange(
        &self,
        mut idle: Idle,
        request: &Request,
        begun: Instant,
        new: Option<(std::time::Duration, std::time::Duration)>,
    ) -> Result<Reply, HttpError> {
        let at_hand = clock::now();
        let exchanged = h1::exchange(&mut idle.stream, request, at_hand, new.is_none()).await?;
        let mut reply = exchanged.reply;
        let (connecting, handshaking) = new.unwrap_or_default();
        reply.timings.connecting = connecting;
        reply.timings.tls_handshaking = handshaking;
        reply.timings.blocked = (at_hand - begun).saturating_sub(connecting + handshaking);
        reply.remote = Some(idle.remote);
        reply.tls.clone_from(&idle.tls);
        let mut pool = self.idle.borrow_mut();
        if exchanged.reusable && !self.net.options().no_connection_reuse && pool.len() < IDLE_MAX {
            pool.push(idle);
        }
        Ok(reply)
    }

    fn take(&self, target: &Rc<Target>) -> Option<Idle> {
        let mut idle = self.idle.borrow_mut();
        let at = idle.iter().rposition(|idle| is_same_origin(&idle.target, target))?;
        Some(idle.swap_remove(at))
    }

    fn session(&self, target: &Rc<Target>) -> Option<h2::Session> {
        let mut sessions = self.sessions.borrow_mut();
        if sessions.is_empty() {
            return None;
        }
        sessions.retain(|(_, session)| !session.is_closed());
        let found = sessions.iter().find(|(other, _)| is_same_origin(other, target))?;
        Some(found.1.clone())
    }
}

fn is_same_origin(a: &Rc<Target>, b: &Rc<Target>) -> bool {
    Rc::ptr_eq(a, b) || (a.is_tls == b.is_tls && a.port == b.port && a.host == b.host)
}

/// Whether sending it twice does what sending it once does (RFC 9110, 9.2.2).
fn may_repeat(request: &Request) -> bool {
    matches!(&*request.method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}
