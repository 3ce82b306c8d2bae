//! The tree as text again.

use super::tree::{Data, Document, NodeId};

/// Elements without an end.
const VOID: [&str; 13] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
];
/// Elements whose text is no HTML.
const RAW: [&str; 8] =
    ["iframe", "noembed", "noframes", "noscript", "plaintext", "script", "style", "xmp"];

impl Document {
    /// What is in the node, as HTML.
    pub(crate) fn inner_html(&self, id: NodeId) -> String {
        let mut out = String::new();
        let is_raw = self.name(id).is_some_and(|name| RAW.contains(&name));
        self.contents(id).for_each(|child| self.write(&mut out, child, is_raw));
        out
    }

    /// The node and what is in it, as HTML.
    pub(crate) fn outer_html(&self, id: NodeId) -> String {
        let mut out = String::new();
        self.write(&mut out, id, false);
        out
    }

    /// Not by recursion: documents may be deeper than a script's stack.
    fn write(&self, out: &mut String, root: NodeId, is_raw: bool) {
        let mut at = root;
        loop {
            self.open(out, at, is_raw);
            if let Some(first) = self.nodes[at].first {
                at = first;
                continue;
            }
            loop {
                self.close(out, at);
                if at == root {
                    return;
                }
                if let Some(behind) = self.nodes[at].behind {
                    at = behind;
                    break;
                }
                let Some(parent) = self.nodes[at].parent else { return };
                at = parent;
            }
        }
    }

    fn open(&self, out: &mut String, id: NodeId, is_raw: bool) {
        match &self.nodes[id].data {
            Data::Document => {}
            Data::Doctype(name) => {
                for part in ["<!DOCTYPE ", name, ">"] {
                    out.push_str(part);
                }
            }
            Data::Comment(text) => {
                for part in ["<!--", text, "-->"] {
                    out.push_str(part);
                }
            }
            Data::Text(text) => {
                let parent = self.parent(id).and_then(|parent| self.name(parent));
                if is_raw || parent.is_some_and(|name| RAW.contains(&name)) {
                    out.push_str(text);
                } else {
                    escape(out, text);
                }
            }
            Data::Element { name, attributes } => {
                out.push('<');
                out.push_str(&name.local);
                for (name, value) in attributes {
                    for part in [" ", name, "=\""] {
                        out.push_str(part);
                    }
                    escape(out, value);
                    out.push('"');
                }
                out.push_str(if VOID.contains(&&*name.local) { "/>" } else { ">" });
            }
        }
    }

    fn close(&self, out: &mut String, id: NodeId) {
        if let Some(name) = self.name(id).filter(|name| !VOID.contains(name)) {
            for part in ["</", name, ">"] {
                out.push_str(part);
            }
        }
    }
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}
