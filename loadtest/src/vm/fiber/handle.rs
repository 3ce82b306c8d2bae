//! Values of ours inside the interpreter, and bytes of the interpreter's.

use std::{any::Any, rc::Rc};

use rquickjs::{
    Ctx, JsLifetime, Object, Value,
    class::{JsClass, Readable, Trace, Tracer},
};

/// A value of ours that a script holds, as the hidden part of an object.
#[derive(Clone)]
pub(crate) struct Handle(pub(crate) Rc<dyn Any>);

// SAFETY: it holds no script value, so no lifetime of one.
unsafe impl<'js> JsLifetime<'js> for Handle {
    type Changed<'to> = Self;
}

impl<'js> Trace<'js> for Handle {
    fn trace<'a>(&self, _: Tracer<'a, 'js>) {}
}

impl<'js> JsClass<'js> for Handle {
    const NAME: &'static str = "Handle";
    type Mutable = Readable;

    fn constructor(_: &Ctx<'js>) -> rquickjs::Result<Option<rquickjs::function::Constructor<'js>>> {
        Ok(None)
    }
}

impl Handle {
    /// An object with `prototype` that holds `value`.
    pub(crate) fn object<'js, T: Any>(
        prototype: Object<'js>,
        value: T,
    ) -> rquickjs::Result<Value<'js>> {
        let handle = Self(Rc::new(value));
        Ok(rquickjs::Class::instance_proto(handle, prototype)?.into_inner().into_value())
    }

    /// An object with `prototype` that holds what this handle does.
    pub(crate) fn into_object<'js>(self, prototype: Object<'js>) -> rquickjs::Result<Value<'js>> {
        Ok(rquickjs::Class::instance_proto(self, prototype)?.into_inner().into_value())
    }

    /// What `value` holds, when it is such an object.
    pub(crate) fn of<T: Any>(value: &Value<'_>) -> Option<Rc<T>> {
        let class = value.as_object()?.as_class::<Self>()?;
        Rc::downcast(Rc::clone(&class.borrow().0)).ok()
    }
}

/// A copy of bytes of an `ArrayBuffer`.
pub(crate) fn copy_buffer(object: &Object<'_>, offset: usize, length: usize) -> Option<Vec<u8>> {
    let buffer = object.as_array_buffer()?;
    // SAFETY: copied before any script runs, which alone could free or change the buffer.
    let bytes = unsafe { buffer.as_bytes() }?;
    let bytes = bytes.get(offset..)?;
    Some(bytes[..bytes.len().min(length)].to_vec())
}
