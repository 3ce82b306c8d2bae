//! One UDP socket and the QUIC connections that share it.

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use quinn_proto::{
    self as proto, ClientConfig, ConnectError, ConnectionEvent, ConnectionHandle, DatagramEvent,
    EndpointConfig, EndpointEvent, Incoming, ServerConfig,
};
use rustls::crypto::SecureRandom;

use super::{
    cid,
    connection::Connection,
    socket::{Received, Socket},
    steer::{Datagram, Steering},
    timer::now,
    unproven::Unproven,
};

/// Batches taken from the socket in one turn before connections get theirs.
const BATCHES: usize = 8;
/// QUIC version 1 (RFC 9000); the drafts before it are history.
const VERSIONS: [u32; 1] = [1];

/// A worker's place among those that share an address.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) steering: Arc<Steering>,
    pub(crate) index: usize,
}

/// See the module's page.
pub(crate) struct Endpoint {
    machine: RefCell<proto::Endpoint>,
    pub(super) socket: Socket,
    /// By handle, which the machine reuses.
    connections: RefCell<Vec<Option<Rc<Connection>>>>,
    open: Cell<usize>,
    /// Where batches are built.
    pub(super) scratch: RefCell<Vec<u8>>,
    /// Where the machine's own answers are built.
    answers: RefCell<Vec<u8>>,
    /// Connections that have something to send to a full socket.
    blocked: RefCell<Vec<Waker>>,
    receiver: RefCell<Option<Waker>>,
    half_open: Cell<usize>,
    seat: Option<Seat>,
    handed_over: Cell<u64>,
    seats_dropped: Cell<u64>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("socket", &self.socket)
            .field("open", &self.open.get())
            .finish_non_exhaustive()
    }
}

/// A client that wants to connect.
pub(crate) struct Newcomer {
    incoming: Incoming,
    /// Bytes of its first datagram, which the machine's own count leaves out.
    bytes: u64,
}

impl Newcomer {
    /// Whether it has proven that its address is its own.
    pub(crate) fn is_proven(&self) -> bool {
        self.incoming.remote_address_validated()
    }

    /// Whether it may be asked for that proof.
    pub(crate) fn may_retry(&self) -> bool {
        self.incoming.may_retry()
    }
}

impl Endpoint {
    /// An endpoint on `socket`. With a `server`, clients may connect; with a `seat`, datagrams of
    /// other workers' connections are handed to them.
    pub(crate) fn new(
        socket: std::net::UdpSocket,
        server: Option<Arc<ServerConfig>>,
        seat: Option<Seat>,
        random: &'static dyn SecureRandom,
    ) -> io::Result<Rc<Self>> {
        let socket = Socket::new(socket)?;
        let mut config = EndpointConfig::default();
        let worker = seat.as_ref().map_or(0, |seat| seat.index as u16);
        config
            .supported_versions(VERSIONS.to_vec())
            .cid_generator(move || Box::new(cid::Generator::new(worker, random)));
        let machine = proto::Endpoint::new(Arc::new(config), server, !socket.may_fragment(), None);
        Ok(Rc::new(Self {
            machine: RefCell::new(machine),
            socket,
            connections: RefCell::default(),
            open: Cell::new(0),
            scratch: RefCell::default(),
            answers: RefCell::default(),
            blocked: RefCell::default(),
            receiver: RefCell::default(),
            half_open: Cell::new(0),
            seat,
            handed_over: Cell::new(0),
            seats_dropped: Cell::new(0),
        }))
    }

    /// Connections that live, those that only linger included.
    pub(crate) const fn open(&self) -> usize {
        self.open.get()
    }

    /// Handshakes under way that clients began.
    pub(crate) const fn half_open(&self) -> usize {
        self.half_open.get()
    }

    /// Datagrams handed to other workers, and those that they were too busy to take, since the last
    /// call.
    pub(crate) fn take_steered(&self) -> (u64, u64) {
        (self.handed_over.take(), self.seats_dropped.take())
    }

    /// Takes what has arrived. `incoming` is told of clients that want to connect, and must pass
    /// each to [`Endpoint::accept`], [`Endpoint::retry`] or [`Endpoint::refuse`].
    ///
    /// # Errors
    /// What the socket says; it is of no more use then.
    pub(crate) fn poll_receive(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        mut incoming: impl FnMut(Newcomer),
    ) -> io::Result<()> {
        self.register(cx);
        if let Some(seat) = &self.seat {
            let mut handed = Vec::new();
            if seat.steering.poll_recv(seat.index, cx, &mut handed).is_ready() {
                for datagram in handed {
                    self.handle(received(datagram), &mut incoming);
                }
                cx.waker().wake_by_ref();
            }
        }
        for _ in 0..BATCHES {
            match self.socket.poll_receive(cx, |datagram| self.steer(datagram, &mut incoming)) {
                Poll::Ready(taken) => taken?,
                Poll::Pending => return Ok(()),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn register(&self, cx: &mut Context<'_>) {
        let mut receiver = self.receiver.borrow_mut();
        if !receiver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *receiver = Some(cx.waker().clone());
        }
        drop(receiver);
        let waits = !self.blocked.borrow().is_empty();
        if waits && self.socket.poll_writable(cx).is_ready() {
            let blocked = self.blocked.take();
            blocked.into_iter().for_each(Waker::wake);
        }
    }

    fn steer(self: &Rc<Self>, datagram: Received, incoming: &mut impl FnMut(Newcomer)) {
        if let Some(seat) = &self.seat
            && let Some(owner) = cid::owner(&datagram.data)
            && owner != seat.index
            // Garbage names workers that there are not: that is nobody's overload.
            && owner < seat.steering.workers()
        {
            let taken = seat.steering.send(owner, handed(datagram));
            let counter = if taken { &self.handed_over } else { &self.seats_dropped };
            counter.set(counter.get() + 1);
            return;
        }
        self.handle(datagram, incoming);
    }

    fn handle(self: &Rc<Self>, datagram: Received, incoming: &mut impl FnMut(Newcomer)) {
        let Received { remote, local_ip, ecn, data } = datagram;
        let (bytes, id) = (data.len() as u64, cid::of_long_header(&data));
        let mut answer = self.answers.borrow_mut();
        answer.clear();
        let event =
            self.machine.borrow_mut().handle(now(), remote, local_ip, ecn, data, &mut answer);
        match event {
            None => {}
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                drop(answer);
                if let Some(connection) = self.find(handle) {
                    connection.receive(event, id);
                }
            }
            Some(DatagramEvent::NewConnection(client)) => {
                drop(answer);
                incoming(Newcomer { incoming: client, bytes });
            }
            // Lost when the socket is full, as on any way.
            Some(DatagramEvent::Response(transmit)) => {
                self.socket.send(&transmit, &answer[..transmit.size]);
            }
        }
    }

    fn find(&self, handle: ConnectionHandle) -> Option<Rc<Connection>> {
        self.connections.borrow().get(handle.0)?.clone()
    }

    /// Begins the handshake with a client; `None` when its first packet is worth nothing.
    pub(crate) fn accept(
        self: &Rc<Self>,
        client: Newcomer,
        config: Arc<ServerConfig>,
    ) -> Option<Rc<Connection>> {
        let unproven = (!client.is_proven())
            .then(|| Unproven::new(*client.incoming.orig_dst_cid(), client.bytes));
        let mut answer = self.answers.borrow_mut();
        answer.clear();
        let accepted =
            self.machine.borrow_mut().accept(client.incoming, now(), &mut answer, Some(config));
        match accepted {
            Ok((handle, machine)) => {
                drop(answer);
                self.half_open.set(self.half_open.get() + 1);
                Some(self.insert(handle, machine, unproven, true))
            }
            Err(error) => {
                if let Some(transmit) = error.response {
                    self.socket.send(&transmit, &answer[..transmit.size]);
                }
                None
            }
        }
    }

    /// Asks a client to prove its address first (RFC 9000 section 8.1.2); false, and the client is
    /// refused, when it has tried already.
    pub(crate) fn retry(&self, client: Newcomer) -> bool {
        let mut answer = self.answers.borrow_mut();
        answer.clear();
        let retried = self.machine.borrow_mut().retry(client.incoming, &mut answer);
        match retried {
            Ok(transmit) => {
                self.socket.send(&transmit, &answer[..transmit.size]);
                true
            }
            Err(error) => {
                drop(answer);
                self.refuse(Newcomer { incoming: error.into_incoming(), bytes: client.bytes });
                false
            }
        }
    }

    /// Turns a client away.
    pub(crate) fn refuse(&self, client: Newcomer) {
        let mut answer = self.answers.borrow_mut();
        answer.clear();
        let transmit = self.machine.borrow_mut().refuse(client.incoming, &mut answer);
        self.socket.send(&transmit, &answer[..transmit.size]);
    }

    /// Begins the handshake with a server.
    pub(crate) fn connect(
        self: &Rc<Self>,
        config: ClientConfig,
        remote: std::net::SocketAddr,
        name: &str,
    ) -> Result<Rc<Connection>, ConnectError> {
        let (handle, machine) = self.machine.borrow_mut().connect(now(), config, remote, name)?;
        Ok(self.insert(handle, machine, None, false))
    }

    fn insert(
        self: &Rc<Self>,
        handle: ConnectionHandle,
        machine: proto::Connection,
        unproven: Option<Unproven>,
        half_open: bool,
    ) -> Rc<Connection> {
        let connection = Connection::new(machine, handle, self.clone(), unproven, half_open);
        let mut connections = self.connections.borrow_mut();
        if connections.len() <= handle.0 {
            connections.resize(handle.0 + 1, None);
        }
        connections[handle.0] = Some(connection.clone());
        self.open.set(self.open.get() + 1);
        connection
    }

    /// What a connection's machine has for the endpoint's.
    pub(super) fn take(
        &self,
        handle: ConnectionHandle,
        event: EndpointEvent,
    ) -> Option<ConnectionEvent> {
        if event.is_drained() {
            let gone = self.connections.borrow_mut().get_mut(handle.0).and_then(Option::take);
            if gone.is_some() {
                self.open.set(self.open.get() - 1);
                self.wake();
            }
        }
        self.machine.borrow_mut().handle_event(handle, event)
    }

    /// A handshake that a client began is over, one way or the other.
    pub(super) fn settled(&self) {
        self.half_open.set(self.half_open.get() - 1);
    }

    /// Has `waker` called when the socket takes datagrams again.
    pub(super) fn wait_for_socket(&self, waker: &Waker) {
        self.blocked.borrow_mut().push(waker.clone());
        self.wake();
    }

    fn wake(&self) {
        if let Some(receiver) = &*self.receiver.borrow() {
            receiver.wake_by_ref();
        }
    }
}

fn handed(datagram: Received) -> Datagram {
    let Received { remote, local_ip, ecn, data } = datagram;
    Datagram { remote, local_ip, ecn: ecn.map(|ecn| ecn as u8), data }
}

fn received(datagram: Datagram) -> Received {
    let Datagram { remote, local_ip, ecn, data } = datagram;
    let ecn = ecn.and_then(quinn_proto::EcnCodepoint::from_bits);
    Received { remote, local_ip, ecn, data }
}
