//! `routes[].files`.

use super::{Complaint, Decoder};
use crate::{
    fields::Fields,
    model::{Files, Rewrite},
    yaml::{Node, Value, shorten},
};

/// Most names of index files.
const NAMES: usize = 8;

/// The files of a directory; its path is rewritten by whoever knows how.
pub(super) fn read(d: &mut Decoder<'_>, route: &Fields<'_>) -> Option<Option<Files>> {
    let Some(fields) = route.policy(d, "files", "routes[].files") else {
        return route.entry("files").map(|_| None);
    };
    let root = fields.path(d, "root");
    if fields.node("root").is_none() {
        fields.missing(d, "root", "such as `root: ./public`");
    }
    let written = fields.at(d, "index", |d, node: &Node| {
        d.each(node, NAMES, |d, node| d.parsed(node, "the name of a file", file))
    });
    let index = written.unwrap_or_else(|| vec![fields.default_text("index").to_owned()]);
    let fallback = match fields.node("fallback") {
        Some(Node { value: Value::Text(text), .. }) if text == "off" => None,
        _ => fields.parsed(d, "fallback", |text| {
            let path = text.strip_prefix('/').unwrap_or(text);
            path.split('/').try_for_each(|name| file(name).map(drop))?;
            Ok(path.to_owned())
        }),
    };
    let (listing, precompressed) = (fields.flag(d, "listing"), fields.flag(d, "precompressed"));
    fields.finish();
    let rewrite = Rewrite::Keep;
    Some(root.map(|root| Files { root, index, listing, fallback, precompressed, rewrite }))
}

/// The name of a file: one segment of a path, which is served.
fn file(name: &str) -> Result<String, Complaint> {
    let complaint = match name {
        "" => Complaint::new("the name of a file is missing"),
        _ if name.starts_with('.') => {
            Complaint::new(format!("`{}` begins with a dot: it is hidden", shorten(name)))
        }
        _ if name.contains(['/', '\\', '\0']) => {
            Complaint::new(format!("`{}` is no name of a file", shorten(name)))
        }
        _ => return Ok(name.to_owned()),
    };
    Err(complaint)
}

#[cfg(test)]
mod tests;
