//! Values of a request that expressions in Lua make: parts of keys of limits, caches and endpoints.
//!
//! An expression is a script of its own, with one function. It is computed at once: it neither
//! waits nor leaves the worker to others, for which its bounds are narrow.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    time::Duration,
};

use http::{HeaderValue, Method};
use mlua::Value;

use super::{
    Bounds, Fault, Hook, Outcome, Scripts, Vms,
    fields::Access,
    request::Asked,
    response::kind,
    vm::{Turn, Vm},
};
use crate::{
    http::exchange::Exchange,
    limit::key::{Compute, Subject},
};

/// What an expression is called where it fails.
pub(super) const NAME: &str = "lua";
/// What one may take.
pub(super) const BOUNDS: Bounds =
    Bounds { timeout: Duration::from_millis(50), steps: 10_000, memory: 16 << 20 };
/// Longest value, in bytes.
const VALUE_MAX: usize = 4096;

/// A value by the place of its expression; `None` where that made none.
type Made = (usize, Option<Rc<[u8]>>);

/// What computes values for one request, each once.
pub(crate) struct Values<'a> {
    scripts: &'a Scripts,
    vms: &'a Vms,
    method: &'a Method,
    id: Option<HeaderValue>,
    /// The request, once one has asked for it.
    asked: RefCell<Option<Rc<Asked>>>,
    made: RefCell<Vec<Made>>,
    failed: Cell<Option<Outcome>>,
}

impl fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("made", &self.made).finish_non_exhaustive()
    }
}

impl<'a> Values<'a> {
    /// For a request with this method and id; `None` where the file has no expression.
    pub(crate) fn new(
        scripts: &'a Scripts,
        vms: &'a Vms,
        method: &'a Method,
        id: Option<&HeaderValue>,
    ) -> Option<Self> {
        (!scripts.values.is_empty()).then(|| Self {
            scripts,
            vms,
            method,
            id: id.cloned(),
            asked: RefCell::default(),
            made: RefCell::default(),
            failed: Cell::default(),
        })
    }

    /// Has the exchange know what failed.
    pub(crate) fn note(&self, exchange: &Exchange) {
        if let Some(failed) = self.failed.get() {
            exchange.value_failed.set(Some(failed));
        }
    }

    /// Whether any has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }

    fn run(&self, vm: &Rc<Vm>, subject: &Subject<'_>) -> Result<Option<Rc<[u8]>>, Fault> {
        let shown = {
            let mut asked = self.asked.borrow_mut();
            let made = || Asked::of(subject, self.method.clone(), self.id.clone());
            asked.get_or_insert_with(made).shown(None)
        };
        if let Some(asked) = &shown.asked {
            asked.open(Access::Read);
            // What another expression left there is of another VM, where to show it would panic.
            asked.forget();
        }
        let mut turn = vm.begin(Hook::Value, shown).ok_or_else(|| vm.blame("it is none"))??;
        loop {
            turn = match turn {
                Turn::Done(value) => return read(&value).map_err(|what| vm.blame(&what)),
                Turn::Aside(call) => call.turn(())?,
                Turn::Wait(..) => {
                    return Err(vm.blame("a key waits for nothing: `weir.http` is for hooks"));
                }
            };
        }
    }
}

impl Compute for Values<'_> {
    fn compute(&self, expression: &str, subject: &Subject<'_>) -> Option<Rc<[u8]>> {
        let index = *self.scripts.values.get(expression)?;
        let made = self.made.borrow().iter().find(|(one, _)| *one == index).cloned();
        if let Some((_, made)) = made {
            return made;
        }
        let vm = self.vms.of(self.scripts, index);
        let made = vm.and_then(|vm| {
            let made = self.run(&vm, subject);
            made.inspect_err(|fault| {
                let id = self.id.as_ref().and_then(|id| id.to_str().ok()).unwrap_or_default();
                vm.tell(subject.route, id, Hook::Value, fault);
            })
        });
        let made = made.unwrap_or_else(|fault| {
            self.failed.set(Some(Outcome::of(fault.kind)));
            None
        });
        self.made.borrow_mut().push((index, made.clone()));
        made
    }
}

/// What an expression made, as part of a key.
fn read(value: &Value) -> Result<Option<Rc<[u8]>>, String> {
    let text: Rc<[u8]> = match value {
        Value::Nil => return Ok(None),
        Value::String(text) => Rc::from(&*text.as_bytes()),
        Value::Integer(number) => Rc::from(number.to_string().into_bytes()),
        Value::Number(number) => Rc::from(number.to_string().into_bytes()),
        Value::Boolean(flag) => Rc::from(flag.to_string().into_bytes()),
        other => {
            let kind = kind(other);
            return Err(format!("it made a {kind}: a key is a string, a number or a boolean"));
        }
    };
    if text.len() > VALUE_MAX {
        return Err(format!("it made {} bytes: a key has at most {VALUE_MAX}", text.len()));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests;
