//! A Lua VM of one worker for one script: what it may reach, and how its hooks are run.
//!
//! Hooks are coroutines. One that neither waits nor takes long has run to its end when
//! [`Vm::begin`] returns; the coroutine is kept for the next.

use std::{cell::Cell, cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use mlua::{
    AnyUserData, Error, Function, IntoLuaMulti, Lua, LuaOptions, MultiValue, StdLib, Thread, Value,
    VmState,
    chunk::{ChunkMode, Compiler},
    thread::ThreadStatus,
};

use super::{
    Hook, Script,
    api::{self, Ask, Shared},
    budget::{Budget, Step},
    fault::{Fault, Kind},
    response::kind,
};
use crate::clock::{self, Tick};

/// How long a hook runs before others have their turn.
const SLICE: Duration = Duration::from_millis(1);
/// Coroutines that are kept.
const IDLE_MAX: usize = 64;
/// How many hooks' worth of time and steps the script itself may take, as it is loaded.
const LOADING: u32 = 10;
/// How often one hook may wait.
const WAITS_MAX: u32 = 32;

/// What scripts may not have: ways to load code or to reach around the sandbox, and what would
/// have a hook wait for nobody.
const BARRED: [&str; 8] = [
    "collectgarbage",
    "coroutine",
    "gcinfo",
    "getfenv",
    "loadstring",
    "newproxy",
    "require",
    "setfenv",
];

/// See the module's page.
pub(crate) struct Vm {
    lua: Lua,
    hooks: [Option<Function>; Hook::ALL.len()],
    budget: Rc<Budget>,
    script: Arc<Script>,
    shared: Rc<Shared>,
    idle: RefCell<Vec<Thread>>,
    /// It has used up its memory.
    worn: Cell<bool>,
}

impl std::fmt::Debug for Vm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vm").field("script", &self.script.name).finish_non_exhaustive()
    }
}

/// A hook under way.
pub(crate) struct Call {
    vm: Rc<Vm>,
    thread: Thread,
    hook: Hook,
    steps: u32,
    /// How long it has run so far.
    ran: Duration,
    waits: u32,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("vm", &self.vm)
            .field("hook", &self.hook)
            .finish_non_exhaustive()
    }
}

/// What a hook did.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It is over, and returned this.
    Done(Value),
    /// It goes on when others have had their turn.
    Aside(Box<Call>),
    /// It waits for an answer.
    Wait(Box<Call>, Box<Ask>),
}

impl Vm {
    /// Loads a script.
    pub(super) fn new(script: &Arc<Script>, shared: Shared) -> Result<Self, Fault> {
        let budget = Rc::new(Budget::default());
        let shared = Rc::new(shared);
        let fault = |error: &Error| Fault::of(error, &script.name, budget.exceeded());
        let lua = sandbox(script, &shared, &budget).map_err(|error| fault(&error))?;
        let bounds = &script.bounds;
        let steps = bounds.steps.saturating_mul(LOADING);
        budget.begin(steps, clock::now() + bounds.timeout * LOADING, Tick::NEVER);
        let chunk = lua.load(&*script.text).set_name(format!("={}", script.name));
        chunk.set_mode(ChunkMode::Text).exec().map_err(|error| fault(&error))?;
        let mut hooks = [const { None }; Hook::ALL.len()];
        for hook in Hook::ALL {
            hooks[hook as usize] = match lua.globals().get::<Value>(hook.name()) {
                Ok(Value::Function(function)) => Some(function),
                Ok(Value::Nil) => None,
                Ok(other) => {
                    let what =
                        format!("`{}` is a {}: expected a function", hook.name(), kind(&other));
                    return Err(Fault::new(format!("{}: {what}", script.name)));
                }
                Err(error) => return Err(fault(&error)),
            };
        }
        // What a hook leaves in a global would be there for requests of others.
        lua.globals().set_readonly(true);
        let (script, idle, worn) = (script.clone(), RefCell::default(), Cell::new(false));
        Ok(Self { lua, hooks, budget, script, shared, idle, worn })
    }

    /// Which hooks it has.
    pub(super) fn hooks(&self) -> [bool; Hook::ALL.len()] {
        self.hooks.each_ref().map(Option::is_some)
    }

    pub(super) const fn lua(&self) -> &Lua {
        &self.lua
    }

    /// Whether it has used up its memory: another takes its place.
    pub(super) fn is_worn(&self) -> bool {
        self.worn.get()
    }

    /// What an error of this script says.
    pub(super) fn fault(&self, error: &Error) -> Fault {
        let fault = Fault::of(error, &self.script.name, self.budget.exceeded());
        if fault.kind == Kind::Memory {
            self.worn.set(true);
        }
        fault
    }

    /// Tells the operator of a fault, unless there were too many of late.
    #[cold]
    pub(super) fn tell(&self, route: &str, id: &str, hook: Hook, fault: &Fault) {
        if self.shared.may_write() {
            fault.tell(&self.script.name, (route, id), hook.name());
        }
    }

    /// Something that the script did wrong, of which no error tells.
    pub(super) fn blame(&self, what: &str) -> Fault {
        Fault::new(format!("{}: {what}", self.script.name))
    }

    /// Runs a hook, at once and as far as it comes in a slice; `None` without such a hook.
    pub(super) fn begin(
        self: &Rc<Self>,
        hook: Hook,
        arguments: impl IntoLuaMulti,
    ) -> Option<Result<Turn, Fault>> {
        let function = self.hooks[hook as usize].as_ref()?;
        let (thread, arguments) = match self.prepare(function, arguments) {
            Ok(prepared) => prepared,
            Err(error) => return Some(Err(self.fault(&error))),
        };
        let steps = self.script.bounds.steps;
        let call = Call { vm: self.clone(), thread, hook, steps, ran: Duration::ZERO, waits: 0 };
        Some(call.turn(arguments))
    }
}

impl Vm {
    /// A coroutine for a hook, and what it is shown. The bound on memory is the script's: to make
    /// these within it would cost as much again.
    fn prepare(
        &self,
        function: &Function,
        arguments: impl IntoLuaMulti,
    ) -> mlua::Result<(Thread, MultiValue)> {
        let bound = self.lua.set_memory_limit(0)?;
        let kept = self.idle.borrow_mut().pop();
        let thread = match kept {
            Some(thread) => thread.reset(function.clone()).map(|()| thread),
            None => self.lua.create_thread(function.clone()),
        };
        let arguments = arguments.into_lua_multi(&self.lua);
        self.lua.set_memory_limit(bound)?;
        Ok((thread?, arguments?))
    }
}

impl Call {
    /// Goes on, with what it waited for.
    pub(super) fn turn(mut self, arguments: impl IntoLuaMulti) -> Result<Turn, Fault> {
        let vm = self.vm.clone();
        let began = clock::now();
        let over = began + vm.script.bounds.timeout.saturating_sub(self.ran);
        vm.budget.begin(self.steps, over, began + SLICE);
        let result = self.thread.resume::<MultiValue>(arguments);
        self.steps = vm.budget.steps();
        let mut returned = result.map_err(|error| vm.fault(&error))?;
        if self.thread.status() != ThreadStatus::Resumable {
            let mut idle = vm.idle.borrow_mut();
            if idle.len() < IDLE_MAX {
                idle.push(self.thread);
            }
            return Ok(Turn::Done(returned.pop_front().unwrap_or(Value::Nil)));
        }
        self.ran += clock::now().since(began);
        match returned.pop_front() {
            None => Ok(Turn::Aside(Box::new(self))),
            Some(Value::UserData(asked)) => {
                self.waits += 1;
                if self.waits > WAITS_MAX {
                    return Err(vm.blame(&format!("it waits more than {WAITS_MAX} times")));
                }
                let ask = asked.take::<Ask>().map_err(|error| vm.fault(&error))?;
                Ok(Turn::Wait(Box::new(self), Box::new(ask)))
            }
            Some(_) => Err(vm.blame("it waits for nothing")),
        }
    }

    /// The VM that it runs in.
    pub(super) fn vm(&self) -> &Rc<Vm> {
        &self.vm
    }
}

/// A VM in which nothing is loaded yet.
fn sandbox(script: &Script, shared: &Rc<Shared>, budget: &Rc<Budget>) -> mlua::Result<Lua> {
    let libraries = StdLib::BIT
        | StdLib::COROUTINE
        | StdLib::MATH
        | StdLib::STRING
        | StdLib::TABLE
        | StdLib::UTF8;
    let lua = Lua::new_with(libraries, LuaOptions::new())?;
    lua.set_memory_limit(usize::try_from(script.bounds.memory).unwrap_or(usize::MAX))?;
    // Lines in errors, and no inlining that would blur them.
    lua.set_compiler(Compiler::new().set_optimization_level(1).set_debug_level(1));
    api::install(&lua, shared)?;
    for name in BARRED {
        lua.globals().raw_set(name, Value::Nil)?;
    }
    lua.sandbox(true)?;
    let (budget, name) = (budget.clone(), script.name.clone());
    lua.set_interrupt(move |lua| match budget.step(clock::now) {
        Step::On => Ok(VmState::Continue),
        Step::Aside => Ok(VmState::Yield),
        Step::End(_) => {
            let line = line(lua, &name).unwrap_or_default();
            Err(Error::runtime(format!("{name}:{line}: the script has used up what it may")))
        }
    });
    Ok(lua)
}

/// The line of the script that runs, or has called what runs.
#[cold]
fn line(lua: &Lua, script: &str) -> Option<usize> {
    /// Functions of the library and of `weir` that may lie between.
    const DEEP: usize = 8;
    (0..DEEP).find_map(|level| {
        let line = lua.inspect_stack(level, |at| {
            at.current_line().filter(|_| at.source().short_src.is_some_and(|name| name == script))
        });
        line.flatten()
    })
}

/// Hands what a script asks for to whoever does it.
pub(super) fn ask(lua: &Lua, ask: Ask) -> mlua::Result<AnyUserData> {
    lua.create_userdata(ask)
}
