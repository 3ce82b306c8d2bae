//! `weir`: what scripts have beside the language.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use mlua::{Error, Lua, LuaString, Result, Table, Value};

use super::kv::Store;
use crate::clock;

mod http;
mod json;
mod kv;
mod regex;
mod text;

pub(super) use self::http::{Ask, answer};

/// Longest line that a script may write into the gateway's log, in bytes.
const LINE_MAX: usize = 1_000;
/// Lines that a script may write there in a second, on each worker.
const LINES_MAX: u32 = 100;

/// What the functions of one VM work with.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) script: Arc<str>,
    pub(super) store: Arc<Store>,
    lines: RefCell<Lines>,
}

/// How many lines were written in this second.
#[derive(Debug, Default)]
struct Lines {
    second: u64,
    count: u32,
}

impl Shared {
    pub(super) fn new(script: Arc<str>, store: Arc<Store>) -> Self {
        Self { script, store, lines: RefCell::default() }
    }

    /// Whether one more line may be written; one that may not is lost.
    pub(super) fn may_write(&self) -> bool {
        let second = clock::now().nanos() / 1_000_000_000;
        let mut lines = self.lines.borrow_mut();
        if lines.second != second {
            *lines = Lines { second, count: 0 };
        }
        lines.count = lines.count.saturating_add(1);
        lines.count <= LINES_MAX
    }
}

/// Lua's part of it: what must be able to yield, and library functions that would run for long
/// without a step of the script.
const PRELUDE: &str = r#"
local weir, begin = ...
local yield, type, error = coroutine.yield, type, error
local find, split, move, sort = string.find, string.split, table.move, table.sort
local LONG, TIMES, MANY = 64, 2^26, 2^20

function weir.http(request)
  local status, headers, body = yield(begin(request))
  if not status then return nil, headers end
  return { status = status, headers = headers, body = body }
end

local function bounded(text, pattern)
  if type(text) == "string" and type(pattern) == "string" and #pattern > LONG
    and #text * #pattern > TIMES then
    error("text and pattern are too long", 3)
  end
end

function string.find(text, pattern, ...)
  bounded(text, pattern)
  return find(text, pattern, ...)
end

function string.split(text, separator)
  bounded(text, separator)
  return split(text, separator)
end

function table.move(from, first, last, ...)
  if type(first) == "number" and type(last) == "number" and last - first > MANY then
    error("too many elements to move", 2)
  end
  return move(from, first, last, ...)
end

local function less(a, b) return a < b end
function table.sort(list, before) return sort(list, before or less) end
"#;

/// Puts `weir` into a VM.
pub(super) fn install(lua: &Lua, shared: &Rc<Shared>) -> Result<()> {
    let weir = lua.create_table()?;
    let log = log(lua, shared)?;
    lua.globals().raw_set(
        "print",
        lua.create_function({
            let shared = shared.clone();
            move |_, said: LuaString| {
                write(&shared, "info", &said);
                Ok(())
            }
        })?,
    )?;
    weir.raw_set("log", log)?;
    weir.raw_set("kv", closed(kv::table(lua, shared)?))?;
    weir.raw_set("json", closed(json::table(lua)?))?;
    weir.raw_set("base64", closed(text::base64(lua)?))?;
    weir.raw_set("hmac", closed(text::hmac(lua)?))?;
    weir.raw_set("time", closed(text::time(lua)?))?;
    weir.raw_set("regex", regex::function(lua)?)?;
    let begin =
        lua.create_function(|lua, request: Table| super::vm::ask(lua, http::read(&request)?))?;
    lua.load(PRELUDE).set_name("=weir").call::<()>((&weir, begin))?;
    lua.globals().raw_set("weir", closed(weir))
}

/// A table that no script changes.
fn closed(table: Table) -> Table {
    table.set_readonly(true);
    table
}

/// `weir.log("text")` and `weir.log("warn", "text")`.
fn log(lua: &Lua, shared: &Rc<Shared>) -> Result<mlua::Function> {
    let shared = shared.clone();
    lua.create_function(move |_, (first, second): (LuaString, Option<LuaString>)| {
        let Some(text) = second else {
            write(&shared, "info", &first);
            return Ok(());
        };
        let level = first.to_string_lossy();
        if !["debug", "info", "warn", "error"].contains(&level.as_str()) {
            let what = "a level is `debug`, `info`, `warn` or `error`";
            return Err(Error::runtime(format!("{what}, not `{}`", level.escape_debug())));
        }
        write(&shared, &level, &text);
        Ok(())
    })
}

fn write(shared: &Shared, level: &str, said: &LuaString) {
    if !shared.may_write() {
        return;
    }
    let bytes = said.as_bytes();
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LINE_MAX)]);
    let (script, text) = (&*shared.script, text.escape_debug().to_string());
    match level {
        "debug" => tracing::debug!(script, "{text}"),
        "warn" => tracing::warn!(script, "{text}"),
        "error" => tracing::error!(script, "{text}"),
        _ => tracing::info!(script, "{text}"),
    }
}

/// A number of seconds, from the smallest that makes sense.
fn seconds(given: &Value, name: &str, most: f64) -> Result<std::time::Duration> {
    let number = match given {
        Value::Integer(number) => *number as f64,
        Value::Number(number) => *number,
        _ => f64::NAN,
    };
    if !(0.001..=most).contains(&number) {
        return Err(Error::runtime(format!("`{name}` is a number of seconds up to {most}")));
    }
    Ok(std::time::Duration::from_secs_f64(number))
}
