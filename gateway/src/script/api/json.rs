//! `weir.json`: values as JSON, and back.

use mlua::{Error, Lua, LuaString, Result, Table, Value as Any};
use serde_json::{Map, Number, Value};

use crate::script::response::kind;

/// Longest text that is read or written, in bytes.
const TEXT_MAX: usize = 1 << 20;
/// How deep tables may lie in one another.
const DEPTH_MAX: usize = 64;
/// The largest whole number that a number of Lua's holds as it is.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

pub(super) fn table(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set(
        "encode",
        lua.create_function(|lua, value: Any| {
            let mut room = TEXT_MAX;
            let text = write(&value, DEPTH_MAX, &mut room)?.to_string();
            lua.create_string(text)
        })?,
    )?;
    table.raw_set(
        "decode",
        lua.create_function(|lua, text: LuaString| {
            let text = text.as_bytes();
            if text.len() > TEXT_MAX {
                return Err(Error::runtime(format!("JSON has at most {TEXT_MAX} bytes here")));
            }
            // Its own bound on depth is 128.
            let value: Value = serde_json::from_slice(&text)
                .map_err(|error| Error::runtime(format!("this is no JSON: {error}")))?;
            read(lua, &value)
        })?,
    )?;
    table.raw_set("null", Any::NULL)?;
    Ok(table)
}

fn write(value: &Any, depth: usize, room: &mut usize) -> Result<Value> {
    // Each takes some of it, so that the value in between is bounded, too.
    let size = match value {
        Any::String(text) => text.as_bytes().len() + 2,
        _ => 4,
    };
    *room = room
        .checked_sub(size)
        .ok_or_else(|| Error::runtime(format!("JSON has at most {TEXT_MAX} bytes here")))?;
    Ok(match value {
        Any::Nil => Value::Null,
        Any::LightUserData(_) if *value == Any::NULL => Value::Null,
        Any::Boolean(flag) => Value::Bool(*flag),
        Any::Integer(number) => Value::Number((*number).into()),
        Any::Number(number) if number.fract() == 0.0 && number.abs() <= EXACT_MAX => {
            Value::Number((*number as i64).into())
        }
        Any::Number(number) => Number::from_f64(*number)
            .map(Value::Number)
            .ok_or_else(|| Error::runtime("JSON has no infinite numbers"))?,
        Any::String(text) => Value::String(utf8(text)?),
        Any::Table(table) => {
            let depth = depth
                .checked_sub(1)
                .ok_or_else(|| Error::runtime("tables lie too deep in one another for JSON"))?;
            match table.raw_len() {
                0 => object(table, depth, room)?,
                _ => array(table, depth, room)?,
            }
        }
        other => return Err(Error::runtime(format!("JSON has no {}", kind(other)))),
    })
}

fn object(table: &Table, depth: usize, room: &mut usize) -> Result<Value> {
    let mut object = Map::new();
    for pair in table.pairs::<Any, Any>() {
        let (key, value) = pair?;
        let Any::String(key) = &key else {
            let what = format!("a key of a JSON object is a string, not a {}", kind(&key));
            return Err(Error::runtime(what));
        };
        *room = room.saturating_sub(key.as_bytes().len());
        object.insert(utf8(key)?, write(&value, depth, room)?);
    }
    // Tables have no order of their own.
    object.sort_keys();
    Ok(Value::Object(object))
}

fn array(table: &Table, depth: usize, room: &mut usize) -> Result<Value> {
    let mut array = Vec::new();
    for value in table.sequence_values::<Any>() {
        array.push(write(&value?, depth, room)?);
    }
    Ok(Value::Array(array))
}

fn utf8(text: &LuaString) -> Result<String> {
    let text = text.to_str().map_err(|_| Error::runtime("a string is not UTF-8, as JSON is"))?;
    Ok(text.to_owned())
}

fn read(lua: &Lua, value: &Value) -> Result<Any> {
    Ok(match value {
        Value::Null => Any::Nil,
        Value::Bool(flag) => Any::Boolean(*flag),
        Value::Number(number) => Any::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Any::String(lua.create_string(text)?),
        Value::Array(array) => {
            let table = lua.create_table()?;
            for (index, value) in array.iter().enumerate() {
                table.raw_set(index + 1, read(lua, value)?)?;
            }
            Any::Table(table)
        }
        Value::Object(object) => {
            let table = lua.create_table()?;
            for (key, value) in object {
                table.raw_set(key.as_str(), read(lua, value)?)?;
            }
            Any::Table(table)
        }
    })
}
