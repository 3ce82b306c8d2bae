//! HTTP/3 from a client (RFC 9114): one task a connection, which polls its own streams.
//!
//! In each turn the task takes what the network brought, polls the streams that are awake, and
//! sends what they all wrote in as few system calls as can be ([`crate::quic`]).

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, Stream};

use super::connection::Connection;
use crate::{
    clock::{self, Tick},
    h3::{code::Code, frame::Role, settings::Settings},
    quic::{self, ControlStreams, RecvStream, SendStream},
    timers::Deadline,
};

mod answer;

/// How long after the last GOAWAY a client may take to acknowledge what it was sent.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long a client that has just connected may take for its first request once a drain has begun.
const LAST_CALL: Duration = Duration::from_millis(500);
/// The least time between the two GOAWAYs: requests on their way are taken.
const AFTERTHOUGHT: Duration = Duration::from_millis(20);
/// How often a connection with requests under way is kept from timing out.
const PING: Duration = Duration::from_secs(20);
/// Requests that a client may give up before they are answered: so many at once, and so many more
/// a second. Beyond, it is cut off (rapid reset, CVE-2023-44487).
const CANCELS: u32 = 200;
const CANCELS_PER_SECOND: u32 = 50;
/// Streams on which we send that are no responses: the control stream.
const OURS: usize = 1;
/// Streams that a client may open: the greatest id that RFC 9000 knows.
const EVERY_STREAM: u64 = (1 << 62) - 4;

/// Serves a connection to its end. What is left to be done then is [`quic::Connection::linger`].
pub(crate) async fn serve(quic: Rc<quic::Connection>, connection: Rc<Connection>) {
    let deadline = connection.worker.timers.deadline();
    let world = connection.worker.world();
    let now = clock::now();
    deadline.set(now + world.snapshot.timeouts.handshake);
    let settings = Settings {
        max_field_section: Some(world.snapshot.limits.header_bytes.into()),
        connect_protocol: true,
    };
    drop(world);
    Session {
        control: ControlStreams::new(Role::Server, &settings),
        next_id: 0,
        refuse_from: None,
        cancels: Rc::new(Cancels::new(now)),
        quic,
        connection,
        deadline,
        stage: Stage::Handshake,
        wait: Wait::Handshake,
    }
    .run()
    .await;
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    Open,
    /// The first GOAWAY is out, the second goes out then.
    Leaving(Tick),
    /// The second GOAWAY is out since then; requests under way are answered.
    Left(Tick),
}

/// What the connection's deadline stands for. It is set when this changes and only then: to set it
/// anew would forget an expiry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Handshake,
    /// For a sign of life while requests are under way, since then.
    Busy(Tick),
    /// For a request, since then.
    Quiet(Tick),
    /// For the time of the second GOAWAY.
    Leaving(Tick),
    /// For acknowledgements after the last response, since then.
    Goodbye(Tick),
}

/// How many requests a client may still give up.
#[derive(Debug)]
struct Cancels {
    left: Cell<u32>,
    since: Cell<Tick>,
}

impl Cancels {
    const fn new(now: Tick) -> Self {
        Self { left: Cell::new(CANCELS), since: Cell::new(now) }
    }

    /// Counts one; whether that was one too many.
    fn add(&self, now: Tick) -> bool {
        let earned =
            now.since(self.since.get()).as_millis() * u128::from(CANCELS_PER_SECOND) / 1000;
        if earned > 0 {
            self.since.set(now);
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.left.set(self.left.get().saturating_add(earned).min(CANCELS));
        }
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                false
            }
            None => true,
        }
    }
}

struct Session {
    quic: Rc<quic::Connection>,
    connection: Rc<Connection>,
    control: ControlStreams,
    /// The id of the next request.
    next_id: u64,
    /// Requests from this id on are not taken any more.
    refuse_from: Option<u64>,
    cancels: Rc<Cancels>,
    deadline: Deadline,
    stage: Stage,
    wait: Wait,
}

impl Session {
    async fn run(mut self) {
        let mut streams = FuturesUnordered::new();
        poll_fn(|cx| {
            self.connection.register(cx);
            self.quic.begin_turn(cx);
            if self.connection.is_draining() {
                self.leave();
            }
            poll_streams(&mut streams, cx);
            while let Some((send, recv)) = self.quic.accept_bi() {
                if let Some(answering) = self.admit(send, recv) {
                    streams.push(answering);
                }
            }
            // New streams may have answered already; what they wrote goes out now.
            poll_streams(&mut streams, cx);
            self.poll_control(cx);
            // A tunnel of which the endpoint has closed its direction may go on in the other.
            let quiet = streams.is_empty() && !self.connection.is_uploading(cx);
            self.poll_clock(cx, quiet);
            self.quic.poll_drive(cx)
        })
        .await;
    }

    /// A request begins, unless it comes too late.
    fn admit(
        &mut self,
        mut send: SendStream,
        mut recv: RecvStream,
    ) -> Option<impl Future<Output = ()> + use<>> {
        if self.refuse_from.is_some_and(|first| send.id() >= first) {
            send.reset(Code::RequestRejected.value());
            recv.stop(Code::RequestRejected.value());
            return None;
        }
        self.next_id = self.next_id.max(send.id() + 4);
        self.connection.move_to(self.quic.remote().ip());
        let early = self.quic.is_early();
        Some(answer::answer((send, recv), self.connection.clone(), self.cancels.clone(), early))
    }

    /// Reads the client's control stream and writes ours.
    fn poll_control(&mut self, cx: &mut Context<'_>) {
        // What a client announces bounds what we may send it: no push, which we never send, and no
        // field section longer than it takes, of which it says so itself.
        if let Err(code) = self.control.poll(&self.quic, cx, drop) {
            self.quic.close(code.value(), "");
        }
    }

    /// Begins the way out: requests that were sent before the client hears of it are still taken.
    fn leave(&mut self) {
        if !matches!(self.stage, Stage::Handshake | Stage::Open) {
            return;
        }
        let patience = match self.next_id {
            0 => LAST_CALL,
            _ => (2 * self.quic.rtt()).clamp(AFTERTHOUGHT, LAST_CALL),
        };
        self.stage = Stage::Leaving(clock::now() + patience);
        self.control.go_away(EVERY_STREAM);
    }

    fn refuse_more(&mut self) {
        self.stage = Stage::Left(clock::now());
        self.refuse_from = Some(self.next_id);
        self.control.go_away(self.next_id);
    }

    /// Ends a connection whose handshake takes too long, or that is quiet for too long, and keeps
    /// one alive that is busy.
    fn poll_clock(&mut self, cx: &mut Context<'_>, quiet: bool) {
        let timeouts = &self.connection.worker.world().snapshot.timeouts;
        if self.stage == Stage::Handshake && self.quic.poll_connected().is_ready() {
            self.stage = Stage::Open;
            // The keep-alive time begins behind the handshake, which has a time of its own.
            self.connection.idle_since.set(clock::now());
        }
        let idle_since = self.connection.idle_since.get();
        let wait = match self.stage {
            Stage::Handshake => Wait::Handshake,
            Stage::Open if quiet => Wait::Quiet(idle_since),
            Stage::Leaving(at) => Wait::Leaving(at),
            Stage::Left(_) if quiet && self.quic.sending() <= OURS => {
                return self.quic.close(Code::NoError.value(), "");
            }
            Stage::Left(since) if quiet => Wait::Goodbye(since.max(idle_since)),
            // On the way out as well: a tunnel may take hours yet.
            Stage::Open | Stage::Left(_) => match self.wait {
                Wait::Busy(since) => Wait::Busy(since),
                _ => Wait::Busy(clock::now()),
            },
        };
        if wait != self.wait {
            match wait {
                // Set when the connection began.
                Wait::Handshake => {}
                Wait::Busy(since) => self.deadline.set(since + PING),
                Wait::Quiet(since) => self.deadline.set(since + timeouts.keep_alive),
                Wait::Leaving(at) => self.deadline.set(at),
                Wait::Goodbye(since) => self.deadline.set(since + GOODBYE),
            }
            self.wait = wait;
        }
        if self.deadline.poll_expired(cx).is_pending() {
            return;
        }
        match wait {
            Wait::Handshake | Wait::Goodbye(_) => self.quic.close(Code::NoError.value(), ""),
            Wait::Busy(_) => {
                self.quic.ping();
                let now = clock::now();
                self.deadline.set(now + PING);
                self.wait = Wait::Busy(now);
            }
            Wait::Quiet(_) => self.leave(),
            Wait::Leaving(_) => self.refuse_more(),
        }
        cx.waker().wake_by_ref();
    }
}

/// Polls the streams that are awake.
fn poll_streams<F: Future<Output = ()>>(streams: &mut FuturesUnordered<F>, cx: &mut Context<'_>) {
    while let Poll::Ready(Some(())) = Pin::new(&mut *streams).poll_next(cx) {}
}
