//! Keys of limits: whose requests are counted together.

use super::{Complaint, Decoder, header};
use crate::{
    defaults::KEY,
    diagnostic::Diagnostic,
    fields::Fields,
    model::{AbsentKey, At, KeyPart, LuaValue, PathMatch},
    yaml::{Node, Value, shorten},
};

/// Most parts of a key.
const PARTS: usize = 8;
/// Longest expression, in bytes.
const EXPRESSION_MAX: usize = 4096;
/// Longest name of a cookie or a parameter, in bytes.
const NAME_MAX: usize = 256;

/// The key that is written, or the default of the table; empty when there is none.
pub(super) fn read(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<KeyPart> {
    let written = fields.at(d, "key", parts).filter(|parts| !parts.is_empty());
    written.unwrap_or_else(|| part(fields.default_text("key")).into_iter().collect())
}

/// What happens where a part of it is missing.
pub(super) fn absent(d: &mut Decoder<'_>, fields: &Fields<'_>) -> AbsentKey {
    match fields.choice(d, "absent") {
        "skip" => AbsentKey::Skip,
        "deny" => AbsentKey::Deny,
        _ => AbsentKey::Share,
    }
}

/// Warns of keys that a client has as many of as it likes, each with a count of its own, on
/// requests to any path of `paths`, or to any path at all.
pub(super) fn lint(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    key: &[KeyPart],
    paths: Option<&PathMatch>,
) {
    let Some(node) = fields.node("key") else { return };
    if key.contains(&KeyPart::Path) && !matches!(paths, Some(PathMatch::Exact(_))) {
        let what = "there is a count for each `path`: whoever asks for ever new ones avoids the \
                    limit";
        d.report.warn(node.span, what).hint =
            Some("`route` in its place is one count for all paths".to_owned());
    }
    let forged = key.iter().find_map(|part| match part {
        KeyPart::Header(name) => Some(name)
            .filter(|name| ["x-forwarded-for", "x-real-ip", "forwarded"].contains(&name.as_str())),
        _ => None,
    });
    if let Some(name) = forged {
        let what = format!("clients can write what they like into `{name}`, and avoid the limit");
        let hint = "`client_ip` is the address that proxies of ours saw, with the listener's \
                    `trusted_hops`";
        d.report.warn(node.span, what).hint = Some(hint.to_owned());
    }
}

fn parts(d: &mut Decoder<'_>, node: &Node) -> Vec<KeyPart> {
    if node.is_empty_list() {
        d.report.error(node.span, "`key` is empty").hint =
            Some("`key: route` is one count for all requests of the route".to_owned());
    }
    let mut parts: Vec<KeyPart> = Vec::new();
    d.each(node, PARTS, |d, node| {
        if matches!(node.value, Value::Map(_)) {
            d.mismatch(node, KEY);
            d.report.amend("name and kind are one word: `header:x-api-key`".to_owned());
            return None;
        }
        let part = d.parsed(node, KEY, part)?.placed(node);
        if parts.contains(&part) {
            let what = format!("`{part}` stands in the key twice");
            d.report.error(node.span, what);
        }
        parts.push(part);
        Some(())
    });
    parts
}

impl KeyPart {
    /// It knows that it stands here: an expression is read later, and may be none then.
    pub(super) fn placed(mut self, node: &Node) -> Self {
        if let Self::Lua(value) = &mut self {
            value.at = node.span.at();
        }
        self
    }
}

/// An expression in Lua. Whether it is one shows when it is compiled.
pub(super) fn expression(text: &str) -> Result<LuaValue, Complaint> {
    if text.trim().is_empty() {
        let complaint = Complaint::new("an expression is missing");
        return Err(complaint.hint(r#"such as `req.headers["x-tenant"]`"#));
    }
    if text.len() > EXPRESSION_MAX {
        return Err(Complaint::new("an expression has at most 4096 bytes")
            .hint("a longer one is for a script, whose `on_request` sets a header"));
    }
    Ok(LuaValue { at: At::default(), text: text.to_owned() })
}

/// One part of a key.
pub(super) fn part(text: &str) -> Result<KeyPart, Complaint> {
    let Some((kind, name)) = text.split_once(':') else {
        return match text {
            "client_ip" => Ok(KeyPart::ClientIp),
            "path" => Ok(KeyPart::Path),
            "route" => Ok(KeyPart::Route),
            "identity" => Ok(KeyPart::Identity),
            _ => Err(unknown(text)),
        };
    };
    let within = |mut complaint: Complaint| {
        complaint.part = complaint.part.map(|(offset, length)| (kind.len() + 1 + offset, length));
        complaint
    };
    match kind {
        "header" | "cookie" | "query" | "claim" if name.is_empty() => {
            let what = format!("a name is missing after `{kind}:`");
            Err(Complaint::new(what).hint("such as `header:x-api-key`"))
        }
        "header" => header::name(name).map_err(within).map(KeyPart::Header),
        "cookie" => cookie(name).map_err(within).map(KeyPart::Cookie),
        "query" => query(name).map_err(within).map(KeyPart::Query),
        "lua" => expression(name).map_err(within).map(KeyPart::Lua),
        // Claims are named as freely as parameters.
        "claim" => query(name).map_err(within).map(KeyPart::Claim),
        _ => Err(unknown(text)),
    }
}

/// A cookie's name is a token (RFC 6265, section 4.1.1); case matters.
pub(super) fn cookie(name: &str) -> Result<String, Complaint> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    match name.char_indices().find(|(_, c)| !token(*c)) {
        Some((offset, c)) => {
            let what = format!("`{}` is no name of a cookie", shorten(name));
            Err(Complaint::new(what).part(offset, c.len_utf8()))
        }
        None if name.len() > NAME_MAX => {
            Err(Complaint::new("a cookie's name has from 1 to 256 bytes here"))
        }
        None => Ok(name.to_owned()),
    }
}

/// A parameter's name, as it is once decoded.
pub(super) fn query(name: &str) -> Result<String, Complaint> {
    match name.char_indices().find(|(_, c)| c.is_control()) {
        Some((offset, c)) => {
            let what = "a parameter's name holds no control characters here";
            Err(Complaint::new(what).part(offset, c.len_utf8()))
        }
        None if name.len() > NAME_MAX => {
            Err(Complaint::new("a parameter's name has from 1 to 256 bytes"))
        }
        None => Ok(name.to_owned()),
    }
}

fn unknown(text: &str) -> Complaint {
    let complaint = Complaint::new(format!("expected {KEY}, found `{}`", shorten(text)));
    let (kind, name) = text.split_once([':', '=', '.']).unwrap_or((text, ""));
    let meant = match kind.to_ascii_lowercase().as_str() {
        "ip" | "remote_addr" | "remote_ip" | "source_ip" | "address" | "client" => "client_ip",
        "uri" | "url" => "path",
        "param" | "parameter" | "arg" => "query",
        "user" | "subject" | "sub" => "identity",
        _ => ["client_ip", "path", "route", "identity", "header", "cookie", "query", "claim"]
            .into_iter()
            .find(|word| Diagnostic::suggest(kind, [*word]).is_some())
            .unwrap_or_default(),
    };
    match meant {
        "header" | "cookie" | "query" | "claim" if name.is_empty() => {
            complaint.hint(format!("a name belongs to it: `{meant}:name`"))
        }
        "header" | "cookie" | "query" | "claim" => {
            complaint.hint(format!("did you mean `{meant}:{}`?", shorten(name)))
        }
        "" if text.contains("req.") => {
            complaint.hint(format!("did you mean `lua:{}`?", shorten(text)))
        }
        "" if text.contains('-') && header::name(text).is_ok() => {
            complaint.hint(format!("did you mean `header:{}`?", shorten(text)))
        }
        "" => complaint,
        word => complaint.hint(format!("did you mean `{word}`?")),
    }
}

#[cfg(test)]
mod tests;
