#![allow(clippy::unwrap_used, reason = "tests")]

use regex::Regex;

use super::*;
use crate::{
    report::Report,
    source::Source,
    yaml::{self, Node},
};

const FULL: &str = include_str!("../../tests/full.yaml");

/// A YAML text as the JSON that an editor checks: scalars as YAML's core schema types them.
fn instance(text: &str) -> Value {
    fn convert(node: &Node) -> Value {
        match &node.value {
            yaml::Value::Null | yaml::Value::Bad => Value::Null,
            yaml::Value::Text(text) => match text.as_str() {
                "true" => json!(true),
                "false" => json!(false),
                text => text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number)),
            },
            yaml::Value::List(items) => items.iter().map(|item| convert(item)).collect(),
            yaml::Value::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.text.clone(), convert(&entry.value)))
                .collect::<Map<_, _>>()
                .into(),
        }
    }
    let source = Source::new("f", text);
    let mut report = Report::new(&source);
    convert(&yaml::parse(&source, &|_| Some("x".to_owned()), &mut report).unwrap())
}

/// The part of JSON Schema that is used here.
fn accepts(root: &Value, schema: &Value, value: &Value) -> bool {
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).unwrap();
        return accepts(root, target, value);
    }
    let types = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |name: &&str| match *name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    };
    let number = value.as_u64();
    let within = |key: &str, good: fn(u64, u64) -> bool| {
        schema[key].as_u64().zip(number).is_none_or(|(bound, number)| good(number, bound))
    };
    let pattern = schema["pattern"].as_str().zip(value.as_str());
    let any = schema["anyOf"].as_array();
    let one = schema["oneOf"].as_array();
    let words = schema["enum"].as_array();
    (types.is_empty() || types.iter().any(is))
        && within("minimum", |number, bound| number >= bound)
        && within("maximum", |number, bound| number <= bound)
        && pattern.is_none_or(|(pattern, text)| Regex::new(pattern).unwrap().is_match(text))
        && any.is_none_or(|any| any.iter().any(|schema| accepts(root, schema, value)))
        && one.is_none_or(|one| one.iter().filter(|one| accepts(root, one, value)).count() == 1)
        && words.is_none_or(|words| words.contains(value))
        && schema.get("const").is_none_or(|one| one == value)
        && accepts_inside(root, schema, value)
}

fn accepts_inside(root: &Value, schema: &Value, value: &Value) -> bool {
    if let Some(items) = value.as_array() {
        let enough = schema["minItems"].as_u64().is_none_or(|least| items.len() as u64 >= least);
        let each = |schema| items.iter().all(|item| accepts(root, schema, item));
        return enough && schema.get("items").is_none_or(each);
    }
    let Some(map) = value.as_object() else { return true };
    let required = schema["required"].as_array();
    let there = required
        .is_none_or(|names| names.iter().all(|name| map.contains_key(name.as_str().unwrap())));
    there
        && map.iter().all(|(key, value)| {
            match (schema["properties"].get(key), schema.get("additionalProperties")) {
                (Some(schema), _) => accepts(root, schema, value),
                (None, Some(Value::Bool(false))) => false,
                (None, Some(schema)) => accepts(root, schema, value),
                (None, None) => true,
            }
        })
}

fn valid(text: &str) -> bool {
    let schema = schema();
    accepts(&schema, &schema, &instance(text))
}

#[test]
fn it_accepts_what_loads() {
    assert!(valid(FULL));
    assert!(valid("listeners: [\":80\"]"));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(valid(&text), "{}", path.display());
            let loaded = crate::load(&path).unwrap();
            assert!(valid(&crate::explain(&loaded.config)), "{} explained", path.display());
        }
    }
}

#[test]
fn it_refuses_what_does_not() {
    for bad in [
        "{}",
        "listeners: 80",
        "listeners: [\":80\"]\nnope: 1",
        "listeners: [\":80\"]\nworkers: 0",
        "listeners: [\":80\"]\nmembership: { name: \"a\" }",
        "listeners: [\":80\"]\ntimeouts: { drain: 5 }",
        "listeners: [{ bind: \":80\", alt_svc: on }]",
        "listeners: [{ bind: \":80\", protocols: [h4] }]",
        "listeners: [\":80\"]\nroutes: [{ match: /a }]",
        "listeners: [\":80\"]\nroutes: [{ to: a, respond: 200 }]",
        "listeners: [\":80\"]\nupstreams: { a: { balance: p9c } }",
        "listeners: [\":80\"]\nlimits: { memory: 5 }",
        "listeners: [\":80\"]\nroutes: [{ to: a, retry: 11 }]",
        "listeners: [\":80\"]\nroutes: [{ to: a, retry: { hedge: p99 } }]",
        "listeners: [\":80\"]\nroutes: [{ to: a, concurrency: { key: path } }]",
        "listeners: [\":80\"]\nroutes: [{ to: a, rate_limit: { burst: 1 } }]",
        "listeners: [\":80\"]\nroutes: [{ to: a, rate_limit: [{ rate: 1/s, store: mongo }] }]",
        "listeners: [\":80\"]\nredis: { timeout: 20 }",
        "listeners: [\":80\"]\nrate_limits: { a: { name: a, rate: 1/s } }",
    ] {
        assert!(!valid(bad), "{bad}");
    }
    assert!(valid("listeners: [\":80\"]\ncache: off\nroutes: [{ respond: 200, retry: off }]"));
    for good in [
        "retry: on",
        "retry: 3",
        "retry: { on: [connect, 429, 500-503], hedge: 50ms, budget: 5% }",
        "retry: { hedge: { after: p95 }, attempt_timeout: off }",
        "fallback: { respond: 203 }, concurrency: 4, priority: low",
        "concurrency: { key: [client_ip, path], max: 1 }",
        "rate_limit: 100/s",
        "rate_limit: off",
        "rate_limit: { rate: 100/s, key: client_ip, cost: header:x-cost }",
        "rate_limit: [per-user, 5/m, { rate: 1/s, cost: 4 }, { rate: 1/s, cost: { fixed: 4 } }]",
    ] {
        assert!(valid(&format!("listeners: [\":80\"]\nroutes: [{{ to: a, {good} }}]")), "{good}");
    }
}
