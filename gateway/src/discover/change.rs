//! What is different from one view to the next, as it is logged.

use std::collections::HashMap;

use weir_discovery::view::{Serving, View};

use super::found::Question;

/// Most names of a kind in a line of the log.
const SHOWN: usize = 10;

/// See the module's page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change<'v> {
    /// Names that are new.
    pub(super) added: Vec<&'v str>,
    /// Names that are gone.
    pub(super) removed: Vec<&'v str>,
    /// Names of which something else is told.
    pub(super) changed: Vec<&'v str>,
    /// How many there are now.
    pub(super) endpoints: usize,
}

impl<'v> Change<'v> {
    pub(super) fn between(before: &'v View, after: &'v View) -> Self {
        let mut old: HashMap<&str, &Serving> =
            before.serving.iter().map(|one| (&*one.name, one)).collect();
        let mut change = Self { endpoints: after.serving.len(), ..Self::default() };
        for one in &after.serving {
            match old.remove(&*one.name) {
                None => change.added.push(&one.name),
                Some(same) if same == one => {}
                Some(_) => change.changed.push(&one.name),
            }
        }
        change.removed = old.into_keys().collect();
        change.removed.sort_unstable();
        change
    }

    pub(super) fn log(&self, question: &Question) {
        tracing::info!(
            upstream = &*question.upstream,
            source = %question,
            endpoints = self.endpoints,
            added = bounded(&self.added),
            removed = bounded(&self.removed),
            changed = bounded(&self.changed),
            "endpoints changed"
        );
    }
}

/// The first few names, and how many more there are.
fn bounded(names: &[&str]) -> String {
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(names: &[(&str, u32)]) -> View {
        let one = |&(name, weight): &(&str, u32)| Serving {
            name: name.into(),
            address: name.into(),
            weight,
            zone: None,
        };
        View { version: 1, serving: names.iter().map(one).collect() }
    }

    #[test]
    fn what_is_different_is_named() {
        let (before, after) =
            (view(&[("a", 1), ("b", 1), ("c", 1)]), view(&[("b", 2), ("c", 1), ("d", 1)]));
        let change = Change::between(&before, &after);
        let expected =
            Change { added: vec!["d"], removed: vec!["a"], changed: vec!["b"], endpoints: 3 };
        assert_eq!(change, expected);
    }

    #[test]
    fn a_line_is_bounded() {
        assert_eq!(bounded(&[]), "");
        assert_eq!(bounded(&["a", "b"]), "a, b");
        let names = ["x"; 12];
        assert_eq!(bounded(&names), "x, x, x, x, x, x, x, x, x, x and 2 more");
    }
}
