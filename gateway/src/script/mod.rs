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

use std::{cell::RefCell, fs, path::Path, rc::Rc, sync::Arc, time::Duration};

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
mod vm;

pub(crate) use after::{log, see_off};
use fault::Fault;
pub(crate) use hook::{Inbound, Met, Outcome, Scripted, go_on, meet, outcome};
use kv::Store;
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
}

impl Hook {
    const ALL: [Self; 3] = [Self::Request, Self::Response, Self::Log];

    /// Its function.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Request => "on_request",
            Self::Response => "on_response",
            Self::Log => "on_log",
        }
    }
}

/// A script that loads.
#[derive(Debug)]
pub(crate) struct Script {
    /// Its name in errors.
    name: Arc<str>,
    text: Vec<u8>,
    bounds: Bounds,
    /// By [`Hook`]: whether it has that.
    hooks: [bool; Hook::ALL.len()],
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

    fn is(&self, name: &str, text: &[u8], bounds: Bounds) -> bool {
        *self.name == *name && self.text == text && self.bounds == bounds
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
    store: Arc<Store>,
}

impl Scripts {
    /// None yet. What is kept for scripts outlives a configuration.
    pub(crate) fn after(previous: Option<&Self>) -> Self {
        let store = previous.map(|previous| previous.store.clone()).unwrap_or_default();
        Self { all: Vec::new(), store }
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
        let same = |script: &&Arc<Script>| script.is(&name, &text, bounds);
        if let Some(index) = self.all.iter().position(|script| same(&script)) {
            return Ok(RouteScript { script: self.all[index].clone(), index, passes });
        }
        let before = previous.and_then(|previous| previous.all.iter().find(same)).cloned();
        let script = match before {
            Some(script) => script,
            None => Arc::new(try_out(name.into(), text, bounds, &self.store)?),
        };
        self.all.push(script.clone());
        Ok(RouteScript { script, index: self.all.len() - 1, passes })
    }
}

/// Loads a script once, for its errors and for what it defines.
fn try_out(
    name: Arc<str>,
    text: Vec<u8>,
    bounds: Bounds,
    store: &Arc<Store>,
) -> Result<Script, String> {
    let mut script = Script { name, text, bounds, hooks: [false; Hook::ALL.len()] };
    let loaded = Arc::new(script);
    let shared = api::Shared::new(loaded.name.clone(), store.clone());
    let vm = Vm::new(&loaded, shared).map_err(|fault| fault.text)?;
    let hooks = vm.hooks();
    drop(vm);
    script = Arc::into_inner(loaded).ok_or("it is still in use")?;
    if hooks == [false; Hook::ALL.len()] {
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
