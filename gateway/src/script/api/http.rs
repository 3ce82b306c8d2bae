//! `weir.http`: a request to an upstream of the file, beside the one that the hook is for.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt as _;
use mlua::{Error, LuaString, MultiValue, Result, Table, UserData, Value};

use super::{
    super::{
        fields::{self, editable},
        response::kind,
        vm::Vm,
    },
    seconds,
};
use crate::{
    clock, error,
    http::{body::Body, exchange::Exchange, guard::Framing, headers::name, upload::Upload},
    upstream::{
        draft::{Draft, Shape},
        forward::{Forwarded, forward},
    },
};

/// How long an answer is waited for by default, in seconds.
const TIMEOUT: f64 = 5.0;
/// The longest that may be, in seconds.
const TIMEOUT_MAX: f64 = 60.0;
/// Longest body that is read, in bytes.
const BODY_MAX: usize = 1 << 20;

/// What a script asks for.
#[derive(Debug)]
pub(crate) struct Ask {
    upstream: String,
    method: Method,
    target: Uri,
    headers: HeaderMap,
    body: Bytes,
    timeout: Duration,
}

impl UserData for Ask {}

/// What it gets.
pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Reads the table that a script gave.
pub(super) fn read(request: &Table) -> Result<Ask> {
    let mut ask = Ask {
        upstream: String::new(),
        method: Method::GET,
        target: Uri::from_static("/"),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        timeout: Duration::from_secs_f64(TIMEOUT),
    };
    for pair in request.pairs::<LuaString, Value>() {
        let (key, given) = pair?;
        let key = key.to_string_lossy();
        match (key.as_str(), &given) {
            ("upstream", Value::String(text)) => ask.upstream = text.to_string_lossy(),
            ("method", Value::String(text)) => {
                let method = Method::from_bytes(&text.as_bytes()).ok();
                ask.method = method
                    .filter(|method| *method != Method::CONNECT)
                    .ok_or_else(|| Error::runtime("`method` is no method"))?;
            }
            ("path", Value::String(text)) => {
                let text = text.as_bytes();
                let target = Uri::try_from(&text[..]).ok().filter(|_| text.starts_with(b"/"));
                ask.target = target.ok_or_else(|| {
                    Error::runtime("`path` is no path with a query, such as `/check?id=1`")
                })?;
            }
            ("headers", Value::Table(headers)) => {
                for pair in headers.pairs::<LuaString, Value>() {
                    let (name, value) = pair?;
                    fields::append(&mut ask.headers, &editable(&name.as_bytes())?, &value)?;
                }
            }
            ("body", Value::String(text)) => ask.body = Bytes::copy_from_slice(&text.as_bytes()),
            ("timeout", given) => ask.timeout = seconds(given, "timeout", TIMEOUT_MAX)?,
            (key, given) => {
                let what = format!("`{}` with a {}", key.escape_debug(), kind(given));
                return Err(Error::runtime(what + " is no part of a request"));
            }
        }
    }
    if ask.upstream.is_empty() {
        return Err(Error::runtime("`upstream` is missing: the name of one in the file"));
    }
    Ok(ask)
}

impl Ask {
    /// Asks; an error in words.
    pub(crate) async fn send(self, exchange: &Exchange) -> std::result::Result<Answer, String> {
        let world = exchange.world.clone();
        let route = exchange.route.ok_or_else(|| error::Error::Bug.to_string())?;
        let route = &world.snapshot.routes[route];
        let found = world.snapshot.upstreams.iter().position(|one| *one.name == *self.upstream);
        let Some(index) = found else {
            return Err(format!("there is no upstream `{}`", self.upstream.escape_debug()));
        };
        let now = clock::now();
        let mut own = exchange.beside();
        own.upstream = Some(index);
        own.deadline = exchange.deadline.min(now + self.timeout);
        let end = own.deadline;
        let mut draft = self.draft(exchange);
        let all = async {
            let upstream = &world.upstreams[index];
            // Boxed: its state is large, and few wait for it.
            let forwarded = Box::pin(forward(&mut own, upstream, route, &mut draft, now)).await;
            match forwarded.map_err(|error| error.to_string())? {
                Forwarded::Response(response) => collect(response).await,
                Forwarded::Switched(..) => Err(error::Error::UpgradeFailed.to_string()),
            }
        };
        match tokio::time::timeout_at(end.instant(), all).await {
            Ok(answer) => answer,
            Err(_) => Err(error::Error::DeadlinePassed.to_string()),
        }
    }

    fn draft(self, exchange: &Exchange) -> Draft {
        let mut request = Request::new(());
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target;
        *request.headers_mut() = self.headers;
        if let Some(id) = &exchange.request_id {
            request.headers_mut().insert(&name::X_REQUEST_ID, id.clone());
        }
        let (head, ()) = request.into_parts();
        let (framing, upload) = match self.body.len() {
            0 => (Framing::None, Upload::empty()),
            length => (Framing::Length(length as u64), Upload::whole(Body::full(self.body))),
        };
        Draft::new(head, upload, Shape::new(framing))
    }
}

async fn collect(response: http::Response<Body>) -> std::result::Result<Answer, String> {
    let (head, mut body) = response.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > BODY_MAX {
            return Err(format!("the answer has more than {BODY_MAX} bytes"));
        }
        bytes.extend_from_slice(data);
    }
    Ok(Answer { status: head.status, headers: head.headers, body: bytes.freeze() })
}

/// What the script's function returns for an answer.
pub(crate) fn answer(vm: &Vm, answer: std::result::Result<Answer, String>) -> Result<MultiValue> {
    let lua = vm.lua();
    let values = match answer {
        Err(why) => vec![Value::Nil, Value::String(lua.create_string(why)?)],
        Ok(Answer { status, headers, body }) => {
            let fields =
                fields::Fields { map: headers.into(), access: fields::Access::Read.into() };
            vec![
                Value::Integer(status.as_u16().into()),
                Value::Table(fields::all(lua, &fields)?),
                Value::String(lua.create_string(&body[..])?),
            ]
        }
    };
    Ok(MultiValue::from_vec(values))
}
