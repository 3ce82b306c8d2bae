//! The `params` of a request, and its body: from a script's values to the [`Call`].

use std::time::Duration;

use bytes::Bytes;
use rquickjs::{Ctx, Exception, Result, Value};

use super::{
    bytes as script_bytes,
    cookies::jar_of,
    core::{pairs, text},
    perform::{Call, Wanted},
};
use crate::{
    http::{self, HttpError, Request},
    options,
    vm::{fiber::Handle, state::Expected},
};

/// Of a request that sets none; k6's.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);

/// A method that is none is the response's error.
pub(super) fn check_method(call: &mut Call) {
    if call.error.is_none() && !call.request.method.bytes().all(is_token_byte) {
        let text = format!("invalid method '{}'", call.request.method);
        call.error = Some(HttpError::new(HttpError::GENERIC, text));
    }
}

/// RFC 9110, 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// One of the `params` of a request. As in k6, what makes no sense is either without effect or the
/// response's error.
pub(super) fn apply<'js>(call: &mut Call, key: &str, value: &Value<'js>) -> Result<()> {
    if value.is_undefined() || (value.is_null() && key != "responseCallback") {
        return Ok(());
    }
    let given = || value.as_object().map_or(Ok(Vec::new()), pairs);
    match key {
        "headers" => {
            for (name, value) in given()? {
                let is_name = !name.is_empty() && name.bytes().all(is_token_byte);
                if !is_name || value.contains(['\r', '\n', '\0']) {
                    let text = format!("invalid header '{name}'");
                    call.error = Some(HttpError::new(HttpError::GENERIC, text));
                    return Ok(());
                }
                call.request.headers.push((name.into(), value.into()));
            }
        }
        "tags" => call.tags.extend(given()?),
        "timeout" => match duration(value)? {
            Ok(timeout) => call.request.timeout = timeout,
            Err(error) => call.error = Some(error),
        },
        "redirects" => call.redirects = value.get::<rquickjs::Coerced<f64>>()?.0.max(0.0) as u32,
        "cookies" => cookies(call, value)?,
        "jar" => {
            if let Some(jar) = jar_of(value) {
                call.jar = jar;
            }
        }
        "auth" if matches!(&*text(value)?, "digest" | "ntlm") => {
            let text = format!("authentication '{}' is not supported by weir-load", text(value)?);
            return Err(Exception::throw_message(value.ctx(), &text));
        }
        "responseType" => {
            call.wanted = match &*text(value)? {
                "text" => Wanted::Text,
                "binary" => Wanted::Binary,
                "none" => Wanted::Nothing,
                other => {
                    let text = format!("'{other}' does not belong to ResponseType values");
                    call.error = Some(HttpError::param(text));
                    return Ok(());
                }
            };
        }
        "httpVersion" => match http::Version::parse(&text(value)?) {
            Some(version) => call.request.version = version,
            None => {
                let text = format!("'{}' is no httpVersion: '1.1', '2' or '3'", text(value)?);
                call.error = Some(HttpError::param(text));
            }
        },
        "responseCallback" if value.is_null() => call.expected = None,
        "responseCallback" => match Handle::of::<Expected>(value) {
            Some(expected) => call.expected = Some(expected),
            None => call.error = Some(HttpError::param("unsupported responseCallback")),
        },
        _ => {}
    }
    Ok(())
}

fn cookies<'js>(call: &mut Call, value: &Value<'js>) -> Result<()> {
    let Some(object) = value.as_object() else { return Ok(()) };
    for entry in object.props::<String, Value<'js>>() {
        let (name, value) = entry?;
        let cookie = match value.as_object() {
            Some(cookie) if value.as_string().is_none() => {
                let text = text(&cookie.get::<_, Value<'js>>("value")?)?;
                (name, text, cookie.get::<_, Option<bool>>("replace")?.unwrap_or(false))
            }
            _ => (name, text(&value)?, false),
        };
        call.cookies.push(cookie);
    }
    Ok(())
}

/// How long a request may take, as a script says it.
pub(super) fn duration(value: &Value<'_>) -> Result<std::result::Result<Duration, HttpError>> {
    if let Some(ms) = value.as_number() {
        return Ok(Ok(Duration::try_from_secs_f64(ms / 1e3).unwrap_or(TIMEOUT)));
    }
    let parsed = options::parse_duration(&text(value)?);
    Ok(parsed.map_err(|error| HttpError::param(format!("invalid timeout value: {error}"))))
}

/// Sets a header unless the script has.
pub(super) fn set_header(request: &mut Request, name: &str, value: &str) {
    if !request.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
        request.headers.push((name.into(), value.into()));
    }
}

/// Sets the body; what is no body is the response's error.
pub(super) fn set_body<'js>(ctx: &Ctx<'js>, call: &mut Call, body: &Value<'js>) -> Result<()> {
    if body.is_null() || body.is_undefined() {
        return Ok(());
    }
    if let Some(bytes) = script_bytes::of(body)? {
        call.request.body = Some(Bytes::from(bytes));
        return Ok(());
    }
    let Some(fields) = body.as_object() else {
        let text = format!("a body is a text, a buffer or an object, and no {}", body.type_name());
        call.error = Some(HttpError::param(text));
        return Ok(());
    };
    let (bytes, content_type) = super::form::encode(ctx, fields)?;
    call.request.body = Some(bytes.into());
    set_header(&mut call.request, "Content-Type", &content_type);
    Ok(())
}
