//! Lua in the way of requests: hooks that see, change or answer what a route gets and gives.
//!
//! A [`Script`] is read and tried out when a configuration is compiled. Each worker makes a VM of
//! its own for it when the first request needs one ([`Vms`]), and drops that when the script has
//! used up its memory. A hook runs at once ([`meet`]); only one that waits, or runs for longer than
//! a slice, gets a future ([`go_on`]).
//!
//! The dialect is Luau: its VM asks the gateway at every call and every turn of a loop, within
//! matches of patterns as well, whether the script may go on, and can be left there for other
//! requests. Lua 5.4 and LuaJIT cannot be stopped inside of a match, and LuaJIT not in compiled
//! loops; what a hook costs is the way between Rust and Lua, which is the same for all of them.

use std::{
    borrow::Cow, cell::RefCell, collections::HashMap, fs, path::Path, rc::Rc, sync::Arc,
    time::Duration,
};

use weir_config::model::{self, OnScriptError, ScriptSource};

mod after;
mod api;
mod budget;
mod fault;
mod fields;
mod hook;
mod kv;
mod request;
mod response;
mod stage;
mod value;
mod vm;

pub(crate) use after::{log, see_off};
use fault::Fault;
pub(crate) use hook::{Inbound, Met, Outcome, Scripted, go_on, meet, outcome};
use kv::Store;
pub(crate) use value::Values;
use vm::Vm;

/// Longest text of a script, in bytes.
const TEXT_MAX: u64 = 1 << 20;

/// What a script may define.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hook {
    /// Before the request goes anywhere.
    Request,
    /// Before the response goes to the client.
    Response,
    /// When both are over.
    Log,
    /// For a value of the request: not a function that a script defines, but all of it.
    Value,
}

impl Hook {
    /// Those that a script may define.
    const ALL: [Self; 3] = [Self::Request, Self::Response, Self::Log];
    /// How many there are, values included.
    const COUNT: usize = Self::ALL.len() + 1;

    /// Its function.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Request => "on_request",
            Self::Response => "on_response",
            Self::Log => "on_log",
            Self::Value => "key",
        }
    }
}

/// A script that loads.
#[derive(Debug)]
pub(crate) struct Script {
    /// Its name in errors.
    name: Arc<str>,
    text: Vec<u8>,
    /// Whether it is an expression, and no script.
    is_value: bool,
    bounds: Bounds,
    /// By [`Hook`]: whether it has that.
    hooks: [bool; Hook::COUNT],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    timeout: Duration,
    steps: u32,
    memory: u64,
}

impl Script {
    fn has(&self, hook: Hook) -> bool {
        self.hooks[hook as usize]
    }

    fn new(name: Arc<str>, text: Vec<u8>, bounds: Bounds) -> Self {
        Self { name, text, is_value: false, bounds, hooks: [false; Hook::COUNT] }
    }

    fn is(&self, other: &Self) -> bool {
        *self.name == *other.name
            && self.text == other.text
            && self.is_value == other.is_value
            && self.bounds == other.bounds
    }

    /// What it is called in logs: an expression is what it says.
    fn title(&self) -> Cow<'_, str> {
        match self.is_value {
            true => String::from_utf8_lossy(&self.text),
            false => Cow::Borrowed(&self.name),
        }
    }
}

/// A route's script.
#[derive(Debug)]
pub(crate) struct RouteScript {
    script: Arc<Script>,
    /// Its place among [`Scripts`].
    index: usize,
    /// Whether requests go on where a hook fails.
    passes: bool,
}

impl RouteScript {
    /// Its name and its hooks, in words.
    pub(crate) fn describe(&self) -> String {
        let hooks = Hook::ALL.into_iter().filter(|hook| self.script.has(*hook)).map(Hook::name);
        format!("{} ({})", self.script.name, hooks.collect::<Vec<_>>().join(", "))
    }
}

/// All scripts of a configuration, each once, and what they keep.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scripts {
    all: Vec<Arc<Script>>,
    /// Places of expressions, by what they say.
    values: HashMap<Box<str>, usize>,
    store: Arc<Store>,
}

impl Scripts {
    /// None yet. What is kept for scripts outlives a configuration.
    pub(crate) fn after(previous: Option<&Self>) -> Self {
        let store = previous.map(|previous| previous.store.clone()).unwrap_or_default();
        Self { all: Vec::new(), values: HashMap::new(), store }
    }

    /// Takes in the script of a route: the one of before where it is the same, else it is
    /// loaded to see whether that works.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn load(
        &mut self,
        config: &model::RouteScript,
        route: &str,
        previous: Option<&Self>,
    ) -> Result<RouteScript, String> {
        let (name, text) = match &config.source {
            ScriptSource::File(path) => (name(path), read(path)?),
            ScriptSource::Inline(text) => {
                (format!("inline script of {route}"), text.clone().into_bytes())
            }
        };
        let bounds = Bounds { timeout: config.timeout, steps: config.steps, memory: config.memory };
        let passes = config.on_error == OnScriptError::Pass;
        let (script, index) = self.take(Script::new(name.into(), text, bounds), previous)?;
        Ok(RouteScript { script, index, passes })
    }

    /// Takes in an expression that makes a value of a request.
    ///
    /// # Errors
    /// Why it is none, in words.
    pub(crate) fn load_value(&mut self, text: &str, previous: Option<&Self>) -> Result<(), String> {
        let script = Script::new(value::NAME.into(), text.into(), value::BOUNDS);
        let taken = self.take(Script { is_value: true, ..script }, previous);
        let (_, index) = taken.map_err(|what| match what.strip_prefix("lua:") {
            Some(place) => format!("line {place}"),
            None => what,
        })?;
        self.values.insert(text.into(), index);
        Ok(())
    }

    fn take(
        &mut self,
        script: Script,
        previous: Option<&Self>,
    ) -> Result<(Arc<Script>, usize), String> {
        if let Some(index) = self.all.iter().position(|other| other.is(&script)) {
            return Ok((self.all[index].clone(), index));
        }
        let before = previous.and_then(|previous| previous.all.iter().find(|it| it.is(&script)));
        let script = match before {
            Some(script) => script.clone(),
            None => Arc::new(try_out(script, &self.store)?),
        };
        self.all.push(script.clone());
        Ok((script, self.all.len() - 1))
    }
}

/// Loads a script once, for its errors and for what it defines.
fn try_out(mut script: Script, store: &Arc<Store>) -> Result<Script, String> {
    let loaded = Arc::new(script);
    let shared = api::Shared::new(loaded.name.clone(), store.clone());
    let vm = Vm::new(&loaded, shared).map_err(|fault| fault.text)?;
    let hooks = vm.hooks();
    drop(vm);
    script = Arc::into_inner(loaded).ok_or("it is still in use")?;
    if !hooks.contains(&true) {
        let names = "`on_request`, `on_response` or `on_log`";
        return Err(format!("{}: it has no hook: none of {names} is a function", script.name));
    }
    script.hooks = hooks;
    Ok(script)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error| format!("cannot read `{}`: {error}", path.display());
    if fs::metadata(path).map_err(cannot)?.len() > TEXT_MAX {
        return Err(format!("`{}` is larger than 1 MiB", path.display()));
    }
    fs::read(path).map_err(cannot)
}

/// A worker's VMs, by the place of their scripts.
#[derive(Debug, Default)]
pub(crate) struct Vms(Box<[RefCell<Option<Rc<Vm>>>]>);

impl Vms {
    /// Those for these scripts; VMs of scripts that are the same as before stay.
    pub(crate) fn new(scripts: &Scripts, before: Option<(&Scripts, &Self)>) -> Self {
        let place = |script: &Arc<Script>| {
            let (old, vms) = before?;
            let index = old.all.iter().position(|other| Arc::ptr_eq(other, script))?;
            vms.0.get(index)?.borrow().clone()
        };
        Self(scripts.all.iter().map(|script| RefCell::new(place(script))).collect())
    }

    /// The VM of a script, made now where there is none.
    fn of(&self, scripts: &Scripts, index: usize) -> Result<Rc<Vm>, Fault> {
        let (Some(slot), Some(script)) = (self.0.get(index), scripts.all.get(index)) else {
            return Err(Fault::new("the script is gone"));
        };
        let kept = slot.borrow().clone().filter(|vm| !vm.is_worn());
        if let Some(vm) = kept {
            return Ok(vm);
        }
        let shared = api::Shared::new(script.name.clone(), scripts.store.clone());
        let vm = Rc::new(Vm::new(script, shared)?);
        *slot.borrow_mut() = Some(vm.clone());
        Ok(vm)
    }
}

#[cfg(test)]
mod tests;
