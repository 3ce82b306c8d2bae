//! `cost` of a limit.

use super::{Complaint, Decoder, header};
use crate::{
    defaults::JSON_PATH,
    fields::Fields,
    model::Cost,
    yaml::{Node, Value, shorten},
};

/// Most names on the way to a number in a JSON document.
const JSON_NAMES: usize = 8;
/// Longest of them, in bytes.
const JSON_NAME_MAX: usize = 64;
/// What a request costs, by the keys at `place`.
pub(super) fn read(d: &mut Decoder<'_>, limit: &Fields<'_>, place: &'static str) -> Cost {
    let header = |node: &Node| match &node.value {
        Value::Text(text) => text.strip_prefix("header:").map(str::to_owned),
        _ => None,
    };
    let short = limit.node("cost").and_then(|node| Some((node, header(node)?)));
    let fields = match &short {
        Some(_) => Fields::empty(place),
        None => limit.policy(d, "cost", place).unwrap_or_else(|| Fields::empty(place)),
    };
    let fixed = fields.count(d, "fixed");
    if let Some(node) = limit.node("cost").filter(|_| short.is_none())
        && matches!(&node.value, Value::Text(text) if text.starts_with(char::is_alphabetic))
    {
        d.report.amend("what a request header says is `cost: header:x-cost`".to_owned());
    }
    let mut request_header = fields.parsed(d, "request_header", header::name);
    let response_header = fields.parsed(d, "response_header", header::name);
    let response_json = fields.parsed(d, "response_json", json_path);
    if let (Some(_), Some(node)) = (&response_header, fields.node("response_json")) {
        let what = "what a response did cost is in either `response_header` or `response_json`";
        d.report.error(node.span, what);
    }
    fields.finish();
    if let Some((node, name)) = short {
        let prefix = "header:".len();
        let parse = |_: &str| {
            header::name(&name).map_err(|mut complaint| {
                complaint.part = complaint.part.map(|(at, length)| (prefix + at, length));
                complaint
            })
        };
        request_header = d.parsed(node, "a header name", parse);
    }
    Cost { fixed: u64::from(fixed), request_header, response_header, response_json }
}

/// The way to a number in a JSON document.
fn json_path(text: &str) -> Result<Vec<String>, Complaint> {
    let names: Vec<String> = text.split('.').map(str::to_owned).collect();
    let why = match () {
        () if names.iter().any(String::is_empty) => "a name is empty",
        () if names.len() > JSON_NAMES => "that is more than 8 names",
        () if names.iter().any(|name| name.len() > JSON_NAME_MAX) => "a name has over 64 bytes",
        () if text.contains(['"', '\\', '$', '[']) || text.contains(char::is_control) => {
            "names stand there as they are, without quotes or brackets"
        }
        () => return Ok(names),
    };
    Err(Complaint::new(format!("expected {JSON_PATH}, found `{}`: {why}", shorten(text))))
}
