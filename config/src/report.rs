//! What is found while a file is read, collected.

use crate::{
    diagnostic::{Diagnostic, Diagnostics, Severity},
    model::At,
    source::{Source, Span},
};

/// Most errors that are kept; more are only counted.
const KEPT: usize = 100;

/// Collects what is found while a file is read.
#[derive(Debug)]
pub(crate) struct Report<'s> {
    pub(crate) source: &'s Source<'s>,
    list: Vec<Diagnostic>,
    /// Where what is beyond the bound goes, to be overwritten by the next.
    spare: Diagnostic,
    errors: usize,
    /// Path of the key that is being read.
    path: String,
}

impl<'s> Report<'s> {
    pub(crate) fn new(source: &'s Source<'s>) -> Self {
        let spare = Diagnostic::new(Severity::Error, source, Span::default(), String::new());
        Self { source, list: Vec::new(), spare, errors: 0, path: String::new() }
    }

    pub(crate) fn error(&mut self, span: Span, what: impl Into<String>) -> &mut Diagnostic {
        self.errors += 1;
        self.add(Severity::Error, span, what.into())
    }

    /// An error at the place of a value that was read before.
    pub(crate) fn error_at(&mut self, at: At, what: impl Into<String>) -> &mut Diagnostic {
        self.error(self.source.word(at), what)
    }

    /// A warning at the place of a value that was read before.
    pub(crate) fn warn_at(&mut self, at: At, what: impl Into<String>) -> &mut Diagnostic {
        self.warn(self.source.word(at), what)
    }

    pub(crate) fn warn(&mut self, span: Span, what: impl Into<String>) -> &mut Diagnostic {
        self.add(Severity::Warning, span, what.into())
    }

    fn add(&mut self, severity: Severity, span: Span, what: String) -> &mut Diagnostic {
        if self.full() {
            return &mut self.spare;
        }
        let mut one = Diagnostic::new(severity, self.source, span, what);
        one.path.clone_from(&self.path);
        self.list.push(one);
        let last = self.list.len() - 1;
        &mut self.list[last]
    }

    /// Whether what comes now is not kept any more; costly advice may be left out then.
    pub(crate) fn full(&self) -> bool {
        self.list.len() >= KEPT
    }

    pub(crate) fn failed(&self) -> bool {
        self.errors > 0
    }

    /// Enters a key (`name`) or an entry of a list (`[3]`); give the result to `leave`.
    pub(crate) fn enter(&mut self, name: &str) -> usize {
        let length = self.path.len();
        if length > 0 && !name.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(name);
        length
    }

    /// Path of the key that is being read; empty at the top.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Sets the path and returns the one before.
    pub(crate) fn set_path(&mut self, path: &str) -> String {
        std::mem::replace(&mut self.path, path.to_owned())
    }

    /// Adds advice to what was reported last.
    pub(crate) fn amend(&mut self, hint: String) {
        if let Some(last) = self.list.last_mut() {
            last.hint = Some(hint);
        }
    }

    pub(crate) fn leave(&mut self, length: usize) {
        self.path.truncate(length);
    }

    pub(crate) fn finish(self) -> Diagnostics {
        let kept = self.list.iter().filter(|one| one.severity == Severity::Error).count();
        let dropped = self.errors - kept;
        Diagnostics::new(self.list).with_dropped(dropped)
    }
}
