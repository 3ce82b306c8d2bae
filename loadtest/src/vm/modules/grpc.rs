//! Natives of `k6/net/grpc`: the client and its unary calls.

use std::{cell::RefCell, path::PathBuf, rc::Rc, time::Duration};

use bytes::Bytes;
use prost_reflect::MethodDescriptor;
use rquickjs::{Ctx, Exception, Function, Object, Persistent, Promise, Result, Value};

use super::{
    bytes as script_bytes,
    core::{pairs, text},
    grpc_tls,
    http::duration,
};
use crate::{
    clock,
    grpc::{self, Call, Channel, Code, Reply, Schema, Status},
    http::Target,
    metrics::{TagSet, Tags as _, builtin},
    options::SystemTag,
    vm::{
        Local,
        fiber::{self, Handle},
        operations::{Make, Then},
        state::{self, VuState},
    },
};

/// Of a call that sets none, and of connecting; k6's.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The largest message that is taken where nothing else is said; that of other clients.
const RECEIVES_BYTES: f64 = 4.0 * 1024.0 * 1024.0;

/// The method of health checks.
const HEALTH: &str = "grpc.health.v1.Health/Check";

/// A client of a script.
#[derive(Default)]
pub(super) struct Client {
    schema: RefCell<Schema>,
    channel: RefCell<Option<Rc<Channel>>>,
}

/// A call that is about to be made.
pub(super) struct Prepared {
    pub(super) channel: Rc<Channel>,
    pub(super) method: MethodDescriptor,
    pub(super) call: Call,
    pub(super) tags: TagSet,
    discards: bool,
}

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("grpcNew", Function::new(ctx.clone(), new)?)?;
    native.set("grpcLoad", Function::new(ctx.clone(), load)?)?;
    native.set("grpcLoadSet", Function::new(ctx.clone(), load_set)?)?;
    native.set("grpcLoadHealth", Function::new(ctx.clone(), load_health)?)?;
    native.set("grpcConnect", Function::new(ctx.clone(), connect)?)?;
    native.set("grpcClose", Function::new(ctx.clone(), close)?)?;
    native.set("grpcInvoke", Function::new(ctx.clone(), invoke)?)?;
    native.set("grpcInvokeAsync", Function::new(ctx.clone(), invoke_async)?)?;
    super::grpc_stream::install(ctx, native)
}

fn client(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<Rc<Client>> {
    Handle::of::<Client>(value).ok_or_else(|| Exception::throw_type(ctx, "not a gRPC client"))
}

fn new(ctx: Ctx<'_>) -> Result<Value<'_>> {
    let Some(vu) = state::current() else { return Ok(Value::new_null(ctx)) };
    let plain = vu.machine.prototypes().plain.clone().restore(&ctx)?;
    Handle::object(plain, Client::default())
}

fn loading(ctx: &Ctx<'_>) -> Result<Rc<VuState>> {
    state::current().filter(|vu| vu.is_init.get()).ok_or_else(|| {
        let text = "load must be called in the init context";
        Exception::throw_message(ctx, text)
    })
}

fn load<'js>(
    ctx: Ctx<'js>,
    handle: Value<'js>,
    folders: Vec<String>,
    files: Vec<String>,
) -> Result<Value<'js>> {
    let (vu, client) = (loading(&ctx)?, client(&ctx, &handle)?);
    let bundle = &vu.local.environment.bundle;
    let mut paths: Vec<PathBuf> =
        folders.iter().map(|folder| bundle.resolve(bundle.folder(), folder)).collect();
    if paths.is_empty() {
        paths.push(bundle.folder().to_path_buf());
    }
    // On the thread's own stack: compiling needs more than is left of a script's.
    let compiling = fiber::wait(async { bundle.schemas.compile(&paths, &files) });
    let loaded = compiling.map_err(|_| fiber::throw_stopped(&ctx))?;
    let loaded = loaded.and_then(|pool| client.schema.borrow_mut().add(&pool));
    ctx.json_parse(loaded.map_err(|why| Exception::throw_message(&ctx, &why))?)
}

fn load_set<'js>(ctx: Ctx<'js>, handle: Value<'js>, file: String) -> Result<Value<'js>> {
    let (vu, client) = (loading(&ctx)?, client(&ctx, &handle)?);
    let bundle = &vu.local.environment.bundle;
    let loaded = bundle.schemas.decode(&bundle.resolve(bundle.folder(), &file));
    let loaded = loaded.and_then(|pool| client.schema.borrow_mut().add(&pool));
    ctx.json_parse(loaded.map_err(|why| Exception::throw_message(&ctx, &why))?)
}

/// Makes the service of health checks known, unless the script has.
fn load_health<'js>(ctx: Ctx<'js>, handle: Value<'js>) -> Result<()> {
    let client = client(&ctx, &handle)?;
    if client.schema.borrow().method(HEALTH).is_some() {
        return Ok(());
    }
    // On the thread's own stack: compiling needs more than is left of a script's.
    let compiling = fiber::wait(async { grpc::health() });
    let files = compiling.map_err(|_| fiber::throw_stopped(&ctx))?;
    let loaded = files.and_then(|files| client.schema.borrow_mut().add_files(files));
    loaded.map_err(|why| Exception::throw_message(&ctx, &why))
}

fn connect<'js>(
    ctx: Ctx<'js>,
    handle: Value<'js>,
    address: String,
    params: Object<'js>,
) -> Result<()> {
    let client = client(&ctx, &handle)?;
    let Some(vu) = state::current().filter(|vu| !vu.is_init.get()) else {
        let text = "connecting to a gRPC server in the init context is not supported";
        return Err(Exception::throw_message(&ctx, text));
    };
    let known = [
        "plaintext",
        "reflect",
        "reflectMetadata",
        "timeout",
        "maxReceiveSize",
        "maxSendSize",
        "tls",
    ];
    for key in params.keys::<String>() {
        let key = key?;
        if !known.contains(&&*key) {
            let text = format!("invalid grpc.connect() parameters: unknown connect param: {key:?}");
            return Err(Exception::throw_message(&ctx, &text));
        }
    }
    let flag =
        |key: &str| Ok::<_, rquickjs::Error>(params.get::<_, Option<bool>>(key)? == Some(true));
    let (is_plain, reflects) = (flag("plaintext")?, flag("reflect")?);
    let timeout: Value<'js> = params.get("timeout")?;
    let timeout = if timeout.is_undefined() { TIMEOUT } else { duration(&ctx, &timeout)? };
    let receives: Option<f64> = params.get("maxReceiveSize")?;
    let receives = receives.filter(|size| *size > 0.0).unwrap_or(RECEIVES_BYTES) as usize;
    let scheme = if is_plain { "http" } else { "https" };
    let target = Target::parse(&format!("{scheme}://{address}"));
    let target = target.map_err(|why| Exception::throw_message(&ctx, &why.text))?;
    let tls = match params.get::<_, Option<Object<'js>>>("tls")? {
        Some(tls) if !is_plain => Some(grpc_tls::config(&ctx, &vu, &tls)?),
        _ => None,
    };
    let channel = Rc::new(Channel::new(Rc::clone(&vu.local.net), target, tls, receives));
    let metadata = metadata(&ctx, &vu, params.get("reflectMetadata")?)?;
    let mut schema = client.schema.borrow().clone();
    let connecting = tokio::time::timeout(timeout, async {
        channel.connect().await.map_err(|error| error.text)?;
        match reflects {
            true => grpc::reflect(&channel, &metadata, &mut schema).await,
            false => Ok(()),
        }
    });
    let connected = fiber::wait(connecting).map_err(|_| fiber::throw_stopped(&ctx))?;
    let late = || Err("context deadline exceeded".to_string());
    if let Err(why) = connected.unwrap_or_else(|_| late()) {
        return Err(Exception::throw_message(&ctx, &why));
    }
    if reflects {
        *client.schema.borrow_mut() = schema;
    }
    *client.channel.borrow_mut() = Some(channel);
    Ok(())
}

fn close<'js>(ctx: Ctx<'js>, handle: Value<'js>) -> Result<()> {
    client(&ctx, &handle)?.channel.borrow_mut().take();
    Ok(())
}

/// Metadata of a script as headers; those that end in `-bin` are coded (gRPC over HTTP/2).
fn metadata<'js>(ctx: &Ctx<'js>, vu: &VuState, given: Value<'js>) -> Result<Vec<(String, String)>> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut all = vec![("user-agent".to_string(), super::http::user_agent(vu).to_string())];
    let Some(given) = given.as_object() else {
        return if given.is_undefined() || given.is_null() {
            Ok(all)
        } else {
            Err(Exception::throw_type(ctx, "metadata must be an object with key-value pairs"))
        };
    };
    for entry in given.props::<String, Value<'js>>() {
        let (name, value) = entry?;
        let name = name.to_ascii_lowercase();
        let value = match script_bytes::of(&value)? {
            Some(bytes) if name.ends_with("-bin") => STANDARD.encode(bytes),
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => {
                return Err(Exception::throw_type(ctx, &format!("metadata {name:?} is no text")));
            }
        };
        super::http::check_header(ctx, &name, &value)?;
        all.retain(|(other, _)| name != "user-agent" || *other != name);
        all.push((name, value));
    }
    Ok(all)
}

/// The call that a script wants; `timeout` where it sets none.
pub(super) fn prepare<'js>(
    ctx: &Ctx<'js>,
    handle: &Value<'js>,
    name: &str,
    params: &Object<'js>,
    timeout: Option<Duration>,
) -> Result<Prepared> {
    let client = client(ctx, handle)?;
    let Some(vu) = state::current().filter(|vu| !vu.is_init.get()) else {
        let text = "invoking RPC methods in the init context is not supported";
        return Err(Exception::throw_message(ctx, text));
    };
    let Some(channel) = client.channel.borrow().clone() else {
        let text = "no gRPC connection, you must call connect first";
        return Err(Exception::throw_message(ctx, text));
    };
    let path = format!("/{}", name.trim_start_matches('/'));
    let Some(method) = client.schema.borrow().method(&path) else {
        let text = format!("method {path:?} not found in file descriptors");
        return Err(Exception::throw_message(ctx, &text));
    };
    let given: Value<'js> = params.get("timeout")?;
    let timeout = match given.is_undefined() {
        true => timeout,
        false => Some(duration(ctx, &given)?),
    };
    let metadata = metadata(ctx, &vu, params.get("metadata")?)?;
    let own = match params.get::<_, Option<Object<'js>>>("tags")? {
        Some(tags) => pairs(&tags)?,
        None => Vec::new(),
    };
    let (service, url) = (method.parent_service(), format!("{}{path}", channel.authority()));
    let enabled = vu.system_tags();
    let system = [
        (SystemTag::Url, "url", &*url),
        (SystemTag::Name, "name", &*url),
        (SystemTag::Service, "service", service.full_name()),
        (SystemTag::Method, "method", method.name()),
    ];
    let system = system.iter().filter(|(tag, ..)| enabled.has(*tag));
    let mut tags: Vec<(&str, &str)> = system.map(|(_, name, value)| (*name, *value)).collect();
    tags.extend(own.iter().map(|(key, value)| (&**key, &**value)));
    let tags = vu.sample_tags(&tags).to_set();
    let discards = params.get::<_, Option<bool>>("discardResponseMessage")? == Some(true);
    let call = Call { path, metadata, timeout };
    Ok(Prepared { channel, method, call, tags, discards })
}

/// A message that a script wrote.
pub(super) fn encode<'js>(
    ctx: &Ctx<'js>,
    method: &MethodDescriptor,
    message: Value<'js>,
) -> Result<Bytes> {
    let json = ctx.json_stringify(message)?.map(|json| json.to_string()).transpose()?;
    let encoded = Schema::encode(method.input(), json.as_deref().unwrap_or("null"));
    encoded.map_err(|why| {
        let text = format!("unable to serialise request object to protocol buffer: {why}");
        Exception::throw_message(ctx, &text)
    })
}

fn invoke<'js>(
    ctx: Ctx<'js>,
    handle: Value<'js>,
    name: String,
    message: Value<'js>,
    params: Object<'js>,
) -> Result<Value<'js>> {
    let prepared = prepare(&ctx, &handle, &name, &params, Some(TIMEOUT))?;
    let message = encode(&ctx, &prepared.method, message)?;
    let Some(vu) = state::current() else { return Ok(Value::new_null(ctx)) };
    let making = perform(Rc::clone(&vu.local), prepared, message);
    let make = fiber::wait(making).map_err(|_| fiber::throw_stopped(&ctx))?;
    make(&ctx)
}

fn invoke_async<'js>(
    ctx: Ctx<'js>,
    handle: Value<'js>,
    name: String,
    message: Value<'js>,
    params: Object<'js>,
) -> Result<Promise<'js>> {
    let prepared = prepare(&ctx, &handle, &name, &params, Some(TIMEOUT))?;
    let message = encode(&ctx, &prepared.method, message)?;
    let (promise, resolve, reject) = ctx.promise()?;
    let then = Then::Settle {
        resolve: Persistent::save(&ctx, resolve),
        reject: Persistent::save(&ctx, reject),
    };
    let started = state::current().and_then(|vu| {
        let making = perform(Rc::clone(&vu.local), prepared, message);
        vu.operations.start_call(then, making)
    });
    match started {
        Some(_) => Ok(promise),
        None => Err(Exception::throw_range(&ctx, "too many calls at once")),
    }
}

/// Makes a call, counts it, and has what scripts see of it.
async fn perform(local: Rc<Local>, prepared: Prepared, message: Bytes) -> Make {
    let begun = clock::now();
    let mut reply = prepared.channel.unary(&prepared.call, &message).await;
    count(&local, &prepared, &reply.status, clock::now() - begun);
    let json = match reply.messages.first() {
        Some(bytes) if reply.status.code == Code::OK && !prepared.discards => {
            match Schema::decode(prepared.method.output(), bytes) {
                Ok(json) => Some(json),
                Err(why) => {
                    reply.status = Status::new(Code::INTERNAL, format!("grpc: {why}"));
                    None
                }
            }
        }
        _ => None,
    };
    Box::new(move |ctx| response(ctx, &reply, json.as_deref()).map(Object::into_value))
}

/// Counts a call that has ended.
pub(super) fn count(local: &Local, prepared: &Prepared, status: &Status, took: Duration) {
    let code = status.code.0.to_string();
    let is_tagged = local.environment.options.system_tags.has(SystemTag::Status);
    let more = [("status", &*code)];
    let tags = prepared.tags.with(if is_tagged { &more } else { &[] });
    local.record(&[(builtin::GRPC_REQ_DURATION, took.as_secs_f64() * 1e3)], &tags);
    let (sent, received) = prepared.channel.take_traffic();
    let traffic = [(builtin::DATA_SENT, sent as f64), (builtin::DATA_RECEIVED, received as f64)];
    local.record(&traffic, &prepared.tags);
}

fn response<'js>(ctx: &Ctx<'js>, reply: &Reply, json: Option<&str>) -> Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    object.set("status", reply.status.code.0)?;
    match json {
        Some(json) => object.set("message", ctx.json_parse(json)?)?,
        None => object.set("message", Value::new_null(ctx.clone()))?,
    }
    for (name, headers) in [("headers", &reply.headers), ("trailers", &reply.trailers)] {
        let all = Object::new(ctx.clone())?;
        for key in headers.keys() {
            let values = headers.get_all(key).iter();
            let values: Vec<_> = values
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect();
            all.set(key.as_str(), values)?;
        }
        object.set(name, all)?;
    }
    match reply.status.code {
        Code::OK => object.set("error", Value::new_null(ctx.clone()))?,
        _ => object.set("error", problem(ctx, &reply.status)?)?,
    }
    Ok(object)
}

/// A status as scripts see an error.
pub(super) fn problem<'js>(ctx: &Ctx<'js>, status: &Status) -> Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    object.set("code", status.code.0)?;
    object.set("message", &*status.message)?;
    object.set("details", Vec::<String>::new())?;
    Ok(object)
}

/// The text of a value, or each of an array's.
pub(super) fn texts(value: &Value<'_>) -> Result<Vec<String>> {
    match value.as_array() {
        Some(all) => all.iter::<Value<'_>>().map(|value| text(&value?)).collect(),
        None if value.is_undefined() || value.is_null() => Ok(Vec::new()),
        None => Ok(vec![text(value)?]),
    }
}
