//! What a downstream connection and its requests know of each other.

use std::{
    cell::{Cell, OnceCell, Ref, RefCell},
    net::IpAddr,
    rc::Rc,
    task::{Context, Waker},
};

use crate::{
    clock::Tick,
    http::{headers::Peer, upload::Progress},
    policy::Certified,
    snapshot::live::ListenerState,
    worker::Worker,
};

/// What is below a connection's HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// TCP or a Unix socket.
    Clear,
    /// TLS over one of them.
    Tls,
    /// QUIC, which is never without TLS.
    Quic,
}

/// One accepted connection, of any protocol. Lives as long as its task and its requests.
#[derive(Debug)]
pub(crate) struct Connection {
    /// The worker that accepted it.
    pub(crate) worker: Rc<Worker>,
    /// The listener that accepted it.
    pub(crate) listener: Rc<ListenerState>,
    /// Who is on the other side, ready for the headers of its requests.
    peer: RefCell<Peer>,
    /// What carries its bytes.
    pub(crate) carrier: Carrier,
    /// Requests under way.
    pub(crate) busy: Cell<u32>,
    /// When the last request ended, or the connection began.
    pub(crate) idle_since: Cell<Tick>,
    /// Whether bytes of a response may not have reached the socket yet.
    pub(crate) unflushed: Cell<bool>,
    /// Uploads that go on after their responses have ended.
    uploads: RefCell<Vec<Rc<Progress>>>,
    draining: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Who the client is by its certificate, where the listener asked for one.
    certified: OnceCell<Certified>,
}

impl Connection {
    pub(crate) fn new(
        worker: Rc<Worker>,
        listener: Rc<ListenerState>,
        peer: Peer,
        carrier: Carrier,
        now: Tick,
    ) -> Rc<Self> {
        Rc::new(Self {
            worker,
            listener,
            peer: RefCell::new(peer),
            carrier,
            busy: Cell::new(0),
            idle_since: Cell::new(now),
            unflushed: Cell::new(false),
            uploads: RefCell::default(),
            draining: Cell::new(false),
            waker: RefCell::new(None),
            certified: OnceCell::new(),
        })
    }

    /// Who is on the other side.
    pub(crate) fn peer(&self) -> Ref<'_, Peer> {
        self.peer.borrow()
    }

    /// The client has proved to own this certificate.
    pub(crate) fn certify(&self, leaf: &[u8]) {
        if self.certified.get().is_none()
            && let Some(certified) = Certified::read(leaf)
        {
            // It was empty a moment ago.
            let _ = self.certified.set(certified);
        }
    }

    /// Whether the listener asks for certificates and none is known.
    pub(crate) fn is_uncertified(&self) -> bool {
        let tls = self.listener.shared.config.tls.as_ref();
        self.certified.get().is_none() && tls.is_some_and(|tls| tls.client_ca.is_some())
    }

    /// Who the client is by its certificate.
    pub(crate) fn certified(&self) -> Option<&Certified> {
        self.certified.get()
    }

    /// The client goes on from another address (RFC 9000 section 9).
    pub(crate) fn move_to(&self, address: IpAddr) {
        let canonical = Some(address.to_canonical());
        if self.peer.borrow().address() != canonical {
            let secure = self.scheme() == "https";
            let peer = Peer::new(canonical, secure, self.listener.shared.config.trusted_hops);
            *self.peer.borrow_mut() = peer;
        }
    }

    /// The scheme of its requests.
    pub(crate) const fn scheme(&self) -> &'static str {
        match self.carrier {
            Carrier::Clear => "http",
            Carrier::Tls | Carrier::Quic => "https",
        }
    }

    /// A request begins.
    pub(crate) fn begin(&self) {
        self.busy.set(self.busy.get() + 1);
    }

    /// A request is over, its response handed to the protocol.
    pub(crate) fn finish(&self, now: Tick) {
        self.busy.set(self.busy.get() - 1);
        self.idle_since.set(now);
        self.unflushed.set(true);
    }

    /// The request that ends has a body of which the upstream still takes more.
    pub(crate) fn upload_goes_on(&self, upload: Rc<Progress>) {
        let mut uploads = self.uploads.borrow_mut();
        uploads.retain(|upload| !upload.over.get());
        uploads.push(upload);
    }

    /// Whether what the client sends is still the body of a request whose response has ended. The
    /// task is woken when that changes.
    pub(crate) fn is_uploading(&self, cx: &Context<'_>) -> bool {
        let mut uploads = self.uploads.borrow_mut();
        uploads.retain(|upload| upload.poll_over(cx).is_pending());
        !uploads.is_empty()
    }

    /// Asks the connection to end once its requests are answered.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Whether it was asked to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Makes [`Connection::drain`] wake this task. A task's waker stays the same, so that all but
    /// the first call cost a comparison.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }
}
