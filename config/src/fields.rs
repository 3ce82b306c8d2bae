//! The keys of one mapping, read by what the table of keys says about them.

use std::{path::PathBuf, time::Duration};

use crate::{
    decode::{Complaint, Decoder},
    defaults::{self, Fallback, Key, Kind, Short},
    units,
    yaml::{Entry, Node, Value, Word},
};

#[cfg(test)]
pub(crate) mod asked;
mod secret;
mod stranger;
mod value;

use stranger::stranger;
pub(crate) use value::duration;
use value::{amount, choice, legal, number, size};

/// What stands for a secret where it must not show.
pub(crate) const REDACTED: &str = "<redacted>";

/// Stands for a key that the table lacks, which a test excludes.
static UNLISTED: Key =
    Key { path: "", kind: Kind::Flag, fallback: Fallback::Below, short: &[], meaning: "" };

/// The entries of a mapping that its place in the table knows.
pub(crate) struct Fields<'n> {
    place: &'static str,
    keys: &'static [&'static Key],
    found: Vec<(&'static Key, &'n Entry)>,
    /// Keys that unknown ones were probably meant to be.
    misspelt: Vec<&'static str>,
    /// Where the mapping itself stands.
    node: Option<&'n Node>,
    /// It is not a mapping, which was reported; then nothing in it is missed.
    broken: bool,
    /// Path of the mapping in the file.
    path: String,
}

impl<'n> Fields<'n> {
    /// Opens a mapping and reports the keys that do not belong there.
    pub(crate) fn open(d: &mut Decoder<'_>, node: &'n Node, place: &'static str) -> Self {
        let keys = defaults::section(place);
        let mut fields = Self {
            place,
            keys,
            found: Vec::new(),
            misspelt: Vec::new(),
            node: Some(node),
            broken: false,
            path: d.report.path().to_owned(),
        };
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    match keys.iter().find(|key| key.name() == entry.key.text) {
                        Some(key) => fields.found.push((key, entry)),
                        None => fields.misspelt.extend(stranger(d, place, entry)),
                    }
                }
            }
            Value::Null => {}
            Value::Text(_) | Value::List(_) | Value::Bad => {
                fields.broken = true;
                let names: Vec<_> = keys.iter().map(|key| format!("`{}`", key.name())).collect();
                d.mismatch(node, &format!("a mapping with the keys {}", names.join(", ")));
            }
        }
        fields
    }

    /// The value of a key, when it is written.
    pub(crate) fn node(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|entry| &*entry.value)
    }

    /// A key with its value, when it is written.
    pub(crate) fn entry(&self, name: &str) -> Option<&'n Entry> {
        self.found.iter().find(|(key, _)| key.name() == name).map(|(_, entry)| *entry)
    }

    /// Reads the value of a key with the path of the report set to it.
    pub(crate) fn at<T>(
        &self,
        d: &mut Decoder<'_>,
        name: &str,
        read: impl FnOnce(&mut Decoder<'_>, &'n Node) -> T,
    ) -> Option<T> {
        self.key(name);
        let node = self.node(name)?;
        let outer = d.report.set_path(&self.path);
        d.report.enter(name);
        let value = read(d, node);
        d.report.set_path(&outer);
        Some(value)
    }

    /// A mapping below; empty when it is not written.
    pub(crate) fn section(&self, d: &mut Decoder<'_>, name: &str, place: &'static str) -> Self {
        self.at(d, name, |d, node| Fields::open(d, node, place))
            .unwrap_or_else(|| Fields::empty(place))
    }

    /// A mapping below that may be written in the short forms that the table lists; `None` when it
    /// is off, or is not written and does nothing then.
    pub(crate) fn policy(
        &self,
        d: &mut Decoder<'_>,
        name: &str,
        place: &'static str,
    ) -> Option<Self> {
        let key = self.key(name);
        let Some(entry) = self.entry(name) else {
            return (key.fallback == Fallback::Below).then(|| Self::empty(place));
        };
        let node = &*entry.value;
        if node.is_off() && key.short.contains(&Short::Off) {
            return None;
        }
        if node.is_on() && key.short.contains(&Short::On) {
            return Some(Self::empty(place));
        }
        let text = matches!(node.value, Value::Text(_));
        let list = matches!(node.value, Value::List(_));
        let stands_for = key.short.iter().find_map(|short| match short {
            Short::For(name) if text => Some(*name),
            Short::ListFor(name) if list => Some(*name),
            _ => None,
        });
        let Some(short) = stands_for else {
            let fields = self.section(d, name, place);
            if text && key.short.contains(&Short::On) {
                d.report.amend(format!("`{name}: on` takes every default"));
            }
            return Some(fields);
        };
        let path = self.at(d, name, |d, _| d.report.path().to_owned()).unwrap_or_default();
        let mut fields = Self { path, ..Self::empty(place) };
        let known = fields.keys.iter().find(|key| key.name() == short);
        fields.found.extend(known.map(|key| (*key, entry)));
        Some(fields)
    }

    /// A mapping in which nothing is written.
    pub(crate) fn empty(place: &'static str) -> Self {
        Self {
            place,
            keys: defaults::section(place),
            found: Vec::new(),
            misspelt: Vec::new(),
            node: None,
            broken: false,
            path: String::new(),
        }
    }

    /// The text of a key's default.
    pub(crate) fn default_text(&self, name: &str) -> &'static str {
        self.key(name).default_text()
    }

    /// Whether it could not be read at all.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Reports that a key is missing.
    pub(crate) fn missing(&self, d: &mut Decoder<'_>, name: &str, hint: &str) {
        if self.misspelt.contains(&name) {
            return;
        }
        let Some(node) = self.node.filter(|_| !self.broken) else { return };
        let mut what = format!("`{name}` is missing");
        if !self.path.is_empty() {
            what.push_str(&format!(" in `{}`", self.path));
        }
        let hint = Some(hint.to_owned()).filter(|hint| !hint.is_empty());
        d.report.error(node.span, what).hint = hint;
    }

    pub(crate) fn flag(&self, d: &mut Decoder<'_>, name: &str) -> bool {
        let key = self.key(name);
        let read = |d: &mut Decoder<'_>, node: &Node| match () {
            () if node.is_on() => Some(true),
            () if node.is_off() => Some(false),
            () => {
                d.mismatch(node, "`true` or `false`");
                None
            }
        };
        self.at(d, name, read).flatten().unwrap_or_else(|| key.default_text() == "true")
    }

    /// A whole number that the table bounds to 32 bits.
    pub(crate) fn count(&self, d: &mut Decoder<'_>, name: &str) -> u32 {
        let key = self.key(name);
        let default = || key.default_text().parse().unwrap_or_default();
        self.at(d, name, |d, node| number(d, node, key)).flatten().unwrap_or_else(default)
    }

    /// A whole number, or `None` for the word that may stand there instead.
    pub(crate) fn count_or(&self, d: &mut Decoder<'_>, name: &str) -> Option<u32> {
        self.amount_or(d, name, number)
    }

    pub(crate) fn size(&self, d: &mut Decoder<'_>, name: &str) -> u64 {
        let key = self.key(name);
        let default = || units::size(key.default_text()).unwrap_or_default();
        self.at(d, name, |d, node| size(d, node, key)).flatten().unwrap_or_else(default)
    }

    /// A size in bytes, or `None` for the word that may stand there instead.
    pub(crate) fn size_or(&self, d: &mut Decoder<'_>, name: &str) -> Option<u64> {
        self.amount_or(d, name, size)
    }

    /// A duration, or `None` for the word that may stand there instead.
    pub(crate) fn duration_or(&self, d: &mut Decoder<'_>, name: &str) -> Option<Duration> {
        self.amount_or(d, name, duration)
    }

    fn amount_or<T>(
        &self,
        d: &mut Decoder<'_>,
        name: &str,
        read: impl FnOnce(&mut Decoder<'_>, &Node, &Key) -> Option<T>,
    ) -> Option<T> {
        let key = self.key(name);
        let read = |d: &mut Decoder<'_>, node: &Node| match (&node.value, key.kind) {
            (
                Value::Text(text),
                Kind::CountOr(_, _, word) | Kind::SizeOr(_, _, word) | Kind::DurationOr(_, _, word),
            ) if text == word => None,
            _ => read(d, node, key),
        };
        self.at(d, name, read).flatten()
    }

    /// A size that the table bounds to 32 bits.
    pub(crate) fn size32(&self, d: &mut Decoder<'_>, name: &str) -> u32 {
        u32::try_from(self.size(d, name)).unwrap_or(u32::MAX)
    }

    pub(crate) fn duration(&self, d: &mut Decoder<'_>, name: &str) -> Duration {
        let key = self.key(name);
        self.at(d, name, |d, node| duration(d, node, key))
            .flatten()
            .unwrap_or_else(|| units::duration(key.default_text()).unwrap_or_default())
    }

    /// A duration where `off` may stand; that is `None`.
    pub(crate) fn duration_or_off(&self, d: &mut Decoder<'_>, name: &str) -> Option<Duration> {
        match self.node(name) {
            Some(node) if node.is_off() => {
                self.key(name);
                None
            }
            _ => Some(self.duration(d, name)),
        }
    }

    /// A duration where nothing holds when it is not written, or `off`; that is `None`.
    pub(crate) fn duration_if_any(&self, d: &mut Decoder<'_>, name: &str) -> Option<Duration> {
        let key = self.key(name);
        let node = self.node(name).filter(|node| !node.is_off())?;
        self.at(d, name, |d, _| duration(d, node, key)).flatten()
    }

    /// A percentage, as a fraction of one.
    pub(crate) fn percent(&self, d: &mut Decoder<'_>, name: &str) -> f64 {
        let key = self.key(name);
        let parse = |text: &str| units::percent(text).map_err(|e| amount(text, units::PERCENT, e));
        self.at(d, name, |d, node| d.parsed(node, units::PERCENT, parse))
            .flatten()
            .unwrap_or_else(|| units::percent(key.default_text()).unwrap_or_default())
    }

    /// One of the words that the table lists; the default when it is none of them.
    pub(crate) fn choice(&self, d: &mut Decoder<'_>, name: &str) -> &'static str {
        let key = self.key(name);
        self.at(d, name, |d, node| choice(d, node, key))
            .flatten()
            .unwrap_or_else(|| key.default_text())
    }

    /// Some of the words that the table lists; `None` when it is not written.
    pub(crate) fn choices(&self, d: &mut Decoder<'_>, name: &str) -> Option<Vec<&'static str>> {
        let key = self.key(name);
        let read = |d: &mut Decoder<'_>, node: &'n Node| {
            let words = d.each(node, 16, |d, node| choice(d, node, key));
            if node.is_empty_list() {
                d.report.error(node.span, format!("`{name}` is empty")).legal = legal(key);
            }
            words
        };
        self.at(d, name, read)
    }

    /// A text, or the table's default, read by `parse`; `None` when it is absent or wrong.
    pub(crate) fn parsed<T>(
        &self,
        d: &mut Decoder<'_>,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        let key = self.key(name);
        let expects = match key.kind {
            Kind::Text(expects) | Kind::Texts(expects) => expects,
            _ => "a text",
        };
        match self.at(d, name, |d, node| d.parsed(node, expects, &parse)) {
            Some(value) => value,
            None if matches!(key.fallback, Fallback::Is(_)) => parse(key.default_text()).ok(),
            None => None,
        }
    }

    /// The path of a file, from the directory of the configuration.
    pub(crate) fn path(&self, d: &mut Decoder<'_>, name: &str) -> Option<PathBuf> {
        let path = self.parsed(d, name, |text| match text {
            "" => Err(Complaint::new("expected the path of a file, found an empty text")),
            _ if text.contains('\0') => Err(Complaint::new("a path holds no NUL")),
            _ => Ok(PathBuf::from(text)),
        })?;
        Some(d.base.join(path))
    }

    /// A mapping from names to anything.
    pub(crate) fn pairs<T>(
        &self,
        d: &mut Decoder<'_>,
        name: &str,
        most: usize,
        mut read: impl FnMut(&mut Decoder<'_>, &'n Word, &'n Node) -> Option<T>,
    ) -> Vec<T> {
        let key = self.key(name);
        let (names, values) = match key.kind {
            Kind::Pairs(names, values) => (names, values),
            _ => ("name", "mapping"),
        };
        let entries = self.at(d, name, |d, node| match &node.value {
            Value::Map(entries) if entries.len() > most => {
                let what = format!("{} entries; at most {most} are", entries.len());
                d.report.error(node.span, what);
                Vec::new()
            }
            Value::Map(entries) => {
                let mut out = Vec::with_capacity(entries.len());
                for entry in entries {
                    let length = d.report.enter(&entry.key.text);
                    out.extend(read(d, &entry.key, &entry.value));
                    d.report.leave(length);
                }
                out
            }
            Value::Null => Vec::new(),
            Value::Text(_) | Value::List(_) | Value::Bad => {
                d.mismatch(node, &format!("a mapping `{{ {names}: {values} }}`"));
                Vec::new()
            }
        });
        entries.unwrap_or_default()
    }

    /// In tests: every key of the place must have been asked for by now.
    pub(crate) fn finish(&self) {
        #[cfg(test)]
        asked::check(self.place, self.keys);
    }

    /// What the table says about a key of this mapping.
    fn key(&self, name: &str) -> &'static Key {
        #[cfg(test)]
        asked::note(self.place, name);
        let key = self.keys.iter().find(|key| key.name() == name);
        debug_assert!(key.is_some(), "`{name}` is not in the table at `{}`", self.place);
        key.copied().unwrap_or(&UNLISTED)
    }
}
