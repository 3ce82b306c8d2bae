//! Changes of a text by offset, all of which leave its lines where they are.

use std::borrow::Cow;

/// The changes, in any order.
#[derive(Debug)]
pub(super) struct Edits<'s> {
    source: &'s str,
    all: Vec<Edit>,
}

#[derive(Debug)]
struct Edit {
    from: usize,
    to: usize,
    /// In place of it; what is missing of it is blank.
    text: Cow<'static, str>,
    /// In place of its last byte.
    last: Option<char>,
}

impl<'s> Edits<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self { source, all: Vec::new() }
    }

    /// The source from `from` to `to`.
    pub(super) fn text(&self, from: u32, to: u32) -> &'s str {
        self.source.get(from as usize..to as usize).unwrap_or_default()
    }

    /// Leaves blanks.
    pub(super) fn blank(&mut self, from: u32, to: u32) {
        self.put(from, to, "", None);
    }

    /// Leaves a `;` and blanks: what stands before must not go on with what stands behind.
    pub(super) fn blank_statement(&mut self, from: u32, to: u32) {
        self.put(from, to, ";", None);
    }

    /// Leaves blanks and `last` at the end.
    pub(super) fn blank_up_to(&mut self, from: u32, to: u32, last: char) {
        self.put(from, to, "", Some(last));
    }

    /// Puts `text`, which has no line break, in the place of it.
    pub(super) fn replace(&mut self, from: u32, to: u32, text: String) {
        self.put(from, to, text, None);
    }

    /// Blanks the next `word` between two offsets, if there is one.
    pub(super) fn blank_word(&mut self, from: u32, to: u32, word: &str) {
        if let Some(at) = self.text(from, to).find(word) {
            let from = from + at as u32;
            self.blank(from, from + word.len() as u32);
        }
    }

    /// Blanks those of `words` that stand between two offsets.
    pub(super) fn blank_words(&mut self, from: u32, to: u32, words: &[&str]) {
        let mut at = from;
        for part in self.text(from, to).split_inclusive(|c: char| !c.is_alphanumeric()) {
            let word = part.trim_end_matches(|c: char| !c.is_alphanumeric());
            if words.contains(&word) {
                self.blank(at, at + word.len() as u32);
            }
            at += part.len() as u32;
        }
    }

    /// The offset behind the comma that follows `from`, or `from` where none does.
    pub(super) fn behind_comma(&self, from: u32) -> u32 {
        let rest = self.text(from, self.source.len() as u32);
        let blank = rest.len() - rest.trim_start().len();
        if rest[blank..].starts_with(',') { from + blank as u32 + 1 } else { from }
    }

    fn put(&mut self, from: u32, to: u32, text: impl Into<Cow<'static, str>>, last: Option<char>) {
        self.all.push(Edit { from: from as usize, to: to as usize, text: text.into(), last });
    }

    /// The text with all changes made. Of changes within each other the outer counts.
    pub(super) fn apply(mut self) -> String {
        // The longer first where two begin alike, insertions before either.
        self.all.sort_by_key(|edit| (edit.from, edit.from != edit.to, usize::MAX - edit.to));
        let mut out = String::with_capacity(self.source.len());
        let mut at = 0;
        for edit in &self.all {
            if edit.from < at {
                continue;
            }
            out.push_str(self.source.get(at..edit.from).unwrap_or_default());
            out.push_str(&edit.text);
            let replaced = self.source.get(edit.from..edit.to).unwrap_or_default();
            let mut blanks: String = replaced
                .chars()
                .skip(edit.text.chars().count())
                .map(|c| if c == '\n' || c == '\r' { c } else { ' ' })
                .collect();
            // The line breaks that the text was put over.
            let covered = replaced.chars().take(edit.text.chars().count());
            blanks.extend(covered.filter(|c| *c == '\n'));
            if let Some(last) = edit.last {
                blanks.pop();
                blanks.push(last);
            }
            out.push_str(&blanks);
            at = edit.to;
        }
        out.push_str(self.source.get(at..).unwrap_or_default());
        out
    }
}
