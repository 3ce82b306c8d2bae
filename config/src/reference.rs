//! The reference page of the file, printed from the table of keys.

use std::fmt::Write as _;

use crate::{
    defaults::{Fallback, Key, Kind, Short, keys, section},
    units,
};

const HEAD: &str = "\
# weir.yaml

The one file that configures Weir. This page is printed from the table that the decoder reads its
bounds and defaults from.

- Unknown keys are errors. Every error is reported at once, with its line, its column, the words
  that are legal there and the name that was probably meant.
- Durations are `250ms`, `5s`, `1m`, `1h`, `2d`; sizes `512B`, `64KiB`, `1MiB`, `10MB`; each a whole
  number with its unit. Percentages are `20%`, `0.5%`; rates `100/s`, `5/m`, `1000/h`, `100/15m`.
- `${NAME}` is the environment variable of that name, an error when it is not set;
  `${NAME:-default}` has a default, also for an empty one; `$$` is a plain `$`. Inside of `{ }` and
  `[ ]` it must be quoted: `\"${NAME}\"`.
- A secret is a text or `{ file: path }`. Paths are relative to the directory of the file.
- `off` (or `false`) turns off what can be turned off. Aliases (`&a`, `*a`) work; tags, merge keys
  and several documents do not.

`weir check FILE --explain` prints a file with every default that is in effect; `weir schema` prints
a JSON Schema for editors.
";

/// The reference page of the file, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut out = HEAD.to_owned();
    let mut places: Vec<&str> = Vec::new();
    for key in keys() {
        if !places.contains(&key.place()) {
            places.push(key.place());
        }
    }
    for place in places {
        // Writing to a String cannot fail.
        let _ = match place {
            "" => writeln!(out, "\n## The top of the file\n"),
            _ => writeln!(out, "\n## `{place}`\n"),
        };
        out.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in section(place) {
            let (name, value, default) = (key.name(), value(key), fallback(key));
            let _ = writeln!(out, "| `{name}` | {value} | {default} | {} |", cell(key.meaning));
        }
    }
    out
}

fn value(key: &Key) -> String {
    let list = |words: &[&str]| {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        words.join(", ")
    };
    let time = |millis| units::show_duration(std::time::Duration::from_millis(millis));
    let long = match key.kind {
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Count(min, max) => format!("whole number, {min} to {max}"),
        Kind::CountOr(min, max, word) => format!("`{word}` or a whole number, {min} to {max}"),
        Kind::SizeOr(min, max, word) => {
            let (min, max) = (units::show_size(min), units::show_size(max));
            format!("`{word}` or a size, {min} to {max}")
        }
        Kind::DurationOr(min, max, word) => {
            format!("`{word}` or a duration, {} to {}", time(min), time(max))
        }
        Kind::Size(min, max) => {
            format!("size, {} to {}", units::show_size(min), units::show_size(max))
        }
        Kind::Duration(min, max) => format!("duration, {} to {}", time(min), time(max)),
        Kind::Percent => "percentage, 0% to 100%".to_owned(),
        Kind::Choice(words) => list(words),
        Kind::Choices(words) => format!("list of {}", list(words)),
        Kind::Text(text) => text.to_owned(),
        Kind::Texts(text) => format!("{text}, or a list of them"),
        Kind::Pairs(names, values) => format!("mapping from {names} to {values}"),
        Kind::Secret => "text or `{ file: path }`".to_owned(),
        Kind::Secrets => "list of texts or `{ file: path }`".to_owned(),
        Kind::Section => "mapping".to_owned(),
        Kind::Sections => "list".to_owned(),
        Kind::Named => "mapping from name to mapping".to_owned(),
    };
    let shorts = key.short.iter().map(|short| match short {
        Short::Off => "; or `off`".to_owned(),
        Short::On => "; or `on`".to_owned(),
        Short::For(name) if key.kind == Kind::Sections => {
            format!("; an entry may be just its `{name}`")
        }
        Short::For(name) => format!("; or just its `{name}`"),
        Short::ListFor(name) => format!("; or just the list of its `{name}`"),
        Short::One => "; or one entry alone".to_owned(),
        Short::Below => "; or a mapping".to_owned(),
        Short::As(form) if key.kind == Kind::Sections => format!("; an entry may be {form}"),
        Short::As(form) => format!("; or {form}"),
    });
    cell(&(long + &shorts.collect::<String>()))
}

fn fallback(key: &Key) -> String {
    match key.fallback {
        Fallback::Required => "required".to_owned(),
        Fallback::Absent(meaning) => cell(meaning),
        Fallback::Is("") => "empty".to_owned(),
        Fallback::Is(text) => format!("`{text}`"),
        Fallback::Below => "as its keys say".to_owned(),
    }
}

/// A text in a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
