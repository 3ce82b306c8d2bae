//! One loop: whatever comes first is handed to the machine, and what it wants done is done.

use std::{
    collections::HashMap, future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    Member, Passed, View,
    stream::{self, Done},
    ticks,
};
use crate::{
    seal::{OVERHEAD_BYTES, Refused, Seal, Use},
    swim::{Belief, Chance, Effects, Event, Input, Moment, Speak, Swim},
};

/// Most streams that others have opened and that are not answered yet: more wait in the backlog.
const SERVED_MAX: usize = 32;
/// Within which a change is told.
const TELL: Duration = Duration::from_millis(100);
/// How often phi and round trips are told anew.
const RENEW: Duration = Duration::from_secs(1);
/// How long others are told of a departure at most.
const FAREWELL: Duration = Duration::from_secs(5);
/// Most packets taken before everything else has its turn.
const BATCH: usize = 64;
/// No packet is longer; what is would be cut and not open.
const PACKET_BYTES: usize = 2048;

#[derive(Debug)]
pub(super) enum Command {
    Leave,
    Meta(Vec<u8>),
    Seeds(Vec<SocketAddr>),
    Keys(Vec<Vec<u8>>),
}

/// Why a driver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The others were told, or nobody could be told in time.
    Left,
    /// Another live process goes by its name.
    Superseded,
    /// Nobody holds a handle.
    Dropped,
}

type Task = Pin<Box<dyn Future<Output = Done> + Send>>;

/// A member with its sockets.
#[derive(Debug)]
pub struct Driver {
    socket: UdpSocket,
    listener: TcpListener,
    swim: Swim,
    chance: Chance,
    seal: Option<Seal>,
    origin: Instant,
    commands: mpsc::Receiver<Command>,
    views: watch::Sender<Arc<View>>,
    out: Effects,
    tasks: FuturesUnordered<Task>,
    /// How many of the tasks, and of the streams below, others opened.
    served: usize,
    tickets: HashMap<u64, TcpStream>,
    ticket: u64,
    passed: Passed,
    tell: Instant,
    farewell: Option<Instant>,
    superseded: bool,
}

enum Came {
    Packet(std::io::Result<(usize, SocketAddr)>),
    Stream(std::io::Result<(TcpStream, SocketAddr)>),
    Done(Done),
    Due,
    Command(Option<Command>),
}

impl Driver {
    #[allow(clippy::too_many_arguments, reason = "the parts are made in one place")]
    pub(super) fn new(
        socket: UdpSocket,
        listener: TcpListener,
        swim: Swim,
        chance: Chance,
        seal: Option<Seal>,
        origin: Instant,
        commands: mpsc::Receiver<Command>,
        views: watch::Sender<Arc<View>>,
    ) -> Self {
        Self {
            socket,
            listener,
            swim,
            chance,
            seal,
            origin,
            commands,
            views,
            out: Effects::default(),
            tasks: FuturesUnordered::new(),
            served: 0,
            tickets: HashMap::new(),
            ticket: 0,
            passed: Passed::default(),
            tell: origin,
            farewell: None,
            superseded: false,
        }
    }

    /// Takes part until it has left, another takes its name, or nobody holds a handle.
    pub async fn run(mut self) -> Ended {
        let mut buffer = vec![0; PACKET_BYTES];
        loop {
            let came = self.next(&mut buffer).await;
            match came {
                Came::Packet(Ok((length, from))) => self.on_packets(&mut buffer, length, from),
                Came::Packet(Err(_)) => {}
                Came::Stream(Ok((stream, _))) => {
                    self.served += 1;
                    self.tasks.push(Box::pin(stream::asked(stream)));
                }
                // Out of descriptors, say: those that are open end by themselves.
                Came::Stream(Err(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                Came::Done(done) => self.on_done(done),
                Came::Due => {
                    if self.now() >= self.swim.deadline() {
                        self.hand(Input::Timeout);
                    }
                }
                Came::Command(None) => return Ended::Dropped,
                Came::Command(Some(command)) => self.on_command(command),
            }
            if ticks() >= self.tell {
                self.publish();
            }
            if let Some(ended) = self.ended() {
                self.publish();
                return ended;
            }
        }
    }

    async fn next(&mut self, buffer: &mut [u8]) -> Came {
        let deadline = Duration::from_micros(self.swim.deadline().micros());
        let due = self.origin.checked_add(deadline).unwrap_or(self.tell).min(self.tell);
        let due = self.farewell.map_or(due, |farewell| due.min(farewell));
        tokio::select! {
            packet = self.socket.recv_from(buffer) => Came::Packet(packet),
            stream = self.listener.accept(), if self.served < SERVED_MAX => Came::Stream(stream),
            Some(done) = self.tasks.next() => Came::Done(done),
            () = sleep_until(due) => Came::Due,
            command = self.commands.recv() => Came::Command(command),
        }
    }

    fn now(&self) -> Moment {
        let micros = ticks().duration_since(self.origin).as_micros();
        Moment::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn ended(&self) -> Option<Ended> {
        if self.superseded {
            return Some(Ended::Superseded);
        }
        let late = self.farewell.is_some_and(|farewell| ticks() >= farewell);
        (late || self.swim.has_left()).then_some(Ended::Left)
    }

    fn on_packets(&mut self, buffer: &mut [u8], length: usize, from: SocketAddr) {
        let mut packet = (length, from);
        for _ in 0..BATCH {
            let (length, from) = packet;
            if let Some(range) = self.open(Use::Packet, &mut buffer[..length]) {
                let message = buffer[range].to_vec();
                self.hand(Input::Packet(from, &message));
            }
            match self.socket.try_recv_from(buffer) {
                Ok(next) => packet = next,
                Err(_) => break,
            }
        }
    }

    /// Where in `sealed` the message stands once it is opened.
    fn open(&mut self, what: Use, sealed: &mut [u8]) -> Option<std::ops::Range<usize>> {
        let Some(seal) = &mut self.seal else {
            self.passed.received += 1;
            return Some(0..sealed.len());
        };
        match seal.open(what, sealed) {
            Ok(message) => {
                let start = OVERHEAD_BYTES - 16;
                let range = start..start + message.len();
                self.passed.received += 1;
                Some(range)
            }
            Err(Refused::Unsealed) => {
                self.passed.unsealed += 1;
                None
            }
            Err(Refused::Replayed) => {
                self.passed.replayed += 1;
                None
            }
        }
    }

    fn on_done(&mut self, done: Done) {
        match done {
            Done::Closed => self.served -= 1,
            Done::Asked(stream, mut body) => match self.open(Use::Request, &mut body) {
                Some(range) => {
                    self.ticket += 1;
                    let ticket = self.ticket;
                    self.tickets.insert(ticket, stream);
                    self.hand(Input::Request(ticket, &body[range]));
                    // The machine had no answer to it.
                    if self.tickets.remove(&ticket).is_some() {
                        self.served -= 1;
                    }
                }
                None => self.served -= 1,
            },
            Done::Answered(call, Ok(mut body)) => match self.open(Use::Response, &mut body) {
                Some(range) => self.hand(Input::Response(call, &body[range])),
                None => self.hand(Input::Failed(call)),
            },
            Done::Answered(call, Err(_)) => self.hand(Input::Failed(call)),
        }
    }

    fn on_command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Leave => {
                self.swim.leave(now);
                self.farewell.get_or_insert(ticks() + FAREWELL);
            }
            Command::Meta(meta) => {
                let _ = self.swim.set_meta(&meta, now);
            }
            Command::Seeds(seeds) => self.swim.set_seeds(seeds),
            Command::Keys(secrets) => {
                // They were found good where they came from; those of before stay otherwise.
                let _ = self.seal.as_mut().map(|seal| seal.rekey(&secrets));
            }
        }
    }

    fn hand(&mut self, input: Input<'_>) {
        let now = self.now();
        let mut out = std::mem::take(&mut self.out);
        self.swim.handle(input, now, &mut self.chance, &mut out);
        for (to, bytes) in out.packets() {
            self.send(to, bytes);
        }
        for speak in out.streams.drain(..) {
            self.speak(speak);
        }
        for event in out.events.drain(..) {
            self.superseded |= event == Event::Superseded;
            self.tell = self.tell.min(ticks() + TELL);
        }
        out.clear();
        self.out = out;
    }

    /// A packet that does not fit in the socket's buffer is lost, as any may be.
    fn send(&mut self, to: SocketAddr, message: &[u8]) {
        let sent = match &mut self.seal {
            None => self.socket.try_send_to(message, to).is_ok(),
            Some(seal) => {
                let mut sealed = Vec::with_capacity(message.len() + OVERHEAD_BYTES);
                let done = seal.seal(Use::Packet, message, &mut sealed);
                done.is_ok() && self.socket.try_send_to(&sealed, to).is_ok()
            }
        };
        self.passed.sent += u64::from(sent);
        self.passed.dropped += u64::from(!sent);
    }

    fn speak(&mut self, speak: Speak) {
        match speak {
            Speak::Call { to, call, body } => {
                if let Some(body) = self.seal(Use::Request, body) {
                    self.tasks.push(Box::pin(stream::call(call, to, body)));
                }
            }
            Speak::Answer { ticket, body } => {
                let Some(stream) = self.tickets.remove(&ticket) else { return };
                match self.seal(Use::Response, body) {
                    Some(body) => self.tasks.push(Box::pin(stream::answer(stream, body))),
                    None => self.served -= 1,
                }
            }
        }
    }

    fn seal(&mut self, what: Use, body: Vec<u8>) -> Option<Vec<u8>> {
        let Some(seal) = &mut self.seal else { return Some(body) };
        let mut sealed = Vec::with_capacity(body.len() + OVERHEAD_BYTES);
        seal.seal(what, &body, &mut sealed).ok().map(|()| sealed)
    }

    fn publish(&mut self) {
        self.tell = ticks() + RENEW;
        self.passed.malformed = self.swim.load().malformed;
        let mut members: Vec<Member> = self.swim.beliefs(self.now()).map(member).collect();
        members.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        self.views.send_modify(|view| {
            *view = Arc::new(View {
                version: view.version + 1,
                members,
                live: self.swim.live(),
                health: self.swim.health(),
                passed: self.passed,
            });
        });
    }
}

fn member(belief: Belief<'_>) -> Member {
    Member {
        record: Arc::clone(belief.record),
        state: belief.state,
        incarnation: belief.incarnation,
        phi: belief.watched.map(|(phi, _)| phi),
        round_trip: belief.watched.and_then(|(_, trip)| trip),
    }
}
