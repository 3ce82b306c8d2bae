//! What is told of requests, as a tree: the log, and where spans go.

use serde_json::{Map, Value, json};

use super::Secrets;
use crate::{
    fields::REDACTED,
    model::{AccessLog, Collector, Level, Log, Tracing},
    units::{show_duration, show_percent},
};

pub(super) fn tracing(tracing: &Tracing, secrets: Secrets) -> Value {
    let Collector { tls, address, path } = &tracing.otlp;
    let scheme = if *tls { "https" } else { "http" };
    let path = path.strip_suffix("/v1/traces").unwrap_or(path);
    let headers = tracing.headers.iter().map(|(name, value)| {
        let shown = match secrets {
            Secrets::Plain => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            Secrets::Redacted => REDACTED.to_owned(),
        };
        (name.to_string(), json!(shown))
    });
    json!({
        "otlp": format!("{scheme}://{address}{path}"),
        "sample": show_percent(tracing.sample),
        "service": tracing.service,
        "headers": headers.collect::<Map<_, _>>(),
        "timeout": show_duration(tracing.timeout),
    })
}

pub(super) fn log(log: Log) -> Value {
    json!({ "access": access(log.access), "level": level(log.level) })
}

fn access(access: AccessLog) -> Value {
    match access {
        AccessLog::Json => json!("json"),
        AccessLog::Common => json!("common"),
        AccessLog::Off => Value::Null,
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}
