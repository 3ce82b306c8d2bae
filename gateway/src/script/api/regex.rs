//! `weir.regex`: regular expressions whose time grows with the text, whatever they say.

use mlua::{
    AnyUserData, Error, Function, Lua, LuaString, MultiValue, Result, Table, UserData,
    UserDataMethods, Value,
};
use regex::bytes::{Captures, Regex, RegexBuilder};

/// Bytes that an expression may take once it is compiled. Nothing leaves a search before its end,
/// and the worst takes about as long as the product of this and the text says: some tens of
/// milliseconds.
const SIZE_MAX: usize = 16 << 10;
/// Longest expression, in bytes.
const PATTERN_MAX: usize = 4 << 10;
/// Longest text that is searched, in bytes.
const TEXT_MAX: usize = 8 << 10;
/// Longest text that a replacement may make, in bytes.
const MADE_MAX: usize = 1 << 20;

struct Expression(Regex);

pub(super) fn function(lua: &Lua) -> Result<Function> {
    lua.create_function(|lua, pattern: LuaString| -> Result<AnyUserData> {
        let pattern = pattern.to_str()?;
        if pattern.len() > PATTERN_MAX {
            let what = format!("a regular expression has at most {PATTERN_MAX} bytes");
            return Err(Error::runtime(what));
        }
        let regex = RegexBuilder::new(&pattern).unicode(false).size_limit(SIZE_MAX).build();
        let regex = regex.map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            Error::runtime(format!("this is no regular expression: {last}"))
        })?;
        lua.create_userdata(Expression(regex))
    })
}

impl UserData for Expression {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("test", |_, this, text: LuaString| {
            Ok(this.0.is_match(bounded(&text.as_bytes())?))
        });
        // As `string.match` has it: the groups, or all of it where there are none.
        methods.add_method("match", |lua, this, text: LuaString| {
            let text = text.as_bytes();
            let Some(found) = this.0.captures(bounded(&text)?) else {
                return Ok(MultiValue::from_vec(vec![Value::Nil]));
            };
            let first = usize::from(found.len() > 1);
            (first..found.len()).map(|group| value(lua, &found, group)).collect()
        });
        methods.add_method("captures", |lua, this, text: LuaString| {
            let text = text.as_bytes();
            let Some(found) = this.0.captures(bounded(&text)?) else { return Ok(None) };
            let table: Table = lua.create_table()?;
            for (group, name) in this.0.capture_names().enumerate() {
                let value = value(lua, &found, group)?;
                if let Some(name) = name {
                    table.raw_set(name, value.clone())?;
                }
                table.raw_set(group, value)?;
            }
            Ok(Some(table))
        });
        methods.add_method("replace", |lua, this, (text, with): (LuaString, LuaString)| {
            let (text, with) = (text.as_bytes(), with.as_bytes());
            let (mut made, mut rest) = (Vec::new(), 0);
            for found in this.0.captures_iter(bounded(&text)?) {
                let Some(whole) = found.get(0) else { continue };
                made.extend_from_slice(&text[rest..whole.start()]);
                found.expand(&with, &mut made);
                rest = whole.end();
                if made.len() > MADE_MAX {
                    return Err(Error::runtime("the replacement makes the text too long"));
                }
            }
            made.extend_from_slice(&text[rest..]);
            lua.create_string(made)
        });
    }
}

fn bounded(text: &[u8]) -> Result<&[u8]> {
    if text.len() > TEXT_MAX {
        let what = format!("a text of more than {TEXT_MAX} bytes is not searched");
        return Err(Error::runtime(what));
    }
    Ok(text)
}

fn value(lua: &Lua, found: &Captures<'_>, group: usize) -> Result<Value> {
    found
        .get(group)
        .map_or(Ok(Value::Nil), |found| lua.create_string(found.as_bytes()).map(Value::String))
}
