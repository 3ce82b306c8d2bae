//! The JSON Schema of the file, for editors.

use serde_json::{Map, Value, json};

use crate::{
    defaults::{Fallback, Key, Kind, Short, section},
    units,
};

/// JSON Schema (draft 2020-12) of `weir.yaml`.
///
/// It knows shapes, words and bounds; that names refer to something only `load` can tell.
#[must_use]
pub fn schema() -> Value {
    let mut root = mapping("");
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "weir.yaml",
        "description": "Configuration of the Weir service gateway",
    });
    if let (Value::Object(root), Value::Object(head)) = (&mut root, head) {
        let body = std::mem::take(root);
        root.extend(head);
        root.extend(body);
        let defs = json!({
            "variable": {
                "description": "A text with `${NAME}` or `${NAME:-default}` in it",
                "type": "string",
                "pattern": r"\$\{",
            },
            "off": { "enum": ["off", "false", false] },
            "on": { "enum": ["on", "true", true] },
            "text": { "type": ["string", "number", "boolean"] },
        });
        root.insert("$defs".to_owned(), defs);
    }
    root
}

/// A mapping with the keys of a place.
fn mapping(place: &str) -> Value {
    let mut properties = Map::new();
    for key in section(place) {
        properties.insert(key.name().to_owned(), property(key));
    }
    let required: Vec<_> = section(place)
        .iter()
        .filter(|key| key.fallback == Fallback::Required)
        .map(|key| key.name())
        .collect();
    let mut out = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        out["required"] = json!(required);
    }
    if place == "routes[]" {
        let one = |name| json!({ "required": [name] });
        out["oneOf"] = json!(["to", "split", "redirect", "respond", "files"].map(one));
    }
    out
}

fn property(key: &'static Key) -> Value {
    let mut forms = forms(key);
    forms.extend(key.short.iter().filter_map(|short| shorter(key, *short)));
    let mut out = match <[Value; 1]>::try_from(forms) {
        Ok([Value::Object(only)]) => only,
        Ok([only]) => Map::from_iter([("anyOf".to_owned(), json!([only]))]),
        Err(forms) => Map::from_iter([("anyOf".to_owned(), Value::from(forms))]),
    };
    out.insert("description".to_owned(), json!(key.meaning));
    if let Fallback::Is(text) = key.fallback {
        out.insert("default".to_owned(), default(key, text));
    }
    Value::Object(out)
}

fn default(key: &Key, text: &str) -> Value {
    match key.kind {
        Kind::Flag => json!(text == "true"),
        Kind::Count(..) | Kind::CountOr(..) => {
            text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number))
        }
        Kind::Texts(_) if text.contains(", ") => text.split(", ").collect(),
        _ => json!(text),
    }
}

/// The long forms of a value.
fn forms(key: &'static Key) -> Vec<Value> {
    let variable = || json!({ "$ref": "#/$defs/variable" });
    let text = || json!({ "$ref": "#/$defs/text" });
    let amount = |units: &str| json!({ "type": "string", "pattern": format!("^[0-9]+({units})$") });
    let sizes = || amount(&units::size_units().join("|"));
    let durations = || amount(&units::duration_units().join("|"));
    let words = |words: &[&str]| {
        let numbers = words.iter().filter_map(|word| word.parse::<u64>().ok()).map(Value::from);
        let words: Vec<_> = words.iter().map(|word| json!(word)).chain(numbers).collect();
        json!({ "enum": words })
    };
    match key.kind {
        Kind::Flag => {
            vec![json!({ "$ref": "#/$defs/on" }), json!({ "$ref": "#/$defs/off" }), variable()]
        }
        Kind::Count(min, max) => {
            vec![json!({ "type": "integer", "minimum": min, "maximum": max }), variable()]
        }
        Kind::CountOr(min, max, word) => vec![
            json!({ "const": word }),
            json!({ "type": "integer", "minimum": min, "maximum": max }),
            variable(),
        ],
        Kind::SizeOr(_, _, word) => vec![json!({ "const": word }), sizes(), variable()],
        Kind::DurationOr(_, _, word) => vec![json!({ "const": word }), durations(), variable()],
        Kind::Size(..) => vec![sizes(), variable()],
        Kind::Duration(..) => vec![durations(), variable()],
        Kind::Percent => {
            let pattern = r"^[0-9]+(\.[0-9]+)?%$";
            vec![json!({ "type": "string", "pattern": pattern }), variable()]
        }
        Kind::Choice(list) => vec![words(list), variable()],
        Kind::Choices(list) => {
            vec![json!({ "type": "array", "items": words(list), "minItems": 1 }), words(list)]
        }
        Kind::Text(_) => vec![text()],
        Kind::Texts(_) => vec![json!({ "type": "array", "items": text() }), text()],
        Kind::Pairs(..) => {
            let values = json!({ "anyOf": [text(), { "type": "array", "items": text() }] });
            vec![json!({ "type": ["object", "null"], "additionalProperties": values })]
        }
        Kind::Secret | Kind::Secrets => {
            let file = json!({
                "type": "object",
                "properties": { "file": text() },
                "required": ["file"],
                "additionalProperties": false,
            });
            match key.kind {
                Kind::Secrets => {
                    let one = json!({ "anyOf": [text(), file] });
                    vec![json!({ "type": "array", "items": one, "minItems": 1 })]
                }
                _ => vec![text(), file],
            }
        }
        Kind::Section => {
            let empty = matches!(key.fallback, Fallback::Below);
            let null = empty.then(|| json!({ "type": "null" }));
            std::iter::once(mapping(key.path)).chain(null).collect()
        }
        Kind::Sections => {
            let item = item(key);
            let one = key.short.contains(&Short::One).then(|| item.clone());
            one.into_iter().chain([json!({ "type": "array", "items": item })]).collect()
        }
        Kind::Named => {
            let entry = mapping(&format!("{}.*", key.path));
            vec![json!({ "type": ["object", "null"], "additionalProperties": entry })]
        }
    }
}

/// An entry of a list of mappings.
fn item(key: &Key) -> Value {
    let mapping = mapping(&format!("{}[]", key.path));
    if key.short.iter().any(|short| matches!(short, Short::For(_))) {
        return json!({ "anyOf": [mapping, { "$ref": "#/$defs/text" }] });
    }
    mapping
}

/// A short form of a value; those of a list's entries belong to its items.
fn shorter(key: &'static Key, short: Short) -> Option<Value> {
    match short {
        Short::Off => Some(json!({ "$ref": "#/$defs/off" })),
        Short::On => Some(json!({ "$ref": "#/$defs/on" })),
        Short::For(_) | Short::As(_) if key.kind == Kind::Sections => None,
        Short::One => None,
        Short::Below => Some(mapping(key.path)),
        Short::As(_) => Some(json!({ "$ref": "#/$defs/text" })),
        Short::For(name) | Short::ListFor(name) => {
            let child = section(key.path).iter().find(|child| child.name() == name)?;
            let list = short == Short::ListFor(name);
            let form = forms(child).into_iter().filter(|form| (form["type"] == "array") == list);
            Some(json!({ "anyOf": form.collect::<Vec<_>>() }))
        }
    }
}

#[cfg(test)]
mod tests;
