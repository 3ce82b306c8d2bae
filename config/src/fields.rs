//! The keys of one mapping, read by what the table of keys says about them.

use std::{path::PathBuf, time::Duration};

use crate::{
    decode::{Complaint, Decoder},
    defaults::{self, Fallback, KEYS, Key, Kind, Short},
    diagnostic::Diagnostic,
    model::Secret,
    units,
    yaml::{Entry, Node, Value, Word, shorten},
};

/// What stands for a secret where it must not show.
pub(crate) const REDACTED: &str = "<redacted>";

/// The entries of a mapping that its place in the table knows.
pub(crate) struct Fields<'n> {
    place: &'static str,
    keys: &'static [&'static Key],
    found: Vec<(&'static Key, &'n Entry)>,
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
            node: Some(node),
            broken: false,
            path: d.report.path().to_owned(),
        };
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    match keys.iter().find(|key| key.name() == entry.key.text) {
                        Some(key) => fields.found.push((key, entry)),
                        None => stranger(d, place, entry),
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
        self.at(d, name, |d, node| Fields::open(d, node, place)).unwrap_or_else(|| Self {
            place,
            keys: defaults::section(place),
            found: Vec::new(),
            node: None,
            broken: false,
            path: String::new(),
        })
    }

    /// Whether a key of this place that is not built yet was written.
    pub(crate) fn has_unbuilt(&self, name: &str) -> bool {
        let Some(Node { value: Value::Map(entries), .. }) = self.node else { return false };
        defaults::is_unbuilt(self.place, name)
            && entries.iter().any(|entry| entry.key.text == name && !entry.value.is_off())
    }

    /// Whether it could not be read at all.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Reports that a key is missing.
    pub(crate) fn missing(&self, d: &mut Decoder<'_>, name: &str, hint: &str) {
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
            () if node.is_on() && defaults::is_unbuilt(key.path, "true") => {
                unbuilt(d, node, &format!("{name}: true"), None);
                None
            }
            () if node.is_on() => Some(true),
            () if node.is_off() => Some(false),
            () => {
                d.mismatch(node, "`true` or `false`");
                None
            }
        };
        self.at(d, name, read).flatten().unwrap_or(key.default_text() == "true")
    }

    /// A whole number that the table bounds to 32 bits.
    pub(crate) fn count(&self, d: &mut Decoder<'_>, name: &str) -> u32 {
        let key = self.key(name);
        let default = || key.default_text().parse().unwrap_or_default();
        self.at(d, name, |d, node| number(d, node, key)).flatten().unwrap_or_else(default)
    }

    /// A whole number, or `None` for the word that may stand there instead.
    pub(crate) fn count_or(&self, d: &mut Decoder<'_>, name: &str) -> Option<u32> {
        let key = self.key(name);
        let read = |d: &mut Decoder<'_>, node: &Node| match (&node.value, key.kind) {
            (Value::Text(text), Kind::CountOr(_, _, word)) if text == word => None,
            _ => number(d, node, key),
        };
        self.at(d, name, read).flatten()
    }

    pub(crate) fn size(&self, d: &mut Decoder<'_>, name: &str) -> u64 {
        let key = self.key(name);
        let read = |d: &mut Decoder<'_>, node: &Node| {
            let (Kind::Size(min, max) | Kind::Count(min, max)) = key.kind else { return None };
            let size =
                d.parsed(node, units::SIZE, |text| units::size(text).map_err(|e| amount(text, e)))?;
            let show = units::show_size;
            bounded(d, node, size, (min, max), key, show)
        };
        let default = || units::size(key.default_text()).unwrap_or_default();
        self.at(d, name, read).flatten().unwrap_or_else(default)
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

    /// One of the words that the table lists; the default when it is none of them.
    pub(crate) fn choice(&self, d: &mut Decoder<'_>, name: &str) -> &'static str {
        let key = self.key(name);
        self.at(d, name, |d, node| choice(d, node, key)).flatten().unwrap_or(key.default_text())
    }

    /// Some of the words that the table lists.
    pub(crate) fn choices(&self, d: &mut Decoder<'_>, name: &str) -> Vec<&'static str> {
        let key = self.key(name);
        let default = || key.default_text().split(", ").collect();
        let read = |d: &mut Decoder<'_>, node: &'n Node| {
            let words = d.each(node, 16, |d, node| choice(d, node, key));
            if matches!(&node.value, Value::List(items) if items.is_empty()) {
                d.report.error(node.span, format!("`{name}` is empty")).legal = legal(key);
            }
            words
        };
        self.at(d, name, read).unwrap_or_else(default)
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

    /// A text or `{ file: path }`; an empty text is no secret.
    pub(crate) fn secret(&self, d: &mut Decoder<'_>, name: &str) -> Option<Secret> {
        self.key(name);
        let text = self.at(d, name, secret).flatten()?;
        Some(Secret(text)).filter(|secret| !secret.0.is_empty())
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
        key.unwrap_or(&&KEYS[0])
    }
}

/// Reports a key that its mapping does not know.
fn stranger(d: &mut Decoder<'_>, place: &'static str, entry: &Entry) {
    let word = &entry.key;
    if defaults::is_unbuilt(place, &word.text) {
        if !entry.value.is_off() {
            let length = d.report.enter(&word.text);
            let hint = format!("remove it, or write `{}: off`", word.text);
            let what = format!("`{}` is not built into this version of Weir yet", word.text);
            d.report.error(word.span, what).hint = Some(hint);
            d.report.leave(length);
        }
        return;
    }
    let names = || defaults::section(place).iter().map(|key| key.name());
    let here = match d.report.path() {
        "" => "at the top of the file".to_owned(),
        path => format!("in `{path}`"),
    };
    let hint = if d.report.full() {
        None
    } else if word.text == "<<" {
        Some("merge keys are not part of the file's YAML; aliases are".to_owned())
    } else if place == "routes[]" && word.text == "host" {
        Some("a condition on the host is `match: { host: ... }`; `set_host` changes what is sent upstream".to_owned())
    } else {
        let known = names().chain(defaults::unbuilt_at(place));
        Diagnostic::suggest(&word.text, known)
            .map(|name| format!("did you mean `{name}`?"))
            .or_else(|| elsewhere(&word.text))
    };
    let legal = names().map(str::to_owned).collect();
    let one = d.report.error(word.span, format!("unknown key `{}` {here}", shorten(&word.text)));
    one.hint = hint;
    one.legal = legal;
}

/// Where a key of that name does belong, when there is one such place.
fn elsewhere(name: &str) -> Option<String> {
    let mut places = KEYS.iter().filter(|key| key.name() == name).map(Key::place);
    match (places.next(), places.next()) {
        (Some(""), None) => Some(format!("`{name}` belongs at the top of the file")),
        (Some(place), None) => Some(format!("`{name}` belongs in `{place}`")),
        _ => None,
    }
}

/// Reports a value that this build cannot do yet.
fn unbuilt(d: &mut Decoder<'_>, node: &Node, word: &str, key: Option<&Key>) {
    let what = format!("`{word}` is not built into this version of Weir yet");
    d.report.error(node.span, what).legal = key.map(legal).unwrap_or_default();
}

fn legal(key: &Key) -> Vec<String> {
    key.words().iter().map(|&word| word.to_owned()).collect()
}

/// One of the words of the table.
fn choice(d: &mut Decoder<'_>, node: &Node, key: &'static Key) -> Option<&'static str> {
    let words = key.words();
    if node.is_off() && words.contains(&"off") {
        return Some("off");
    }
    let unbuilt_word = match &node.value {
        Value::Text(text) => Some(text),
        // `balance: { ring: {...} }`
        Value::Map(entries) if entries.len() == 1 => entries.first().map(|entry| &entry.key.text),
        _ => None,
    };
    if let Some(word) = unbuilt_word.filter(|word| defaults::is_unbuilt(key.path, word)) {
        unbuilt(d, node, word, Some(key));
        return None;
    }
    if let Value::Text(text) = &node.value {
        if let Some(word) = words.iter().find(|word| *word == text) {
            return Some(word);
        }
        let hint =
            Diagnostic::suggest(text, words.iter().copied().chain(defaults::unbuilt_at(key.path)));
        let what = format!("unknown value `{}` for `{}`", shorten(text), key.name());
        let one = d.report.error(node.span, what);
        one.hint = hint.map(|word| format!("did you mean `{word}`?"));
        one.legal = legal(key);
    } else if !matches!(node.value, Value::Bad) {
        let what = format!("expected one word for `{}`, found {}", key.name(), node.found());
        d.report.error(node.span, what).legal = legal(key);
    }
    None
}

pub(crate) fn duration(d: &mut Decoder<'_>, node: &Node, key: &Key) -> Option<Duration> {
    let Kind::Duration(min, max) = key.kind else { return None };
    let parse = |text: &str| units::duration(text).map_err(|e| amount(text, e));
    let value = d.parsed(node, units::DURATION, parse)?;
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    let show = |millis| units::show_duration(Duration::from_millis(millis));
    let bounded = bounded(d, node, millis, (min, max), key, show);
    if bounded.is_none() && millis == 0 && key.short.contains(&Short::Off) {
        d.report.amend(format!("write `{}: off` for none", key.name()));
    }
    bounded.map(Duration::from_millis)
}

/// A whole number within the bounds of its key.
pub(crate) fn number(d: &mut Decoder<'_>, node: &Node, key: &Key) -> Option<u32> {
    let (expects, min, max) = match key.kind {
        Kind::Count(min, max) => (format!("a whole number from {min} to {max}"), min, max),
        Kind::CountOr(min, max, word) => {
            (format!("`{word}` or a whole number from {min} to {max}"), min, max)
        }
        _ => return None,
    };
    let parse = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let value = text.parse::<u64>().ok().filter(|value| digits && (min..=max).contains(value));
        value
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(|| Complaint::new(format!("expected {expects}, found `{}`", shorten(text))))
    };
    d.parsed(node, &expects, parse)
}

fn bounded(
    d: &mut Decoder<'_>,
    node: &Node,
    value: u64,
    (min, max): (u64, u64),
    key: &Key,
    show: impl Fn(u64) -> String,
) -> Option<u64> {
    if (min..=max).contains(&value) {
        return Some(value);
    }
    let (min, max) = (show(min), show(max));
    d.report.error(
        node.span,
        format!("`{}` is from {min} to {max}, found {}", key.name(), node.found()),
    );
    None
}

fn amount(text: &str, invalid: units::Invalid) -> Complaint {
    let what = format!("expected {}, found `{}`", invalid.expected, shorten(text));
    Complaint { what, hint: invalid.hint, part: None }
}

/// Longest secret in a file, in bytes.
const SECRET_MAX: usize = 64 << 10;

fn secret(d: &mut Decoder<'_>, node: &Node) -> Option<String> {
    const EXPECTS: &str = "a text or `{ file: path }`";
    match &node.value {
        Value::Text(text) => {
            if text == REDACTED {
                let what = "this secret was redacted; the text itself is now the secret";
                d.report.warn(node.span, what).hint = Some("write the secret in".to_owned());
            }
            Some(text.clone())
        }
        Value::Map(entries) => {
            let file = entries.iter().find(|entry| entry.key.text == "file");
            if let Some(other) = entries.iter().find(|entry| entry.key.text != "file") {
                let what = format!("unknown key `{}` in a secret", shorten(&other.key.text));
                d.report.error(other.key.span, what).legal = vec!["file".to_owned()];
                return None;
            }
            let Some(file) = file else {
                d.mismatch(node, EXPECTS);
                return None;
            };
            let path = d.base.join(d.text(&file.value, "the path of a file")?);
            match (d.read)(&path) {
                Ok(text) if text.len() <= SECRET_MAX => {
                    Some(text.trim_end_matches(['\n', '\r']).to_owned())
                }
                Ok(_) => {
                    let what = format!("`{}` is larger than 64KiB", path.display());
                    d.report.error(file.value.span, what);
                    None
                }
                Err(error) => {
                    let what = format!("cannot read `{}`: {error}", path.display());
                    d.report.error(file.value.span, what);
                    None
                }
            }
        }
        Value::Null | Value::List(_) | Value::Bad => {
            d.mismatch(node, EXPECTS);
            None
        }
    }
}

/// Which keys the decoder asked for, to prove in tests that it knows those of the table.
#[cfg(test)]
pub(crate) mod asked {
    use std::{cell::RefCell, collections::HashSet};

    use crate::defaults::Key;

    thread_local! {
        static ASKED: RefCell<HashSet<(&'static str, String)>> = RefCell::default();
    }

    pub(super) fn note(place: &'static str, name: &str) {
        ASKED.with_borrow_mut(|asked| asked.insert((place, name.to_owned())));
    }

    pub(super) fn check(place: &'static str, keys: &[&Key]) {
        ASKED.with_borrow(|asked| {
            for key in keys {
                let known = asked.contains(&(place, key.name().to_owned()));
                assert!(known, "`{}` is in the table, but nothing reads it", key.path);
            }
        });
    }

    /// Whether a place was read at all.
    pub(crate) fn any(place: &str) -> bool {
        ASKED.with_borrow(|asked| asked.iter().any(|(one, _)| *one == place))
    }
}
