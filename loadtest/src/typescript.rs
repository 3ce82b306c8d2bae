//! TypeScript to JavaScript by taking the types out and leaving blanks: what is left stands where
//! it stood, so exceptions have the line and column of the source without a map.
//!
//! Enums and parameter properties become code on the lines they were on. Imports that nothing but
//! types use are dropped, as TypeScript does. Namespaces with code, decorators and `import =` are
//! refused by name.

mod edits;
mod enums;
mod imports;
mod visit;

use oxc_allocator::Allocator;
use oxc_ast_visit::Visit;
use oxc_parser::Parser;
use oxc_span::SourceType;

use self::visit::Eraser;

/// Whether a file of this name is TypeScript.
pub(crate) fn is_typescript(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|end| end == "ts" || end == "mts")
}

/// What cannot be read as TypeScript, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SyntaxError: {problem}\n\tat {name}:{line}:{column}")]
pub(crate) struct TypeScriptError {
    problem: String,
    name: String,
    line: usize,
    column: usize,
}

/// `source` without its types; `name` is for the error.
///
/// # Errors
/// When it is no TypeScript, or uses a part of it that is refused.
pub(crate) fn erase(source: &str, name: &str) -> Result<String, TypeScriptError> {
    let failed = |problem: &str, offset: usize| {
        let before = source.get(..offset).unwrap_or(source);
        TypeScriptError {
            problem: problem.to_string(),
            name: name.to_string(),
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1,
        }
    };
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, source, SourceType::ts()).parse();
    if let Some(error) = parsed.diagnostics.errors().next() {
        let offset = error.labels.first().map_or(0, |label| label.offset() as usize);
        return Err(failed(&error.message, offset));
    }
    let mut eraser = Eraser::new(source);
    eraser.visit_program(&parsed.program);
    match eraser.finish() {
        Ok(text) => Ok(text),
        Err((problem, offset)) => Err(failed(&problem, offset)),
    }
}

#[cfg(test)]
mod tests;
