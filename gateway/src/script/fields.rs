//! Header fields as scripts see them: `headers:get`, `set`, `add`, `remove`.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use mlua::{Error, Lua, LuaString, Result, Table};

use super::stage::Stage;

/// Most fields that a message may come to have by a script.
const FIELDS_MAX: usize = 256;
/// Longest value that a script may set, in bytes.
const VALUE_MAX: usize = 16 << 10;
/// Most edits that wait in Lua.
const WAITING_MAX: usize = 32;
const NO_VALUE: &str = "a header value holds no control characters, line ends included";

/// What a script may do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Access {
    /// Its hook is over.
    #[default]
    None,
    /// It has been sent.
    Read,
    /// It is still to be sent.
    Write,
}

/// The fields of a message.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) map: RefCell<HeaderMap>,
    pub(super) access: Cell<Access>,
}

impl Fields {
    /// The message may be read.
    pub(super) fn readable(&self) -> Result<()> {
        match self.access.get() {
            Access::None => Err(Error::runtime("this message is gone: its hook is over")),
            Access::Read | Access::Write => Ok(()),
        }
    }

    /// It may be changed.
    pub(super) fn writable(&self) -> Result<()> {
        match self.access.get() {
            Access::Read => Err(Error::runtime("it is too late to change this message")),
            _ => self.readable(),
        }
    }

    /// How many edits may wait in Lua: as many as are sure to have room.
    pub(super) fn room(&self) -> usize {
        match self.access.get() {
            Access::Write => FIELDS_MAX.saturating_sub(self.map.borrow().len()).min(WAITING_MAX),
            Access::None | Access::Read => 0,
        }
    }

    /// Does what waited in Lua: lines such as `=name:value`, `+name:value` and `-name:`.
    pub(super) fn apply(&self, edits: &[u8]) -> Result<()> {
        self.writable()?;
        let mut map = self.map.borrow_mut();
        edits
            .split(|byte| *byte == b'\n')
            .filter(|edit| !edit.is_empty())
            .try_for_each(|edit| apply(&mut map, edit))
    }
}

/// Does one edit. A script can tamper with those that wait: they are checked here.
fn apply(map: &mut HeaderMap, edit: &[u8]) -> Result<()> {
    let colon = edit.iter().position(|byte| *byte == b':').unwrap_or(edit.len());
    let (before, value) = edit.split_at(colon);
    let (Some((kind, name)), Some((_, value))) = (before.split_first(), value.split_first()) else {
        return Err(Error::runtime("this is no edit of a header field"));
    };
    let name = editable(name)?;
    if *kind == b'-' {
        map.remove(name);
        return Ok(());
    }
    if value.len() > VALUE_MAX {
        return Err(too_long());
    }
    let value = HeaderValue::from_bytes(trimmed(value)).map_err(|_| Error::runtime(NO_VALUE))?;
    room(map)?;
    match kind {
        b'+' => map.append(name, value),
        _ => map.insert(name, value).is_some(),
    };
    Ok(())
}

/// What fields are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Asked,
    Answered,
}

/// What Lua's `headers` are made of, for those of one side.
pub(super) fn natives(lua: &Lua, stage: &Rc<Stage>, side: Side) -> Result<Table> {
    let table = lua.create_table()?;
    let own = stage.clone();
    let get = lua.create_function(move |lua, (hook, name): (u32, LuaString)| {
        own.fields(hook, side, |fields| {
            let map = fields.map.borrow();
            let value = HeaderName::from_bytes(&name.as_bytes()).ok().and_then(|n| map.get(n));
            value.map(|value| string(lua, value)).transpose()
        })
    })?;
    table.raw_set("get", get)?;
    let own = stage.clone();
    let get_all = lua.create_function(move |lua, (hook, name): (u32, LuaString)| {
        own.fields(hook, side, |fields| {
            let map = fields.map.borrow();
            let values = lua.create_table()?;
            if let Ok(name) = HeaderName::from_bytes(&name.as_bytes()) {
                for value in map.get_all(name) {
                    values.raw_push(lua.create_string(value)?)?;
                }
            }
            Ok(values)
        })
    })?;
    table.raw_set("get_all", get_all)?;
    let own = stage.clone();
    let every = lua
        .create_function(move |lua, hook: u32| own.fields(hook, side, |all| self::all(lua, all)))?;
    table.raw_set("all", every)?;
    let own = stage.clone();
    let apply = lua.create_function(move |_, (hook, edits): (u32, LuaString)| {
        own.fields(hook, side, |fields| {
            fields.apply(&edits.as_bytes())?;
            Ok(fields.room())
        })
    })?;
    table.raw_set("apply", apply)?;
    Ok(table)
}

/// A text for Lua. The bound on memory is looked at when the script next asks for some: to look
/// here, too, would cost as much again as the text.
pub(super) fn string(lua: &Lua, text: impl AsRef<[u8]>) -> Result<LuaString> {
    let bound = lua.set_memory_limit(0)?;
    let made = lua.create_string(text);
    lua.set_memory_limit(bound)?;
    made
}

/// A table of all fields; the values of one name joined by commas.
pub(super) fn all(lua: &Lua, fields: &Fields) -> Result<Table> {
    fields.readable()?;
    let map = fields.map.borrow();
    let table = lua.create_table()?;
    for name in map.keys() {
        let values: Vec<&[u8]> = map.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        table.raw_set(name.as_str(), lua.create_string(values.join(&b", "[..]))?)?;
    }
    Ok(table)
}

fn room(map: &HeaderMap) -> Result<()> {
    if map.len() < FIELDS_MAX {
        return Ok(());
    }
    Err(Error::runtime(format!("a message has at most {FIELDS_MAX} fields")))
}

/// Without the spaces and tabs at its ends, for which clients of HTTP/2 refuse the whole message
/// (RFC 9113 section 8.2.1).
fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cold]
fn too_long() -> Error {
    Error::runtime(format!("a header value has at most {VALUE_MAX} bytes"))
}

/// Adds a field to a message that a script makes.
pub(super) fn append(map: &mut HeaderMap, name: &HeaderName, given: &mlua::Value) -> Result<()> {
    room(map)?;
    map.append(name, value(given)?);
    Ok(())
}

/// The name of a field that a script may write.
pub(super) fn editable(name: &[u8]) -> Result<HeaderName> {
    let Ok(known) = HeaderName::from_bytes(name) else {
        let name = String::from_utf8_lossy(name);
        return Err(Error::runtime(format!("`{}` is no header name", name.escape_debug())));
    };
    let own = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::HOST,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    if own.contains(&known) || matches!(known.as_str(), "keep-alive" | "proxy-connection") {
        return Err(Error::runtime(format!("`{known}` is written by the gateway itself")));
    }
    Ok(known)
}

/// The value of a field: a text or a number.
pub(super) fn value(value: &mlua::Value) -> Result<HeaderValue> {
    let made = match value {
        mlua::Value::String(text) => {
            let text = text.as_bytes();
            if text.len() > VALUE_MAX {
                return Err(too_long());
            }
            HeaderValue::from_bytes(trimmed(&text))
        }
        mlua::Value::Integer(number) => return Ok(HeaderValue::from(*number)),
        mlua::Value::Number(number) => HeaderValue::from_str(&number.to_string()),
        other => {
            let what = format!("a header value is a string, not a {}", other.type_name());
            return Err(Error::runtime(what));
        }
    };
    made.map_err(|_| Error::runtime(NO_VALUE))
}
