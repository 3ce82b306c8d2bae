//! `res`: the response as scripts see it, and the one that a script makes itself.

use std::{cell::Cell, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mlua::{Error, IntoLua, Lua, LuaString, Result, Table, Value};

use super::{
    fields::{Access, Fields, append, editable},
    stage::Stage,
};

/// A response, for the hooks of its route's script.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) fields: Fields,
    pub(super) status: Cell<StatusCode>,
    /// How it ended, where it has.
    end: Option<End>,
}

/// How an exchange ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) upstream: Option<Box<str>>,
    pub(super) endpoint: Option<Box<str>>,
    pub(super) flag: Option<&'static str>,
    pub(super) duration: Duration,
    pub(super) bytes: u64,
}

impl Answered {
    /// A response with these fields, on its way to the client.
    pub(super) fn new(status: StatusCode, headers: HeaderMap) -> Rc<Self> {
        Self::with(status, headers, Access::Write, None)
    }

    /// One that is over.
    pub(super) fn ended(status: StatusCode, headers: HeaderMap, end: End) -> Rc<Self> {
        Self::with(status, headers, Access::Read, Some(end))
    }

    fn with(status: StatusCode, headers: HeaderMap, access: Access, end: Option<End>) -> Rc<Self> {
        let fields = Fields { map: headers.into(), access: access.into() };
        Rc::new(Self { fields, status: status.into(), end })
    }

    /// No hook may look at it any more. Its fields.
    pub(super) fn take(&self) -> HeaderMap {
        self.fields.access.set(Access::None);
        self.fields.map.take()
    }

    fn set_status(&self, wanted: &Value) -> Result<()> {
        self.fields.writable()?;
        let wanted = status(wanted)?;
        // The body is as the status before said.
        if is_bare(wanted) && !is_bare(self.status.get()) {
            return Err(Error::runtime(format!("a response with a body cannot become a {wanted}")));
        }
        self.status.set(wanted);
        Ok(())
    }
}

/// What Lua's `res` is made of, beside its header fields.
pub(super) fn natives(lua: &Lua, stage: &Rc<Stage>, table: &Table) -> Result<()> {
    let (getters, setters) = (lua.create_table()?, lua.create_table()?);
    let own = stage.clone();
    let status = lua.create_function(move |_, hook: u32| {
        own.answered(hook, |answered| Ok(answered.status.get().as_u16()))
    })?;
    getters.raw_set("status", status)?;
    let of_end = |name: &str, read: fn(&Lua, &End) -> Result<Value>| {
        let own = stage.clone();
        let get = lua.create_function(move |lua, hook: u32| {
            own.answered(hook, |answered| {
                answered.end.as_ref().map_or(Ok(Value::Nil), |end| read(lua, end))
            })
        })?;
        getters.raw_set(name, get)
    };
    of_end("upstream", |lua, end| end.upstream.as_deref().into_lua(lua))?;
    of_end("endpoint", |lua, end| end.endpoint.as_deref().into_lua(lua))?;
    of_end("flag", |lua, end| end.flag.into_lua(lua))?;
    of_end("duration", |_, end| Ok(Value::Number(end.duration.as_secs_f64())))?;
    of_end("bytes", |_, end| Ok(Value::Number(end.bytes as f64)))?;
    let own = stage.clone();
    let status = lua.create_function(move |_, (hook, wanted): (u32, Value)| {
        own.answered(hook, |answered| answered.set_status(&wanted))
    })?;
    setters.raw_set("status", status)?;
    table.raw_set("getters", getters)?;
    table.raw_set("setters", setters)
}

/// A response that a script made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Reads what `on_request` returned.
pub(super) fn made(returned: &Value) -> Result<Option<Made>> {
    let table = match returned {
        Value::Nil => return Ok(None),
        Value::Table(table) => table,
        other => {
            let what = format!("`on_request` returned a {}: expected nil or a table", kind(other));
            return Err(Error::runtime(what));
        }
    };
    let mut made = Made { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::new() };
    for pair in table.pairs::<Value, Value>() {
        let (key, given) = pair?;
        let key = match &key {
            Value::String(key) => key.to_string_lossy(),
            other => format!("a {}", kind(other)),
        };
        match (key.as_str(), &given) {
            ("status", given) => made.status = status(given)?,
            ("headers", Value::Table(headers)) => made.headers = headers_of(headers)?,
            ("body", Value::String(text)) => made.body = Bytes::copy_from_slice(&text.as_bytes()),
            ("headers", other) => {
                let what = format!("`headers` of a response is a table, not a {}", kind(other));
                return Err(Error::runtime(what));
            }
            ("body", other) => {
                let what = format!("`body` of a response is a string, not a {}", kind(other));
                return Err(Error::runtime(what));
            }
            (key, _) => {
                let what = format!("`{}` is no part of a response", key.escape_debug());
                return Err(Error::runtime(what + ": it has `status`, `headers` and `body`"));
            }
        }
    }
    if is_bare(made.status) && !made.body.is_empty() {
        return Err(Error::runtime(format!(
            "a response with the status {} has no body",
            made.status
        )));
    }
    if !made.body.is_empty() && !made.headers.contains_key(header::CONTENT_TYPE) {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        made.headers.insert(header::CONTENT_TYPE, text);
    }
    Ok(Some(made))
}

fn headers_of(table: &Table) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for pair in table.pairs::<LuaString, Value>() {
        let (name, given) = pair?;
        let name = editable(&name.as_bytes())?;
        match &given {
            Value::Table(list) => {
                for one in list.sequence_values::<Value>() {
                    append(&mut headers, &name, &one?)?;
                }
            }
            one => append(&mut headers, &name, one)?,
        }
    }
    Ok(headers)
}

/// Whether a response with this status has no body.
pub(super) fn is_bare(status: StatusCode) -> bool {
    matches!(status.as_u16(), 204 | 205 | 304)
}

fn status(given: &Value) -> Result<StatusCode> {
    let number = match given {
        Value::Integer(number) => u16::try_from(*number).ok(),
        _ => None,
    };
    let known = number.filter(|number| (200..=599).contains(number));
    known.and_then(|number| StatusCode::from_u16(number).ok()).ok_or_else(|| {
        let shown = match given {
            Value::Integer(number) => number.to_string(),
            Value::Number(number) => number.to_string(),
            other => format!("a {}", kind(other)),
        };
        Error::runtime(format!("a status is a whole number from 200 to 599, not {shown}"))
    })
}

/// What Lua calls such a value.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "number",
        other => other.type_name(),
    }
}
