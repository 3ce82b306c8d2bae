//! The module `k6/data`: arrays that all virtual users share.

use std::sync::Arc;

use rquickjs::{Ctx, Exception, Function, Object, Result, Value};

use crate::vm::{fiber::Handle, state};

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("arrayFind", Function::new(ctx.clone(), find)?)?;
    native.set("arrayKeep", Function::new(ctx.clone(), keep)?)?;
    native.set("arrayLength", Function::new(ctx.clone(), length)?)?;
    native.set("arrayItem", Function::new(ctx.clone(), item)?)
}

struct Shared(Arc<[Box<str>]>);

fn handle<'js>(ctx: &Ctx<'js>, array: Arc<[Box<str>]>) -> Result<Value<'js>> {
    let Some(vu) = state::current() else { return Ok(Value::new_null(ctx.clone())) };
    let plain = vu.machine.prototypes().plain.clone().restore(ctx)?;
    Handle::object(plain, Shared(array))
}

fn find<'js>(ctx: Ctx<'js>, name: String) -> Result<Value<'js>> {
    let found = state::current().and_then(|vu| vu.local.environment.bundle.arrays.find(&name));
    match found {
        Some(array) => handle(&ctx, array),
        None => Ok(Value::new_null(ctx)),
    }
}

fn keep<'js>(ctx: Ctx<'js>, name: String, items: Vec<String>) -> Result<Value<'js>> {
    let Some(vu) = state::current() else { return Ok(Value::new_null(ctx)) };
    let array: Arc<[Box<str>]> = items.into_iter().map(String::into_boxed_str).collect();
    handle(&ctx, vu.local.environment.bundle.arrays.keep(&name, array))
}

fn length(array: Value<'_>) -> usize {
    Handle::of::<Shared>(&array).map_or(0, |array| array.0.len())
}

fn item<'js>(ctx: Ctx<'js>, array: Value<'js>, index: usize) -> Result<rquickjs::String<'js>> {
    let array = Handle::of::<Shared>(&array);
    match array.as_ref().and_then(|array| array.0.get(index)) {
        Some(item) => rquickjs::String::from_str(ctx, item),
        None => Err(Exception::throw_range(&ctx, "no such element")),
    }
}
