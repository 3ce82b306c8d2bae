//! One virtual user: a context, a fiber and the functions that the script exports.

use std::{
    cell::Cell,
    collections::HashMap,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
};

use rquickjs::{Context, Ctx, Function, Module, Object, Persistent, Value, function::Args};

use super::{
    Local, Machine, Place, ScriptError, ScriptFailure,
    fiber::{self, Fiber, Interrupter},
    modules,
    pump::{pump, wind_up},
    state::{self, VuState},
};
use crate::metrics::{TagSet, Tags as _};

/// Work for a virtual user.
#[derive(Clone, Debug)]
pub enum Job {
    /// Run the script's top level. The answer says what it exports.
    Load,
    /// `setup()`; the answer is what it returns.
    Setup,
    /// An iteration of this exported function.
    Iterate {
        /// The function.
        exec: Rc<str>,
        /// What `setup()` returned.
        data: Option<Arc<str>>,
    },
    /// `teardown()`, given what `setup()` returned.
    Teardown(Option<Arc<str>>),
    /// `handleSummary()`, given the summary's data; the answer is what it returns.
    Summary(Arc<str>),
}

/// What a script exports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exports {
    /// Names of its functions.
    pub functions: Vec<String>,
    /// Its `options`, JSON.
    pub options: Option<String>,
}

/// The answer to a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// After [`Job::Load`].
    pub exports: Exports,
    /// What the function returned, JSON.
    pub json: Option<String>,
}

type Outcome = Result<Answer, ScriptError>;

/// A virtual user. Belongs to one thread.
#[derive(Debug)]
pub struct Vu {
    fiber: Pin<Box<Fiber>>,
    mailbox: Rc<Mailbox>,
    state: Rc<VuState>,
    iterations: u64,
    iterations_here: u64,
}

#[derive(Default)]
struct Mailbox {
    job: Cell<Option<Job>>,
    outcome: Cell<Option<Outcome>>,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

/// Stops what a virtual user does, while [`Vu::run`] is awaited.
#[derive(Debug)]
pub struct Stopper(Interrupter);

impl Stopper {
    /// Makes the job end; it must be awaited all the same.
    pub fn stop(&self) {
        self.0.interrupt();
    }
}

impl Vu {
    /// A virtual user that has not read the script yet.
    ///
    /// # Errors
    /// When there is no memory for its stack.
    pub fn new(machine: &Rc<Machine>, local: &Rc<Local>, id: u64) -> std::io::Result<Self> {
        let state = VuState::new(Rc::clone(local), Rc::clone(machine), id);
        let mailbox: Rc<Mailbox> = Rc::default();
        let (inner, letters) = (Rc::clone(&state), Rc::clone(&mailbox));
        let machine = Rc::clone(machine);
        let fiber = Fiber::new(machine.raw, move || live(&machine, &inner, &letters))?;
        Ok(Self { fiber: Box::pin(fiber), mailbox, state, iterations: 0, iterations_here: 0 })
    }

    /// Does the job.
    ///
    /// # Errors
    /// When the script throws or is stopped.
    pub async fn run(&mut self, job: Job) -> Outcome {
        self.mailbox.job.set(Some(job));
        poll_fn(|task| {
            let ended = state::run_as(&self.state, || self.fiber.as_mut().poll(task).is_ready());
            match self.mailbox.outcome.take() {
                Some(outcome) => Poll::Ready(outcome),
                None if ended => {
                    let text =
                        "the interpreter has no memory for another virtual user (--vm-memory)";
                    Poll::Ready(Err(ScriptError::new(ScriptFailure::Exception, text)))
                }
                None => Poll::Pending,
            }
        })
        .await
    }

    /// What can stop it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.fiber.interrupter())
    }

    /// Moves it to a scenario.
    pub fn enter(&mut self, place: Rc<Place>) {
        self.iterations_here = 0;
        *self.state.tags.borrow_mut() = place.tags.clone();
        *self.state.place.borrow_mut() = Some(place);
    }

    /// Sets what scripts see of the iteration that comes next: its number in the scenario and how
    /// late it begins.
    pub fn begin_iteration(&mut self, number: u64, lag: Option<std::time::Duration>) {
        let state = &self.state;
        state.iteration_in_test.set(number);
        state.iteration.set(self.iterations);
        state.iteration_in_scenario.set(self.iterations_here);
        self.iterations += 1;
        self.iterations_here += 1;
        state.lag.set(lag);
        *state.group.borrow_mut() = "".into();
        let options = state.options();
        if !options.no_cookies_reset {
            state.jar.take();
        }
        if options.no_vu_connection_reuse {
            state.client.close();
        }
    }

    /// The tags of samples about the iteration.
    pub fn tags(&self) -> TagSet {
        self.state.sample_tags(&[]).to_set()
    }

    /// Ends it: its context is freed.
    pub async fn close(mut self) {
        self.fiber.close();
        poll_fn(|task| {
            // Whatever is left of a stack that will not unwind is given up with the fiber.
            let _ = state::run_as(&self.state, || self.fiber.as_mut().poll(task));
            Poll::Ready(())
        })
        .await;
    }
}

/// The body of the fiber.
fn live(machine: &Rc<Machine>, vu: &Rc<VuState>, mailbox: &Mailbox) {
    let Ok(context) = Context::full(&machine.runtime) else { return };
    let mut script = Script::default();
    loop {
        let next = poll_fn(|_| match mailbox.job.take() {
            Some(job) => Poll::Ready(job),
            None => Poll::Pending,
        });
        let Ok(job) = fiber::wait_idle(next) else { return };
        let outcome = fiber::enter(&context, |ctx| {
            let outcome = script.run(&ctx, vu, job);
            wind_up(&ctx, vu);
            outcome
        });
        mailbox.outcome.set(Some(outcome));
    }
}

/// The script as this virtual user has it.
#[derive(Default)]
struct Script {
    exports: Option<Persistent<Object<'static>>>,
    functions: HashMap<Rc<str>, Persistent<Function<'static>>>,
    data: Option<Persistent<Value<'static>>>,
    place: Option<Rc<Place>>,
}

impl Script {
    fn run(&mut self, ctx: &Ctx<'_>, vu: &Rc<VuState>, job: Job) -> Outcome {
        vu.rejection.borrow_mut().take();
        match job {
            Job::Load => {
                let exports = self.load(ctx, vu);
                vu.is_init.set(false);
                exports.map(|exports| Answer { exports, json: None })
            }
            Job::Setup => {
                *vu.group.borrow_mut() = "::setup".into();
                let value = self.call(ctx, vu, "setup", &[])?;
                Ok(Answer { json: to_json(ctx, value)?, ..Answer::default() })
            }
            Job::Iterate { exec, data } => {
                self.prepare(ctx, vu).map_err(|error| ScriptError::of(ctx, &error))?;
                let data = self.data(ctx, data.as_deref())?;
                self.call(ctx, vu, &exec, &[data])?;
                Ok(Answer::default())
            }
            Job::Teardown(data) => {
                *vu.group.borrow_mut() = "::teardown".into();
                let data = self.data(ctx, data.as_deref())?;
                self.call(ctx, vu, "teardown", &[data])?;
                Ok(Answer::default())
            }
            Job::Summary(data) => {
                let data = ctx.json_parse(&*data).map_err(|error| ScriptError::of(ctx, &error))?;
                let value = self.call(ctx, vu, "handleSummary", &[data])?;
                Ok(Answer { json: modules::summary_json(ctx, &value)?, ..Answer::default() })
            }
        }
    }

    fn load(&mut self, ctx: &Ctx<'_>, vu: &Rc<VuState>) -> Result<Exports, ScriptError> {
        let failed = |error: rquickjs::Error| ScriptError::of(ctx, &error);
        modules::install_globals(ctx, vu).map_err(failed)?;
        let bundle = &vu.local.environment.bundle;
        let source = bundle.source(bundle.main()).map_err(|error| {
            ScriptError::new(
                ScriptFailure::Exception,
                format!("{}: {error}", bundle.main().display()),
            )
        })?;
        let name = bundle.main().to_string_lossy().into_owned();
        let module = super::commonjs::as_module(&source, &name);
        let module = Module::declare(ctx.clone(), name, module).map_err(failed)?;
        let (module, promise) = module.eval().map_err(failed)?;
        pump(ctx, vu, Some(&promise))?;
        let mut exports = module.namespace().map_err(failed)?;
        if super::commonjs::is_common(&source) {
            exports = exports.get("default").map_err(failed)?;
        }
        let mut found = Exports::default();
        for key in exports.keys::<String>() {
            let key = key.map_err(failed)?;
            let value: Value<'_> = exports.get(&*key).map_err(failed)?;
            if value.is_function() {
                found.functions.push(key);
            } else if key == "options" {
                found.options = to_json(ctx, value)?;
            }
        }
        self.exports = Some(Persistent::save(ctx, exports));
        Ok(found)
    }

    /// Makes the globals those of the iteration.
    fn prepare(&mut self, ctx: &Ctx<'_>, vu: &Rc<VuState>) -> rquickjs::Result<()> {
        let globals = ctx.globals();
        globals.set("__ITER", vu.iteration.get() as f64)?;
        let place = vu.place.borrow().clone();
        let is_same = match (&place, &self.place) {
            (Some(new), Some(old)) => Rc::ptr_eq(new, old),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            let env = place.as_ref().map(|place| place.scenario.env.clone()).unwrap_or_default();
            modules::install_env(ctx, vu, &env)?;
            self.place = place;
        }
        Ok(())
    }

    fn data<'js>(&mut self, ctx: &Ctx<'js>, json: Option<&str>) -> Result<Value<'js>, ScriptError> {
        let failed = |error: rquickjs::Error| ScriptError::of(ctx, &error);
        let Some(json) = json else { return Ok(Value::new_undefined(ctx.clone())) };
        if self.data.is_none() {
            let value = ctx.json_parse(json).map_err(failed)?;
            self.data = Some(Persistent::save(ctx, value));
        }
        match &self.data {
            Some(data) => data.clone().restore(ctx).map_err(failed),
            None => Ok(Value::new_undefined(ctx.clone())),
        }
    }

    /// Calls an exported function and waits for what it began.
    fn call<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        vu: &Rc<VuState>,
        name: &str,
        args: &[Value<'js>],
    ) -> Result<Value<'js>, ScriptError> {
        let failed = |error: rquickjs::Error| ScriptError::of(ctx, &error);
        let function = self.function(ctx, name).map_err(failed)?;
        let mut call = Args::new(ctx.clone(), args.len());
        call.push_args(args.iter().cloned()).map_err(failed)?;
        let value: Value<'js> = function.call_arg(call).map_err(failed)?;
        let Some(promise) = value.clone().into_promise() else {
            if ctx.execute_pending_job() || !vu.operations.is_empty() {
                pump(ctx, vu, None)?;
            }
            return Ok(value);
        };
        pump(ctx, vu, Some(&promise))?;
        match promise.result::<Value<'js>>() {
            Some(result) => result.map_err(failed),
            None => Ok(Value::new_undefined(ctx.clone())),
        }
    }

    fn function<'js>(&mut self, ctx: &Ctx<'js>, name: &str) -> rquickjs::Result<Function<'js>> {
        if let Some(function) = self.functions.get(name) {
            return function.clone().restore(ctx);
        }
        let Some(exports) = self.exports.clone() else {
            return Err(rquickjs::Error::new_loading("script"));
        };
        let function: Function<'js> = exports.restore(ctx)?.get(name)?;
        self.functions.insert(name.into(), Persistent::save(ctx, function.clone()));
        Ok(function)
    }
}

fn to_json<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Option<String>, ScriptError> {
    let failed = |error: rquickjs::Error| ScriptError::of(ctx, &error);
    let text = ctx.json_stringify(value).map_err(failed)?;
    text.map(|text| text.to_string().map_err(failed)).transpose()
}
