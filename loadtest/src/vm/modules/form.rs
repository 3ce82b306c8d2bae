//! Bodies made of fields: `application/x-www-form-urlencoded`, or `multipart/form-data` when one
//! of them is a file.

use std::fmt::Write as _;

use rquickjs::{Ctx, Object, Result, Value};

use super::{bytes, core::text};
use crate::vm::state;

/// The body and its `Content-Type`.
pub(super) fn encode<'js>(ctx: &Ctx<'js>, fields: &Object<'js>) -> Result<(Vec<u8>, String)> {
    let mut all = Vec::new();
    for entry in fields.props::<String, Value<'js>>() {
        let (name, value) = entry?;
        match value.as_array() {
            Some(values) => {
                for value in values.iter::<Value<'js>>() {
                    all.push((name.clone(), value?));
                }
            }
            None => all.push((name, value)),
        }
    }
    let is_file = |value: &Value<'js>| {
        value.as_object().is_some_and(|object| object.contains_key("filename").unwrap_or(false))
    };
    if all.iter().any(|(_, value)| is_file(value)) {
        return multipart(ctx, &all, is_file);
    }
    // As k6 writes them: by name, the values of one in their own order.
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut body = String::new();
    for (name, value) in &all {
        if !body.is_empty() {
            body.push('&');
        }
        escape(&mut body, name);
        body.push('=');
        let value = if value.is_null() { "<nil>".to_owned() } else { text(value)? };
        escape(&mut body, &value);
    }
    Ok((body.into_bytes(), "application/x-www-form-urlencoded".into()))
}

fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte as char);
            }
            b' ' => out.push('+'),
            // Writing to a string does not fail.
            byte => drop(write!(out, "%{byte:02X}")),
        }
    }
}

fn multipart<'js>(
    _: &Ctx<'js>,
    fields: &[(String, Value<'js>)],
    is_file: impl Fn(&Value<'js>) -> bool,
) -> Result<(Vec<u8>, String)> {
    let random = state::current().map_or(0, |vu| vu.random.borrow_mut().u128(..));
    let boundary = format!("{random:032x}");
    let quoted =
        |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace(['\r', '\n'], " ");
    let mut body = Vec::new();
    for (name, value) in fields {
        let mut head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", quoted(name));
        let content = match value.as_object().filter(|_| is_file(value)) {
            Some(file) => {
                let filename = text(&file.get::<_, Value<'js>>("filename")?)?;
                let kind =
                    text(&file.get::<_, Value<'js>>("content_type")?)?.replace(['\r', '\n'], " ");
                let _ =
                    write!(head, "; filename=\"{}\"\r\nContent-Type: {kind}", quoted(&filename));
                let data: Value<'js> = file.get("data")?;
                match bytes::of(&data)? {
                    Some(bytes) => bytes,
                    None => text(&data)?.into_bytes(),
                }
            }
            None => text(value)?.into_bytes(),
        };
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(&content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((body, format!("multipart/form-data; boundary={boundary}")))
}
