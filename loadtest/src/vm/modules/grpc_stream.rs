//! Natives of `Stream` of `k6/net/grpc`: calls of many messages, as events of the iteration.

use std::rc::Rc;

use bytes::Bytes;
use prost_reflect::MethodDescriptor;
use rquickjs::{Array, Ctx, Exception, Function, Object, Persistent, Result, Value};

use super::{
    grpc::{Prepared, count, encode, prepare, problem},
    queue::Queue,
};
use crate::{
    clock,
    grpc::{self, Code, Outgoing, Schema, Status},
    metrics::{MetricId, TagSet, builtin},
    vm::{
        Local,
        fiber::Handle,
        operations::{Events, Make, Then},
        state,
    },
};

/// A call as a script holds it.
struct Writing {
    local: Rc<Local>,
    method: MethodDescriptor,
    tags: TagSet,
    messages: Rc<Queue<Bytes>>,
}

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("grpcStream", Function::new(ctx.clone(), open)?)?;
    native.set("grpcWrite", Function::new(ctx.clone(), write)?)?;
    native.set("grpcEnd", Function::new(ctx.clone(), end)?)
}

/// Begins a call; `dispatch` is called with what comes.
fn open<'js>(
    ctx: Ctx<'js>,
    client: Value<'js>,
    name: String,
    params: Object<'js>,
    dispatch: Function<'js>,
) -> Result<Value<'js>> {
    let prepared = prepare(&ctx, &client, &name, &params, None)?;
    let Some(vu) = state::current() else { return Ok(Value::new_null(ctx)) };
    let messages: Rc<Queue<Bytes>> = Rc::default();
    let waiting = Closing(Rc::clone(&messages));
    let writing = Writing {
        local: Rc::clone(&vu.local),
        method: prepared.method.clone(),
        tags: prepared.tags.clone(),
        messages,
    };
    writing.record(builtin::GRPC_STREAMS);
    let then = Then::Call { function: Persistent::save(&ctx, dispatch), repeats: true };
    let local = Rc::clone(&vu.local);
    let started = vu.operations.start_source(then, move |events| async move {
        let begun = clock::now();
        let talk = talk(&local, &prepared, &waiting.0, &events);
        let status = grpc::within(prepared.call.timeout, talk)
            .await
            .err()
            .unwrap_or_else(|| Status::new(Code::OK, ""));
        count(&local, &prepared, &status, clock::now() - begun);
        if status.code != Code::OK {
            let make: Make =
                Box::new(move |ctx| event(ctx, "error", problem(ctx, &status)?.into_value()));
            events.send(make).await;
        }
        events.send(Box::new(|ctx| event(ctx, "end", Value::new_undefined(ctx.clone())))).await;
    });
    if started.is_none() {
        return Err(Exception::throw_range(&ctx, "too many streams"));
    }
    let plain = vu.machine.prototypes().plain.clone().restore(&ctx)?;
    Handle::object(plain, writing)
}

/// Nothing is taken out of a queue whose call has ended.
struct Closing(Rc<Queue<Bytes>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Sends what the script writes and tells what comes, until the server ends the call.
async fn talk(
    local: &Local,
    prepared: &Prepared,
    waiting: &Queue<Bytes>,
    events: &Events,
) -> std::result::Result<(), Status> {
    let (mut outgoing, mut incoming) = prepared.channel.open(&prepared.call).await?;
    let reading = async {
        while let Some(message) = incoming.message().await? {
            local.record(&[(builtin::GRPC_STREAMS_MSGS_RECEIVED, 1.0)], &prepared.tags);
            let json = Schema::decode(prepared.method.output(), &message)
                .map_err(|why| Status::new(Code::INTERNAL, format!("grpc: {why}")))?;
            let make: Make = Box::new(move |ctx| event(ctx, "data", ctx.json_parse(json)?));
            events.send(make).await;
        }
        Ok(())
    };
    tokio::select! {
        ended = reading => ended,
        () = send(&mut outgoing, waiting) => Ok(()),
        () = waiting.stuck() => {
            let text = "the server takes no messages, and too many wait";
            Err(Status::new(Code::RESOURCE_EXHAUSTED, text))
        }
    }
}

/// Sends what comes; never ends, for how a call ended is known by what is read.
async fn send(outgoing: &mut Outgoing, waiting: &Queue<Bytes>) {
    while let Some(message) = waiting.next().await {
        waiting.sent(message.len());
        if outgoing.send(&message, false).await.is_err() {
            return std::future::pending().await;
        }
    }
    outgoing.end();
    std::future::pending().await
}

fn event<'js>(ctx: &Ctx<'js>, kind: &str, data: Value<'js>) -> Result<Value<'js>> {
    let array = Array::new(ctx.clone())?;
    array.set(0, kind)?;
    array.set(1, data)?;
    Ok(array.into_value())
}

impl Writing {
    fn record(&self, metric: MetricId) {
        self.local.record(&[(metric, 1.0)], &self.tags);
    }
}

fn writing(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<Rc<Writing>> {
    Handle::of::<Writing>(value).ok_or_else(|| Exception::throw_type(ctx, "not a stream"))
}

fn write<'js>(ctx: Ctx<'js>, handle: Value<'js>, message: Value<'js>) -> Result<()> {
    let writing = writing(&ctx, &handle)?;
    let message = encode(&ctx, &writing.method, message)?;
    writing.record(builtin::GRPC_STREAMS_MSGS_SENT);
    let bytes = message.len();
    writing.messages.push(&ctx, message, bytes, || 0)
}

fn end<'js>(ctx: Ctx<'js>, handle: Value<'js>) -> Result<()> {
    writing(&ctx, &handle)?.messages.end();
    Ok(())
}
