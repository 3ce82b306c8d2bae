//! Single values, read within the bounds of the table.

use std::{borrow::Cow, time::Duration};

use crate::{
    decode::{Complaint, Decoder},
    defaults::{Key, Kind, Short},
    diagnostic::Diagnostic,
    units,
    yaml::{Node, Value, shorten},
};

pub(super) fn legal(key: &Key) -> Vec<String> {
    key.words().iter().map(|&word| word.to_owned()).collect()
}

/// One of the words of the table.
pub(super) fn choice(d: &mut Decoder<'_>, node: &Node, key: &'static Key) -> Option<&'static str> {
    let words = key.words();
    if node.is_off() && words.contains(&"off") {
        return Some("off");
    }
    if let Value::Text(text) = &node.value {
        if let Some(word) = words.iter().find(|word| *word == text) {
            return Some(word);
        }
        let hint = Diagnostic::suggest(text, words.iter().copied());
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
    let (min, max, word) = match key.kind {
        Kind::Duration(min, max) => (min, max, None),
        Kind::DurationOr(min, max, word) => (min, max, Some(word)),
        _ => return None,
    };
    let expects = or_word(word, units::DURATION);
    let parse = |text: &str| units::duration(text).map_err(|e| amount(text, &expects, e));
    let value = d.parsed(node, &expects, parse)?;
    let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    let show = |millis| units::show_duration(Duration::from_millis(millis));
    let bounded = bounded(d, node, millis, (min, max), key, show);
    if bounded.is_none() && millis == 0 && key.short.contains(&Short::Off) {
        d.report.amend(format!("write `{}: off` for none", key.name()));
    }
    bounded.map(Duration::from_millis)
}

/// A size in bytes within the bounds of its key.
pub(super) fn size(d: &mut Decoder<'_>, node: &Node, key: &Key) -> Option<u64> {
    let (min, max, word) = match key.kind {
        Kind::Size(min, max) => (min, max, None),
        Kind::SizeOr(min, max, word) => (min, max, Some(word)),
        _ => return None,
    };
    let expects = or_word(word, units::SIZE);
    let parse = |text: &str| units::size(text).map_err(|e| amount(text, &expects, e));
    let size = d.parsed(node, &expects, parse)?;
    bounded(d, node, size, (min, max), key, units::show_size)
}

/// What is expected where a word may stand for an amount.
fn or_word(word: Option<&str>, expects: &'static str) -> Cow<'static, str> {
    word.map_or(Cow::Borrowed(expects), |word| Cow::Owned(format!("`{word}` or {expects}")))
}

/// A whole number within the bounds of its key.
pub(crate) fn number(d: &mut Decoder<'_>, node: &Node, key: &Key) -> Option<u32> {
    let (expects, min, max) = match key.kind {
        Kind::Count(min, max) => (format!("a whole number from {min} to {max}"), min, max),
        Kind::CountOr(min, max, word) => {
            let off = if key.short.contains(&Short::Off) { ", `off`" } else { "" };
            (format!("`{word}`{off} or a whole number from {min} to {max}"), min, max)
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

pub(super) fn amount(text: &str, expects: &str, invalid: units::Invalid) -> Complaint {
    let what = format!("expected {expects}, found `{}`", shorten(text));
    Complaint { what, hint: invalid.hint, part: None }
}
