//! What scripts import.

#![allow(clippy::needless_pass_by_value, reason = "natives take what the interpreter gives")]

mod bytes;
mod cookies;
mod core;
mod crypto;
mod data;
mod execution;
mod expected;
mod form;
mod grpc;
mod grpc_stream;
mod grpc_tls;
mod html;
mod http;
mod metrics;
mod params;
mod perform;
mod queue;
mod response;
mod selector;
mod session;
mod table;
mod timers;
mod ws;

use rquickjs::{
    Ctx, Exception, Function, Module, Object, Persistent, Result, Value,
    context::EvalOptions,
    function::Opt,
    module::{Declarations, Declared, Exports, ModuleDef},
};

use self::table::TABLE;
use super::{
    ScriptError, ScriptFailure,
    state::{self, VuState},
};

/// What is said in JavaScript; later ones may use what earlier ones export.
const SOURCES: [&str; 5] = [
    include_str!("library.js"),
    include_str!("sockets.js"),
    include_str!("grpc.js"),
    include_str!("elements.js"),
    include_str!("html.js"),
];

/// Prototypes of the objects that natives make.
pub(crate) struct Prototypes {
    pub(crate) response: Persistent<Object<'static>>,
    pub(crate) plain: Persistent<Object<'static>>,
}

/// The number of a module of ours.
pub(crate) fn index(name: &str) -> Option<usize> {
    TABLE.iter().position(|(module, _)| *module == name)
}

/// Why a module of k6 cannot be imported.
pub(crate) fn why_not(name: &str) -> String {
    let known = ["k6/browser", "k6/html", "k6/net/grpc", "k6/secrets", "k6/experimental/", "k6/x/"];
    if known.iter().any(|module| name.starts_with(module)) {
        format!("the module '{name}' is not supported by weir-load")
    } else {
        format!("unknown module: {name}")
    }
}

/// Declares a module of ours in a context.
pub(crate) fn declare<'js>(ctx: &Ctx<'js>, index: usize) -> Result<Module<'js, Declared>> {
    let ctx = ctx.clone();
    match index {
        0 => Module::declare_def::<Shared<0>, _>(ctx, TABLE[0].0),
        1 => Module::declare_def::<Shared<1>, _>(ctx, TABLE[1].0),
        2 => Module::declare_def::<Shared<2>, _>(ctx, TABLE[2].0),
        3 => Module::declare_def::<Shared<3>, _>(ctx, TABLE[3].0),
        4 => Module::declare_def::<Shared<4>, _>(ctx, TABLE[4].0),
        5 => Module::declare_def::<Shared<5>, _>(ctx, TABLE[5].0),
        6 => Module::declare_def::<Shared<6>, _>(ctx, TABLE[6].0),
        7 => Module::declare_def::<Shared<7>, _>(ctx, TABLE[7].0),
        8 => Module::declare_def::<Shared<8>, _>(ctx, TABLE[8].0),
        9 => Module::declare_def::<Shared<9>, _>(ctx, TABLE[9].0),
        10 => Module::declare_def::<Shared<10>, _>(ctx, TABLE[10].0),
        11 => Module::declare_def::<Shared<11>, _>(ctx, TABLE[11].0),
        _ => Module::declare_def::<Shared<12>, _>(ctx, TABLE[12].0),
    }
}

/// A module whose exports are those of the library.
struct Shared<const INDEX: usize>;

impl<const INDEX: usize> ModuleDef for Shared<INDEX> {
    fn declare(declarations: &Declarations<'_>) -> Result<()> {
        declarations.declare("default")?;
        for name in TABLE[INDEX].1 {
            declarations.declare(*name)?;
        }
        Ok(())
    }

    fn evaluate<'js>(ctx: &Ctx<'js>, exports: &Exports<'js>) -> Result<()> {
        let (module, names) = TABLE[INDEX];
        let values = module_of(ctx, module)?;
        for name in names {
            exports.export(*name, values.get::<_, Value<'js>>(*name)?)?;
        }
        exports.export("default", values)?;
        Ok(())
    }
}

fn module_of<'js>(ctx: &Ctx<'js>, name: &str) -> Result<Object<'js>> {
    match state::current() {
        Some(vu) => vu.machine.module(ctx, name),
        None => Err(Exception::throw_internal(ctx, "no virtual user")),
    }
}

/// The library of an interpreter: an object by module, and the prototypes.
pub(crate) fn library<'js>(ctx: &Ctx<'js>) -> Result<(Object<'js>, Prototypes)> {
    let native = Object::new(ctx.clone())?;
    core::install(ctx, &native)?;
    http::install(ctx, &native)?;
    cookies::install(ctx, &native)?;
    metrics::install(ctx, &native)?;
    data::install(ctx, &native)?;
    execution::install(ctx, &native)?;
    crypto::install(ctx, &native)?;
    timers::install(ctx, &native)?;
    ws::install(ctx, &native)?;
    grpc::install(ctx, &native)?;
    html::install(ctx, &native)?;
    let library = Object::new(ctx.clone())?;
    for source in SOURCES {
        let mut options = EvalOptions::default();
        options.filename = Some("weir:library".into());
        let make: Function<'js> = ctx.eval_with_options(source, options)?;
        let modules: Object<'js> = make.call((native.clone(), library.clone()))?;
        for module in modules.props::<String, Value<'js>>() {
            let (name, exports) = module?;
            library.set(name, exports)?;
        }
    }
    let methods: Object<'js> = library.get("weir:response")?;
    let prototypes = Prototypes {
        response: Persistent::save(ctx, response::prototype(ctx, &methods)?),
        plain: Persistent::save(ctx, Object::new(ctx.clone())?),
    };
    Ok((library, prototypes))
}

/// Sets the globals of a new context.
pub(crate) fn install_globals(ctx: &Ctx<'_>, vu: &VuState) -> Result<()> {
    let globals = ctx.globals();
    let shared = vu.machine.module(ctx, "globals")?;
    let names =
        ["console", "crypto", "open", "setTimeout", "clearTimeout", "setInterval", "clearInterval"];
    for name in names {
        globals.set(name, shared.get::<_, Value<'_>>(name)?)?;
    }
    let math: Object<'_> = globals.get("Math")?;
    math.set("random", shared.get::<_, Value<'_>>("random")?)?;
    globals.set("require", Function::new(ctx.clone(), require)?)?;
    globals.set("global", globals.clone())?;
    // Its callbacks would run in whichever iteration the collector happens to run. k6 has none.
    globals.remove("FinalizationRegistry")?;
    globals.set("__VU", vu.id as f64)?;
    install_env(ctx, vu, &[])
}

/// Sets `__ENV`: the run's and `more`, which wins.
pub(crate) fn install_env(ctx: &Ctx<'_>, vu: &VuState, more: &[(String, String)]) -> Result<()> {
    let env = Object::new(ctx.clone())?;
    for (name, value) in vu.local.environment.env.iter().chain(more) {
        env.set(&**name, &**value)?;
    }
    ctx.globals().set("__ENV", env)
}

/// `require()` of what can be imported, by the file `from` or by the script itself.
fn require<'js>(ctx: Ctx<'js>, name: String, from: Opt<String>) -> Result<Value<'js>> {
    if index(&name).is_some() {
        return module_of(&ctx, &name).map(Object::into_value);
    }
    if name.starts_with("k6") {
        return Err(Exception::throw_message(&ctx, &why_not(&name)));
    }
    let Some(vu) = state::current().filter(|vu| vu.is_init.get()) else {
        let text = "require() is only available in the init stage";
        return Err(Exception::throw_message(&ctx, text));
    };
    let bundle = &vu.local.environment.bundle;
    let folder = from.0.map(std::path::PathBuf::from);
    let folder = folder.as_deref().and_then(std::path::Path::parent);
    let path = bundle.resolve(folder.unwrap_or_else(|| bundle.folder()), &name);
    // As any import: each file runs once, whoever asks.
    let module: Object<'js> = Module::import(&ctx, &*path.to_string_lossy())?.finish()?;
    let source = bundle.source(&path).unwrap_or_default();
    if super::commonjs::is_common(&source) {
        module.get("default")
    } else {
        Ok(module.into_value())
    }
}

/// What `handleSummary()` returned, as JSON: where to write and what. `None` when it returned
/// nothing, [`ScriptFailure::Exports`] when it returned what cannot be written. Bytes are written
/// as their text.
pub(crate) fn summary_json(
    ctx: &Ctx<'_>,
    value: &Value<'_>,
) -> std::result::Result<Option<String>, ScriptError> {
    let failed = |error: rquickjs::Error| ScriptError::of(ctx, &error);
    if value.is_undefined() || value.is_null() {
        return Ok(None);
    }
    let wrong = |text: String| ScriptError::new(ScriptFailure::Exports, text);
    let Some(object) = value.as_object() else {
        return Err(wrong(format!("must return an object, and not a {}", value.type_name())));
    };
    let outputs = Object::new(ctx.clone()).map_err(failed)?;
    for entry in object.props::<String, Value<'_>>() {
        let (place, content) = entry.map_err(failed)?;
        let bytes = bytes::of(&content).map_err(failed)?;
        let content = bytes.ok_or_else(|| {
            wrong(format!(
                "'{place}' must be a text or a buffer, and not a {}",
                content.type_name()
            ))
        })?;
        outputs.set(place, &*String::from_utf8_lossy(&content)).map_err(failed)?;
    }
    let text = ctx.json_stringify(outputs).map_err(failed)?;
    text.map(|text| text.to_string().map_err(failed)).transpose()
}
