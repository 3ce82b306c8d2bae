//! Origins that are allowed, put together once.

use std::collections::HashSet;

use foldhash::fast::RandomState;
use http::HeaderValue;
use regex::Regex;
use weir_config::model::{self, Origin};

/// See the module's page.
#[derive(Debug)]
pub(super) struct Origins {
    any: bool,
    exact: HashSet<Box<str>, RandomState>,
    /// Beginning, such as `https://`, and end, such as `.example.com`.
    below: Box<[(Box<str>, Box<str>)]>,
    expressions: Box<[Regex]>,
}

impl Origins {
    pub(super) fn new(config: &model::Origins) -> Self {
        let (any, list) = match config {
            model::Origins::Any => (true, &[][..]),
            model::Origins::Of(list) => (false, &list[..]),
        };
        let (mut exact, mut below, mut expressions) = (HashSet::default(), Vec::new(), Vec::new());
        for origin in list {
            match origin {
                Origin::Exact(text) => {
                    exact.insert(text.as_str().into());
                }
                Origin::Below { scheme, suffix } => {
                    below.push((format!("{scheme}://").into(), suffix.as_str().into()));
                }
                Origin::Regex { whole, .. } => expressions.push(whole.clone()),
            }
        }
        Self { any, exact, below: below.into(), expressions: expressions.into() }
    }

    pub(super) const fn is_any(&self) -> bool {
        self.any
    }

    pub(super) fn allows(&self, origin: &HeaderValue) -> bool {
        if self.any {
            return true;
        }
        let Ok(origin) = origin.to_str() else { return false };
        self.exact.contains(origin)
            || self.below.iter().any(|(scheme, suffix)| is_below(origin, scheme, suffix))
            || self.expressions.iter().any(|expression| expression.is_match(origin))
    }
}

/// Whether between the two stands a name, and nothing else.
fn is_below(origin: &str, scheme: &str, suffix: &str) -> bool {
    let name = origin.strip_prefix(scheme).and_then(|rest| rest.strip_suffix(suffix));
    name.is_some_and(|name| {
        !name.is_empty()
            && name.split('.').all(|label| {
                !label.is_empty()
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            })
    })
}
