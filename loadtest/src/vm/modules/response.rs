//! `Response` of `k6/http`: looked at lazily, for most of it is never looked at.

use std::rc::Rc;

use rquickjs::{
    Array, Ctx, Exception, Function, Object, Result, Value,
    function::{Opt, This},
    object::{Accessor, Property},
};

use super::{
    bytes,
    perform::{Call, Wanted},
    selector,
};
use crate::{
    clock,
    http::{Cookie, Reply, canonical},
    vm::{fiber::Handle, state},
};

/// A response as a script has it.
#[derive(Debug)]
pub(crate) struct Response {
    pub(super) reply: Reply,
    pub(super) method: Rc<str>,
    pub(super) url: String,
    error_code: u32,
    wanted: Wanted,
    call: Call,
    cookies: Vec<(String, String)>,
}

/// What can be looked at.
const PROPERTIES: [&str; 16] = [
    "remote_ip",
    "remote_port",
    "url",
    "status",
    "status_text",
    "proto",
    "headers",
    "cookies",
    "body",
    "timings",
    "tls_version",
    "tls_cipher_suite",
    "ocsp",
    "error",
    "error_code",
    "request",
];

impl Response {
    pub(super) fn new(
        mut call: Call,
        reply: Reply,
        error_code: u32,
        cookies: Vec<(String, String)>,
    ) -> Self {
        let (method, url) = (Rc::clone(&call.request.method), std::mem::take(&mut call.url));
        let wanted = call.wanted;
        Self { reply, method, url, error_code, wanted, call, cookies }
    }

    /// The object that the script gets.
    pub(crate) fn into_value<'js>(self: Rc<Self>, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let Some(vu) = state::current() else { return Ok(Value::new_null(ctx.clone())) };
        let prototype = vu.machine.prototypes().response.clone().restore(ctx)?;
        Handle(self).into_object(prototype)
    }

    fn property<'js>(&self, ctx: &Ctx<'js>, name: &str) -> Result<Value<'js>> {
        let number = |number: f64| Ok(Value::new_number(ctx.clone(), number));
        let text = |text: &str| {
            rquickjs::String::from_str(ctx.clone(), text).map(rquickjs::String::into_value)
        };
        let reply = &self.reply;
        let tls = reply.tls.as_deref();
        match name {
            "remote_ip" => text(&reply.remote.map(|r| r.ip().to_string()).unwrap_or_default()),
            "remote_port" => number(reply.remote.map_or(0.0, |remote| f64::from(remote.port()))),
            "url" => text(&self.url),
            "status" => number(f64::from(reply.status)),
            "status_text" => text(&self.status_text()),
            "proto" => text(if reply.status == 0 { "" } else { reply.proto.name() }),
            "headers" => self.headers(ctx).map(Object::into_value),
            "cookies" => self.cookies(ctx).map(Object::into_value),
            "body" => self.body(ctx),
            "timings" => self.timings(ctx).map(Object::into_value),
            "tls_version" => text(tls.map_or("", |tls| tls.version)),
            "tls_cipher_suite" => text(tls.map_or("", |tls| &*tls.cipher)),
            "ocsp" => {
                let ocsp = Object::new(ctx.clone())?;
                for name in ["produced_at", "this_update", "next_update", "revoked_at"] {
                    ocsp.set(name, 0)?;
                }
                ocsp.set("revocation_reason", "")?;
                ocsp.set("status", "")?;
                Ok(ocsp.into_value())
            }
            "error" => text(reply.error.as_ref().map_or("", |error| &*error.text)),
            "error_code" => number(f64::from(self.error_code)),
            "request" => self.request(ctx).map(Object::into_value),
            _ => Ok(Value::new_undefined(ctx.clone())),
        }
    }

    fn status_text(&self) -> String {
        match ::http::StatusCode::from_u16(self.reply.status) {
            Ok(status) => {
                format!("{} {}", status.as_str(), status.canonical_reason().unwrap_or(""))
                    .trim_end()
                    .to_string()
            }
            Err(_) => String::new(),
        }
    }

    fn headers<'js>(&self, ctx: &Ctx<'js>) -> Result<Object<'js>> {
        let headers = Object::new(ctx.clone())?;
        let mut all: Vec<(String, String)> = Vec::new();
        self.reply.head.each(|name, value| {
            let (name, value) = (canonical(name), String::from_utf8_lossy(value));
            match all.iter_mut().find(|(other, _)| *other == name) {
                Some((_, before)) => {
                    before.push_str(", ");
                    before.push_str(&value);
                }
                None => all.push((name, value.into_owned())),
            }
        });
        for (name, value) in all {
            headers.set(name, value)?;
        }
        Ok(headers)
    }

    fn cookies<'js>(&self, ctx: &Ctx<'js>) -> Result<Object<'js>> {
        let (mut found, now) = (Vec::new(), clock::unix());
        self.reply.head.each(|name, value| {
            if name.eq_ignore_ascii_case("set-cookie") {
                let header = String::from_utf8_lossy(value);
                found.extend(Cookie::parse(&header, &self.call.request.target, now));
            }
        });
        let cookies = Object::new(ctx.clone())?;
        for cookie in &found {
            let object = Object::new(ctx.clone())?;
            object.set("name", &*cookie.name)?;
            object.set("value", &*cookie.value)?;
            let domain = if cookie.with_subdomains { &*cookie.domain } else { "" };
            object.set("domain", domain)?;
            object.set("path", if cookie.has_path { &*cookie.path } else { "" })?;
            object.set("http_only", cookie.http_only)?;
            object.set("httpOnly", cookie.http_only)?;
            object.set("secure", cookie.secure)?;
            object.set("max_age", cookie.max_age as f64)?;
            object.set("maxAge", cookie.max_age as f64)?;
            object.set("expires", cookie.expires.map_or(0.0, |at| at.as_secs_f64() * 1e3))?;
            let same: Array<'js> = match cookies.get::<_, Option<Array<'js>>>(&*cookie.name)? {
                Some(same) => same,
                None => Array::new(ctx.clone())?,
            };
            same.set(same.len(), object)?;
            cookies.set(&*cookie.name, same)?;
        }
        Ok(cookies)
    }

    fn body<'js>(&self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let is_nothing =
            self.wanted == Wanted::Nothing || matches!(self.reply.status, 0 | 204 | 304);
        match self.wanted {
            _ if is_nothing => Ok(Value::new_null(ctx.clone())),
            Wanted::Binary => bytes::buffer(ctx, &self.reply.body),
            _ => {
                let text = String::from_utf8_lossy(&self.reply.body);
                rquickjs::String::from_str(ctx.clone(), &text).map(rquickjs::String::into_value)
            }
        }
    }

    fn timings<'js>(&self, ctx: &Ctx<'js>) -> Result<Object<'js>> {
        let times = &self.reply.timings;
        let all = [
            ("duration", times.duration()),
            ("blocked", times.blocked),
            ("looking_up", std::time::Duration::ZERO),
            ("connecting", times.connecting),
            ("tls_handshaking", times.tls_handshaking),
            ("sending", times.sending),
            ("waiting", times.waiting),
            ("receiving", times.receiving),
        ];
        let timings = Object::new(ctx.clone())?;
        for (name, time) in all {
            timings.set(name, time.as_secs_f64() * 1e3)?;
        }
        Ok(timings)
    }

    fn request<'js>(&self, ctx: &Ctx<'js>) -> Result<Object<'js>> {
        let sent = &self.call.request;
        let request = Object::new(ctx.clone())?;
        // A response tells of the request as the script made it.
        let (method, url) = match self.call.asked.as_deref() {
            Some((method, url)) => (method, url),
            None => (&self.method, &self.url),
        };
        request.set("method", &**method)?;
        request.set("url", &**url)?;
        let body = sent.body.as_deref().unwrap_or_default();
        request.set("body", &*String::from_utf8_lossy(body))?;
        let headers = Object::new(ctx.clone())?;
        for (name, value) in &sent.headers {
            headers.set(canonical(name), vec![&**value])?;
        }
        request.set("headers", headers)?;
        let cookies = Object::new(ctx.clone())?;
        for (name, value) in &self.cookies {
            let cookie = Object::new(ctx.clone())?;
            cookie.set("name", &**name)?;
            cookie.set("value", &**value)?;
            cookie.set("replace", false)?;
            cookies.set(&**name, vec![cookie])?;
        }
        request.set("cookies", cookies)?;
        Ok(request)
    }
}

/// The prototype of responses; `methods` are those said in JavaScript.
pub(super) fn prototype<'js>(ctx: &Ctx<'js>, methods: &Object<'js>) -> Result<Object<'js>> {
    let prototype = Object::new(ctx.clone())?;
    for name in PROPERTIES {
        let get = move |ctx: Ctx<'js>, this: This<Object<'js>>| -> Result<Value<'js>> {
            let response = response_of(&ctx, this.0.as_value())?;
            let value = response.property(&ctx, name)?;
            // Objects are the same each time they are looked at, and texts are made once.
            if value.is_object() || name == "body" {
                keep(&this.0, name, value.clone())?;
            }
            Ok(value)
        };
        let set = move |this: This<Object<'js>>, value: Value<'js>| keep(&this.0, name, value);
        prototype.prop(name, Accessor::new(get, set).enumerable().configurable())?;
    }
    prototype.set("json", Function::new(ctx.clone(), json)?)?;
    prototype.set("toJSON", Function::new(ctx.clone(), to_json)?)?;
    for method in methods.props::<String, Value<'js>>() {
        let (name, method) = method?;
        prototype.set(name, method)?;
    }
    Ok(prototype)
}

fn keep<'js>(object: &Object<'js>, name: &str, value: Value<'js>) -> Result<()> {
    object.prop(name, Property::from(value).writable().enumerable().configurable())
}

fn response_of(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<Rc<Response>> {
    Handle::of::<Response>(value).ok_or_else(|| Exception::throw_type(ctx, "not a Response"))
}

fn to_json<'js>(ctx: Ctx<'js>, this: This<Object<'js>>) -> Result<Object<'js>> {
    let object = Object::new(ctx)?;
    for name in PROPERTIES {
        object.set(name, this.0.get::<_, Value<'js>>(name)?)?;
    }
    Ok(object)
}

fn json<'js>(ctx: Ctx<'js>, this: This<Value<'js>>, path: Opt<Value<'js>>) -> Result<Value<'js>> {
    let response = response_of(&ctx, &this.0)?;
    if response.wanted == Wanted::Nothing || response.reply.body.is_empty() {
        let text = "the body is null so we can't transform it to JSON - this likely was because \
                    of a request error getting the response";
        return Err(Exception::throw_message(&ctx, text));
    }
    let path = match path.0.as_ref().and_then(Value::as_string) {
        Some(path) => Some(path.to_string()?),
        None => None,
    };
    let body = &response.reply.body;
    let Some(path) = path else { return ctx.json_parse(&**body) };
    // Nothing is found in what is no JSON.
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    match parsed.and_then(|parsed| selector::select(&parsed, &path)) {
        Some(found) => ctx.json_parse(found.to_string()),
        None => Ok(Value::new_undefined(ctx)),
    }
}
