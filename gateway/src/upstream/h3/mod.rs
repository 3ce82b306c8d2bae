//! HTTP/3 towards an endpoint: one QUIC connection carries many requests.
//!
//! A connection has a task ([`drive`]), which reads what concerns the connection as a whole and
//! sends what its streams wrote. A request and its response are read and written by whoever waits
//! for them.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use bytes::BytesMut;
use http::{Method, Response, response::Parts};
use http_body::Body as _;
use slab::Slab;
use tokio::sync::oneshot;

use super::{draft::Draft, h1::Failed, pool::OpenConnection, wire::Wire};
use crate::{
    clock::{self, Tick},
    error::Error,
    h3::{
        code::Code,
        fields::{self, Bounds},
        frame::Role,
    },
    http::upload::{Progress, Upload},
    quic::{self, Lost, MessageReader, Pour},
    task,
};

mod drive;
mod request;
mod response;
mod wire;

use request::{Request, Sending};
pub(crate) use response::H3Response;
pub(crate) use wire::H3Wire;

/// The longest field section taken from an endpoint, encoded and decoded.
const SECTION_BYTES: usize = 64 * 1024;
/// The most fields of one.
const SECTION_FIELDS: usize = 256;
const BOUNDS: Bounds = Bounds { bytes: SECTION_BYTES, count: SECTION_FIELDS };
/// Room for the usual head, so that it is written without a copy.
const HEAD: usize = 512;

/// An open connection, shared by its requests. Dropped, it is closed.
#[derive(Debug)]
pub(crate) struct H3Connection {
    quic: Rc<quic::Connection>,
    streams: Cell<usize>,
    idle_since: Cell<Tick>,
    retired: Cell<bool>,
    /// Whether the endpoint takes extended CONNECT.
    connects: Cell<bool>,
    /// Whether a response came over it.
    served: Cell<bool>,
    /// Whether it broke, other than by the will of either side.
    died: Cell<bool>,
    /// Number of the first request that the endpoint leaves unprocessed (GOAWAY).
    refused_from: Cell<u64>,
    /// Requests without a response yet, to be told of a GOAWAY.
    unanswered: RefCell<Slab<Waker>>,
}

/// A response, or the tunnel that its stream turned into.
#[derive(Debug)]
pub(crate) enum H3Answer {
    /// A head and its body.
    Response(Response<Box<H3Response>>),
    /// 2xx to extended CONNECT: the head and the stream.
    Switched(Parts, Box<Wire>),
}

impl H3Connection {
    /// Waits for the handshake of a fresh connection and the endpoint's SETTINGS, and starts the
    /// task that drives it. A peer
    /// that is silent for twice as long as `patience` while requests are under way is dead.
    pub(crate) async fn handshake(
        quic: Rc<quic::Connection>,
        patience: Duration,
        open: Rc<OpenConnection>,
    ) -> Result<Rc<Self>, Error> {
        let this = Rc::new(Self {
            quic: quic.clone(),
            streams: Cell::new(0),
            idle_since: Cell::new(clock::now()),
            retired: Cell::new(false),
            connects: Cell::new(false),
            served: Cell::new(false),
            died: Cell::new(false),
            refused_from: Cell::new(u64::MAX),
            unanswered: RefCell::default(),
        });
        let (settle, settled) = oneshot::channel();
        let driving = drive::Driving::new(quic.clone(), Rc::downgrade(&this), patience, settle);
        task::spawn(async move {
            driving.run().await;
            drop(open);
            quic.linger().await;
        });
        match settled.await {
            Ok(Ok(())) => Ok(this),
            Ok(Err(lost)) => Err(connect_error(lost)),
            Err(_) => Err(Error::ConnectFailed),
        }
    }

    /// Whether another request fits.
    pub(crate) fn has_room(&self) -> bool {
        !self.retired.get() && self.quic.room_for_bi()
    }

    /// Whether a stream may become a tunnel.
    pub(crate) fn takes_tunnels(&self) -> bool {
        self.connects.get()
    }

    /// Takes no more requests; those under way go on.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
    }

    /// Whether it is of no more use.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.get()
    }

    /// Whether it broke, other than by the will of either side.
    pub(crate) fn has_died(&self) -> bool {
        self.died.get()
    }

    /// For how long no request has been under way.
    pub(crate) fn idle_for(&self, now: Tick) -> Duration {
        if self.streams.get() > 0 { Duration::ZERO } else { now.since(self.idle_since.get()) }
    }

    /// Sends a request and waits for the response's head. `early` is called for each 1xx.
    pub(crate) async fn exchange(
        self: &Rc<Self>,
        draft: &mut Draft,
        progress: Option<&Progress>,
        mut early: impl FnMut(Response<()>),
    ) -> Result<H3Answer, Failed> {
        let connect = draft.head.method == Method::CONNECT;
        if connect && !self.connects.get() {
            return Err(Failed::unsent(Error::UpgradeUnsupported));
        }
        let count = StreamCount::new(self.clone());
        let opened = poll_fn(|cx| self.quic.poll_open_bi(cx)).await;
        let Ok((send, receive)) = opened else {
            self.retire();
            return Err(Failed::unsent(Error::UpstreamReset { reused: true }));
        };
        draft.check_claim()?;
        // The head stays with the draft, for another attempt.
        let mut head = BytesMut::with_capacity(HEAD);
        fields::encode_request(&draft.head, &mut head);
        let id = send.id();
        let sending = match (connect, draft.upload.is_end_stream()) {
            (true, _) => Sending::Tunnel(send, head.freeze()),
            (false, true) => {
                draft.upload.finish();
                Sending::Message(Pour::new(head, Upload::empty(), send))
            }
            (false, false) => {
                let upload = draft.upload.take();
                Sending::Message(Pour::new(head, upload, send))
            }
        };
        let mut request = Request {
            connection: self,
            id,
            sending,
            sent: false,
            reader: MessageReader::new(receive, Role::Client, SECTION_BYTES),
            head: None,
            waiting: None,
        };
        let bodiless = draft.head.method == Method::HEAD;
        let head = poll_fn(|cx| request.poll_head(bodiless, progress, &mut early, cx)).await?;
        let Request { reader, sending, .. } = request;
        let unfinished = match sending {
            Sending::Message(rest) => Some(pour(rest)),
            Sending::Tunnel(send, _) if head.status().is_success() => {
                let (head, ()) = head.into_parts();
                let wire = H3Wire::new(send, reader, count);
                return Ok(H3Answer::Switched(head, Box::new(Wire::H3(Box::new(wire)))));
            }
            // Refused: nothing will follow.
            Sending::Tunnel(mut send, _) => {
                send.finish();
                None
            }
            Sending::Over => None,
        };
        Ok(H3Answer::Response(head.map(|()| Box::new(H3Response::new(reader, unfinished, count)))))
    }

    /// Ends the connection because the endpoint broke its rules.
    fn condemn(&self, code: Code) {
        self.retire();
        self.died.set(true);
        self.quic.close(code.value(), "");
    }

    /// Requests from this number on are not looked at by the endpoint.
    fn refuse_from(&self, id: u64) {
        self.retire();
        self.refused_from.set(id);
        for (_, waker) in &*self.unanswered.borrow() {
            waker.wake_by_ref();
        }
    }

    /// The connection is over.
    fn end(&self, lost: Lost) {
        self.retire();
        let parted = match lost {
            Lost::Closed | Lost::Peer(Some(NO_ERROR)) => true,
            // It rested for longer than the endpoint keeps such.
            Lost::TimedOut => self.streams.get() == 0,
            Lost::Peer(_) | Lost::Reset | Lost::Tls(_) | Lost::Protocol => false,
        };
        self.died.set(self.died.get() || !parted);
    }
}

const NO_ERROR: u64 = Code::NoError.value();

impl Drop for H3Connection {
    fn drop(&mut self) {
        self.quic.close(NO_ERROR, "");
        // The task that drives it may be gone already, when the worker ends.
        self.quic.flush();
    }
}

/// Why there is no connection.
const fn connect_error(lost: Lost) -> Error {
    match lost {
        // What rustls says of a certificate that it does not accept (RFC 8446 section 6.2).
        Lost::Tls(42..=46 | 48 | 51 | 113) => Error::UpstreamCertificate,
        Lost::Tls(_) => Error::UpstreamTls,
        Lost::TimedOut => Error::ConnectTimeout,
        Lost::Peer(_) => Error::ConnectRefused,
        Lost::Closed | Lost::Reset | Lost::Protocol => Error::ConnectFailed,
    }
}

/// Goes on sending a request whose response is there already, until either is over.
fn pour(mut pour: Pour<Upload>) -> oneshot::Sender<()> {
    let (unfinished, mut over) = oneshot::channel();
    task::spawn(async move {
        poll_fn(|cx| {
            if Pin::new(&mut over).poll(cx).is_ready() || Pin::new(&mut pour).poll(cx).is_ready() {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    });
    unfinished
}

/// Counts one request on its connection.
#[derive(Debug)]
struct StreamCount(Rc<H3Connection>);

impl StreamCount {
    fn new(connection: Rc<H3Connection>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self(connection)
    }
}

impl Drop for StreamCount {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
        if self.0.streams.get() == 0 {
            self.0.idle_since.set(clock::now());
        }
    }
}
