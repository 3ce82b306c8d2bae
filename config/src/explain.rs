//! A configuration as YAML again, with every effective default.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::{
    effective::{self, Secrets},
    environment,
    model::Config,
};

/// The file with every effective default written out and secrets redacted.
///
/// It loads to an equal configuration, but for the secrets.
#[must_use]
pub fn explain(config: &Config) -> String {
    let mut out = String::new();
    if let Value::Object(map) = effective::tree(config, Secrets::Redacted) {
        block(&map, 0, &mut out);
    }
    out
}

/// A value on one line: `{ bind: ":8080", protocols: [h1, h2] }`.
pub(crate) fn inline(value: &Value) -> String {
    match value {
        Value::Null => "off".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => word(&environment::escape(text)),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entries: Vec<_> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", word(key), inline(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

fn block(map: &Map<String, Value>, indent: usize, out: &mut String) {
    for (key, value) in map {
        let _ = write!(out, "{:indent$}{}:", "", word(key));
        after_key(value, indent, out);
    }
}

/// What follows `key:`; nests no deeper than the file does.
fn after_key(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block(map, indent + 2, out);
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            out.push('\n');
            for item in items {
                entry(item, indent + 2, out);
            }
        }
        _ => {
            let _ = writeln!(out, " {}", inline(value));
        }
    }
}

/// `- ` and an entry of a list, its first key on the same line.
fn entry(item: &Value, indent: usize, out: &mut String) {
    let Value::Object(map) = item else {
        let _ = writeln!(out, "{:indent$}- {}", "", inline(item));
        return;
    };
    for (index, (key, value)) in map.iter().enumerate() {
        let dash = if index == 0 { "- " } else { "  " };
        let _ = write!(out, "{:indent$}{dash}{}:", "", word(key));
        after_key(value, indent + 2, out);
    }
}

/// A text as a plain scalar where every YAML reader takes it for that text, else quoted.
fn word(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_')
        && text.chars().all(safe)
        || amount(text);
    let special = ["true", "false", "on", "off", "yes", "no", "null", "y", "n", "nan", "inf"];
    if plain && !special.iter().any(|word| word.eq_ignore_ascii_case(text)) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(c),
            _ if c.is_alphanumeric() => out.push(c),
            _ => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

/// `15s`, `64KiB`, `100/s`: digits and then letters that are no exponent.
fn amount(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    unit.len() < text.len()
        && ["ms", "s", "m", "h", "d", "B", "KiB", "MiB", "GiB", "TiB", "%", "/s", "/m", "/h", "/d"]
            .contains(&unit)
}

#[cfg(test)]
mod tests;
