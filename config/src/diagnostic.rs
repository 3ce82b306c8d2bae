//! What is wrong with a file, and how that is shown to people and to programs.

use std::{fmt, fmt::Write as _};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    model::At,
    source::{Source, Span},
};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but probably does not do what its writer wants.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// File as it was named by the user.
    pub file: String,
    /// Line from 1; 0 when the whole file is meant.
    pub line: u32,
    /// Column in characters from 1; 0 when the whole file is meant.
    pub column: u32,
    /// Characters that are underlined.
    pub length: u32,
    /// Path of the key, such as `routes[2].timeout.total`; empty outside of any.
    pub path: String,
    /// What is wrong and what was expected.
    pub what: String,
    /// How to mend it.
    pub hint: Option<String>,
    /// Words that are legal there.
    pub legal: Vec<String>,
    /// The line of the file, or the part of a very long one around the place.
    pub source: String,
    /// Column of the first character of `source`.
    #[serde(skip)]
    source_column: u32,
}

/// Characters of a line that are shown on either side of the place.
const WINDOW: u32 = 80;

impl Diagnostic {
    /// An error at a place of a file with that text, for what only shows after loading (a
    /// certificate that does not open, an address that is in use).
    #[must_use]
    pub fn error(file: &str, text: &str, at: At, what: impl Into<String>) -> Self {
        let source = Source::new(file, text);
        let span = source.word(at);
        Self::new(Severity::Error, &source, span, what.into())
    }

    /// A warning at a place of a file with that text; see [`Diagnostic::error`].
    #[must_use]
    pub fn warning(file: &str, text: &str, at: At, what: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(file, text, at, what) }
    }

    /// An error of the file as a whole: it cannot be read, it is too large.
    #[must_use]
    pub fn of_file(file: &str, what: impl Into<String>) -> Self {
        Self::new(Severity::Error, &Source::new(file, ""), Span::default(), what.into())
    }

    /// The same with advice.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn new(severity: Severity, source: &Source<'_>, span: Span, what: String) -> Self {
        let line = source.line(span.line);
        let short = line.chars().nth(2 * WINDOW as usize).is_none();
        let from = if short { 1 } else { span.column.saturating_sub(WINDOW).max(1) };
        let shown = line
            .chars()
            .skip(from.saturating_sub(1) as usize)
            .take(2 * WINDOW as usize)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        Self {
            severity,
            file: source.name.to_owned(),
            line: span.line,
            column: span.column,
            length: span.length.max(1),
            path: String::new(),
            what,
            hint: None,
            legal: Vec::new(),
            source: shown,
            source_column: from,
        }
    }

    /// The name among `names` that the writer probably meant by `word`.
    pub(crate) fn suggest<'n>(
        word: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        let folded = word.to_ascii_lowercase().replace('-', "_");
        names
            .into_iter()
            .map(|name| {
                let other = name.to_ascii_lowercase().replace('-', "_");
                (strsim::damerau_levenshtein(&folded, &other), name)
            })
            .filter(|(distance, name)| *distance <= (name.len().max(word.len()) / 3).max(1))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, name)| name)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}: {}", self.file, self.severity, self.what)?;
        } else {
            let (file, line, column) = (&self.file, self.line, self.column);
            writeln!(f, "{file}:{line}:{column}: {}: {}", self.severity, self.what)?;
            let number = self.line.to_string();
            writeln!(f, "  {number} | {}", self.source.trim_end())?;
            let indent = self.column.saturating_sub(self.source_column) as usize;
            let room = self.source.trim_end().chars().count().saturating_sub(indent).max(1);
            let carets = "^".repeat((self.length as usize).min(room));
            write!(f, "  {:width$} | {:indent$}{carets}", "", "", width = number.len())?;
        }
        let margin = self.line.to_string().len();
        if let Some(hint) = &self.hint {
            write!(f, "\n  {:margin$} = {hint}", "")?;
        }
        if !self.legal.is_empty() {
            write!(f, "\n  {:margin$} = legal here: {}", "", self.legal.join(", "))?;
        }
        Ok(())
    }
}

/// All that is wrong with a file: errors first, each kind in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Errors beyond the bound, counted but not kept.
    dropped: usize,
}

impl Diagnostics {
    /// Sorts what was found and drops what was said twice.
    #[must_use]
    pub fn new(mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|a| (a.severity, a.line, a.column));
        list.dedup_by(|a, b| {
            (a.line, a.column, a.severity) == (b.line, b.column, b.severity) && a.what == b.what
        });
        Self { list, dropped: 0 }
    }

    pub(crate) fn with_dropped(mut self, dropped: usize) -> Self {
        self.dropped = dropped;
        self
    }

    /// Adds one and keeps the order.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
        *self = Self::new(std::mem::take(&mut self.list)).with_dropped(self.dropped);
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many errors there are.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error) + self.dropped
    }

    /// How many warnings there are.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.list.iter().filter(|one| one.severity == severity).count()
    }

    /// For people: each with its line and a caret, then how many there are.
    ///
    /// Ends with a line feed; empty when there is nothing to say.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        for one in &self.list {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{one}");
        }
        if self.dropped > 0 {
            let _ = writeln!(out, "... and {} more", counted(self.dropped, "error"));
        }
        let parts: Vec<String> = [(self.errors(), "error"), (self.warnings(), "warning")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| counted(count, word))
            .collect();
        if !parts.is_empty() {
            let _ = writeln!(out, "{}", parts.join(", "));
        }
        out
    }

    /// For programs: `{valid, errors, warnings, diagnostics: [...]}`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "valid": self.errors() == 0,
            "errors": self.errors(),
            "warnings": self.warnings(),
            "diagnostics": self.list,
        })
    }
}

fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render().trim_end())
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostic> for Diagnostics {
    fn from(one: Diagnostic) -> Self {
        Self::new(vec![one])
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

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
