//! CSS selectors (Selectors Level 4), as far as scripts use them, and jQuery's `:contains`.

mod parse;

use super::tree::{Data, Document, NodeId};

/// Selectors of which one must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Complex>);

/// Simple selectors and what must be around them, from the right.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Complex {
    last: Vec<Simple>,
    before: Vec<(Combinator, Vec<Simple>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Combinator {
    Inside,
    Child,
    Next,
    Later,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Simple {
    Any,
    Tag(String),
    Attribute(String, Test, String),
    /// `an + b`, by tag or not, from the end or not.
    Nth {
        step: i64,
        offset: i64,
        by_tag: bool,
        from_end: bool,
    },
    Only {
        by_tag: bool,
    },
    Empty,
    Root,
    Not(Selector),
    Is(Selector),
    Has(Selector),
    Contains(String),
    ContainsOwn(String),
    Checked,
    Enabled(bool),
    Input,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Equals,
    Differs,
    Word,
    Dash,
    Starts,
    Ends,
    Holds,
}

impl Selector {
    /// Whether the node is one of those meant.
    pub(crate) fn matches(&self, document: &Document, id: NodeId) -> bool {
        document.is_element(id) && self.0.iter().any(|complex| complex.matches(document, id))
    }
}

impl Complex {
    fn matches(&self, document: &Document, id: NodeId) -> bool {
        holds(document, id, &self.last) && around(document, id, &self.before)
    }
}

/// Whether what is around `id` is as `before` wants it.
fn around(document: &Document, id: NodeId, before: &[(Combinator, Vec<Simple>)]) -> bool {
    let Some(((combinator, simple), rest)) = before.split_first() else { return true };
    let fits = |id: NodeId| holds(document, id, simple) && around(document, id, rest);
    let elements = |id: &NodeId| document.is_element(*id);
    match combinator {
        Combinator::Child => document.parents(id).next().is_some_and(fits),
        Combinator::Inside => document.parents(id).any(fits),
        Combinator::Next => document.before(id).find(elements).is_some_and(fits),
        Combinator::Later => document.before(id).filter(elements).any(fits),
    }
}

fn holds(document: &Document, id: NodeId, all: &[Simple]) -> bool {
    all.iter().all(|simple| simple.holds(document, id))
}

impl Simple {
    fn holds(&self, document: &Document, id: NodeId) -> bool {
        let name = document.name(id).unwrap_or_default();
        let has = |attribute: &str| document.attribute(id, attribute).is_some();
        match self {
            Self::Any => true,
            Self::Tag(tag) => name == tag,
            Self::Attribute(attribute, test, wanted) => {
                test.holds(document.attribute(id, attribute), wanted)
            }
            Self::Nth { step, offset, by_tag, from_end } => {
                let place = place(document, id, *by_tag, *from_end) - offset;
                match *step {
                    0 => place == 0,
                    step => place % step == 0 && place / step >= 0,
                }
            }
            Self::Only { by_tag } => {
                place(document, id, *by_tag, false) == 1 && place(document, id, *by_tag, true) == 1
            }
            Self::Empty => !document.contents(id).any(|child| {
                document.is_element(child)
                    || matches!(document.data(child), Data::Text(text) if !text.is_empty())
            }),
            Self::Root => document.parent(id) == Some(0),
            Self::Not(selector) => !selector.matches(document, id),
            Self::Is(selector) => selector.matches(document, id),
            Self::Has(selector) => {
                document.descendants(id).any(|id| selector.matches(document, id))
            }
            Self::Contains(text) => document.text(id).contains(&**text),
            Self::ContainsOwn(wanted) => {
                let texts = document.contents(id).map(|child| document.data(child));
                let has = |data: &Data| matches!(data, Data::Text(t) if t.contains(&**wanted));
                texts.into_iter().any(has)
            }
            Self::Checked => match name {
                "option" => has("selected"),
                "input" => {
                    has("checked")
                        && matches!(document.attribute(id, "type"), Some("checkbox" | "radio"))
                }
                _ => false,
            },
            Self::Enabled(wanted) => {
                let fields = ["button", "fieldset", "input", "optgroup", "option", "select"];
                (fields.contains(&name) || name == "textarea") && has("disabled") != *wanted
            }
            Self::Input => matches!(name, "input" | "select" | "textarea" | "button"),
        }
    }
}

/// The element's place among its siblings, from 1.
fn place(document: &Document, id: NodeId, by_tag: bool, from_end: bool) -> i64 {
    let name = document.name(id);
    let counts =
        |other: &NodeId| document.is_element(*other) && (!by_tag || document.name(*other) == name);
    let others = match from_end {
        true => document.behind(id).filter(counts).count(),
        false => document.before(id).filter(counts).count(),
    };
    others as i64 + 1
}

impl Test {
    fn holds(self, value: Option<&str>, wanted: &str) -> bool {
        let Some(value) = value else { return self == Self::Differs };
        match self {
            Self::Exists => true,
            Self::Equals => value == wanted,
            Self::Differs => value != wanted,
            Self::Word => value.split_ascii_whitespace().any(|word| word == wanted),
            Self::Dash => {
                value == wanted
                    || value.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('-'))
            }
            Self::Starts => !wanted.is_empty() && value.starts_with(wanted),
            Self::Ends => !wanted.is_empty() && value.ends_with(wanted),
            Self::Holds => !wanted.is_empty() && value.contains(wanted),
        }
    }
}
