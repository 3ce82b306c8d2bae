//! Keys that stand where they are not known.

use crate::{
    decode::Decoder,
    defaults::{self, Key, keys},
    diagnostic::Diagnostic,
    yaml::{Entry, shorten},
};

/// Reports a key that its mapping does not know; returns the one that was probably meant.
pub(super) fn stranger(
    d: &mut Decoder<'_>,
    place: &'static str,
    entry: &Entry,
) -> Option<&'static str> {
    let word = &entry.key;
    let names = || defaults::section(place).iter().map(|key| key.name());
    let here = match d.report.path() {
        "" => "at the top of the file".to_owned(),
        path => format!("in `{path}`"),
    };
    let meant = Some(())
        .filter(|()| !d.report.full())
        .and_then(|()| Diagnostic::suggest(&word.text, names()));
    let hint = match (place, word.text.as_str()) {
        (_, "<<") => Some("merge keys are not part of the file's YAML; aliases are".to_owned()),
        ("routes[]", "host") => Some(
            "a condition on the host is `match: { host: ... }`; `set_host` changes what is sent \
             upstream"
                .to_owned(),
        ),
        _ => meant
            .map(|name| format!("did you mean `{name}`?"))
            .or_else(|| elsewhere(place, &word.text)),
    };
    let legal = names().map(str::to_owned).collect();
    let one = d.report.error(word.span, format!("unknown key `{}` {here}", shorten(&word.text)));
    one.hint = hint;
    one.legal = legal;
    meant
}

/// Where a key of that name does belong, when there is one such place, or one within `here`.
fn elsewhere(here: &str, name: &str) -> Option<String> {
    let places = || keys().filter(|key| key.name() == name).map(Key::place);
    let within = |place: &&str| !here.is_empty() && place.starts_with(here);
    // What stands nearest is meant, if nothing else stands as near.
    let depth = |place: &&str| place.matches('.').count();
    let nearest = places().filter(within).map(|place| depth(&place)).min();
    let near = |place: &&str| within(place) && Some(depth(place)) == nearest;
    let inner = places().find(near).filter(|_| places().filter(near).count() == 1);
    let only = places().next().filter(|_| places().count() == 1);
    match inner.or(only)? {
        "" => Some(format!("`{name}` belongs at the top of the file")),
        place => Some(format!("`{name}` belongs in `{place}`")),
    }
}
