//! A WebSocket of a script: one task reads and tells, another writes what is queued.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use rquickjs::{Array, Ctx, Value};
use tokio::sync::Notify;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

use super::{bytes as script_bytes, queue::Queue};
use crate::{
    clock,
    http::{Counted, Traffic, Upgrade, Upgraded, upgrade},
    metrics::{MetricId, TagSet, builtin},
    options::SystemTag,
    task,
    vm::{
        Local,
        operations::{Events, Make},
    },
};

/// How long the other side has to answer a close.
const CLOSE_TIME: Duration = Duration::from_secs(5);
/// What is read at a time, for each connection.
const READ_BYTES: usize = 8 * 1024;
/// What is written at a time, or one message.
const TOGETHER_BYTES: usize = 128 * 1024;
/// The longest message that is taken. Room for a frame is made when its length was read, so that
/// without a bound a server could ask for more than there is.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

type Stream = WebSocketStream<Counted>;

/// A connection, from before it is opened to after it is closed.
pub(super) struct Session {
    local: Rc<Local>,
    tags: RefCell<TagSet>,
    outgoing: Rc<Queue<Message>>,
    pings: RefCell<(u32, HashMap<u32, Instant>)>,
    closing: Notify,
    begun: Instant,
    traffic: RefCell<Rc<Traffic>>,
    ended: Cell<bool>,
}

/// What happens to a connection.
pub(super) enum Happening {
    Open(String),
    Text(String),
    Bytes(Bytes),
    Ping,
    Pong,
    Error(String),
    Closed(u16, String),
}

impl Session {
    pub(super) fn new(local: Rc<Local>, tags: TagSet) -> Rc<Self> {
        Rc::new(Self {
            local,
            tags: RefCell::new(tags),
            outgoing: Rc::default(),
            pings: RefCell::default(),
            closing: Notify::new(),
            begun: clock::now(),
            traffic: RefCell::default(),
            ended: Cell::new(false),
        })
    }

    /// Connects, and counts that, whatever came of it.
    pub(super) async fn open(&self, wanted: &Upgrade) -> Upgraded {
        let answer = upgrade(&self.local.net, wanted).await;
        *self.traffic.borrow_mut() = Rc::clone(&answer.traffic);
        let (enabled, status) =
            (self.local.environment.options.system_tags, answer.status.to_string());
        let protocol = answer.head.first("sec-websocket-protocol").unwrap_or_default();
        let mut tags = Vec::new();
        if enabled.has(SystemTag::Status) && answer.status != 0 {
            tags.push(("status", &*status));
        }
        if enabled.has(SystemTag::Subproto) && !protocol.is_empty() {
            tags.push(("subproto", &*protocol));
        }
        let tagged = self.tags.borrow().with(&tags);
        *self.tags.borrow_mut() = tagged;
        let took = (clock::now() - self.begun).as_secs_f64() * 1e3;
        self.record(&[(builtin::WS_CONNECTING, took), (builtin::WS_SESSIONS, 1.0)]);
        answer
    }

    /// Begins to write what is queued; gives what is to be read.
    pub(super) async fn start(&self, stream: Counted, rest: Vec<u8>) -> SplitStream<Stream> {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let stream =
            WebSocketStream::from_partially_read(stream, rest, Role::Client, Some(config)).await;
        let (sink, stream) = stream.split();
        drop(task::spawn("websocket writer", write(sink, Rc::clone(&self.outgoing))));
        stream
    }

    /// Tells what comes, until the connection is closed.
    pub(super) async fn read(&self, mut stream: SplitStream<Stream>, events: &Events) {
        let mut overdue = std::pin::pin!(async {
            self.closing.notified().await;
            tokio::time::sleep(CLOSE_TIME).await;
        });
        loop {
            let next = tokio::select! {
                next = stream.next() => next,
                () = &mut overdue => None,
                () = self.outgoing.stuck() => {
                    let text = "websocket: close 1006 (abnormal closure): the server takes no \
                                messages, and too many wait";
                    events.send(Happening::Error(text.to_owned()).into_value()).await;
                    None
                }
            };
            let happening = match next {
                Some(Ok(Message::Text(text))) => {
                    self.record(&[(builtin::WS_MSGS_RECEIVED, 1.0)]);
                    Happening::Text(text.as_str().to_string())
                }
                Some(Ok(Message::Binary(bytes))) => {
                    self.record(&[(builtin::WS_MSGS_RECEIVED, 1.0)]);
                    Happening::Bytes(bytes)
                }
                Some(Ok(Message::Ping(_))) => Happening::Ping,
                Some(Ok(Message::Pong(payload))) => {
                    self.ponged(&payload);
                    Happening::Pong
                }
                Some(Ok(Message::Frame(_))) => continue,
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame
                        .map_or((1005, String::new()), |f| (f.code.into(), f.reason.to_string()));
                    Happening::Closed(code, reason)
                }
                Some(Err(Error::ConnectionClosed | Error::AlreadyClosed)) => {
                    Happening::Closed(1005, String::new())
                }
                None => Happening::Closed(1006, String::new()),
                Some(Err(error)) => {
                    let text = format!("websocket: close 1006 (abnormal closure): {error}");
                    events.send(Happening::Error(text).into_value()).await;
                    Happening::Closed(1006, String::new())
                }
            };
            let is_last = matches!(happening, Happening::Closed(..));
            events.send(happening.into_value()).await;
            if is_last {
                return;
            }
        }
    }

    /// Queues a text or bytes.
    pub(super) fn send(&self, ctx: &Ctx<'_>, message: Message) -> rquickjs::Result<()> {
        self.record(&[(builtin::WS_MSGS_SENT, 1.0)]);
        self.queue(ctx, message)
    }

    pub(super) fn ping(&self, ctx: &Ctx<'_>) -> rquickjs::Result<()> {
        let mut pings = self.pings.borrow_mut();
        pings.0 += 1;
        let number = pings.0;
        pings.1.insert(number, clock::now());
        drop(pings);
        self.queue(ctx, Message::Ping(Bytes::copy_from_slice(number.to_string().as_bytes())))
    }

    /// Says that no more will come from here.
    pub(super) fn close(&self, ctx: &Ctx<'_>, code: u16, reason: &str) -> rquickjs::Result<()> {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.closing.notify_one();
        self.queue(ctx, Message::Close(Some(frame)))
    }

    /// Bytes that wait to be written.
    pub(super) fn buffered(&self) -> usize {
        self.outgoing.bytes()
    }

    /// The connection is done with, and counted.
    pub(super) fn end(&self) {
        if self.ended.replace(true) {
            return;
        }
        self.outgoing.end();
        let took = (clock::now() - self.begun).as_secs_f64() * 1e3;
        let traffic = self.traffic.borrow();
        self.record(&[
            (builtin::WS_SESSION_DURATION, took),
            (builtin::DATA_SENT, traffic.sent.get() as f64),
            (builtin::DATA_RECEIVED, traffic.received.get() as f64),
        ]);
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.get()
    }

    fn queue(&self, ctx: &Ctx<'_>, message: Message) -> rquickjs::Result<()> {
        let bytes = message.len();
        let traffic = Rc::clone(&self.traffic.borrow());
        self.outgoing.push(ctx, message, bytes, || traffic.sent.get())
    }

    fn ponged(&self, payload: &[u8]) {
        let number = std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok());
        let sent = number.and_then(|number: u32| self.pings.borrow_mut().1.remove(&number));
        if let Some(sent) = sent {
            self.record(&[(builtin::WS_PING, (clock::now() - sent).as_secs_f64() * 1e3)]);
        }
    }

    fn record(&self, values: &[(MetricId, f64)]) {
        self.local.record(values, &*self.tags.borrow());
    }
}

/// Ends a session when the task that reads it is gone, however that came.
pub(super) struct Ending(pub(super) Rc<Session>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Sends what is queued. A server that does not read any more is left alone soon after the end.
async fn write(sink: SplitSink<Stream, Message>, outgoing: Rc<Queue<Message>>) {
    let overdue = async {
        outgoing.over().await;
        tokio::time::sleep(CLOSE_TIME).await;
    };
    tokio::select! {
        () = write_all(sink, &outgoing) => {}
        () = overdue => {}
    }
}

async fn write_all(mut sink: SplitSink<Stream, Message>, outgoing: &Queue<Message>) {
    while let Some(first) = outgoing.next().await {
        let (mut next, mut bytes, mut sent) = (Some(first), 0, Ok(()));
        // What waits goes out together, but not so much that nobody sees it go.
        while let Some(message) = next {
            bytes += message.len();
            sent = sink.feed(message).await;
            let goes_on = sent.is_ok() && bytes < TOGETHER_BYTES;
            next = if goes_on { outgoing.try_next() } else { None };
        }
        if sent.is_err() || sink.flush().await.is_err() {
            // What happened is told by who reads.
            outgoing.close();
            return;
        }
        outgoing.sent(bytes);
    }
    // What happened is told by who reads.
    let _ = sink.close().await;
}

impl Happening {
    /// An array of what happened and its data.
    pub(super) fn into_value(self) -> Make {
        Box::new(move |ctx| self.array(ctx).map(Array::into_value))
    }

    fn array<'js>(&self, ctx: &Ctx<'js>) -> rquickjs::Result<Array<'js>> {
        let array = Array::new(ctx.clone())?;
        let text = |text: &str| -> rquickjs::Result<Value<'js>> {
            Ok(rquickjs::String::from_str(ctx.clone(), text)?.into_value())
        };
        let (kind, data) = match self {
            Self::Open(protocol) => ("open", text(protocol)?),
            Self::Text(message) => ("message", text(message)?),
            Self::Bytes(bytes) => ("binary", script_bytes::buffer(ctx, bytes)?),
            Self::Ping => ("ping", text("")?),
            Self::Pong => ("pong", text("")?),
            Self::Error(why) => ("error", text(why)?),
            Self::Closed(code, reason) => {
                array.set(2, text(reason)?)?;
                ("close", Value::new_int(ctx.clone(), i32::from(*code)))
            }
        };
        array.set(0, kind)?;
        array.set(1, data)?;
        Ok(array)
    }
}
