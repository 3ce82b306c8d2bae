//! The thread that sends what is to be pushed, one after another.

use std::{
    io,
    rc::Rc,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Protocol, PushOptions, otlp, remote_write};
use crate::http::{Client, Net, NetOptions, Reply, Request, Target, Version, client_config};

/// Pushes that wait for the server at most; further ones are dropped.
const WAITING_MOST: usize = 4;
/// How long a server may take for one.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How often one is tried, and how long to wait before it is tried again; twice as long each time.
const TRIES: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// How long the end of a run waits for what is not sent yet.
const LAST_TIME: Duration = Duration::from_secs(10);

/// What became of the pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) sent: u64,
    pub(super) retried: u64,
    pub(super) dropped: u64,
    /// Why the last that was dropped was.
    pub(super) why: String,
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Sender {
    queue: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<Told>>,
    /// Dropped when the run has ended.
    running: Option<oneshot::Sender<()>>,
    /// Found no room in the queue.
    crowded: u64,
}

impl Sender {
    /// Starts the thread.
    pub(super) fn start(options: &PushOptions) -> io::Result<Self> {
        let wrong = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        let target = Target::parse(&options.url);
        let target = target.map_err(|error| wrong(format!("{}: {error}", options.url)))?;
        let tls = client_config(options.insecure, true, &[]);
        let tls = Arc::new(tls.map_err(|error| wrong(error.to_string()))?);
        let (of_protocol, headers) = match options.protocol {
            Protocol::RemoteWrite { .. } => (remote_write::HEADERS, options.headers.clone()),
            Protocol::Otlp { .. } => (otlp::HEADERS, options.headers.clone()),
        };
        let (queue, bodies) = sync_channel(WAITING_MOST);
        let (running, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("push".to_owned()).spawn(move || {
            let agent = concat!("weir-load/", env!("CARGO_PKG_VERSION"));
            let fixed = of_protocol.iter().map(|(name, value)| (*name, *value));
            let own = headers.iter().map(|(name, value)| (&**name, &**value));
            let all = fixed.chain([("User-Agent", agent)]).chain(own);
            let request = Request {
                method: "POST".into(),
                target: Rc::new(target),
                headers: all.map(|(name, value)| (name.into(), value.into())).collect(),
                body: None,
                timeout: TIMEOUT,
                keeps_body: false,
                version: Version::Agreed,
            };
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => {
                    let client = Client::new(Rc::new(Net::new(NetOptions::default(), tls)));
                    let set = tokio::task::LocalSet::new();
                    runtime.block_on(set.run_until(work(&client, &request, &bodies, ended)))
                }
                Err(error) => {
                    let dropped = bodies.iter().count() as u64;
                    Told { dropped, why: error.to_string(), ..Told::default() }
                }
            }
        })?;
        Ok(Self { queue: Some(queue), thread: Some(thread), running: Some(running), crowded: 0 })
    }

    /// Sends a body when its turn comes.
    pub(super) fn send(&mut self, body: Vec<u8>) {
        let taken = self.queue.as_ref().is_some_and(|queue| queue.try_send(body).is_ok());
        self.crowded += u64::from(!taken);
    }

    /// Waits until all are sent or given up, but not for long.
    pub(super) fn finish(&mut self) -> Told {
        self.queue = None;
        self.running = None;
        let told = self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let mut told = Told { dropped: told.dropped + self.crowded, ..told };
        if told.why.is_empty() {
            "the server was too slow".clone_into(&mut told.why);
        }
        told
    }
}

async fn work(
    client: &Client,
    request: &Request,
    bodies: &Receiver<Vec<u8>>,
    ended: oneshot::Receiver<()>,
) -> Told {
    let mut told = Told::default();
    let overdue = async {
        // An error is what is waited for: the other end is dropped.
        let _ = ended.await;
        tokio::time::sleep(LAST_TIME).await;
    };
    let is_overdue = tokio::select! {
        () = send_all(client, request, bodies, &mut told) => false,
        () = overdue => true,
    };
    if is_overdue {
        // One was on its way.
        told.dropped += 1 + bodies.try_iter().count() as u64;
        "the server was too slow".clone_into(&mut told.why);
    }
    told
}

async fn send_all(client: &Client, request: &Request, bodies: &Receiver<Vec<u8>>, told: &mut Told) {
    // Nothing else runs on this thread, so that it may wait for the next here.
    for body in bodies {
        let request = Request { body: Some(Bytes::from(body)), ..request.clone() };
        let mut wait = FIRST_WAIT;
        for trial in 1..=TRIES {
            let reply = client.send(&request).await;
            if (200..300).contains(&reply.status) {
                told.sent += 1;
                break;
            }
            // Specifications of both: what the server cannot use must not come again.
            let may_help = reply.error.is_some() || reply.status == 429 || reply.status >= 500;
            if trial == TRIES || !may_help {
                told.dropped += 1;
                told.why = why(&reply);
                break;
            }
            told.retried += 1;
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }
}

fn why(reply: &Reply) -> String {
    match &reply.error {
        Some(error) => error.text.clone(),
        None => format!("status {}", reply.status),
    }
}
