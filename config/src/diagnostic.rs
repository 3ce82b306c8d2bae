//! What is wrong with a file, and how that is shown to people and to programs.

use std::{fmt, fmt::Write as _};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    defaults::{Kind, keys},
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
        let line = mask(source.line(span.line));
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

/// A line with the secrets in it starred out: diagnostics travel to logs and the admin API.
///
/// The mere name of a variable stays, and so does the length of the line.
fn mask(line: &str) -> String {
    let mut out = mask_urls(line);
    for key in keys().filter(|key| matches!(key.kind, Kind::Secret | Kind::Secrets)) {
        let word = format!("{}:", key.name());
        let starts: Vec<usize> = out.match_indices(&word).map(|(at, _)| at + word.len()).collect();
        // From the last on, so that the places before stay right.
        for start in starts.into_iter().rev() {
            let blank = |c: char| c == ' ' || c == '"' || c == '\'';
            let from = out.len() - out[start..].trim_start_matches(blank).len();
            let value = &out[from..];
            let quote = out[start..from].chars().next_back().filter(|c| *c != ' ');
            let end = match quote {
                Some(quote) => value.find(quote),
                // All of a list, the names of variables as well.
                None if value.starts_with('[') => value.find(']').map(|at| at + 1),
                None => value.find([',', '}']),
            };
            let value = value[..end.unwrap_or(value.len())].trim_end();
            if value.starts_with('{') || value.starts_with("${") && !value.contains(":-") {
                continue;
            }
            let stars = "*".repeat(value.chars().count());
            out.replace_range(from..from + value.len(), &stars);
        }
    }
    out
}

/// A text with the users and passwords of Redis servers in it starred out.
pub(crate) fn mask_urls(line: &str) -> String {
    let mut out = line.to_owned();
    for scheme in ["redis://", "rediss://", "valkey://", "valkeys://", "unix://"] {
        let starts: Vec<usize> = out.match_indices(scheme).map(|(at, _)| at).collect();
        for at in starts.into_iter().rev() {
            let start = at + scheme.len();
            let quote = out[..at].chars().next_back().filter(|c| matches!(c, '"' | '\''));
            let rest = &out[start..];
            let end = match quote {
                Some(quote) => rest.find(quote),
                None => rest.find([' ', '"', '\'']),
            };
            let url = &rest[..end.unwrap_or(rest.len())];
            let user = url.rfind('@').map(|at| 0..at).filter(|_| scheme != "unix://");
            let pass = url.find("pass=").map(|at| {
                let from = at + "pass=".len();
                from..url[from..].find('&').map_or(url.len(), |end| from + end)
            });
            let secret = user.or(pass).filter(|range| {
                let text = &url[range.clone()];
                !text.starts_with("${") || text.contains(":-")
            });
            if let Some(range) = secret {
                let stars = "*".repeat(url[range.clone()].chars().count());
                out.replace_range(start + range.start..start + range.end, &stars);
            }
        }
    }
    out
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

#[cfg(test)]
mod tests;
