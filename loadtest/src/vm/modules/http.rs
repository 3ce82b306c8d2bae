//! The module `k6/http`: from a script's arguments to a [`Call`].

use std::{cell::RefCell, rc::Rc, time::Duration};

use rquickjs::{
    Array, Ctx, Exception, Function, Object, Persistent, Promise, Result, Value, function::Opt,
};

use super::{
    core::text,
    crypto,
    params::{self, TIMEOUT, apply, check_method, set_body, set_header},
    perform::{self, Call, Wanted},
    response::Response,
};
use crate::{
    http::{self, HttpError, Request, Target},
    vm::{
        console, fiber,
        operations::{Make, Then},
        state::{self, VuState},
    },
};

/// URLs that a thread remembers taken apart.
const TARGETS_MAX: usize = 4096;

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    for (name, method) in [("get", "GET"), ("head", "HEAD")] {
        let method: Rc<str> = method.into();
        let verb = move |ctx: Ctx<'js>, url: Opt<Value<'js>>, params: Opt<Value<'js>>| {
            request(&ctx, &method, &or_undefined(&ctx, url), None, params.0.as_ref())
        };
        native.set(name, Function::new(ctx.clone(), verb)?)?;
    }
    let verbs = [
        ("post", "POST"),
        ("put", "PUT"),
        ("patch", "PATCH"),
        ("del", "DELETE"),
        ("options", "OPTIONS"),
    ];
    for (name, method) in verbs {
        let method: Rc<str> = method.into();
        let verb = move |ctx: Ctx<'js>,
                         url: Opt<Value<'js>>,
                         body: Opt<Value<'js>>,
                         params: Opt<Value<'js>>| {
            let url = or_undefined(&ctx, url);
            request(&ctx, &method, &url, body.0.as_ref(), params.0.as_ref())
        };
        native.set(name, Function::new(ctx.clone(), verb)?)?;
    }
    native.set("request", Function::new(ctx.clone(), any_request)?)?;
    native.set("asyncRequest", Function::new(ctx.clone(), async_request)?)?;
    native.set("batch", Function::new(ctx.clone(), batch)?)?;
    super::expected::install(ctx, native)
}

fn or_undefined<'js>(ctx: &Ctx<'js>, value: Opt<Value<'js>>) -> Value<'js> {
    value.0.unwrap_or_else(|| Value::new_undefined(ctx.clone()))
}

fn request<'js>(
    ctx: &Ctx<'js>,
    method: &Rc<str>,
    url: &Value<'js>,
    body: Option<&Value<'js>>,
    params: Option<&Value<'js>>,
) -> Result<Value<'js>> {
    let vu = user(ctx)?;
    let call = call(ctx, &vu, Rc::clone(method), url, body, params)?;
    let response = fiber::wait(perform::perform(&vu, call));
    let response = response.map_err(|_| fiber::throw_stopped(ctx))?;
    finish(ctx, &vu, response)
}

/// Gives the response to the script; says what went wrong, or throws it.
fn finish<'js>(ctx: &Ctx<'js>, vu: &VuState, response: Rc<Response>) -> Result<Value<'js>> {
    if let Some(error) = &response.reply.error {
        if vu.fail_on_error.get() {
            return Err(Exception::throw_message(ctx, &error.text));
        }
        response.warn();
    }
    response.into_value(ctx)
}

fn user(ctx: &Ctx<'_>) -> Result<Rc<VuState>> {
    state::current().filter(|vu| !vu.is_init.get()).ok_or_else(|| {
        let text = "making http requests in the init context is not supported";
        Exception::throw_message(ctx, text)
    })
}

fn any_request<'js>(
    ctx: Ctx<'js>,
    method: String,
    url: Value<'js>,
    body: Opt<Value<'js>>,
    params: Opt<Value<'js>>,
) -> Result<Value<'js>> {
    let method = method.into();
    request(&ctx, &method, &url, body.0.as_ref(), params.0.as_ref())
}

fn async_request<'js>(
    ctx: Ctx<'js>,
    method: String,
    url: Value<'js>,
    body: Opt<Value<'js>>,
    params: Opt<Value<'js>>,
) -> Result<Promise<'js>> {
    let vu = user(&ctx)?;
    let method = method.into();
    let call = call(&ctx, &vu, method, &url, body.0.as_ref(), params.0.as_ref())?;
    let (promise, resolve, reject) = ctx.promise()?;
    let then = Then::Settle {
        resolve: Persistent::save(&ctx, resolve),
        reject: Persistent::save(&ctx, reject),
    };
    let user = Rc::clone(&vu);
    let request = async move {
        let response = perform::perform(&user, call).await;
        response.warn();
        let make: Make = Box::new(move |ctx| response.into_value(ctx));
        make
    };
    match vu.operations.start_call(then, request) {
        Some(_) => Ok(promise),
        None => Err(Exception::throw_range(&ctx, "too many requests at once")),
    }
}

fn batch<'js>(ctx: Ctx<'js>, requests: Vec<Array<'js>>) -> Result<Array<'js>> {
    let vu = user(&ctx)?;
    let mut calls = Vec::with_capacity(requests.len());
    for request in requests {
        let method = text(&request.get::<Value<'js>>(0)?)?.into();
        let (url, body, params) = (request.get(1)?, request.get(2)?, request.get(3)?);
        calls.push(call(&ctx, &vu, method, &url, Some(&body), Some(&params))?);
    }
    let responses = fiber::wait(perform::perform_all(&vu, calls));
    let responses = responses.map_err(|_| fiber::throw_stopped(&ctx))?;
    let array = Array::new(ctx.clone())?;
    for (at, response) in responses.into_iter().enumerate() {
        array.set(at, finish(&ctx, &vu, response)?)?;
    }
    Ok(array)
}

/// What a script asks for.
fn call<'js>(
    ctx: &Ctx<'js>,
    vu: &VuState,
    method: Rc<str>,
    url: &Value<'js>,
    body: Option<&Value<'js>>,
    params: Option<&Value<'js>>,
) -> Result<Call> {
    let is_url = url.is_object() || url.is_string();
    let (url, name) = match url.as_object() {
        Some(object) if url.as_string().is_none() => {
            (text(&object.get::<_, Value<'js>>("url")?)?, object.get::<_, Option<String>>("name")?)
        }
        _ => (text(url)?, None),
    };
    let options = vu.options();
    let found = match is_url {
        true => target_of(vu, &url),
        false => Err(HttpError::url(&format!("'{url}' is neither a text nor http.url"))),
    };
    let (target, error) = match found {
        Ok(target) => (target, None),
        Err(error) => (Rc::new(Target::nowhere()), Some(error)),
    };
    let mut call = Call {
        request: Request {
            method,
            target,
            headers: Vec::new(),
            body: None,
            timeout: TIMEOUT,
            keeps_body: true,
            version: options.http_version,
        },
        url,
        name,
        tags: Vec::new(),
        redirects: options.max_redirects,
        jar: Rc::clone(&vu.jar),
        cookies: Vec::new(),
        wanted: if options.discard_response_bodies { Wanted::Nothing } else { Wanted::Text },
        expected: vu.expected.borrow().clone(),
        asked: None,
        error,
    };
    let mut coding = None;
    if let Some(params) = params.and_then(Value::as_object) {
        for entry in params.props::<String, Value<'js>>() {
            let (key, value) = entry?;
            if key == "compression" {
                coding = Some(text(&value)?).filter(|coding| !coding.is_empty());
            } else {
                apply(&mut call, &key, &value)?;
            }
        }
    }
    if let Some(body) = body {
        set_body(ctx, &mut call, body)?;
    }
    if let (Some(coding), Some(body)) = (coding, &call.request.body) {
        match http::encode(body, &coding) {
            Ok(coded) => call.request.body = Some(coded.into()),
            Err(why) => call.error = Some(HttpError::param(why)),
        }
        set_header(&mut call.request, "Content-Encoding", &coding);
    }
    if let Some(userinfo) = &call.request.target.userinfo {
        let value = crypto::basic(userinfo);
        set_header(&mut call.request, "Authorization", &value);
    }
    let agent = user_agent(vu);
    if !agent.is_empty() {
        set_header(&mut call.request, "User-Agent", agent);
    }
    call.request.keeps_body = call.wanted != Wanted::Nothing;
    check_method(&mut call);
    Ok(call)
}

/// What `User-Agent` says of who sets none.
pub(super) fn user_agent(vu: &VuState) -> &str {
    let own = concat!("weir-load/", env!("CARGO_PKG_VERSION"));
    vu.options().user_agent.as_deref().unwrap_or(own)
}

/// Refuses what would be more than one header.
pub(super) fn check_header(ctx: &Ctx<'_>, name: &str, value: &str) -> Result<()> {
    let is_bad = |text: &str| text.contains(['\r', '\n', '\0']);
    if is_bad(value) || is_bad(name) || name.is_empty() || name.contains([' ', ':']) {
        return Err(Exception::throw_message(ctx, &format!("invalid header '{name}'")));
    }
    Ok(())
}

pub(super) fn duration(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<Duration> {
    params::duration(value)?.map_err(|error| Exception::throw_message(ctx, &error.text))
}

fn target_of(vu: &VuState, url: &str) -> std::result::Result<Rc<Target>, HttpError> {
    let mut targets = vu.local.targets.borrow_mut();
    if let Some(target) = targets.get(url) {
        return Ok(Rc::clone(target));
    }
    let target = Rc::new(Target::parse(url)?);
    if targets.len() >= TARGETS_MAX {
        targets.clear();
    }
    targets.insert(url.to_string(), Rc::clone(&target));
    Ok(target)
}

impl Response {
    /// Says on the console what went wrong, as k6 does.
    pub(super) fn warn(&self) {
        if let Some(error) = &self.reply.error {
            console::write(
                "warn",
                &format!(
                    "Request Failed error=\"{} \\\"{}\\\": {}\"",
                    self.method, self.url, error.text
                ),
            );
        }
    }
}

/// The jar of a call.
pub(super) type SharedJar = Rc<RefCell<http::Jar>>;
