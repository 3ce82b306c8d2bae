//! Which responses a script expects.

use std::rc::Rc;

use rquickjs::{Ctx, Exception, Function, Object, Result, Value, function::Rest};

use crate::vm::{
    fiber::Handle,
    state::{self, Expected},
};

pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("expectedStatuses", Function::new(ctx.clone(), expected_statuses)?)?;
    native.set("setResponseCallback", Function::new(ctx.clone(), set_response_callback)?)
}

fn expected_statuses<'js>(ctx: Ctx<'js>, wanted: Rest<Value<'js>>) -> Result<Value<'js>> {
    let wrong = || {
        let text = "argument to expectedStatuses is neither a number nor an object like \
                    {min: 100, max: 329}";
        Exception::throw_type(&ctx, text)
    };
    let mut ranges = Vec::new();
    for value in wanted.0 {
        if let Some(status) = value.as_number().filter(|status| status.fract() == 0.0) {
            ranges.push((status as u16, status as u16));
        } else if let Some(object) = value.as_object() {
            let (min, max) = (object.get::<_, Option<f64>>("min")?, object.get("max")?);
            let (Some(min), Some(max)) = (min, max) else { return Err(wrong()) };
            let max: f64 = max;
            ranges.push((min as u16, max as u16));
        } else {
            return Err(wrong());
        }
    }
    if ranges.is_empty() {
        return Err(Exception::throw_type(&ctx, "no arguments"));
    }
    let Some(vu) = state::current() else { return Ok(Value::new_null(ctx)) };
    Handle::object(vu.machine.prototypes().plain.clone().restore(&ctx)?, Expected(ranges))
}

pub(super) fn expected_of<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Option<Rc<Expected>>> {
    if value.is_null() {
        return Ok(None);
    }
    Handle::of::<Expected>(value).map(Some).ok_or_else(|| {
        Exception::throw_type(ctx, "a response callback is made by http.expectedStatuses()")
    })
}

fn set_response_callback<'js>(ctx: Ctx<'js>, value: Value<'js>) -> Result<()> {
    let expected = expected_of(&ctx, &value)?;
    if let Some(vu) = state::current() {
        *vu.expected.borrow_mut() = expected;
    }
    Ok(())
}
