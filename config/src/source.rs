//! The text of a file, by line and column.

use crate::model::At;

/// A stretch of one line, counted in characters from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    /// Line, from 1; 0 is no place at all.
    pub(crate) line: u32,
    /// Column in characters, from 1.
    pub(crate) column: u32,
    /// Length in characters.
    pub(crate) length: u32,
}

impl Span {
    pub(crate) fn at(self) -> At {
        At { line: self.line, column: self.column }
    }
}

/// A named text with an index of its lines.
#[derive(Debug)]
pub(crate) struct Source<'t> {
    pub(crate) name: &'t str,
    pub(crate) text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Source<'t> {
    pub(crate) fn new(name: &'t str, text: &'t str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1))
            .collect();
        Self { name, text, starts }
    }

    /// The line of that number without its end; empty when there is none.
    pub(crate) fn line(&self, number: u32) -> &'t str {
        let Some(index) = (number as usize).checked_sub(1) else { return "" };
        let Some(&start) = self.starts.get(index) else { return "" };
        let end = self.starts.get(index + 1).map_or(self.text.len(), |next| next - 1);
        let line = &self.text[start..end.max(start)];
        line.strip_suffix('\r').unwrap_or(line)
    }

    /// The part of a line from a column on.
    pub(crate) fn rest(&self, line: u32, column: u32) -> &'t str {
        let line = self.line(line);
        let skip = column.saturating_sub(1) as usize;
        let start = line.char_indices().nth(skip).map_or(line.len(), |(i, _)| i);
        &line[start..]
    }

    /// The span of the word that begins at a place.
    pub(crate) fn word(&self, at: At) -> Span {
        let rest = self.rest(at.line, at.column);
        let quoted = rest.strip_prefix('"').and_then(|rest| rest.find('"')).map(|end| end + 2);
        let end = || rest.find([' ', ',', '}', ']', '\t']).unwrap_or(rest.len());
        let word = &rest[..quoted.unwrap_or_else(end)];
        let word = word.strip_suffix(':').unwrap_or(word);
        Span { line: at.line, column: at.column, length: clamp(word.chars().count()).max(1) }
    }

    /// The span of a part of a scalar's text, where the text stands in the source as it is.
    ///
    /// `offset` and `length` are bytes of `text`. Escapes and substitutions make the two differ;
    /// the whole scalar is the best that can be said then.
    pub(crate) fn part(&self, whole: Span, text: &str, offset: usize, length: usize) -> Span {
        let rest = self.rest(whole.line, whole.column);
        let quote = rest.starts_with(['"', '\'']);
        let body = if quote { &rest[1..] } else { rest };
        let (Some(before), Some(part)) = (text.get(..offset), text.get(offset..offset + length))
        else {
            return whole;
        };
        if !body.starts_with(text) {
            return whole;
        }
        let skip = before.chars().count() + usize::from(quote);
        Span {
            line: whole.line,
            column: whole.column.saturating_add(clamp(skip)),
            length: clamp(part.chars().count()).max(1),
        }
    }
}

/// A count as the 32 bits that places are kept in.
pub(crate) fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
