//! `${NAME}` and `${NAME:-default}` in scalars.
//!
//! Values go in after the YAML was read, so that no value can change the structure of the file.

use crate::{report::Report, source::Span};

/// Longest text after substitution, in bytes.
const LONGEST: usize = 1 << 20;

/// The text with its variables filled in; `None` when an error was reported.
///
/// As in a shell, `:-` also stands in for a variable that is set but empty. `$$` is one `$`.
pub(crate) fn substitute(
    text: &str,
    span: Span,
    variables: &dyn Fn(&str) -> Option<String>,
    report: &mut Report<'_>,
) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut good = true;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let offset = text.len() - rest.len() + dollar;
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('{') {
            let end = inner.find('}');
            let length = end.map_or(2, |end| end + 3);
            rest = end.map_or(inner, |end| &inner[end + 1..]);
            match resolve(end.map(|end| &inner[..end]), variables) {
                Ok(value) => out.push_str(&value),
                Err((what, hint)) => {
                    let part = report.source.part(span, text, offset, length);
                    report.error(part, what).hint = Some(hint);
                    good = false;
                }
            }
        } else {
            out.push('$');
        }
        if out.len() > LONGEST {
            report.error(span, format!("longer than {LONGEST} bytes after substitution"));
            return None;
        }
    }
    out.push_str(rest);
    good.then_some(out)
}

/// Undoes what substitution would do to a text.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        out.push(c);
        if c == '$' && matches!(rest.peek(), Some('$' | '{')) {
            out.push('$');
        }
    }
    out
}

fn resolve(
    inner: Option<&str>,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<String, (String, String)> {
    let Some(inner) = inner else {
        return Err(("`${` without its `}`".to_owned(), "write `$$` for a plain `$`".to_owned()));
    };
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        let what = "expected the name of an environment variable: letters, digits and `_`";
        let hint = "forms are `${NAME}` and `${NAME:-default}`; write `$$` for a plain `$`";
        return Err((what.to_owned(), hint.to_owned()));
    }
    match (variables(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err((
            format!("the environment variable `{name}` is not set"),
            format!("set it, or give a default: `${{{name}:-default}}`"),
        )),
    }
}

#[cfg(test)]
mod tests;
