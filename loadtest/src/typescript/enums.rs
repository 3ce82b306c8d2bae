//! Enums as the objects that they are.

use std::fmt::Write as _;

use oxc_ast::ast::{Expression, TSEnumDeclaration, TSEnumMemberName};
use oxc_span::GetSpan as _;

use super::edits::Edits;

/// The code of an enum, on one line; an error where a member has no plain name.
pub(super) fn code(edits: &Edits<'_>, it: &TSEnumDeclaration<'_>) -> Result<String, &'static str> {
    let name = it.id.name.as_str();
    let mut initializers = String::new();
    for member in &it.body.members {
        if let Some(value) = member.initializer.as_ref().filter(|value| !is_text(value)) {
            initializers.push_str(edits.text(value.span().start, value.span().end));
            initializers.push(' ');
        }
    }
    let is_named = |word: &str| {
        let mut words = initializers.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
        words.any(|other| other == word)
    };
    let mut code = format!("var {name} = (({name}) => {{");
    let mut before: Option<String> = None;
    for member in &it.body.members {
        let key = match &member.id {
            TSEnumMemberName::Identifier(id) => id.name.as_str(),
            TSEnumMemberName::String(text) | TSEnumMemberName::ComputedString(text) => {
                text.value.as_str()
            }
            TSEnumMemberName::ComputedTemplateString(_) => {
                return Err("enum members with computed names are not supported by weir-load");
            }
        };
        let quoted = serde_json::Value::from(key).to_string();
        let value = match (&member.initializer, &before) {
            (Some(value), _) => edits.text(value.span().start, value.span().end).replace('\n', " "),
            (None, Some(before)) => format!("{name}[{before}] + 1"),
            (None, None) => "0".to_string(),
        };
        // Writing to a string does not fail.
        let _ = match member.initializer.as_ref().is_some_and(is_text) {
            true => write!(code, " {name}[{quoted}] = {value};"),
            false => write!(code, " {name}[{name}[{quoted}] = {value}] = {quoted};"),
        };
        if is_named(key) {
            let _ = write!(code, " const {key} = {name}[{quoted}];");
        }
        before = Some(quoted);
    }
    let _ = write!(code, " return {name}; }})({name} ?? {{}});");
    Ok(code)
}

fn is_text(value: &Expression<'_>) -> bool {
    matches!(value, Expression::StringLiteral(_) | Expression::TemplateLiteral(_))
}
