//! One QUIC connection and the task that drives it.
//!
//! The task's turn: [`Connection::begin_turn`] takes what the network brought and wakes the streams
//! it was for; the task polls its streams; [`Connection::poll_drive`] sends what they wrote, many
//! datagrams a system call. Streams may as well be used from other tasks, which then wake the
//! driving one.

use std::{
    cell::{Cell, RefCell},
    fmt,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use quinn_proto::{
    self as proto, ConnectionHandle, Dir, Event, StreamEvent, StreamId, Transmit, VarInt,
};

use super::{
    endpoint::Endpoint,
    lost::Lost,
    path::Path,
    stream::{RecvStream, SendStream},
    timer::{Timer, now},
    unproven::Unproven,
    waiting::Waiting,
};

/// Batches sent in one turn before other connections get theirs.
const BATCHES: usize = 16;

/// See the module's page.
pub(crate) struct Connection {
    pub(super) proto: RefCell<proto::Connection>,
    handle: ConnectionHandle,
    endpoint: Rc<Endpoint>,
    /// The driving task.
    driver: RefCell<Option<Waker>>,
    /// Within a turn: what streams write is sent at its end, nobody has to be woken.
    in_turn: Cell<bool>,
    pub(super) waiting: Waiting,
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
    path: Cell<Path>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("handle", &self.handle)
            .field("lost", &self.lost.get())
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// `unproven` is there for a client that has not proven its address.
    pub(super) fn new(
        proto: proto::Connection,
        handle: ConnectionHandle,
        endpoint: Rc<Endpoint>,
        unproven: Option<Unproven>,
        half_open: bool,
    ) -> Rc<Self> {
        let path = Path::new(proto.remote_address());
        Rc::new(Self {
            proto: RefCell::new(proto),
            handle,
            endpoint,
            driver: RefCell::default(),
            in_turn: Cell::new(false),
            waiting: Waiting::default(),
            spare: Cell::new(None),
            half_open: Cell::new(half_open),
            connected: Cell::new(false),
            lost: Cell::new(None),
            drained: Cell::new(false),
            timer: RefCell::default(),
            unsent: RefCell::default(),
            unproven: Cell::new(unproven),
            path: Cell::new(path),
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
            self.waiting.open(cx);
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
        match event {
            StreamEvent::Readable { id } => self.waiting.wake_reader(*id),
            StreamEvent::Writable { id } | StreamEvent::Stopped { id, .. } => {
                self.waiting.wake_writer(*id);
            }
            StreamEvent::Available { dir: Dir::Bi } => self.waiting.wake_openers(),
            StreamEvent::Opened { .. }
            | StreamEvent::Finished { .. }
            | StreamEvent::Available { .. } => {}
        }
    }

    fn lose(&self, lost: Lost) {
        if self.lost.get().is_some() {
            return;
        }
        self.lost.set(Some(lost));
        self.settle();
        self.waiting.wake_all();
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
            self.path.set(self.path.get().due());
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
            self.path.set(self.path.get().due());
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
        let mut path = self.path.get();
        let most = path.room(proto);
        self.path.set(path);
        let mut scratch = self.endpoint.scratch.borrow_mut();
        for _ in 0..BATCHES {
            scratch.clear();
            let mtu = usize::from(proto.current_mtu());
            let mut unproven = self.unproven.get();
            let room = match &unproven {
                Some(unproven) => unproven.room(mtu, proto.stats().udp_rx.bytes),
                None => usize::MAX,
            };
            let segments = self.endpoint.socket.segments(mtu).min(room).min(most);
            if segments == 0 {
                return true;
            }
            let Some(transmit) = proto.poll_transmit(now, segments, &mut scratch) else {
                return true;
            };
            let bytes = &scratch[..transmit.size];
            if let Some(unproven) = &mut unproven {
                unproven.count(bytes.len());
            }
            self.unproven.set(unproven);
            if !self.endpoint.socket.send(&transmit, bytes) {
                *self.unsent.borrow_mut() = Some((transmit, bytes.to_vec()));
                self.wait_for_socket();
                return true;
            }
            if most == 1 && transmit.destination == proto.remote_address() {
                return true;
            }
        }
        false
    }

    fn wait_for_socket(&self) {
        if let Some(waker) = &*self.driver.borrow() {
            self.endpoint.wait_for_socket(waker);
        }
    }

    /// Something came from the network for the machine; with a long header, for this id.
    pub(super) fn receive(&self, event: proto::ConnectionEvent, id: Option<proto::ConnectionId>) {
        if self.unproven.get().is_some_and(|unproven| unproven.is_proven_by(id)) {
            self.unproven.set(None);
        }
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
}
