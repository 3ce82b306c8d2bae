//! Header names and values, and the edits of them.

use std::collections::HashSet;

use http::{HeaderName, HeaderValue, header};

use super::{Complaint, Decoder};
use crate::{
    fields::Fields,
    model::{HeaderEdit, HeaderEdits},
    yaml::{Node, Word, shorten},
};

/// Most header fields in one list of edits.
const FIELDS: usize = 256;
/// Longest header value, in bytes.
const VALUE_MAX: usize = 8192;

/// A header name.
pub(super) fn name(text: &str) -> Result<HeaderName, Complaint> {
    if let Some(pseudo) = text.strip_prefix(':') {
        let hint = match pseudo {
            "authority" => "a condition on the host is `match.host`; `set_host` changes it",
            "path" => "a condition on the path is `match.path`; `rewrite` changes it",
            "method" => "a condition on the method is `match.methods`",
            _ => "names do not begin with `:`",
        };
        return Err(Complaint::new(format!("`{}` is no header name", shorten(text))).hint(hint));
    }
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        let bad = text
            .char_indices()
            .find(|(_, c)| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~".contains(*c));
        let complaint = Complaint::new(format!("`{}` is no header name", shorten(text)))
            .hint("header names are letters, digits and `-`");
        match bad {
            Some((offset, c)) => complaint.part(offset, c.len_utf8()),
            None => complaint,
        }
    })
}

/// Whether it frames the message or holds for one hop only (RFC 9110, section 7.6.1).
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    const HOP_BY_HOP: [HeaderName; 6] = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::CONTENT_LENGTH,
    ];
    HOP_BY_HOP.contains(name) || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// A header name that may be edited.
fn editable(text: &str) -> Result<HeaderName, Complaint> {
    let name = name(text)?;
    if name == header::HOST {
        return Err(Complaint::new("`host` is not edited as a header")
            .hint("`set_host: name` of the route changes the host sent upstream"));
    }
    if is_hop_by_hop(&name) {
        let what = format!("`{name}` belongs to the connection: the gateway writes it itself");
        return Err(Complaint::new(what).hint("remove it (RFC 9110, section 7.6.1)"));
    }
    Ok(name)
}

/// A header value.
pub(super) fn value(text: &str) -> Result<HeaderValue, Complaint> {
    if text.len() > VALUE_MAX {
        return Err(Complaint::new(format!("a header value has at most {VALUE_MAX} bytes here")));
    }
    let bad = text.char_indices().find(|(_, c)| c.is_control() && *c != '\t');
    if let Some((offset, c)) = bad {
        let what = "a header value holds no control characters, line feeds included";
        return Err(Complaint::new(what).part(offset, c.len_utf8()));
    }
    HeaderValue::from_bytes(text.trim_matches([' ', '\t']).as_bytes())
        .map_err(|_| Complaint::new("this is no header value"))
}

/// The names differ in case only, which header names do not.
pub(super) fn twice(name: &HeaderName) -> Complaint {
    Complaint::new(format!("the header `{name}` stands here twice")).hint("case does not matter")
}

/// `{ name: value }`; a value may be a list.
pub(super) fn pairs(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    key: &str,
) -> Vec<(HeaderName, HeaderValue)> {
    let mut seen = HashSet::new();
    let read = |d: &mut Decoder<'_>, word: &Word, node: &Node| {
        let name = editable(&word.text).and_then(|name| match seen.insert(name.clone()) {
            true => Ok(name),
            false => Err(twice(&name)),
        });
        let name = name.map_err(|complaint| d.complain(word.span, &word.text, complaint)).ok();
        let values = d.each(node, FIELDS, |d, node| d.parsed(node, "a header value", value));
        let name = name?;
        Some(values.into_iter().map(move |value| (name.clone(), value)))
    };
    fields.pairs(d, key, FIELDS, read).into_iter().flatten().collect()
}

pub(super) fn edits(d: &mut Decoder<'_>, fields: &Fields<'_>) -> HeaderEdits {
    let both = fields.section(d, "headers", "routes[].headers");
    let request = both.section(d, "request", "routes[].headers.request");
    let response = both.section(d, "response", "routes[].headers.response");
    let edits = HeaderEdits { request: edit(d, &request), response: edit(d, &response) };
    both.finish();
    edits
}

fn edit(d: &mut Decoder<'_>, fields: &Fields<'_>) -> HeaderEdit {
    let set = single(d, fields);
    let add = pairs(d, fields, "add");
    let remove = fields
        .at(d, "remove", |d, node| {
            d.each(node, FIELDS, |d, node| d.parsed(node, "a header name", editable))
        })
        .unwrap_or_default();
    fields.finish();
    HeaderEdit { set, add, remove }
}

/// `set` leaves one value of a name: a list makes no sense there.
fn single(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let set = pairs(d, fields, "set");
    for (index, (name, _)) in set.iter().enumerate() {
        if set[..index].iter().any(|(other, _)| other == name) {
            let span = fields.node("set").map(|node| node.span).unwrap_or_default();
            let what = format!("`{name}` is set twice");
            d.report.error(span, what).hint = Some("`add` appends several values".to_owned());
            break;
        }
    }
    set
}
