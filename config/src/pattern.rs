//! The small languages of routes: paths, hosts, values and templates.

use std::net::IpAddr;

use regex::{Regex, RegexBuilder};

use crate::{
    address::is_host_name,
    decode::Complaint,
    defaults::{HOST, PATH},
    model::{HostMatch, PathMatch, Piece, Segment, ValueMatch},
    yaml::shorten,
};

/// Longest pattern, in bytes.
const PATTERN_MAX: usize = 4096;
/// Largest compiled regular expression, in bytes.
const REGEX_MAX: usize = 1 << 20;

/// Reads `/exact`, `/a/**`, `/users/{id}/**` or `~ regex`.
pub(crate) fn path(text: &str) -> Result<PathMatch, Complaint> {
    if text.len() > PATTERN_MAX {
        return Err(Complaint::new(format!("a path has at most {PATTERN_MAX} bytes here")));
    }
    if let Some(expression) = text.strip_prefix('~') {
        return regex(expression.trim_start(), text).map(PathMatch::Regex);
    }
    let complaint = || Complaint::new(format!("expected {PATH}, found `{}`", shorten(text)));
    if !text.starts_with('/') {
        let hint = if !text.is_empty() && text.bytes().all(|b| b == b'*') {
            "every path is `/**`".to_owned()
        } else if text.starts_with('^') {
            format!("a regular expression begins with `~ `: `~ {}`", shorten(text))
        } else {
            format!("paths begin with `/`: `/{}`", shorten(text.trim_start_matches('*')))
        };
        return Err(complaint().hint(hint));
    }
    let (body, rest) = match text.strip_suffix("/**") {
        Some(body) => (body, true),
        None => (text, false),
    };
    let mut segments = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    let mut offset = 1;
    // `/**` alone has no segments at all.
    for part in body.strip_prefix('/').map(|body| body.split('/')).into_iter().flatten() {
        let last = offset + part.len() == body.len();
        let segment = segment(part, offset, last && !rest, &mut named)?;
        segments.push(segment);
        offset += part.len() + 1;
    }
    if named.is_empty() {
        let body = body.to_owned();
        return Ok(if rest { PathMatch::Prefix(body) } else { PathMatch::Exact(body) });
    }
    Ok(PathMatch::Template { segments, rest })
}

fn segment<'t>(
    part: &'t str,
    offset: usize,
    may_be_empty: bool,
    named: &mut Vec<&'t str>,
) -> Result<Segment, Complaint> {
    let at = |complaint: Complaint| complaint.part(offset, part.len().max(1));
    if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        if !is_identifier(name) {
            let what = "expected a name in braces: letters, digits and `_`, such as `{id}`";
            return Err(at(Complaint::new(what)));
        }
        if named.contains(&name) {
            return Err(at(Complaint::new(format!("`{{{name}}}` stands in the path twice"))));
        }
        named.push(name);
        return Ok(Segment::Param(name.to_owned()));
    }
    if let Some(index) = part.find(['{', '}']) {
        let what = "a `{name}` takes one whole segment, from slash to slash";
        let hint = "parts of a segment need a regular expression: `~ ^/...`";
        return Err(Complaint::new(what).hint(hint).part(offset + index, 1));
    }
    if let Some(index) = part.find('*') {
        let what = "`*` is no wildcard inside of a path";
        let hint = "`{name}` takes one segment, `/**` at the end takes all that follows";
        return Err(Complaint::new(what).hint(hint).part(offset + index, 1));
    }
    if let Some(index) = part.find(['?', '#']) {
        let what = "the path ends before `?`: the query is no part of it";
        let hint = "conditions on the query are `match.query`";
        return Err(Complaint::new(what).hint(hint).part(offset + index, 1));
    }
    if let Some((index, c)) = part.char_indices().find(|(_, c)| c.is_control() || *c == ' ') {
        let what = "a path holds no blanks and no control characters";
        return Err(Complaint::new(what).part(offset + index, c.len_utf8()));
    }
    match part {
        "" if !may_be_empty => {
            Err(at(Complaint::new("an empty segment never matches: `//` is read as `/`")))
        }
        "." | ".." => Err(at(Complaint::new("a dot segment never matches: paths are normalized"))),
        _ => Ok(Segment::Literal(part.to_owned())),
    }
}

/// Reads `api.example.com`, `*.example.com` or `*`.
pub(crate) fn host(text: &str) -> Result<HostMatch, Complaint> {
    let complaint = || Complaint::new(format!("expected {HOST}, found `{}`", shorten(text)));
    if text == "*" {
        return Ok(HostMatch::Any);
    }
    let lower = text.to_ascii_lowercase();
    if let Some(below) = lower.strip_prefix("*.") {
        return match is_host_name(below) {
            true => Ok(HostMatch::Wildcard(format!(".{below}"))),
            false => Err(complaint()),
        };
    }
    let inner = lower.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if is_host_name(&lower) || inner.is_some_and(|ip| ip.parse::<IpAddr>().is_ok()) {
        return Ok(HostMatch::Exact(lower));
    }
    Err(match lower.rsplit_once(':') {
        _ if lower.contains("://") => complaint().hint("a host has no scheme"),
        Some((name, port)) if is_host_name(name) && port.bytes().all(|b| b.is_ascii_digit()) => {
            complaint().hint(format!("the port is no part of it: `{name}`"))
        }
        _ if lower.contains('*') => {
            complaint().hint("`*` stands alone or as the first label: `*.example.com`")
        }
        _ if !lower.is_ascii() => complaint().hint("write it in its ASCII form (`xn--...`)"),
        _ => complaint(),
    })
}

/// Reads an exact value, `*` or `~ regex`.
pub(crate) fn value(text: &str) -> Result<ValueMatch, Complaint> {
    if text.len() > PATTERN_MAX {
        return Err(Complaint::new(format!("a value has at most {PATTERN_MAX} bytes here")));
    }
    if text == "*" {
        return Ok(ValueMatch::Present);
    }
    match text.strip_prefix("~ ") {
        Some(expression) => regex(expression.trim_start(), text).map(ValueMatch::Regex),
        None => Ok(ValueMatch::Exact(text.to_owned())),
    }
}

/// Reads literals with `{name}` between them.
pub(crate) fn template(text: &str) -> Result<Vec<Piece>, Complaint> {
    if text.len() > PATTERN_MAX {
        return Err(Complaint::new(format!("a template has at most {PATTERN_MAX} bytes here")));
    }
    if let Some((offset, c)) = text.char_indices().find(|(_, c)| c.is_control() || *c == ' ') {
        let what = "a template holds no blanks and no control characters";
        return Err(Complaint::new(what).part(offset, c.len_utf8()));
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(index) = rest.find(['{', '}']) {
        let offset = text.len() - rest.len() + index;
        let Some((name, after)) = rest[index..].strip_prefix('{').and_then(|r| r.split_once('}'))
        else {
            return Err(Complaint::new("a brace without its other half").part(offset, 1));
        };
        if name != "**" && !is_identifier(name) {
            let what = "expected a name in braces, such as `{id}`, or `{**}`";
            return Err(Complaint::new(what).part(offset, name.len() + 2));
        }
        if index > 0 {
            pieces.push(Piece::Literal(rest[..index].to_owned()));
        }
        pieces.push(Piece::Param(name.to_owned()));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    Ok(pieces)
}

/// The names that a path gives to parts of what it matched.
pub(crate) fn names(path: &PathMatch) -> Vec<String> {
    let rest = || "**".to_owned();
    match path {
        PathMatch::Exact(_) => Vec::new(),
        PathMatch::Prefix(_) => vec![rest()],
        PathMatch::Template { segments, rest: more } => {
            let named = segments.iter().filter_map(|segment| match segment {
                Segment::Param(name) => Some(name.clone()),
                Segment::Literal(_) => None,
            });
            named.chain(more.then(rest)).collect()
        }
        PathMatch::Regex(regex) => regex.capture_names().flatten().map(str::to_owned).collect(),
    }
}

/// Writes a path as [`path`] reads it.
pub(crate) fn show_path(path: &PathMatch) -> String {
    match path {
        PathMatch::Exact(path) => path.clone(),
        PathMatch::Prefix(path) => format!("{path}/**"),
        PathMatch::Template { segments, rest } => {
            let mut out = String::new();
            for segment in segments {
                match segment {
                    Segment::Literal(text) => out.push_str(&format!("/{text}")),
                    Segment::Param(name) => out.push_str(&format!("/{{{name}}}")),
                }
            }
            if *rest { out + "/**" } else { out }
        }
        PathMatch::Regex(regex) => format!("~ {}", regex.as_str()),
    }
}

/// Writes a host as [`host`] reads it.
pub(crate) fn show_host(host: &HostMatch) -> String {
    match host {
        HostMatch::Any => "*".to_owned(),
        HostMatch::Exact(name) => name.clone(),
        HostMatch::Wildcard(below) => format!("*{below}"),
    }
}

/// Writes a condition on a value as [`value`] reads it.
pub(crate) fn show_value(value: &ValueMatch) -> String {
    match value {
        ValueMatch::Exact(text) => text.clone(),
        ValueMatch::Present => "*".to_owned(),
        ValueMatch::Regex(regex) => format!("~ {}", regex.as_str()),
    }
}

/// Writes a template as [`template`] reads it.
pub(crate) fn show_template(pieces: &[Piece]) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Param(name) => format!("{{{name}}}"),
        })
        .collect()
}

fn regex(expression: &str, whole: &str) -> Result<Regex, Complaint> {
    let offset = whole.len() - expression.len();
    let at = |what: String| Complaint::new(what).part(offset, expression.len());
    if expression.is_empty() {
        return Err(Complaint::new("expected a regular expression after `~`"));
    }
    let built = RegexBuilder::new(expression).size_limit(REGEX_MAX).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            at("the regular expression is too large once compiled".to_owned())
                .hint("large counted repetitions such as `{1000}` are what costs")
        }
        error => {
            // The message shows the expression first; its last line says what is wrong.
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            at(format!("the regular expression does not compile: {reason}"))
                .hint("the syntax is that of RE2: no look-around, no back-references")
        }
    })
}

fn is_identifier(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests;
