//! `response.json(selector)`: paths into JSON, a part of gjson's.
//!
//! Supported: keys joined by `.`, with `\.` for a dot in a key; indexes; `#` for the number of
//! elements; `#.key` for a key of each element; `*` and `?` as wildcards in keys; `#(key==value)`
//! and `#(...)#` with `== != < <= > >= % !%`, one within the other as well.

use serde_json::Value;

/// What `path` leads to.
pub(super) fn select(value: &Value, path: &str) -> Option<Value> {
    if path.is_empty() {
        return None;
    }
    let parts = split(path);
    walk(value, &parts)
}

fn split(path: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth) = (Vec::new(), String::new(), 0);
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => part.extend(chars.next()),
            '(' => {
                depth += 1;
                part.push(c);
            }
            ')' => {
                depth -= 1;
                part.push(c);
            }
            '.' | '|' if depth <= 0 => parts.push(std::mem::take(&mut part)),
            c => part.push(c),
        }
    }
    parts.push(part);
    parts
}

fn walk(value: &Value, parts: &[String]) -> Option<Value> {
    let Some((part, rest)) = parts.split_first() else { return Some(value.clone()) };
    match value {
        Value::Object(map) => {
            let found = match part.contains(['*', '?']) {
                true => map.iter().find(|(key, _)| matches(key, part)).map(|(_, value)| value),
                false => map.get(part),
            };
            walk(found?, rest)
        }
        Value::Array(items) => match part.as_str() {
            "#" if rest.is_empty() => Some(items.len().into()),
            "#" => Some(items.iter().filter_map(|item| walk(item, rest)).collect()),
            query if query.starts_with("#(") => {
                let (inner, all) = match query.strip_suffix(")#") {
                    Some(inner) => (inner, true),
                    None => (query.strip_suffix(')')?, false),
                };
                let mut found = items.iter().filter(|item| holds(item, &inner[2..]));
                if !all {
                    return walk(found.next()?, rest);
                }
                Some(found.filter_map(|item| walk(item, rest)).collect())
            }
            index => walk(items.get(index.parse::<usize>().ok()?)?, rest),
        },
        _ => None,
    }
}

/// Whether `text` fits a pattern with `*` and `?`.
fn matches(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) =
        (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut in_pattern, mut star) = (0, 0, None);
    while at < text.len() {
        match pattern.get(in_pattern) {
            Some('*') => {
                star = Some((at, in_pattern));
                in_pattern += 1;
            }
            Some(c) if *c == '?' || *c == text[at] => {
                at += 1;
                in_pattern += 1;
            }
            _ => match star {
                Some((from, star_at)) => {
                    at = from + 1;
                    star = Some((from + 1, star_at));
                    in_pattern = star_at + 1;
                }
                None => return false,
            },
        }
    }
    pattern[in_pattern..].iter().all(|c| *c == '*')
}

/// The first operator of a query that is not inside a query of its own or a text.
fn operator_of(query: &str) -> Option<(usize, &'static str)> {
    // Of two at one place the longer.
    const OPERATORS: [&str; 9] = ["==", "!=", "!%", "<=", ">=", "<", ">", "%", "="];
    let (mut depth, mut quoted) = (0, false);
    for (at, byte) in query.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth -= 1,
            _ if quoted || depth > 0 || !query.is_char_boundary(at) => {}
            _ => {
                let found = OPERATORS.iter().find(|operator| query[at..].starts_with(**operator));
                if let Some(operator) = found {
                    return Some((at, operator));
                }
            }
        }
    }
    None
}

fn holds(item: &Value, query: &str) -> bool {
    let Some((at, operator)) = operator_of(query) else {
        return walk(item, &split(query.trim())).is_some();
    };
    let (path, wanted) = (query[..at].trim(), query[at + operator.len()..].trim());
    let left = if path.is_empty() { Some(item.clone()) } else { walk(item, &split(path)) };
    let Some(left) = left else { return matches!(operator, "!=" | "!%") };
    let wanted = wanted.trim_matches('"');
    let order = match &left {
        Value::Number(number) => {
            let numbers = number.as_f64().zip(wanted.parse::<f64>().ok());
            numbers.and_then(|(left, right)| left.partial_cmp(&right))
        }
        Value::String(text) if operator == "%" => return matches(text, wanted),
        Value::String(text) if operator == "!%" => return !matches(text, wanted),
        Value::String(text) => Some(text.as_str().cmp(wanted)),
        other => Some(other.to_string().as_str().cmp(wanted)),
    };
    use std::cmp::Ordering::{Equal, Greater, Less};
    match operator {
        "==" | "=" => order == Some(Equal),
        "!=" => order != Some(Equal),
        "<" => order == Some(Less),
        "<=" => matches!(order, Some(Less | Equal)),
        ">" => order == Some(Greater),
        ">=" => matches!(order, Some(Greater | Equal)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_gjson_finds() {
        let json = serde_json::json!({
            "name": {"first": "Tom", "last": "Anderson"},
            "age": 37,
            "children": ["Sara", "Alex", "Jack"],
            "fav.movie": "Deer Hunter",
            "friends": [
                {"first": "Dale", "last": "Murphy", "age": 44},
                {"first": "Roger", "last": "Craig", "age": 68, "nets": ["fb", "tw"]},
                {"first": "Jane", "last": "Murphy", "age": 47},
            ],
        });
        let at = |path: &str| select(&json, path).map(|v| v.to_string()).unwrap_or_default();
        assert_eq!(at("name.last"), "\"Anderson\"");
        assert_eq!(at("children.#"), "3");
        assert_eq!(at("children.1"), "\"Alex\"");
        assert_eq!(at("child*.2"), "\"Jack\"");
        assert_eq!(at("c?ildren.0"), "\"Sara\"");
        assert_eq!(at("fav\\.movie"), "\"Deer Hunter\"");
        assert_eq!(at("friends.#.first"), r#"["Dale","Roger","Jane"]"#);
        assert_eq!(at("friends.1.last"), "\"Craig\"");
        assert_eq!(at(r#"friends.#(last=="Murphy").first"#), "\"Dale\"");
        assert_eq!(at(r#"friends.#(last=="Murphy")#.first"#), r#"["Dale","Jane"]"#);
        assert_eq!(at("friends.#(age>45)#.last"), r#"["Craig","Murphy"]"#);
        assert_eq!(at(r#"friends.#(first%"D*").last"#), "\"Murphy\"");
        assert_eq!(at(r#"friends.#(first!%"D*").last"#), "\"Craig\"");
        assert_eq!(at(r#"friends.#(nets.#(=="fb"))#.first"#), r#"["Roger"]"#);
        assert_eq!(at("nothing.here"), "");
        assert_eq!(at(""), "");
    }
}
