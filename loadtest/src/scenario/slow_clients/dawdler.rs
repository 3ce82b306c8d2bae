//! Those who dawdle, over connections of HTTP/1.1.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    task::JoinHandle,
    time::{sleep, timeout_at},
};

use super::Plan;
use crate::{
    clock,
    http::{Alpn, Net, Stream, Target},
    task,
};

/// How somebody dawdles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sends a head byte by byte and never ends it.
    Head,
    /// Sends a body byte by byte.
    Body,
    /// Reads a response byte by byte.
    Reader,
    /// Has asked once and keeps the connection.
    Idle,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Head, Self::Body, Self::Reader, Self::Idle];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Head => "heads",
            Self::Body => "bodies",
            Self::Reader => "readers",
            Self::Idle => "idle",
        }
    }

    fn target(self, plan: &Plan) -> &Target {
        match self {
            Self::Head | Self::Idle => &plan.plain,
            Self::Body => &plan.upload,
            Self::Reader => &plan.large,
        }
    }

    /// What is sent at once, and whether more follows byte by byte.
    fn request(self, target: &Target) -> (String, bool) {
        let (path, host) = (&target.path, &target.authority);
        match self {
            Self::Head => (String::new(), true),
            Self::Body => {
                let length = "content-length: 1000000";
                (format!("POST {path} HTTP/1.1\r\nhost: {host}\r\n{length}\r\n\r\n"), true)
            }
            Self::Reader | Self::Idle => {
                (format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n"), false)
            }
        }
    }
}

/// What became of those of a kind.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) kind: Kind,
    /// Connections that were made.
    pub(super) connections: u64,
    /// Those that could not be.
    refused: u64,
    /// Those that the gateway closed or answered while they dawdled.
    pub(super) closed: u64,
    /// Of them, those that were told 408.
    told: u64,
    /// The longest that one went on.
    pub(super) longest: Duration,
}

impl Seen {
    pub(super) fn json(&self) -> Value {
        json!({
            "connections": self.connections, "refused": self.refused, "closed": self.closed,
            "told_408": self.told, "longest_s": self.longest.as_secs_f64(),
        })
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, connections, refused, closed, told, longest } = self;
        write!(
            f,
            "slow {}: {connections} connections ({refused} refused), {closed} ended by the gateway \
             ({told} with 408), the longest lasted {longest:.1?}",
            kind.name()
        )
    }
}

/// All of a kind, at work.
#[derive(Debug)]
pub(super) struct Dawdlers {
    seen: Rc<RefCell<Seen>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Dawdlers {
    /// As many as the plan says, until `end`.
    pub(super) fn begin(kind: Kind, plan: &Rc<Plan>, net: &Rc<Net>, end: Instant) -> Self {
        let (connections, refused, closed, told, longest) = Default::default();
        let seen = Seen { kind, connections, refused, closed, told, longest };
        let seen = Rc::new(RefCell::new(seen));
        let one = |number: usize| {
            let (plan, net, seen) = (Rc::clone(plan), Rc::clone(net), Rc::clone(&seen));
            task::spawn("slow client", async move {
                // Not all at the same time.
                sleep(plan.pause.mul_f64(number as f64 / plan.clients as f64)).await;
                while clock::now() < end {
                    episode(kind, &plan, &net, &seen, end).await;
                    // Who is refused does not knock without a pause.
                    sleep(plan.pause).await;
                }
            })
        };
        let tasks = (0..plan.clients).map(one).collect();
        Self { seen, tasks }
    }

    /// What became of them.
    pub(super) async fn end(self) -> Seen {
        for task in self.tasks {
            // One that panicked has said so.
            let _ = task.await;
        }
        let kind = self.seen.borrow().kind;
        let (connections, refused, closed, told, longest) = Default::default();
        self.seen.replace(Seen { kind, connections, refused, closed, told, longest })
    }
}

/// A connection, until the gateway ends it or time is up.
async fn episode(kind: Kind, plan: &Plan, net: &Net, seen: &RefCell<Seen>, end: Instant) {
    let target = kind.target(plan);
    let stream = match timeout_at(end.into(), net.dial(target, Alpn::Http1)).await {
        Ok(Ok(dialed)) => dialed.stream,
        Ok(Err(_)) => return seen.borrow_mut().refused += 1,
        Err(_) => return,
    };
    seen.borrow_mut().connections += 1;
    let begun = clock::now();
    let ended = timeout_at(end.into(), dawdle(kind, plan, target, stream)).await;
    let mut seen = seen.borrow_mut();
    seen.longest = seen.longest.max(clock::now() - begun);
    if let Ok(is_told) = ended {
        seen.closed += 1;
        seen.told += u64::from(is_told);
    }
}

/// Goes on until the gateway has enough of it; gives whether it said 408.
async fn dawdle(kind: Kind, plan: &Plan, target: &Target, stream: Stream) -> bool {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (request, goes_on) = kind.request(target);
    if send(&mut writer, request.as_bytes()).await.is_none() {
        return false;
    }
    let dripping = async {
        if goes_on {
            let head = format!("GET {} HTTP/1.1\r\nhost: {}\r\nx-slow: ", target.path, target.host);
            let head = if kind == Kind::Head { head } else { String::new() };
            for byte in head.bytes().chain(std::iter::repeat(b'a')) {
                if send(&mut writer, &[byte]).await.is_none() {
                    break;
                }
                sleep(plan.pause).await;
            }
        }
        // What the gateway said is what counts.
        std::future::pending().await
    };
    tokio::select! {
        told = listen(kind, plan, &mut reader) => told,
        told = dripping => told,
    }
}

async fn send(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Option<()> {
    writer.write_all(bytes).await.ok()?;
    writer.flush().await.ok()
}

/// Hears what the gateway says until it closes, or answers what was not asked in full.
async fn listen(kind: Kind, plan: &Plan, reader: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut first = Vec::new();
    let mut buffer = [0; 4096];
    let room = if kind == Kind::Reader { 1 } else { buffer.len() };
    loop {
        let Ok(read @ 1..) = reader.read(&mut buffer[..room]).await else {
            return first.starts_with(b"HTTP/1.1 408");
        };
        if first.len() < 16 {
            first.extend_from_slice(&buffer[..read]);
        }
        match kind {
            // An answer to half a head can only be a refusal.
            Kind::Head if first.len() >= 12 => return first.starts_with(b"HTTP/1.1 408"),
            Kind::Head | Kind::Body | Kind::Idle => {}
            Kind::Reader => sleep(plan.pause).await,
        }
    }
}
