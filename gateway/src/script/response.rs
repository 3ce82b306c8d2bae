//! `res`: the response as scripts see it, and the one that a script makes itself.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mlua::{AnyUserData, Error, LuaString, Result, Table, UserData, UserDataFields, Value};

use super::fields::{Access, Fields, Headers, Message, Shown, editable, value};

/// A response, for the hooks of its route's script.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) fields: Fields,
    pub(super) status: Cell<StatusCode>,
    /// How it ended, where it has.
    end: Option<End>,
    headers: RefCell<Option<AnyUserData>>,
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

impl Message for Answered {
    fn fields(&self) -> &Fields {
        &self.fields
    }
}

impl Shown for Answered {
    fn end(&self) {
        self.fields.access.set(Access::None);
        self.headers.take();
    }
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
        Rc::new(Self { fields, status: status.into(), end, headers: RefCell::default() })
    }

    /// No hook may look at it any more. Its fields.
    pub(super) fn take(&self) -> HeaderMap {
        self.end();
        self.fields.map.take()
    }

    fn set_status(&self, wanted: &Value) -> Result<()> {
        self.fields.writable()?;
        let wanted = status(wanted)?;
        // The body is as the status before said.
        let bare = |status: StatusCode| matches!(status.as_u16(), 204 | 205 | 304);
        if bare(wanted) && !bare(self.status.get()) {
            return Err(Error::runtime(format!("a response with a body cannot become a {wanted}")));
        }
        self.status.set(wanted);
        Ok(())
    }
}

/// The response, in Lua.
pub(super) struct Res(pub(super) Rc<Answered>);

impl Res {
    fn end(&self) -> Result<Option<&End>> {
        self.0.fields.readable()?;
        Ok(self.0.end.as_ref())
    }
}

impl UserData for Res {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("headers", |lua, this| {
            this.0.fields.readable()?;
            let made = this.0.headers.borrow().clone();
            if let Some(made) = made {
                return Ok(made);
            }
            let made = lua.create_userdata(Headers(this.0.clone()))?;
            *this.0.headers.borrow_mut() = Some(made.clone());
            Ok(made)
        });
        fields.add_field_method_get("status", |_, this| {
            this.0.fields.readable()?;
            Ok(this.0.status.get().as_u16())
        });
        fields.add_field_method_set("status", |_, this, wanted: Value| this.0.set_status(&wanted));
        fields.add_field_method_get("upstream", |_, this| {
            Ok(this.end()?.and_then(|end| end.upstream.as_deref().map(str::to_owned)))
        });
        fields.add_field_method_get("endpoint", |_, this| {
            Ok(this.end()?.and_then(|end| end.endpoint.as_deref().map(str::to_owned)))
        });
        fields.add_field_method_get("flag", |_, this| Ok(this.end()?.and_then(|end| end.flag)));
        fields.add_field_method_get("duration", |_, this| {
            Ok(this.end()?.map(|end| end.duration.as_secs_f64()))
        });
        fields.add_field_method_get("bytes", |_, this| Ok(this.end()?.map(|end| end.bytes as f64)));
    }
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
    let bare = matches!(made.status.as_u16(), 204 | 205 | 304);
    if bare && !made.body.is_empty() {
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
                    headers.append(name.clone(), value(&one?)?);
                }
            }
            one => {
                headers.append(name, value(one)?);
            }
        }
    }
    Ok(headers)
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
