//! The route's own edits.

use http::{HeaderMap, HeaderName, HeaderValue};
use weir_config::model::HeaderEdit;

/// A [`HeaderEdit`] made ready: removes, then sets, then adds.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    remove: Box<[HeaderName]>,
    set: Box<[(HeaderName, HeaderValue)]>,
    add: Box<[(HeaderName, HeaderValue)]>,
}

impl Edits {
    /// Leaves out edits of the fields that only the gateway writes, see [`Edits::takes`].
    pub fn new(edit: &HeaderEdit) -> Self {
        let pairs = |list: &[(HeaderName, HeaderValue)]| {
            list.iter().filter(|(name, _)| Self::takes(name)).cloned().collect()
        };
        Self {
            remove: edit.remove.iter().filter(|name| Self::takes(name)).cloned().collect(),
            set: pairs(&edit.set),
            add: pairs(&edit.add),
        }
    }

    /// Whether a route may edit this field: not where that would break framing or the connection,
    /// nor the host, which `host:` of the route is for.
    pub fn takes(name: &HeaderName) -> bool {
        let name = name.as_str();
        !(super::is_hop_by_hop(name) || matches!(name, "content-length" | "host" | "trailer"))
    }

    /// Whether there is a field that it writes.
    pub const fn writes(&self) -> bool {
        !(self.set.is_empty() && self.add.is_empty())
    }

    /// Applies the edits.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }
}
