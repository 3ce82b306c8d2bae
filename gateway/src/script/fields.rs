//! Header fields as scripts see them: `headers:get`, `set`, `add`, `remove`.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use mlua::{Error, Lua, LuaString, Result, Table, UserData, UserDataMethods};

/// Most fields that a message may come to have by a script.
const FIELDS_MAX: usize = 256;
/// Longest value that a script may set, in bytes.
const VALUE_MAX: usize = 16 << 10;

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
}

/// What scripts are shown.
pub(super) trait Shown {
    /// Nobody asks for it any more: lets go of what it holds of the VM.
    fn end(&self);
}

/// What has fields.
pub(super) trait Message {
    fn fields(&self) -> &Fields;
}

/// `req.headers` and `res.headers`.
pub(super) struct Headers<T>(pub(super) Rc<T>);

impl<T: Message + 'static> UserData for Headers<T> {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("get", |lua, this, name: LuaString| {
            let fields = this.0.fields();
            fields.readable()?;
            let map = fields.map.borrow();
            let value = HeaderName::from_bytes(&name.as_bytes()).ok().and_then(|n| map.get(n));
            value.map(|value| lua.create_string(value)).transpose()
        });
        methods.add_method("get_all", |lua, this, name: LuaString| {
            let fields = this.0.fields();
            fields.readable()?;
            let map = fields.map.borrow();
            let values = lua.create_table()?;
            if let Ok(name) = HeaderName::from_bytes(&name.as_bytes()) {
                for value in map.get_all(name) {
                    values.raw_push(lua.create_string(value)?)?;
                }
            }
            Ok(values)
        });
        methods.add_method("all", |lua, this, ()| all(lua, this.0.fields()));
        methods.add_method("set", |_, this, (name, value): (LuaString, mlua::Value)| {
            let fields = this.0.fields();
            fields.writable()?;
            let (name, value) = (editable(&name.as_bytes())?, self::value(&value)?);
            let mut map = fields.map.borrow_mut();
            room(&map)?;
            map.insert(name, value);
            Ok(())
        });
        methods.add_method("add", |_, this, (name, value): (LuaString, mlua::Value)| {
            let fields = this.0.fields();
            fields.writable()?;
            let (name, value) = (editable(&name.as_bytes())?, self::value(&value)?);
            let mut map = fields.map.borrow_mut();
            room(&map)?;
            map.append(name, value);
            Ok(())
        });
        methods.add_method("remove", |_, this, name: LuaString| {
            let fields = this.0.fields();
            fields.writable()?;
            let name = editable(&name.as_bytes())?;
            fields.map.borrow_mut().remove(name);
            Ok(())
        });
    }
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
                let what = format!("a header value has at most {VALUE_MAX} bytes");
                return Err(Error::runtime(what));
            }
            HeaderValue::from_bytes(&text)
        }
        mlua::Value::Integer(number) => return Ok(HeaderValue::from(*number)),
        mlua::Value::Number(number) => HeaderValue::from_str(&number.to_string()),
        other => {
            let what = format!("a header value is a string, not a {}", other.type_name());
            return Err(Error::runtime(what));
        }
    };
    made.map_err(|_| {
        Error::runtime("a header value holds no control characters, line ends included")
    })
}
