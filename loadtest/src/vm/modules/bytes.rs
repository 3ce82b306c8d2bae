//! Bytes of scripts: texts, buffers and views of buffers.

use rquickjs::{ArrayBuffer, Ctx, Object, Result, Value};

use crate::vm::fiber;

/// The bytes of a text or a buffer; `None` for anything else.
pub(super) fn of(value: &Value<'_>) -> Result<Option<Vec<u8>>> {
    if let Some(text) = value.as_string() {
        return text.to_string().map(|text| Some(text.into_bytes()));
    }
    let Some(object) = value.as_object() else { return Ok(None) };
    if let Some(bytes) = fiber::copy_buffer(object, 0, usize::MAX) {
        return Ok(Some(bytes));
    }
    let is_view = object.is_typed_array::<u8>()
        || object.is_typed_array::<i8>()
        || object.is_typed_array::<u16>()
        || object.is_typed_array::<i16>()
        || object.is_typed_array::<u32>()
        || object.is_typed_array::<i32>()
        || object.is_typed_array::<f32>()
        || object.is_typed_array::<f64>();
    if !is_view {
        return Ok(None);
    }
    let buffer: Object<'_> = object.get("buffer")?;
    let (offset, length) = (object.get("byteOffset")?, object.get("byteLength")?);
    Ok(fiber::copy_buffer(&buffer, offset, length))
}

/// An `ArrayBuffer` with these bytes.
pub(super) fn buffer<'js>(ctx: &Ctx<'js>, bytes: &[u8]) -> Result<Value<'js>> {
    ArrayBuffer::new_copy(ctx.clone(), bytes).map(ArrayBuffer::into_value)
}
