//! One QUIC connection and the task that drives it.
//!
//! The task's turn: [`Connection::begin_turn`] takes what the network brought and wakes the streams
//! it was for; the task polls its streams; [`Connection::poll_drive`] sends what they wrote, many
//! datagrams a system call. Streams may as well be used from other tasks, which then wake the
//! driving one.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    future::Future as _,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use quinn_proto::{
    self as proto, ConnectionError, ConnectionHandle, Dir, Event, StreamEvent, StreamId, Transmit,
    TransportErrorCode, VarInt,
};
use tokio::time::Sleep;

use super::{
    endpoint::Endpoint,
    stream::{RecvStream, SendStream},
};
use crate::clock;

/// Batches sent in one turn before other connections get theirs.
const BATCHES: usize = 16;

/// Why a connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// This side closed it.
    Closed,
    /// The peer closed it; with the application's code, when it was the application.
    Peer(Option<u64>),
    /// Nothing was heard for too long.
    TimedOut,
    /// The peer does not know the connection any more.
    Reset,
    /// The handshake failed in TLS, with this alert (RFC 8446 section 6).
    Tls(u8),
    /// The peer broke the protocol, or speaks another one.
    Protocol,
}

impl Lost {
    fn new(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::LocallyClosed => Self::Closed,
            ConnectionError::ApplicationClosed(close) => {
                Self::Peer(Some(close.error_code.into_inner()))
            }
            ConnectionError::ConnectionClosed(close) => {
                alert(close.error_code).map_or(Self::Peer(None), Self::Tls)
            }
            ConnectionError::TransportError(error) => {
                alert(error.code).map_or(Self::Protocol, Self::Tls)
            }
            ConnectionError::TimedOut => Self::TimedOut,
            ConnectionError::Reset => Self::Reset,
            ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => Self::Protocol,
        }
    }
}

/// The TLS alert in a QUIC error code (RFC 9001 section 4.8).
fn alert(code: TransportErrorCode) -> Option<u8> {
    let code = u64::from(code);
    (code >> 8 == 1).then_some(code as u8)
}

/// Who waits for a stream.
#[derive(Debug, Default)]
struct Waiting {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// See the module's page.
pub(crate) struct Connection {
    pub(super) proto: RefCell<proto::Connection>,
    handle: ConnectionHandle,
    endpoint: Rc<Endpoint>,
    /// The driving task.
    driver: RefCell<Option<Waker>>,
    /// Within a turn: what streams write is sent at its end, nobody has to be woken.
    in_turn: Cell<bool>,
    waiting: RefCell<HashMap<StreamId, Waiting, foldhash::fast::RandomState>>,
    /// Who waits to open a bidirectional stream.
    openers: RefCell<Vec<Waker>>,
    /// A bidirectional stream that is open and unused.
    spare: Cell<Option<StreamId>>,
    /// Counts among the endpoint's handshakes under way.
    half_open: Cell<bool>,
    connected: Cell<bool>,
    lost: Cell<Option<Lost>>,
    /// The endpoint has forgotten the connection: nothing more is to be sent.
    drained: Cell<bool>,
    timer: RefCell<Timer>,
    /// A batch that the socket did not take yet.
    unsent: RefCell<Option<(Transmit, Vec<u8>)>>,
    /// Until the client's address is known to be its own.
    unproven: Cell<Option<Unproven>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("handle", &self.handle)
            .field("lost", &self.lost.get())
            .finish_non_exhaustive()
    }
}

/// What went between the endpoint and an address that has not proven to be the client's.
#[derive(Debug, Clone, Copy)]
struct Unproven {
    /// Bytes of the first datagram, which the machine does not count.
    first: u64,
    /// Bytes sent.
    sent: u64,
}

impl Connection {
    /// `unproven` is there for a client that has not proven its address: the bytes of its first
    /// datagram.
    pub(super) fn new(
        proto: proto::Connection,
        handle: ConnectionHandle,
        endpoint: Rc<Endpoint>,
        unproven: Option<u64>,
        half_open: bool,
    ) -> Rc<Self> {
        Rc::new(Self {
            proto: RefCell::new(proto),
            handle,
            endpoint,
            driver: RefCell::default(),
            in_turn: Cell::new(false),
            waiting: RefCell::default(),
            openers: RefCell::default(),
            spare: Cell::new(None),
            half_open: Cell::new(half_open),
            connected: Cell::new(false),
            lost: Cell::new(None),
            drained: Cell::new(false),
            timer: RefCell::default(),
            unsent: RefCell::default(),
            unproven: Cell::new(unproven.map(|first| Unproven { first, sent: 0 })),
        })
    }

    /// The peer's address now; a client's may change.
    pub(crate) fn remote(&self) -> SocketAddr {
        self.proto.borrow().remote_address()
    }

    /// Whether the handshake goes on: what a server receives meanwhile is early data.
    pub(crate) fn is_early(&self) -> bool {
        self.proto.borrow().is_handshaking()
    }

    /// Bytes received so far; a stall shows as no change.
    pub(crate) fn bytes_received(&self) -> u64 {
        self.proto.borrow().stats().udp_rx.bytes
    }

    /// The round trip as estimated now.
    pub(crate) fn rtt(&self) -> Duration {
        self.proto.borrow().rtt()
    }

    /// Streams whose sent bytes are not all acknowledged, those still open included.
    pub(crate) fn sending(&self) -> usize {
        self.proto.borrow_mut().streams().send_streams()
    }

    /// Why it is over, if it is.
    pub(crate) fn lost(&self) -> Option<Lost> {
        self.lost.get()
    }

    /// Whether the handshake was ever done.
    pub(crate) const fn was_connected(&self) -> bool {
        self.connected.get()
    }

    /// Asks for a sign of life, which keeps the connection from timing out.
    pub(crate) fn ping(&self) {
        self.proto.borrow_mut().ping();
        self.touch();
    }

    /// Tells the peer that it is over, and why (RFC 9000 section 10.2). Only the first call counts.
    pub(crate) fn close(&self, code: u64, reason: &'static str) {
        if self.lost.get().is_some() {
            return;
        }
        let code = VarInt::from_u64(code).unwrap_or(VarInt::MAX);
        let reason = Bytes::from_static(reason.as_bytes());
        self.proto.borrow_mut().close(now(), code, reason);
        self.lose(Lost::Closed);
        self.touch();
    }

    /// A bidirectional stream that the peer opened. The driving task is woken when there is one.
    pub(crate) fn accept_bi(self: &Rc<Self>) -> Option<(SendStream, RecvStream)> {
        let id = self.proto.borrow_mut().streams().accept(Dir::Bi)?;
        Some((SendStream::new(self.clone(), id), RecvStream::new(self.clone(), id)))
    }

    /// A unidirectional stream that the peer opened. The driving task is woken when there is one.
    pub(crate) fn accept_uni(self: &Rc<Self>) -> Option<RecvStream> {
        let id = self.proto.borrow_mut().streams().accept(Dir::Uni)?;
        Some(RecvStream::new(self.clone(), id))
    }

    /// Whether the peer allows another bidirectional stream now.
    pub(crate) fn room_for_bi(&self) -> bool {
        if self.lost.get().is_none() && self.spare.get().is_none() {
            // The machine says so only by opening one. Of a stream on which nothing was sent the
            // peer knows nothing: it is kept for whoever comes next.
            self.spare.set(self.proto.borrow_mut().streams().open(Dir::Bi));
        }
        self.lost.get().is_none() && self.spare.get().is_some()
    }

    /// Opens a bidirectional stream once the peer allows it.
    pub(crate) fn poll_open_bi(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(SendStream, RecvStream), Lost>> {
        if let Some(lost) = self.lost.get() {
            return Poll::Ready(Err(lost));
        }
        let spare = self.spare.take();
        let opened = spare.or_else(|| self.proto.borrow_mut().streams().open(Dir::Bi));
        let Some(id) = opened else {
            let mut openers = self.openers.borrow_mut();
            if !openers.iter().any(|waker| waker.will_wake(cx.waker())) {
                openers.push(cx.waker().clone());
            }
            return Poll::Pending;
        };
        Poll::Ready(Ok((SendStream::new(self.clone(), id), RecvStream::new(self.clone(), id))))
    }

    /// Opens a unidirectional stream, unless the peer allows no more.
    pub(crate) fn open_uni(self: &Rc<Self>) -> Option<SendStream> {
        let id = self.proto.borrow_mut().streams().open(Dir::Uni)?;
        Some(SendStream::new(self.clone(), id))
    }

    /// Ready once the handshake is done. For the driving task, or one that polls it meanwhile.
    pub(crate) fn poll_connected(&self) -> Poll<Result<(), Lost>> {
        match self.lost.get() {
            Some(lost) => Poll::Ready(Err(lost)),
            None if self.connected.get() => Poll::Ready(Ok(())),
            None => Poll::Pending,
        }
    }

    /// Begins a turn of the driving task: wakes the streams for which something came.
    pub(crate) fn begin_turn(&self, cx: &Context<'_>) {
        let mut driver = self.driver.borrow_mut();
        if !driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *driver = Some(cx.waker().clone());
        }
        drop(driver);
        self.in_turn.set(true);
        loop {
            // Wakers are called with nothing borrowed.
            let event = self.proto.borrow_mut().poll();
            match event {
                None => break,
                Some(event) => self.take(event),
            }
        }
    }

    /// Ends a turn of the driving task: sends, and looks at the clock. Ready when the connection is
    /// over; [`Connection::linger`] is what is left to do then.
    pub(crate) fn poll_drive(&self, cx: &mut Context<'_>) -> Poll<Lost> {
        let now = now();
        self.poll_machine(now, cx);
        self.in_turn.set(false);
        self.lost.get().map_or(Poll::Pending, Poll::Ready)
    }

    /// Sends what waits to be sent. For the end of a task that will not be polled again: a peer
    /// that is told nothing waits for its idle time.
    pub(crate) fn flush(&self) {
        let mut proto = self.proto.borrow_mut();
        self.transmit(&mut proto, now());
    }

    /// Goes on answering a peer that has not heard yet that the connection is over, for the three
    /// probe time-outs of RFC 9000 section 10.2.
    pub(crate) async fn linger(&self) {
        std::future::poll_fn(|cx| {
            self.begin_turn(cx);
            let _ = self.poll_drive(cx);
            if self.drained.get() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn take(&self, event: Event) {
        match event {
            Event::Connected => {
                self.connected.set(true);
                self.settle();
            }
            Event::ConnectionLost { reason } => self.lose(Lost::new(&reason)),
            Event::Stream(event) => self.take_stream(&event),
            Event::HandshakeDataReady | Event::DatagramReceived | Event::DatagramsUnblocked => {}
        }
    }

    fn take_stream(&self, event: &StreamEvent) {
        let waker = match event {
            StreamEvent::Readable { id } => {
                self.waiting.borrow_mut().get_mut(id).and_then(|waiting| waiting.reader.take())
            }
            StreamEvent::Writable { id } | StreamEvent::Stopped { id, .. } => {
                self.waiting.borrow_mut().get_mut(id).and_then(|waiting| waiting.writer.take())
            }
            StreamEvent::Available { dir: Dir::Bi } => {
                let openers = self.openers.take();
                openers.into_iter().for_each(Waker::wake);
                return;
            }
            StreamEvent::Opened { .. }
            | StreamEvent::Finished { .. }
            | StreamEvent::Available { .. } => return,
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lose(&self, lost: Lost) {
        if self.lost.get().is_some() {
            return;
        }
        self.lost.set(Some(lost));
        self.settle();
        let waiting = self.waiting.take();
        for waiting in waiting.into_values() {
            waiting.reader.into_iter().chain(waiting.writer).for_each(Waker::wake);
        }
        let openers = self.openers.take();
        openers.into_iter().for_each(Waker::wake);
    }

    fn settle(&self) {
        if self.half_open.take() {
            self.endpoint.settled();
        }
    }

    fn poll_machine(&self, now: Instant, cx: &mut Context<'_>) {
        let mut proto = self.proto.borrow_mut();
        while self.timer.borrow_mut().poll_due(proto.poll_timeout(), cx).is_ready() {
            proto.handle_timeout(now);
            // What that came to is looked at in another turn.
            cx.waker().wake_by_ref();
        }
        self.tell_endpoint(&mut proto);
        if !self.transmit(&mut proto, now) {
            cx.waker().wake_by_ref();
        }
        self.tell_endpoint(&mut proto);
        // Sending sets timers.
        if self.timer.borrow_mut().poll_due(proto.poll_timeout(), cx).is_ready() {
            proto.handle_timeout(now);
            cx.waker().wake_by_ref();
        }
    }

    fn tell_endpoint(&self, proto: &mut proto::Connection) {
        while let Some(event) = proto.poll_endpoint_events() {
            if event.is_drained() {
                self.drained.set(true);
            }
            if let Some(event) = self.endpoint.take(self.handle, event) {
                proto.handle_event(event);
            }
        }
    }

    /// Sends what may be sent now; false when there may be more.
    fn transmit(&self, proto: &mut proto::Connection, now: Instant) -> bool {
        if let Some((transmit, bytes)) = self.unsent.take()
            && !self.endpoint.socket.send(&transmit, &bytes)
        {
            *self.unsent.borrow_mut() = Some((transmit, bytes));
            self.wait_for_socket();
            return true;
        }
        let mut scratch = self.endpoint.scratch.borrow_mut();
        for _ in 0..BATCHES {
            scratch.clear();
            let segments = self.endpoint.socket.segments(usize::from(proto.current_mtu()));
            let Some(transmit) = proto.poll_transmit(now, segments, &mut scratch) else {
                return true;
            };
            let length = self.within_proof(proto, &transmit);
            if length > 0 && !self.endpoint.socket.send(&transmit, &scratch[..length]) {
                *self.unsent.borrow_mut() = Some((transmit, scratch[..length].to_vec()));
                self.wait_for_socket();
                return true;
            }
        }
        false
    }

    /// How much of a batch may go to an address that has not proven to be the client's: three times
    /// what came from it, to the byte (RFC 9000 section 8.1). The machine itself lets the last
    /// datagram go past that bound. What is held back counts as lost on the way.
    fn within_proof(&self, proto: &proto::Connection, transmit: &Transmit) -> usize {
        let Some(Unproven { first, sent }) = self.unproven.get() else { return transmit.size };
        if !proto.is_handshaking() {
            self.unproven.set(None);
            return transmit.size;
        }
        let allowed = 3 * (first + proto.stats().udp_rx.bytes);
        let segment = transmit.segment_size.unwrap_or(transmit.size).max(1);
        let mut length = transmit.size;
        while length > 0 && sent + length as u64 > allowed {
            length = (length - 1) / segment * segment;
        }
        self.unproven.set(Some(Unproven { first, sent: sent + length as u64 }));
        length
    }

    fn wait_for_socket(&self) {
        if let Some(waker) = &*self.driver.borrow() {
            self.endpoint.wait_for_socket(waker);
        }
    }

    /// Something came from the network for the machine.
    pub(super) fn receive(&self, event: proto::ConnectionEvent) {
        self.proto.borrow_mut().handle_event(event);
        self.wake();
    }

    /// A stream has something to send, or to tell the peer.
    pub(super) fn touch(&self) {
        if !self.in_turn.get() {
            self.wake();
        }
    }

    fn wake(&self) {
        let driver = self.driver.borrow();
        if let Some(waker) = &*driver {
            waker.wake_by_ref();
        }
    }

    pub(super) fn await_readable(&self, id: StreamId, cx: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        note(&mut waiting.entry(id).or_default().reader, cx);
    }

    pub(super) fn await_writable(&self, id: StreamId, cx: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        note(&mut waiting.entry(id).or_default().writer, cx);
    }

    /// One half of a stream is done for.
    pub(super) fn forget(&self, id: StreamId, half: Half) {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(entry) = waiting.get_mut(&id) {
            let gone = match half {
                Half::Receive => entry.reader.take(),
                Half::Send => entry.writer.take(),
            };
            if entry.reader.is_none() && entry.writer.is_none() {
                waiting.remove(&id);
            }
            // With nothing borrowed: the last waker of a task takes the task with it.
            drop(waiting);
            drop(gone);
        }
    }
}

/// A half of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Half {
    Receive,
    Send,
}

fn note(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if !slot.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
    }
}

/// The machine's clock, in the form in which it takes it.
pub(super) fn now() -> Instant {
    clock::now().instant().into_std()
}

/// Wakes the driving task when the machine wants the time.
///
/// Its deadline moves with nearly every packet, mostly later: the runtime's timer is moved only
/// when it moves earlier, or has fired.
#[derive(Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
}

impl Timer {
    /// Ready when `deadline` has passed; else the task is woken when it has, or before.
    fn poll_due(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        loop {
            if self.armed.is_none_or(|armed| deadline < armed) {
                let at = deadline.into();
                match &mut self.sleep {
                    Some(sleep) => sleep.as_mut().reset(at),
                    empty => *empty = Some(Box::pin(tokio::time::sleep_until(at))),
                }
                self.armed = Some(deadline);
            }
            let Some(sleep) = &mut self.sleep else { return Poll::Pending };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let fired = self.armed.take();
            if fired.is_some_and(|fired| fired >= deadline) {
                return Poll::Ready(());
            }
        }
    }
}
