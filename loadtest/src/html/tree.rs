//! The tree: nodes by number, each with its neighbours.

use html5ever::{QualName, tendril::TendrilSink as _};

use super::sink::Sink;

/// The number of a node in its document.
pub(crate) type NodeId = usize;

/// A document; node 0 is its root.
#[derive(Debug)]
pub(crate) struct Document {
    pub(super) nodes: Vec<Node>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) data: Data,
    pub(super) parent: Option<NodeId>,
    pub(super) first: Option<NodeId>,
    pub(super) last: Option<NodeId>,
    pub(super) before: Option<NodeId>,
    pub(super) behind: Option<NodeId>,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Data {
    /// The root, or what stands in a `<template>`.
    Document,
    Doctype(String),
    Element {
        name: QualName,
        attributes: Vec<(String, String)>,
    },
    Text(String),
    Comment(String),
}

impl Document {
    /// Reads a document; whatever the text, there is one.
    pub(crate) fn parse(text: &str) -> Self {
        html5ever::parse_document(Sink::default(), html5ever::ParseOpts::default()).one(text)
    }

    pub(super) fn empty() -> Self {
        let mut document = Self { nodes: Vec::new() };
        document.add(Data::Document);
        document
    }

    pub(super) fn add(&mut self, data: Data) -> NodeId {
        let node = Node { data, parent: None, first: None, last: None, before: None, behind: None };
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn detach(&mut self, id: NodeId) {
        let Node { parent, before, behind, .. } = self.nodes[id];
        match before {
            Some(before) => self.nodes[before].behind = behind,
            None => parent.into_iter().for_each(|parent| self.nodes[parent].first = behind),
        }
        match behind {
            Some(behind) => self.nodes[behind].before = before,
            None => parent.into_iter().for_each(|parent| self.nodes[parent].last = before),
        }
        let node = &mut self.nodes[id];
        (node.parent, node.before, node.behind) = (None, None, None);
    }

    pub(super) fn append(&mut self, parent: NodeId, id: NodeId) {
        self.detach(id);
        let last = self.nodes[parent].last.replace(id);
        match last {
            Some(last) => self.nodes[last].behind = Some(id),
            None => self.nodes[parent].first = Some(id),
        }
        (self.nodes[id].parent, self.nodes[id].before) = (Some(parent), last);
    }

    pub(super) fn insert_before(&mut self, sibling: NodeId, id: NodeId) {
        self.detach(id);
        let (parent, before) = (self.nodes[sibling].parent, self.nodes[sibling].before);
        match (before, parent) {
            (Some(before), _) => self.nodes[before].behind = Some(id),
            (None, Some(parent)) => self.nodes[parent].first = Some(id),
            (None, None) => {}
        }
        self.nodes[sibling].before = Some(id);
        let node = &mut self.nodes[id];
        (node.parent, node.before, node.behind) = (parent, before, Some(sibling));
    }

    /// Whether there is such a node.
    pub(crate) fn has(&self, id: NodeId) -> bool {
        id < self.nodes.len()
    }

    pub(crate) fn data(&self, id: NodeId) -> &Data {
        &self.nodes[id].data
    }

    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.nodes[id].parent
    }

    /// The tag's name, if it is an element.
    pub(crate) fn name(&self, id: NodeId) -> Option<&str> {
        match &self.nodes[id].data {
            Data::Element { name, .. } => Some(&name.local),
            Data::Document | Data::Doctype(_) | Data::Text(_) | Data::Comment(_) => None,
        }
    }

    pub(crate) fn is_element(&self, id: NodeId) -> bool {
        self.name(id).is_some()
    }

    pub(crate) fn attributes(&self, id: NodeId) -> &[(String, String)] {
        match &self.nodes[id].data {
            Data::Element { attributes, .. } => attributes,
            Data::Document | Data::Doctype(_) | Data::Text(_) | Data::Comment(_) => &[],
        }
    }

    pub(crate) fn attribute(&self, id: NodeId, name: &str) -> Option<&str> {
        let found = self.attributes(id).iter().find(|(other, _)| other == name);
        found.map(|(_, value)| &**value)
    }

    /// The nodes directly in it.
    pub(crate) fn contents(&self, id: NodeId) -> impl DoubleEndedIterator<Item = NodeId> + '_ {
        let mut all = Vec::new();
        let mut next = self.nodes[id].first;
        while let Some(child) = next {
            all.push(child);
            next = self.nodes[child].behind;
        }
        all.into_iter()
    }

    /// The elements directly in it.
    pub(crate) fn children(&self, id: NodeId) -> impl DoubleEndedIterator<Item = NodeId> + '_ {
        self.contents(id).filter(|child| self.is_element(*child))
    }

    /// What is around it, from the inside; the document itself is left out.
    pub(crate) fn parents(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.parent(id), |id| self.parent(*id))
            .filter(|id| self.is_element(*id))
    }

    /// The nodes behind it.
    pub(crate) fn behind(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.nodes[id].behind, |id| self.nodes[*id].behind)
    }

    /// The nodes before it, the nearest first.
    pub(crate) fn before(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.nodes[id].before, |id| self.nodes[*id].before)
    }

    /// All nodes in it, in the order of the text.
    pub(crate) fn descendants(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let next = move |at: &NodeId| {
            if let Some(first) = self.nodes[*at].first {
                return Some(first);
            }
            let mut at = *at;
            while at != id {
                if let Some(behind) = self.nodes[at].behind {
                    return Some(behind);
                }
                at = self.nodes[at].parent?;
            }
            None
        };
        std::iter::successors(self.nodes[id].first, next)
    }

    /// The text in it.
    pub(crate) fn text(&self, id: NodeId) -> String {
        if let Data::Text(text) = &self.nodes[id].data {
            return text.clone();
        }
        let texts = self.descendants(id).filter_map(|id| match &self.nodes[id].data {
            Data::Text(text) => Some(&**text),
            Data::Document | Data::Doctype(_) | Data::Element { .. } | Data::Comment(_) => None,
        });
        texts.collect()
    }
}
