//! An interpreter, and what all contexts in it share.
//!
//! The modules that scripts import are made once, in a context of their own: a virtual user's
//! context holds references to them, not copies.

use std::{path::Path, rc::Rc, sync::atomic::Ordering};

use rquickjs::{
    Context, Ctx, Error, Exception, Module, Object, Persistent, Result, Runtime,
    loader::{ImportAttributes, Loader, Resolver},
    module::Declared,
    qjs,
};

use super::{error::ScriptError, fiber, modules, state};

/// How long a script has the CPU before the others of its thread get their turn.
const SLICE: std::time::Duration = std::time::Duration::from_millis(10);

/// An interpreter. One per worker thread where fibers can share it.
pub struct Machine {
    // Dropped before the interpreter, which must not outlive a value of its own.
    library: Persistent<Object<'static>>,
    prototypes: modules::Prototypes,
    /// Where the library was made, kept as long as it is.
    _context: Context,
    pub(super) runtime: Runtime,
    pub(super) raw: *mut qjs::JSRuntime,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").finish_non_exhaustive()
    }
}

impl Machine {
    /// Memory of one interpreter where nothing else is said.
    pub const MEMORY_BYTES: usize = 8 << 30;

    /// A new interpreter that may use `memory_bytes`; beyond it, scripts see exceptions.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(memory_bytes: usize) -> std::result::Result<Rc<Self>, ScriptError> {
        let failed = |error: Error| {
            let why = match error {
                Error::Allocation => super::error::out_of_memory(memory_bytes),
                error => error.to_string(),
            };
            ScriptError::new(super::ScriptFailure::Exception, format!("interpreter: {why}"))
        };
        let runtime = Runtime::new().map_err(failed)?;
        runtime.set_memory_limit(memory_bytes);
        runtime.set_loader(Modules, Modules);
        runtime.set_interrupt_handler(Some(Box::new(interrupted)));
        runtime.set_host_promise_rejection_tracker(Some(Box::new(|_, _, reason, is_handled| {
            if let Some(vu) = state::current() {
                let text = (!is_handled).then(|| super::error::describe(&reason));
                *vu.rejection.borrow_mut() = text;
            }
        })));
        let raw = fiber::runtime_of(&runtime).map_err(failed)?;
        let context = Context::full(&runtime).map_err(failed)?;
        let made = fiber::enter(&context, |ctx| {
            let made = modules::library(&ctx);
            made.map(|(library, prototypes)| (Persistent::save(&ctx, library), prototypes))
                .map_err(|error| ScriptError::of(&ctx, &error))
        });
        let (library, prototypes) = made?;
        Ok(Rc::new(Self { library, prototypes, _context: context, runtime, raw }))
    }

    /// Whether virtual users may share one.
    pub fn can_be_shared() -> bool {
        fiber::can_share()
    }

    /// What the library exports as `name`.
    pub(super) fn module<'js>(&self, ctx: &Ctx<'js>, name: &str) -> Result<Object<'js>> {
        self.library.clone().restore(ctx)?.get(name)
    }

    pub(super) fn prototypes(&self) -> &modules::Prototypes {
        &self.prototypes
    }

    /// How long scripts had this thread since the last call.
    pub fn take_script_time() -> std::time::Duration {
        fiber::take_script_time()
    }
}

/// Called by the interpreter every few thousand steps.
fn interrupted() -> bool {
    if fiber::is_interrupted() {
        return true;
    }
    if fiber::slice() < SLICE {
        return false;
    }
    if let Some(vu) = state::current() {
        vu.local.environment.counts.preempted.fetch_add(1, Ordering::Relaxed);
    }
    fiber::wait(tokio::task::yield_now()).is_err()
}

/// Finds and reads modules.
struct Modules;

impl Resolver for Modules {
    fn resolve<'js>(
        &mut self,
        _: &Ctx<'js>,
        base: &str,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<String> {
        if modules::index(name).is_some() {
            return Ok(name.into());
        }
        let refuse = |why: &str| Err(Error::new_resolving_message(base, name, why));
        if name == "k6" || name.starts_with("k6/") {
            return refuse(&modules::why_not(name));
        }
        if name.starts_with("https://") || name.starts_with("http://") {
            return refuse("modules are not loaded over the network: save it beside the script");
        }
        let is_path = ["./", "../", "/", "file://"].iter().any(|start| name.starts_with(start));
        let Some(vu) = state::current().filter(|_| is_path) else {
            return refuse("neither a path nor a module of k6");
        };
        let folder = Path::new(base).parent().unwrap_or_else(|| Path::new("/"));
        let path = vu.local.environment.bundle.resolve(folder, name);
        Ok(path.to_string_lossy().into_owned())
    }
}

impl Loader for Modules {
    fn load<'js>(
        &mut self,
        ctx: &Ctx<'js>,
        name: &str,
        _: Option<ImportAttributes<'js>>,
    ) -> Result<Module<'js, Declared>> {
        if let Some(index) = modules::index(name) {
            return modules::declare(ctx, index);
        }
        let Some(vu) = state::current() else { return Err(Error::new_loading(name)) };
        // On the thread's own stack: what reads TypeScript needs more than is left of a script's.
        let source = fiber::wait(async { vu.local.environment.bundle.source(Path::new(name)) });
        let source = source.map_err(|_| fiber::throw_stopped(ctx))?;
        let source = source.map_err(|error| {
            Exception::throw_message(ctx, &format!("cannot load module '{name}': {error}"))
        })?;
        Module::declare(ctx.clone(), name, super::commonjs::as_module(&source, name))
    }
}
