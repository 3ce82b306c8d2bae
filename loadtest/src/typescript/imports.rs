//! Imports and exports: those of types go.

use std::collections::HashSet;

use oxc_ast::ast::{
    ExportSpecifier, ImportDeclaration, ImportDeclarationSpecifier as Specifier, ImportOrExportKind,
};
use oxc_span::{GetSpan as _, Span};

use super::edits::Edits;

/// An `import` statement; which of its names are used is known at the end.
#[derive(Debug)]
pub(super) struct Import {
    span: Span,
    names: Vec<Name>,
}

#[derive(Debug)]
struct Name {
    local: String,
    span: Span,
    is_type: bool,
    /// Whether it stands between braces.
    is_listed: bool,
}

impl Import {
    pub(super) fn of(it: &ImportDeclaration<'_>) -> Option<Self> {
        let names = it.specifiers.as_ref()?.iter().map(|specifier| Name {
            local: specifier.local().name.to_string(),
            span: specifier.span(),
            is_type: match specifier {
                Specifier::ImportSpecifier(it) => is_type(it.import_kind),
                Specifier::ImportDefaultSpecifier(_) | Specifier::ImportNamespaceSpecifier(_) => {
                    false
                }
            },
            is_listed: matches!(specifier, Specifier::ImportSpecifier(_)),
        });
        Some(Self { span: it.span, names: names.collect() })
    }

    /// Takes out what is not among `used`.
    pub(super) fn erase(&self, edits: &mut Edits<'_>, used: &HashSet<String>) {
        let is_gone = |name: &Name| name.is_type || !used.contains(&name.local);
        if !self.names.is_empty() && self.names.iter().all(is_gone) {
            edits.blank_statement(self.span.start, self.span.end);
            return;
        }
        for (at, name) in self.names.iter().enumerate().filter(|(_, name)| is_gone(name)) {
            match at.checked_sub(1).map(|before| &self.names[before]) {
                // `import a, * as b`: its comma is before it.
                Some(before) if !name.is_listed => edits.blank(before.span.end, name.span.end),
                _ => edits.blank(name.span.start, edits.behind_comma(name.span.end)),
            }
        }
    }
}

pub(super) fn is_type(kind: ImportOrExportKind) -> bool {
    kind == ImportOrExportKind::Type
}

/// Takes the names of types out of the braces of an `export`.
pub(super) fn erase_exports(
    edits: &mut Edits<'_>,
    specifiers: &[ExportSpecifier<'_>],
    types: &HashSet<String>,
) {
    for specifier in specifiers {
        let is_type =
            is_type(specifier.export_kind) || types.contains(specifier.local.name().as_str());
        if is_type {
            edits.blank(specifier.span.start, edits.behind_comma(specifier.span.end));
        }
    }
}
