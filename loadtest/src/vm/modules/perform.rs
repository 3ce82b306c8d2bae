//! A call of a script: the request, the redirects it leads to, cookies, and the metrics of each.

use std::{collections::HashMap, rc::Rc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;

use super::{http::SharedJar, response::Response};
use crate::{
    clock,
    http::{self, Cookie, HttpError, Jar, Reply, Request, Target},
    metrics::{TagSet, Tags, builtin},
    options::{SystemTag, SystemTags},
    vm::state::{Expected, VuState},
};

/// What of a response's body the script wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Text,
    Binary,
    Nothing,
}

/// What a script asks for.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) request: Request,
    /// As the script wrote it.
    pub(super) url: String,
    pub(super) name: Option<String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) redirects: u32,
    pub(super) jar: SharedJar,
    /// Cookies of this request alone: name, value, whether it replaces the jar's.
    pub(super) cookies: Vec<(String, String, bool)>,
    pub(super) wanted: Wanted,
    pub(super) expected: Option<Rc<Expected>>,
    /// Method and URL as the script wrote them, where a redirect led elsewhere.
    pub(super) asked: Option<Box<(Rc<str>, String)>>,
    /// Why it cannot be sent.
    pub(super) error: Option<HttpError>,
}

/// Performs several calls, as many at once as the options allow; the responses are in their order.
pub(super) async fn perform_all(vu: &VuState, calls: Vec<Call>) -> Vec<Rc<Response>> {
    let options = vu.options();
    let mut hosts: HashMap<String, Rc<Semaphore>> = HashMap::new();
    let per_host =
        if options.batch_per_host == 0 { usize::MAX >> 4 } else { options.batch_per_host as usize };
    let begun: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let host = call.request.target.authority.clone();
            let turn = hosts.entry(host).or_insert_with(|| Rc::new(Semaphore::new(per_host)));
            (call, Rc::clone(turn))
        })
        .collect();
    let at_once = if options.batch == 0 { usize::MAX } else { options.batch as usize };
    stream::iter(begun)
        .map(|(call, turn)| async move {
            // The semaphore is never closed.
            let _turn = turn.acquire().await;
            perform(vu, call).await
        })
        .buffered(at_once)
        .collect()
        .await
}

/// Performs a call. What goes wrong is in the response.
pub(super) async fn perform(vu: &VuState, mut call: Call) -> Rc<Response> {
    let mut followed = 0;
    let mut sent_cookies = Vec::new();
    loop {
        if call.error.is_none() {
            sent_cookies = put_cookies(&mut call);
        }
        let mut reply = match call.error.take() {
            Some(error) => Reply { error: Some(error), ..Reply::default() },
            None => vu.client.send(&call.request).await,
        };
        if reply.notes.is_encoded && call.wanted != Wanted::Nothing {
            decode(&mut reply);
        }
        if reply.notes.has_cookies {
            take_cookies(&mut call.jar.borrow_mut(), &reply, &call.request.target);
        }
        let error_code = match (&reply.error, reply.status) {
            (Some(error), _) => error.code,
            (None, status) if status >= 400 => 1000 + u32::from(status),
            _ => 0,
        };
        // What never was a request is not counted as one.
        let is_request = !reply
            .error
            .as_ref()
            .is_some_and(|error| matches!(error.code, HttpError::PARAM | HttpError::INVALID_URL));
        if is_request {
            record(vu, &call, &reply, error_code);
        }
        if followed < call.redirects
            && let Some(next) = redirect(&call.request, &reply)
        {
            followed += 1;
            match next {
                Ok(request) => {
                    let method = std::mem::replace(&mut call.request, request).method;
                    let url = std::mem::replace(&mut call.url, call.request.target.url());
                    call.asked.get_or_insert_with(|| Box::new((method, url)));
                    continue;
                }
                Err(error) => reply.error = Some(error),
            }
        }
        if error_code == HttpError::DECOMPRESSION {
            reply.status = 0;
        }
        return Rc::new(Response::new(call, reply, error_code, sent_cookies));
    }
}

/// Sets `Cookie` from the jar and the call; gives what was sent.
fn put_cookies(call: &mut Call) -> Vec<(String, String)> {
    let jar = call.jar.borrow();
    if jar.is_empty() && call.cookies.is_empty() {
        return Vec::new();
    }
    let target = &call.request.target;
    let replaced = |name: &str| call.cookies.iter().any(|(n, _, replace)| *replace && n == name);
    let from_jar = jar.cookies_for(target, clock::unix());
    let from_jar = from_jar.into_iter().filter(|cookie| !replaced(&cookie.name));
    let mut all: Vec<(String, String)> =
        from_jar.map(|cookie| (cookie.name.clone(), cookie.value.clone())).collect();
    all.extend(call.cookies.iter().map(|(name, value, _)| (name.clone(), value.clone())));
    let own = |(name, _): &(Rc<str>, Rc<str>)| name.eq_ignore_ascii_case("cookie");
    let written =
        call.request.headers.iter().find(|header| own(header)).map(|(_, v)| v.to_string());
    let pairs = all.iter().map(|(name, value)| format!("{name}={value}"));
    let line: Vec<String> = written.into_iter().chain(pairs).collect();
    if !line.is_empty() && !all.is_empty() {
        call.request.headers.retain(|header| !own(header));
        call.request.headers.push(("Cookie".into(), line.join("; ").into()));
    }
    all
}

fn take_cookies(jar: &mut Jar, reply: &Reply, target: &Target) {
    let now = clock::unix();
    reply.head.each(|name, value| {
        if name.eq_ignore_ascii_case("set-cookie") {
            let header = String::from_utf8_lossy(value);
            if let Some(cookie) = Cookie::parse(&header, target, now) {
                jar.put(cookie, now);
            }
        }
    });
}

fn decode(reply: &mut Reply) {
    let codings = reply.head.first("content-encoding").unwrap_or_default();
    if reply.body.is_empty() {
        return;
    }
    match http::decode(&reply.body, &codings) {
        Ok(body) => reply.body = body.into(),
        Err(error) => reply.error = Some(error),
    }
}

/// The request that a redirect leads to (RFC 9110, 15.4).
fn redirect(request: &Request, reply: &Reply) -> Option<Result<Request, HttpError>> {
    if !matches!(reply.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = reply.head.first("location")?;
    let target = match request.target.join(&location) {
        Ok(target) => Rc::new(target),
        Err(why) => return Some(Err(why)),
    };
    let mut next = Request { target, ..request.clone() };
    // The header is put together anew from the jar.
    next.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("cookie"));
    if next.target.host != request.target.host {
        let secret = ["authorization", "www-authenticate", "cookie2", "host"];
        next.headers.retain(|(name, _)| !secret.iter().any(|s| name.eq_ignore_ascii_case(s)));
    }
    if matches!(reply.status, 301..=303) {
        next.body = None;
        next.headers.retain(|(name, _)| {
            let name = name.to_ascii_lowercase();
            name != "content-type" && name != "content-encoding"
        });
        if !matches!(&*next.method, "GET" | "HEAD") {
            next.method = "GET".into();
        }
    }
    Some(Ok(next))
}

fn record(vu: &VuState, call: &Call, reply: &Reply, error_code: u32) {
    let is_expected = call
        .expected
        .as_ref()
        .map(|expected| reply.error.is_none() && expected.holds(reply.status));
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let times = &reply.timings;
    let mut values = [(builtin::HTTP_REQS, 1.0); 10];
    values[1] = (builtin::HTTP_REQ_DURATION, ms(times.duration()));
    values[2] = (builtin::HTTP_REQ_BLOCKED, ms(times.blocked));
    values[3] = (builtin::HTTP_REQ_CONNECTING, ms(times.connecting));
    values[4] = (builtin::HTTP_REQ_TLS_HANDSHAKING, ms(times.tls_handshaking));
    values[5] = (builtin::HTTP_REQ_SENDING, ms(times.sending));
    values[6] = (builtin::HTTP_REQ_WAITING, ms(times.waiting));
    values[7] = (builtin::HTTP_REQ_RECEIVING, ms(times.receiving));
    let mut count = 8;
    if let Some(is_expected) = is_expected {
        values[count] = (builtin::HTTP_REQ_FAILED, f64::from(u8::from(!is_expected)));
        count += 1;
    }
    if let Some(lag) = vu.lag.get() {
        let whole = times.blocked + times.connecting + times.tls_handshaking + times.duration();
        values[count] = (builtin::HTTP_REQ_LATENCY, ms(lag + whole));
        count += 1;
    }
    let tags = RequestTags {
        vu,
        call,
        reply,
        error_code,
        is_expected,
        text: Texts::new(reply, error_code),
        set: vu.tags.borrow().clone(),
        group: vu.group.borrow().clone(),
    };
    vu.local.record(&values[..count], &tags);
    let traffic =
        [(builtin::DATA_SENT, reply.sent as f64), (builtin::DATA_RECEIVED, reply.received as f64)];
    vu.local.record(&traffic, &vu.sample_tags(&[]));
}

/// Numbers as text, kept where a tag can lend them.
struct Texts {
    status: [u8; 3],
    error_code: [u8; 4],
}

impl Texts {
    fn new(reply: &Reply, error_code: u32) -> Self {
        let digit = |number: u32, place: u32| b'0' + (number / 10u32.pow(place) % 10) as u8;
        let status = u32::from(reply.status);
        Self {
            status: [digit(status, 2), digit(status, 1), digit(status, 0)],
            error_code: [3, 2, 1, 0].map(|place| digit(error_code, place)),
        }
    }
}

/// The tags of a request, put together only when somebody looks.
struct RequestTags<'a> {
    vu: &'a VuState,
    call: &'a Call,
    reply: &'a Reply,
    error_code: u32,
    is_expected: Option<bool>,
    text: Texts,
    set: TagSet,
    group: Rc<str>,
}

impl RequestTags<'_> {
    fn system(&self, tag: SystemTag) -> Option<&str> {
        match tag {
            SystemTag::Proto => (self.reply.status != 0).then(|| self.reply.proto.name()),
            SystemTag::Status if self.reply.status == 0 => Some("0"),
            SystemTag::Status => std::str::from_utf8(&self.text.status).ok(),
            SystemTag::Method => Some(&self.call.request.method),
            SystemTag::Url => Some(&self.call.url),
            SystemTag::Name => Some(self.call.name.as_deref().unwrap_or(&self.call.url)),
            SystemTag::Group => Some(&self.group),
            SystemTag::Error => self.reply.error.as_ref().map(|error| &*error.text),
            SystemTag::ErrorCode if self.error_code == 0 => None,
            SystemTag::ErrorCode => std::str::from_utf8(&self.text.error_code).ok(),
            SystemTag::TlsVersion => self.reply.tls.as_ref().map(|tls| tls.version),
            SystemTag::ExpectedResponse => {
                self.is_expected.map(|expected| if expected { "true" } else { "false" })
            }
            SystemTag::Subproto
            | SystemTag::Check
            | SystemTag::Scenario
            | SystemTag::Service
            | SystemTag::Iter
            | SystemTag::Vu
            | SystemTag::OcspStatus
            | SystemTag::Ip => None,
        }
    }

    fn enabled(&self) -> SystemTags {
        self.vu.system_tags()
    }
}

impl Tags for RequestTags<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        let own = self.call.tags.iter().find(|(other, _)| other == key);
        if let Some((_, value)) = own {
            return Some(value);
        }
        let tag = SystemTag::ALL.iter().find(|tag| tag.name() == key);
        let system = tag.filter(|tag| self.enabled().has(**tag)).and_then(|tag| self.system(*tag));
        system.or_else(|| self.set.value(key))
    }

    fn to_set(&self) -> TagSet {
        let enabled = SystemTag::ALL.iter().filter(|tag| self.enabled().has(**tag));
        let mut all: Vec<(&str, &str)> =
            enabled.filter_map(|tag| Some((tag.name(), self.system(*tag)?))).collect();
        let ip = self.reply.remote.map(|remote| remote.ip().to_string());
        if let Some(ip) = ip.as_deref().filter(|_| self.enabled().has(SystemTag::Ip)) {
            all.push(("ip", ip));
        }
        all.extend(self.call.tags.iter().map(|(key, value)| (&**key, &**value)));
        self.set.with(&all)
    }
}
