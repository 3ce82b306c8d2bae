//! A Lua VM of one worker for one script: what it may reach, and how its hooks are run.
//!
//! Hooks are coroutines. One that neither waits nor takes long has run to its end when
//! [`Vm::begin`] returns; the coroutine is kept for the next.

use std::{cell::Cell, cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use mlua::{
    AnyUserData, Error, Function, IntoLuaMulti, Lua, LuaOptions, LuaString, StdLib, Table, Thread,
    Value, VmState,
    chunk::{ChunkMode, Compiler},
    thread::ThreadStatus,
};

use super::{
    Hook, Script,
    api::{self, Ask, Shared},
    budget::{Budget, Step},
    fault::{Fault, Kind},
    fields::Fields,
    response::kind,
    stage::{Makers, Shown, Stage},
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
const BARRED: [&str; 9] = [
    "collectgarbage",
    "coroutine",
    "debug",
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
    hooks: [Option<Function>; Hook::COUNT],
    budget: Rc<Budget>,
    script: Arc<Script>,
    shared: Rc<Shared>,
    stage: Rc<Stage>,
    /// `debug.traceback`, which scripts do not have.
    trace: Function,
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
    /// Its number, and what it is shown.
    number: u32,
    shown: Shown,
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
        let stage = Rc::new(Stage::default());
        let made = sandbox(script, (&shared, &stage), &budget);
        let (lua, makers, trace) = made.map_err(|error| fault(&error))?;
        let bounds = &script.bounds;
        let steps = bounds.steps.saturating_mul(LOADING);
        budget.begin(steps, clock::now() + bounds.timeout * LOADING, Tick::NEVER);
        let mut hooks = [const { None }; Hook::COUNT];
        if script.is_value {
            let value = value(&lua, script).and_then(|value| makers.wrap(Hook::Value, value));
            hooks[Hook::Value as usize] = Some(value.map_err(|error| fault(&error))?);
        } else {
            let chunk = lua.load(&*script.text).set_name(format!("={}", script.name));
            chunk.set_mode(ChunkMode::Text).exec().map_err(|error| fault(&error))?;
        }
        for hook in Hook::ALL {
            hooks[hook as usize] = match lua.globals().get::<Value>(hook.name()) {
                Ok(Value::Function(function)) => {
                    Some(makers.wrap(hook, function).map_err(|error| fault(&error))?)
                }
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
        Ok(Self { lua, hooks, budget, script, shared, stage, trace, idle, worn })
    }

    /// Which hooks it has.
    pub(super) fn hooks(&self) -> [bool; Hook::COUNT] {
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

    /// What an error says that ended a coroutine. One of memory comes without a trace of calls.
    fn fault_in(&self, thread: &Thread, error: &Error) -> Fault {
        let mut fault = self.fault(error);
        if fault.kind == Kind::Memory {
            // There is none left to tell of it.
            let bound = self.lua.set_memory_limit(0);
            if let Ok(trace) = self.trace.call::<LuaString>(thread.clone()) {
                fault.place(&self.script.name, &trace.to_string_lossy());
            }
            let _ = bound.and_then(|bound| self.lua.set_memory_limit(bound));
        }
        fault
    }

    /// Tells the operator of a fault, unless there were too many of late.
    #[cold]
    pub(super) fn tell(&self, route: &str, id: &str, hook: Hook, fault: &Fault) {
        if self.shared.may_write() {
            fault.tell(&self.script.title(), (route, id), hook.name());
        }
    }

    /// Something that the script did wrong, of which no error tells.
    pub(super) fn blame(&self, what: &str) -> Fault {
        Fault::new(format!("{}: {what}", self.script.name))
    }

    /// Runs a hook, at once and as far as it comes in a slice; `None` without such a hook.
    pub(super) fn begin(self: &Rc<Self>, hook: Hook, shown: Shown) -> Option<Result<Turn, Fault>> {
        let function = self.hooks[hook as usize].as_ref()?;
        let thread = match self.thread(function) {
            Ok(thread) => thread,
            Err(error) => return Some(Err(self.fault(&error))),
        };
        let number = self.stage.number();
        let room = shown.changing(hook).map_or(0, Fields::room);
        let (vm, steps, ran) = (self.clone(), self.script.bounds.steps, Duration::ZERO);
        let call = Call { vm, thread, hook, number, shown, steps, ran, waits: 0 };
        Some(call.turn((number, room)))
    }

    /// A coroutine for a hook. The bound on memory is the script's: to make one within it would
    /// cost as much again.
    fn thread(&self, function: &Function) -> mlua::Result<Thread> {
        if let Some(thread) = self.idle.borrow_mut().pop() {
            return thread.reset(function.clone()).map(|()| thread);
        }
        let bound = self.lua.set_memory_limit(0)?;
        let thread = self.lua.create_thread(function.clone());
        self.lua.set_memory_limit(bound)?;
        thread
    }
}

impl Call {
    /// Goes on, with what it waited for.
    pub(super) fn turn(mut self, arguments: impl IntoLuaMulti) -> Result<Turn, Fault> {
        let vm = self.vm.clone();
        let began = clock::now();
        let over = began + vm.script.bounds.timeout.saturating_sub(self.ran);
        vm.budget.begin(self.steps, over, began + SLICE);
        let thread = &self.thread;
        let resume = || thread.resume::<(Value, Value)>(arguments);
        let result = vm.stage.play(self.number, &mut self.shown, resume);
        self.steps = vm.budget.steps();
        let (returned, edits) = result.map_err(|error| vm.fault_in(&self.thread, &error))?;
        if self.thread.status() != ThreadStatus::Resumable {
            let mut idle = vm.idle.borrow_mut();
            if idle.len() < IDLE_MAX {
                idle.push(self.thread);
            }
            if let (Value::String(edits), Some(fields)) = (edits, self.shown.changing(self.hook)) {
                fields.apply(&edits.as_bytes()).map_err(|error| vm.fault(&error))?;
            }
            return Ok(Turn::Done(returned));
        }
        self.ran += clock::now().since(began);
        match returned {
            Value::Nil => Ok(Turn::Aside(Box::new(self))),
            Value::UserData(asked) => {
                self.waits += 1;
                if self.waits > WAITS_MAX {
                    return Err(vm.blame(&format!("it waits more than {WAITS_MAX} times")));
                }
                let ask = asked.take::<Ask>().map_err(|error| vm.fault(&error))?;
                Ok(Turn::Wait(Box::new(self), Box::new(ask)))
            }
            _ => Err(vm.blame("it waits for nothing")),
        }
    }

    /// The VM that it runs in.
    pub(super) fn vm(&self) -> &Rc<Vm> {
        &self.vm
    }
}

/// What an expression is, as a function.
fn value(lua: &Lua, script: &Script) -> mlua::Result<Function> {
    // On one line, so that lines in errors are those of the expression.
    let text = [b"local req = ... return ", &*script.text].concat();
    let chunk = lua.load(text).set_name(format!("={}", script.name));
    chunk.set_mode(ChunkMode::Text).into_function()
}

/// A VM in which nothing is loaded yet.
fn sandbox(
    script: &Script,
    (shared, stage): (&Rc<Shared>, &Rc<Stage>),
    budget: &Rc<Budget>,
) -> mlua::Result<(Lua, Makers, Function)> {
    let libraries = StdLib::BIT
        | StdLib::COROUTINE
        | StdLib::DEBUG
        | StdLib::MATH
        | StdLib::STRING
        | StdLib::TABLE
        | StdLib::UTF8;
    let lua = Lua::new_with(libraries, LuaOptions::new())?;
    lua.set_memory_limit(usize::try_from(script.bounds.memory).unwrap_or(usize::MAX))?;
    // Lines in errors, and no inlining that would blur them.
    lua.set_compiler(Compiler::new().set_optimization_level(1).set_debug_level(1));
    let makers = Makers::new(&lua, stage)?;
    api::install(&lua, shared)?;
    let trace = lua.globals().get::<Table>("debug")?.get("traceback")?;
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
    Ok((lua, makers, trace))
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
