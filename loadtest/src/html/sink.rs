//! Builds the tree as the parser says.

use std::{
    borrow::Cow,
    cell::{Ref, RefCell},
};

use html5ever::{
    Attribute, QualName,
    interface::{ElementFlags, NodeOrText, QuirksMode, TreeSink},
    tendril::StrTendril,
};

use super::tree::{Data, Document, NodeId};

/// The tree, while it grows.
pub(super) struct Sink(RefCell<Document>);

impl Default for Sink {
    fn default() -> Self {
        Self(RefCell::new(Document::empty()))
    }
}

impl Sink {
    fn add(&self, data: Data) -> NodeId {
        self.0.borrow_mut().add(data)
    }

    /// Adds to the text at `before` when there is one; a text of its own otherwise.
    fn text(&self, before: Option<NodeId>, text: &str) -> Option<NodeId> {
        let mut document = self.0.borrow_mut();
        if let Some(Data::Text(old)) = before.map(|id| &mut document.nodes[id].data) {
            old.push_str(text);
            return None;
        }
        Some(document.add(Data::Text(text.to_string())))
    }
}

impl TreeSink for Sink {
    type Handle = NodeId;
    type Output = Document;
    type ElemName<'a> = Ref<'a, QualName>;

    fn finish(self) -> Document {
        self.0.into_inner()
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> NodeId {
        0
    }

    fn elem_name<'a>(&'a self, target: &'a NodeId) -> Ref<'a, QualName> {
        Ref::map(self.0.borrow(), |document| match &document.nodes[*target].data {
            Data::Element { name, .. } => name,
            // The parser asks only of elements that it made.
            Data::Document | Data::Doctype(_) | Data::Text(_) | Data::Comment(_) => {
                unreachable!("no element")
            }
        })
    }

    fn create_element(&self, name: QualName, attrs: Vec<Attribute>, _: ElementFlags) -> NodeId {
        let attributes = attrs.iter().map(pair).collect();
        self.add(Data::Element { name, attributes })
    }

    fn create_comment(&self, text: StrTendril) -> NodeId {
        self.add(Data::Comment(text.to_string()))
    }

    fn create_pi(&self, target: StrTendril, _: StrTendril) -> NodeId {
        self.add(Data::Comment(target.to_string()))
    }

    fn append(&self, parent: &NodeId, child: NodeOrText<NodeId>) {
        let id = match child {
            NodeOrText::AppendNode(id) => Some(id),
            NodeOrText::AppendText(text) => {
                let last = self.0.borrow().nodes[*parent].last;
                self.text(last, &text)
            }
        };
        if let Some(id) = id {
            self.0.borrow_mut().append(*parent, id);
        }
    }

    fn append_based_on_parent_node(
        &self,
        element: &NodeId,
        prev_element: &NodeId,
        child: NodeOrText<NodeId>,
    ) {
        if self.0.borrow().nodes[*element].parent.is_some() {
            self.append_before_sibling(element, child);
        } else {
            self.append(prev_element, child);
        }
    }

    fn append_doctype_to_document(&self, name: StrTendril, _: StrTendril, _: StrTendril) {
        let id = self.add(Data::Doctype(name.to_string()));
        self.0.borrow_mut().append(0, id);
    }

    fn get_template_contents(&self, target: &NodeId) -> NodeId {
        // What a template holds is looked at as if it stood there.
        *target
    }

    fn same_node(&self, x: &NodeId, y: &NodeId) -> bool {
        x == y
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &NodeId, child: NodeOrText<NodeId>) {
        let id = match child {
            NodeOrText::AppendNode(id) => Some(id),
            NodeOrText::AppendText(text) => {
                let before = self.0.borrow().nodes[*sibling].before;
                self.text(before, &text)
            }
        };
        if let Some(id) = id {
            self.0.borrow_mut().insert_before(*sibling, id);
        }
    }

    fn add_attrs_if_missing(&self, target: &NodeId, attrs: Vec<Attribute>) {
        let mut document = self.0.borrow_mut();
        if let Data::Element { attributes, .. } = &mut document.nodes[*target].data {
            for (name, value) in attrs.iter().map(pair) {
                if !attributes.iter().any(|(other, _)| *other == name) {
                    attributes.push((name, value));
                }
            }
        }
    }

    fn remove_from_parent(&self, target: &NodeId) {
        self.0.borrow_mut().detach(*target);
    }

    fn reparent_children(&self, node: &NodeId, new_parent: &NodeId) {
        let mut document = self.0.borrow_mut();
        while let Some(child) = document.nodes[*node].first {
            document.append(*new_parent, child);
        }
    }
}

fn pair(attribute: &Attribute) -> (String, String) {
    (attribute.name.local.to_string(), attribute.value.to_string())
}
