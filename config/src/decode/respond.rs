//! Fixed answers: `routes[].respond` and `routes[].fallback.respond`.

use http::StatusCode;

use super::{Complaint, Decoder, header};
use crate::{
    defaults::{self, Kind},
    fields::Fields,
    model::Respond,
    yaml::{Node, Value},
};

/// Largest fixed body, in bytes.
const BODY_MAX: usize = 1 << 20;

/// The answer at one place of the table.
pub(super) fn read(d: &mut Decoder<'_>, node: &Node, place: &'static str) -> Option<Respond> {
    let fields = match &node.value {
        Value::Text(text) => {
            let key = defaults::section(place).iter().find(|key| key.name() == "status")?;
            let what = "a status from 200 to 599, or `{ status, body, headers }`";
            let Kind::Count(min, max) = key.kind else { return None };
            let status =
                text.parse().ok().filter(|status| (min..=max).contains(&u64::from(*status)));
            let Some(status) = status.and_then(|status: u16| StatusCode::from_u16(status).ok())
            else {
                d.mismatch(node, what);
                return None;
            };
            return Some(Respond { status, body: String::new(), headers: Vec::new() });
        }
        _ => Fields::open(d, node, place),
    };
    let status = fields.count(d, "status");
    let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let body = fields.parsed(d, "body", |text| match text.len() {
        0..=BODY_MAX => Ok(text.to_owned()),
        _ => Err(Complaint::new("a fixed body has at most 1MiB")),
    });
    let mut headers = header::pairs(d, &fields, "headers");
    fields.finish();
    let (status, body) = (status?, body?);
    let bodiless = matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    );
    if let (true, false, Some(node)) = (bodiless, body.is_empty(), fields.node("body")) {
        d.report
            .error(node.span, format!("a response with status {} has no body", status.as_u16()));
    }
    if !body.is_empty() && !headers.iter().any(|(name, _)| name == http::header::CONTENT_TYPE) {
        let text = http::HeaderValue::from_static("text/plain; charset=utf-8");
        headers.push((http::header::CONTENT_TYPE, text));
    }
    Some(Respond { status, body, headers })
}
