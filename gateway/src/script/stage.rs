//! What the hook that runs is shown, and the way from Lua to it.
//!
//! Lua's part, `stage.luau`, makes `req` and `res` for each hook: plain tables that know the hook's
//! number. What they ask for is looked up here, for the hook that runs and no other.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use mlua::{Error, Function, Lua, LuaString, Result, Value, chunk::Compiler};

use super::{
    Hook,
    fields::{self, Fields, Side, editable},
    request::{self, Asked},
    response::{self, Answered},
};

/// Lua's part.
const STAGE: &str = include_str!("stage.luau");

/// Messages that a hook is shown.
#[derive(Debug, Clone, Default)]
pub(super) struct Shown {
    pub(super) asked: Option<Rc<Asked>>,
    pub(super) answered: Option<Rc<Answered>>,
}

impl Shown {
    /// The fields that such a hook may change.
    pub(super) fn changing(&self, hook: Hook) -> Option<&Fields> {
        match hook {
            Hook::Request => self.asked.as_ref().map(|asked| &asked.fields),
            Hook::Response => self.answered.as_ref().map(|answered| &answered.fields),
            Hook::Log | Hook::Value => None,
        }
    }
}

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Stage {
    /// Number of the hook that runs.
    hook: Cell<u32>,
    /// What it is shown; nothing where none runs.
    shown: RefCell<Shown>,
    /// The number given last.
    last: Cell<u32>,
}

impl Stage {
    /// The number of another hook.
    pub(super) fn number(&self) -> u32 {
        let number = self.last.get().wrapping_add(1);
        self.last.set(number);
        number
    }

    /// Runs a part of a hook, which sees these.
    pub(super) fn play<T>(&self, hook: u32, shown: &mut Shown, part: impl FnOnce() -> T) -> T {
        self.hook.set(hook);
        std::mem::swap(&mut *self.shown.borrow_mut(), shown);
        let played = part();
        std::mem::swap(&mut *self.shown.borrow_mut(), shown);
        played
    }

    /// What `with` makes of the request of a hook, if that is the one that runs.
    pub(super) fn asked<T>(&self, hook: u32, with: impl FnOnce(&Asked) -> Result<T>) -> Result<T> {
        let shown = self.shown.borrow();
        let asked = shown.asked.as_ref().filter(|_| self.hook.get() == hook).ok_or_else(gone)?;
        asked.fields.readable()?;
        with(asked)
    }

    /// The same of its response.
    pub(super) fn answered<T>(
        &self,
        hook: u32,
        with: impl FnOnce(&Answered) -> Result<T>,
    ) -> Result<T> {
        let shown = self.shown.borrow();
        let answered = shown.answered.as_ref().filter(|_| self.hook.get() == hook);
        let answered = answered.ok_or_else(gone)?;
        answered.fields.readable()?;
        with(answered)
    }

    /// The same of the fields of either.
    pub(super) fn fields<T>(
        &self,
        hook: u32,
        side: Side,
        with: impl FnOnce(&Fields) -> Result<T>,
    ) -> Result<T> {
        match side {
            Side::Asked => self.asked(hook, |asked| with(&asked.fields)),
            Side::Answered => self.answered(hook, |answered| with(&answered.fields)),
        }
    }
}

#[cold]
fn gone() -> Error {
    Error::runtime("this message is gone: its hook is over")
}

/// What makes functions that take a hook's number, and how many edits may wait, of hooks.
pub(super) struct Makers {
    /// Of `on_request`, which sees the request only.
    request: Function,
    /// Of the others.
    both: Function,
    /// Of what makes a value of a request.
    value: Function,
}

impl Makers {
    /// Puts Lua's part into a VM.
    pub(super) fn new(lua: &Lua, stage: &Rc<Stage>) -> Result<Self> {
        let natives = lua.create_table()?;
        natives.raw_set(
            "name",
            lua.create_function(|lua, name: LuaString| {
                lua.create_string(editable(&name.as_bytes())?)
            })?,
        )?;
        natives.raw_set(
            "value",
            lua.create_function(|lua, value: Value| lua.create_string(fields::value(&value)?))?,
        )?;
        natives.raw_set("upstream", request::chooser(lua, stage)?)?;
        natives.raw_set("cookie", request::cookies(lua, stage)?)?;
        let asked = fields::natives(lua, stage, Side::Asked)?;
        request::natives(lua, stage, &asked)?;
        natives.raw_set("asked", asked)?;
        let answered = fields::natives(lua, stage, Side::Answered)?;
        response::natives(lua, stage, &answered)?;
        natives.raw_set("answered", answered)?;
        let compiler = Compiler::new().set_optimization_level(2).set_debug_level(1);
        let chunk = lua.load(STAGE).set_name("=weir").set_compiler(compiler);
        let (request, both, value) = chunk.call::<(Function, Function, Function)>(natives)?;
        Ok(Self { request, both, value })
    }

    /// A hook, as it is called.
    pub(super) fn wrap(&self, hook: Hook, function: Function) -> Result<Function> {
        match hook {
            Hook::Request => self.request.call(function),
            Hook::Response | Hook::Log => self.both.call(function),
            Hook::Value => self.value.call(function),
        }
    }
}
