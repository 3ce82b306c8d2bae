//! Natives of `k6/ws`, whose `connect()` lasts as long as its connection, and of
//! `k6/websockets`, whose connections are events of the iteration.

use std::rc::Rc;

use rquickjs::{Ctx, Exception, Function, Object, Persistent, Result, Value};
use tokio_tungstenite::tungstenite::Message;

use super::{
    bytes,
    cookies::jar_of,
    core::{pairs, text},
    http::{SharedJar, check_header},
    session::{Ending, Happening, Session},
};
use crate::{
    clock,
    http::{Cookie, Target, Upgrade, Upgraded, canonical},
    metrics::Tags as _,
    options::SystemTag,
    vm::{
        fiber,
        fiber::Handle,
        operations::{Operations, Then},
        state::{self, VuState},
    },
};

/// A connection as a script holds it.
struct Socket {
    session: Rc<Session>,
    /// Of `k6/ws`: what happens while `connect()` lasts.
    own: Option<Rc<Operations>>,
}

/// What a script asks for.
struct Wanted {
    upgrade: Upgrade,
    jar: SharedJar,
    session: Rc<Session>,
}

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("wsConnect", Function::new(ctx.clone(), connect)?)?;
    native.set("wsOpen", Function::new(ctx.clone(), open)?)?;
    native.set("wsSend", Function::new(ctx.clone(), send)?)?;
    native.set("wsPing", Function::new(ctx.clone(), ping)?)?;
    native.set("wsClose", Function::new(ctx.clone(), close)?)?;
    native.set("wsEnd", Function::new(ctx.clone(), end)?)?;
    native.set("wsTimer", Function::new(ctx.clone(), timer)?)?;
    native.set("wsBuffered", Function::new(ctx.clone(), buffered)?)?;
    native.set("textOf", Function::new(ctx.clone(), text_of)?)?;
    native.set("bytesOf", Function::new(ctx.clone(), bytes_of)?)
}

fn wanted<'js>(
    ctx: &Ctx<'js>,
    vu: &VuState,
    url: &str,
    protocols: &[String],
    params: &Object<'js>,
) -> Result<Wanted> {
    let http = match url.get(..2) {
        Some(scheme) if scheme.eq_ignore_ascii_case("ws") => format!("http{}", &url[2..]),
        _ => url.to_string(),
    };
    let target = Target::parse(&http)
        .map_err(|why| Exception::throw_syntax(ctx, &format!("invalid URL '{url}': {why}")))?;
    let mut headers = Vec::new();
    if let Some(given) = params.get::<_, Option<Object<'js>>>("headers")? {
        for (name, value) in pairs(&given)? {
            check_header(ctx, &name, &value)?;
            headers.push((name.into(), value.into()));
        }
    }
    let compression: Option<String> = params.get("compression")?;
    if compression.is_some_and(|compression| !compression.is_empty()) {
        let text = "compression of WebSockets is not supported by weir-load";
        return Err(Exception::throw_message(ctx, text));
    }
    let jar: Value<'js> = params.get("jar")?;
    let jar = jar_of(&jar).unwrap_or_else(|| Rc::clone(&vu.jar));
    let cookies: Vec<String> = {
        let jar = jar.borrow();
        let cookies = jar.cookies_for(&target, clock::unix());
        cookies.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect()
    };
    if !cookies.is_empty() {
        headers.push(("Cookie".into(), cookies.join("; ").into()));
    }
    if !protocols.is_empty() {
        headers.push(("Sec-WebSocket-Protocol".into(), protocols.join(", ").into()));
    }
    let has = |wanted: &str, headers: &[(Rc<str>, Rc<str>)]| {
        headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted))
    };
    if !has("user-agent", &headers) {
        let agent = super::http::user_agent(vu);
        headers.push(("User-Agent".into(), agent.into()));
    }
    let mut tags = match params.get::<_, Option<Object<'js>>>("tags")? {
        Some(tags) => pairs(&tags)?,
        None => Vec::new(),
    };
    if vu.system_tags().has(SystemTag::Url) {
        tags.insert(0, ("url".into(), url.into()));
    }
    let tags: Vec<(&str, &str)> = tags.iter().map(|(key, value)| (&**key, &**value)).collect();
    let key = vu.random.borrow_mut().u128(..).to_be_bytes();
    let session = Session::new(Rc::clone(&vu.local), vu.sample_tags(&tags).to_set());
    Ok(Wanted { upgrade: Upgrade { target: Rc::new(target), headers, key }, jar, session })
}

fn user(ctx: &Ctx<'_>) -> Result<Rc<VuState>> {
    state::current().filter(|vu| !vu.is_init.get()).ok_or_else(|| {
        let text = "using WebSockets in the init context is not supported";
        Exception::throw_message(ctx, text)
    })
}

fn take_cookies(answer: &Upgraded, wanted: &Upgrade, jar: &SharedJar) {
    let now = clock::unix();
    answer.head.each(|name, value| {
        if name.eq_ignore_ascii_case("set-cookie") {
            let header = String::from_utf8_lossy(value);
            if let Some(cookie) = Cookie::parse(&header, &wanted.target, now) {
                jar.borrow_mut().put(cookie, now);
            }
        }
    });
}

/// Connects, lets `begin` set up the socket, and does what happens until it is closed.
fn connect<'js>(
    ctx: Ctx<'js>,
    url: String,
    params: Object<'js>,
    begin: Function<'js>,
) -> Result<Object<'js>> {
    let vu = user(&ctx)?;
    let wanted = wanted(&ctx, &vu, &url, &[], &params)?;
    let session = Rc::clone(&wanted.session);
    let _ending = Ending(Rc::clone(&session));
    let opening = session.open(&wanted.upgrade);
    let mut answer = fiber::wait(opening).map_err(|_| fiber::throw_stopped(&ctx))?;
    take_cookies(&answer, &wanted.upgrade, &wanted.jar);
    let Some((stream, rest)) = answer.stream.take() else {
        let error = answer.error.as_ref().map(|error| &*error.text).unwrap_or_default();
        if vu.fail_on_error.get() {
            return Err(Exception::throw_message(&ctx, error));
        }
        return response(&ctx, &url, &answer);
    };
    let own = Rc::new(Operations::default());
    let _leaving = Leaving(Rc::clone(&own));
    let socket = Socket { session: Rc::clone(&session), own: Some(Rc::clone(&own)) };
    let plain = vu.machine.prototypes().plain.clone().restore(&ctx)?;
    let dispatch: Function<'js> = begin.call((Handle::object(plain, socket)?,))?;
    let then = Then::Call { function: Persistent::save(&ctx, dispatch), repeats: true };
    let reading = Rc::clone(&session);
    own.start_source(then, move |events| async move {
        let stream = reading.start(stream, rest).await;
        events.send(Happening::Open(String::new()).into_value()).await;
        reading.read(stream, &events).await;
    });
    while !session.is_ended() && !own.is_empty() {
        own.run_next(&ctx).map_err(|_| fiber::throw_stopped(&ctx))??;
    }
    response(&ctx, &url, &answer)
}

/// Drops handlers at the end of a connection: they hold the socket, which holds them.
struct Leaving(Rc<Operations>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.cancel_all();
    }
}

fn response<'js>(ctx: &Ctx<'js>, url: &str, answer: &Upgraded) -> Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    object.set("url", url)?;
    object.set("status", answer.status)?;
    let headers = Object::new(ctx.clone())?;
    let mut all = Vec::new();
    answer.head.each(|name, value| {
        all.push((canonical(name), String::from_utf8_lossy(value).into_owned()));
    });
    for (name, value) in all {
        headers.set(name, value)?;
    }
    object.set("headers", headers)?;
    object.set("body", &*String::from_utf8_lossy(&answer.body))?;
    let error = answer.error.as_ref().filter(|_| answer.status == 0);
    object.set("error", error.map_or("", |error| &*error.text))?;
    Ok(object)
}

/// Begins to connect; `dispatch` is called with what happens.
fn open<'js>(
    ctx: Ctx<'js>,
    url: String,
    protocols: Vec<String>,
    params: Object<'js>,
    dispatch: Function<'js>,
) -> Result<Value<'js>> {
    let vu = user(&ctx)?;
    let wanted = wanted(&ctx, &vu, &url, &protocols, &params)?;
    let session = Rc::clone(&wanted.session);
    let then = Then::Call { function: Persistent::save(&ctx, dispatch), repeats: true };
    let started = vu.operations.start_source(then, move |events| async move {
        let session = Rc::clone(&wanted.session);
        let _ending = Ending(Rc::clone(&session));
        let mut answer = session.open(&wanted.upgrade).await;
        take_cookies(&answer, &wanted.upgrade, &wanted.jar);
        match answer.stream.take() {
            Some((stream, rest)) => {
                let stream = session.start(stream, rest).await;
                let protocol = answer.head.first("sec-websocket-protocol").unwrap_or_default();
                events.send(Happening::Open(protocol).into_value()).await;
                session.read(stream, &events).await;
            }
            None => {
                let error = answer.error.map(|error| error.text).unwrap_or_default();
                events.send(Happening::Error(error).into_value()).await;
                events.send(Happening::Closed(1006, String::new()).into_value()).await;
            }
        }
    });
    if started.is_none() {
        return Err(Exception::throw_range(&ctx, "too many connections"));
    }
    let plain = vu.machine.prototypes().plain.clone().restore(&ctx)?;
    Handle::object(plain, Socket { session, own: None })
}

fn socket(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<Rc<Socket>> {
    Handle::of::<Socket>(value).ok_or_else(|| Exception::throw_type(ctx, "not a socket"))
}

fn send<'js>(ctx: Ctx<'js>, handle: Value<'js>, data: Value<'js>, binary: bool) -> Result<()> {
    let socket = socket(&ctx, &handle)?;
    let session = &socket.session;
    let message = match (binary, data.as_string().is_some()) {
        (false, _) | (true, true) => Message::text(text(&data)?),
        (true, false) => match bytes::of(&data)? {
            Some(bytes) => Message::binary(bytes),
            None => return Err(Exception::throw_type(&ctx, "a text or an ArrayBuffer is sent")),
        },
    };
    session.send(&ctx, message)
}

fn ping<'js>(ctx: Ctx<'js>, handle: Value<'js>) -> Result<()> {
    socket(&ctx, &handle)?.session.ping(&ctx)
}

fn close<'js>(ctx: Ctx<'js>, handle: Value<'js>, code: f64, reason: String) -> Result<()> {
    socket(&ctx, &handle)?.session.close(&ctx, code as u16, &reason)
}

fn end<'js>(ctx: Ctx<'js>, handle: Value<'js>) -> Result<()> {
    socket(&ctx, &handle)?.session.end();
    Ok(())
}

fn buffered<'js>(ctx: Ctx<'js>, handle: Value<'js>) -> Result<f64> {
    Ok(socket(&ctx, &handle)?.session.buffered() as f64)
}

fn timer<'js>(
    ctx: Ctx<'js>,
    handle: Value<'js>,
    call: Function<'js>,
    delay_ms: f64,
    repeats: bool,
) -> Result<()> {
    let socket = socket(&ctx, &handle)?;
    let Some(own) = &socket.own else { return Ok(()) };
    match super::timers::begin(own, &ctx, call, delay_ms, repeats) {
        Some(_) => Ok(()),
        None => Err(Exception::throw_range(&ctx, "too many timers")),
    }
}

/// The text that bytes are.
fn text_of(value: Value<'_>) -> Result<String> {
    Ok(String::from_utf8_lossy(&bytes::of(&value)?.unwrap_or_default()).into_owned())
}

/// The bytes of a text, a buffer or a view of one, as a buffer of their own.
fn bytes_of<'js>(ctx: Ctx<'js>, value: Value<'js>) -> Result<Value<'js>> {
    match bytes::of(&value)? {
        Some(all) => bytes::buffer(&ctx, &all),
        None => bytes::buffer(&ctx, text(&value)?.as_bytes()),
    }
}
