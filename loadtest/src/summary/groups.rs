//! Groups and checks as k6 writes them: a tree, as lists or as objects by name.

use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use crate::metrics::{Check, Group, Groups};

/// For `handleSummary()`.
pub(super) fn lists(groups: &Groups) -> Value {
    Node::root(groups).lists()
}

/// For `--summary-export`.
pub(super) fn objects(groups: &Groups) -> Value {
    Node::root(groups).objects()
}

#[derive(Default)]
struct Node<'a> {
    name: &'a str,
    path: String,
    group: Option<&'a Group>,
    inner: Vec<Self>,
}

impl<'a> Node<'a> {
    fn root(groups: &'a Groups) -> Self {
        let mut root = Self::default();
        for group in groups.iter() {
            let mut node = &mut root;
            for name in group.path.split("::").skip(1) {
                let at = node.inner.iter().position(|inner| inner.name == name);
                let at = at.unwrap_or_else(|| {
                    let path = format!("{}::{name}", node.path);
                    node.inner.push(Self { name, path, ..Self::default() });
                    node.inner.len() - 1
                });
                node = &mut node.inner[at];
            }
            node.group = Some(group);
        }
        root
    }

    fn checks(&self) -> &'a [Check] {
        self.group.map_or(&[], |group| &group.checks)
    }

    fn check(&self, check: &Check) -> Value {
        let path = format!("{}::{}", self.path, check.name);
        json!({
            "name": &*check.name, "id": id(&path), "path": path,
            "passes": check.passes, "fails": check.fails,
        })
    }

    fn lists(&self) -> Value {
        json!({
            "name": self.name,
            "path": self.path,
            "id": id(&self.path),
            "groups": self.inner.iter().map(Self::lists).collect::<Vec<_>>(),
            "checks": self.checks().iter().map(|check| self.check(check)).collect::<Vec<_>>(),
        })
    }

    fn objects(&self) -> Value {
        let groups = self.inner.iter().map(|inner| (inner.name.to_owned(), inner.objects()));
        let checks = self.checks().iter();
        let checks = checks.map(|check| (check.name.to_string(), self.check(check)));
        json!({
            "name": self.name,
            "path": self.path,
            "id": id(&self.path),
            "groups": groups.collect::<Map<_, _>>(),
            "checks": checks.collect::<Map<_, _>>(),
        })
    }
}

/// k6 numbers groups and checks by the MD5 of their path.
fn id(path: &str) -> String {
    Md5::digest(path).iter().map(|byte| format!("{byte:02x}")).collect()
}
