//! Secrets: read from the file or from files of their own, and never shown.

use super::{Fields, REDACTED};
use crate::{
    decode::Decoder,
    model::Secret,
    yaml::{Node, Value, shorten},
};

impl Fields<'_> {
    /// A text or `{ file: path }`; an empty text is no secret.
    pub(crate) fn secret(&self, d: &mut Decoder<'_>, name: &str) -> Option<Secret> {
        self.key(name);
        let text = self.at(d, name, secret).flatten()?;
        Some(Secret(text)).filter(|secret| !secret.0.is_empty())
    }

    /// A list of texts or `{ file: path }`, at most `most`; `None` when it is not written.
    pub(crate) fn secrets(
        &self,
        d: &mut Decoder<'_>,
        name: &str,
        most: usize,
    ) -> Option<Vec<Secret>> {
        let span = self.entry(name).map(|entry| entry.key.span).unwrap_or_default();
        self.at(d, name, |d, node| match &node.value {
            Value::List(items) if items.len() > most => {
                // Told of the key: the line of the first entry may be a secret.
                d.report.error(span, format!("{} entries; at most {most} are", items.len()));
                Vec::new()
            }
            Value::List(_) => d.each(node, most, |d, node| secret(d, node).map(Secret)),
            _ => {
                d.report.error(span, "expected a list of secrets");
                Vec::new()
            }
        })
    }
}

/// Longest secret in a file, in bytes.
const SECRET_MAX: usize = 64 << 10;

fn secret(d: &mut Decoder<'_>, node: &Node) -> Option<String> {
    const EXPECTS: &str = "a text or `{ file: path }`";
    match &node.value {
        Value::Text(text) => {
            if text == REDACTED {
                let what = "this secret was redacted; the text itself is now the secret";
                d.report.warn(node.span, what).hint = Some("write the secret in".to_owned());
            }
            Some(text.clone())
        }
        Value::Map(entries) => {
            let file = entries.iter().find(|entry| entry.key.text == "file");
            if let Some(other) = entries.iter().find(|entry| entry.key.text != "file") {
                let what = format!("unknown key `{}` in a secret", shorten(&other.key.text));
                d.report.error(other.key.span, what).legal = vec!["file".to_owned()];
                return None;
            }
            let Some(file) = file else {
                d.mismatch(node, EXPECTS);
                return None;
            };
            let path = d.base.join(d.text(&file.value, "the path of a file")?);
            match (d.read)(&path) {
                Ok(text) if text.len() <= SECRET_MAX => {
                    Some(text.trim_end_matches(['\n', '\r']).to_owned())
                }
                Ok(_) => {
                    let what = format!("`{}` is larger than 64KiB", path.display());
                    d.report.error(file.value.span, what);
                    None
                }
                Err(error) => {
                    let what = format!("cannot read `{}`: {error}", path.display());
                    d.report.error(file.value.span, what);
                    None
                }
            }
        }
        Value::Null | Value::List(_) | Value::Bad => {
            d.mismatch(node, EXPECTS);
            None
        }
    }
}
