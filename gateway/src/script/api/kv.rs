//! `weir.kv`: what all workers, and all scripts, share.

use std::rc::Rc;

use mlua::{Error, Lua, LuaString, Result, Table, Value};

use super::{
    super::kv::{KEY_MAX, Kept, VALUE_MAX},
    Shared, seconds,
};
use crate::{clock, script::response::kind};

/// How long a value is kept that says nothing of it, in seconds.
const TTL: f64 = 300.0;
/// The longest that one may be kept, in seconds: thirty days.
const TTL_MAX: f64 = 30.0 * 86_400.0;

pub(super) fn table(lua: &Lua, shared: &Rc<Shared>) -> Result<Table> {
    let table = lua.create_table()?;
    let own = shared.clone();
    let get = lua.create_function(move |lua, key: LuaString| {
        let kept = own.store.get(self::key(&key.as_bytes())?, clock::now());
        Ok(match kept {
            None => Value::Nil,
            Some(Kept::Flag(flag)) => Value::Boolean(flag),
            Some(Kept::Number(number)) => Value::Number(number),
            Some(Kept::Text(text)) => Value::String(lua.create_string(&text[..])?),
        })
    })?;
    table.raw_set("get", get)?;
    let own = shared.clone();
    let set = lua.create_function(move |_, (key, value, ttl): (LuaString, Value, Value)| {
        let (name, now) = (key.as_bytes(), clock::now());
        own.store.set(self::key(&name)?, kept(&value)?, self::ttl(&ttl)?, now);
        Ok(())
    })?;
    table.raw_set("set", set)?;
    let own = shared.clone();
    let add = lua.create_function(move |_, (key, value, ttl): (LuaString, Value, Value)| {
        let (name, now) = (key.as_bytes(), clock::now());
        Ok(own.store.add(self::key(&name)?, kept(&value)?, self::ttl(&ttl)?, now))
    })?;
    table.raw_set("add", add)?;
    let own = shared.clone();
    let increase = move |_: &Lua, (key, by, ttl): (LuaString, Option<f64>, Value)| {
        let (name, now) = (key.as_bytes(), clock::now());
        let number =
            own.store.increase(self::key(&name)?, by.unwrap_or(1.0), self::ttl(&ttl)?, now);
        number.ok_or_else(|| Error::runtime("what is kept there is no number"))
    };
    table.raw_set("incr", lua.create_function(increase)?)?;
    let own = shared.clone();
    let remove = lua.create_function(move |_, key: LuaString| {
        Ok(own.store.remove(self::key(&key.as_bytes())?, clock::now()))
    })?;
    table.raw_set("remove", remove)?;
    Ok(table)
}

fn key(key: &[u8]) -> Result<&[u8]> {
    if key.len() > KEY_MAX {
        return Err(Error::runtime(format!("a key has at most {KEY_MAX} bytes")));
    }
    Ok(key)
}

fn kept(value: &Value) -> Result<Kept> {
    match value {
        Value::Boolean(flag) => Ok(Kept::Flag(*flag)),
        Value::Integer(number) => Ok(Kept::Number(*number as f64)),
        Value::Number(number) => Ok(Kept::Number(*number)),
        Value::String(text) if text.as_bytes().len() <= VALUE_MAX => {
            Ok(Kept::Text((&text.as_bytes()[..]).into()))
        }
        Value::String(_) => Err(Error::runtime(format!("a value has at most {VALUE_MAX} bytes"))),
        other => {
            let what =
                format!("a {} cannot be kept: `weir.json` makes a string of it", kind(other));
            Err(Error::runtime(what))
        }
    }
}

fn ttl(given: &Value) -> Result<std::time::Duration> {
    match given {
        Value::Nil => Ok(std::time::Duration::from_secs_f64(TTL)),
        given => seconds(given, "ttl", TTL_MAX),
    }
}
