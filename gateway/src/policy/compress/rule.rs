//! Which responses are coded, and what becomes of their heads.

use http::{HeaderMap, HeaderValue, StatusCode, header, response};
use weir_config::model::{self, Encoding, Levels, MediaRange};

use super::accept::{Accepted, forbids_change};
use crate::{http::reply::is_grpc, policy::vary::vary};

/// The type of several parts of a whole (RFC 9110, section 14.6).
const SEVERAL: &[u8] = b"multipart/byteranges";

/// What a route says of coding its responses.
#[derive(Debug)]
pub struct Rule {
    types: Box<[MediaRange]>,
    min_size: u64,
    pub(super) offered: Box<[Encoding]>,
    pub(super) levels: Levels,
    pub(super) secrets: bool,
    /// Name of the cookie that the route's `sticky` sets.
    pub(super) own_cookie: Option<Box<str>>,
}

/// What the request of a response said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// Which codings its client takes.
    pub accepted: Accepted,
    /// Whether it came with what only its client may know.
    pub secret: bool,
    /// Whether it was a HEAD.
    pub bare: bool,
}

/// What is to be done with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is what every client gets.
    Leave,
    /// It passes as it is, but other clients might get another one.
    Vary,
    /// It has no body, but names one that would be coded for this client.
    Weaken,
    /// It is coded.
    Code(Encoding),
}

impl Rule {
    /// What the file says.
    #[must_use]
    pub fn new(config: &model::Compress) -> Self {
        Self {
            types: config.types.clone().into(),
            min_size: config.min_size,
            offered: config.encodings.clone().into(),
            levels: config.levels,
            secrets: config.secrets,
            own_cookie: None,
        }
    }

    /// The same, where the gateway itself gives clients a cookie of this name, which is no secret.
    #[must_use]
    pub fn beside_cookie(self, name: Option<&str>) -> Self {
        Self { own_cookie: name.map(Into::into), ..self }
    }

    /// Judges a response whose body has `length` bytes, where that is known.
    #[must_use]
    pub fn judge(&self, wish: &Wish, head: &response::Parts, length: Option<u64>) -> Verdict {
        let headers = &head.headers;
        let secret = !self.secrets && (wish.secret || headers.contains_key(header::SET_COOKIE));
        let coding = wish.accepted.coding.filter(|_| !secret);
        match head.status {
            StatusCode::NOT_MODIFIED if forbids_change(headers) => return Verdict::Leave,
            // What type it is of is not said: a weak tag is right for either form.
            StatusCode::NOT_MODIFIED => {
                return coding.map_or(Verdict::Vary, |_| Verdict::Weaken);
            }
            StatusCode::PARTIAL_CONTENT => return self.judge_part(headers),
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT => return Verdict::Leave,
            status if status.is_informational() => return Verdict::Leave,
            _ => {}
        }
        let is_fixed = is_fixed(headers) || headers.contains_key(header::CONTENT_RANGE);
        if length == Some(0) || is_fixed || forbids_change(headers) || !self.takes(headers) {
            return Verdict::Leave;
        }
        let worth = length.is_none_or(|length| length >= self.min_size);
        match coding {
            Some(coding) if worth || wish.accepted.refuses_plain => Verdict::Code(coding),
            // A short one, too: who refuses the plain body gets it coded.
            _ => Verdict::Vary,
        }
    }

    /// Judges a part of a whole: it is never coded, but the whole might be. The type of several
    /// parts together is not said.
    fn judge_part(&self, headers: &HeaderMap) -> Verdict {
        let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let several = value.and_then(|value| value.split_at_checked(SEVERAL.len()));
        let is_several = several.is_some_and(|(kind, _)| kind.eq_ignore_ascii_case(SEVERAL));
        match is_fixed(headers) || forbids_change(headers) {
            false if is_several || self.takes(headers) => Verdict::Vary,
            _ => Verdict::Leave,
        }
    }

    /// Whether its type is among those that are coded.
    fn takes(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return false };
        let name = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        let Some(slash) = name.iter().position(|b| *b == b'/') else { return false };
        let (kind, subtype) = (&name[..slash], &name[slash + 1..]);
        self.types.iter().any(|range| {
            (range.kind == "*" || kind.eq_ignore_ascii_case(range.kind.as_bytes()))
                && match range.subtype.strip_prefix('*') {
                    Some("") => true,
                    Some(suffix) => ends_with(subtype, suffix.as_bytes()),
                    None => subtype.eq_ignore_ascii_case(range.subtype.as_bytes()),
                }
        })
    }
}

fn ends_with(text: &[u8], suffix: &[u8]) -> bool {
    text.len() > suffix.len() && text[text.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

/// Whether what stands in the body is bound to these very bytes: they are coded already, messages
/// of gRPC (which codes each by itself), or vouched for by a digest (RFC 9530).
fn is_fixed(headers: &HeaderMap) -> bool {
    let coded = headers.get(header::CONTENT_ENCODING);
    if coded.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return true;
    }
    is_grpc(headers)
        || ["content-digest", "repr-digest", "digest", "content-md5"]
            .iter()
            .any(|name| headers.contains_key(*name))
}

/// Makes the head of a response say that its body is coded.
pub(super) fn mark(headers: &mut HeaderMap, coding: Encoding) {
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
    headers.remove(header::CONTENT_LENGTH);
    // A range is one of the coded bytes, which nobody will have twice alike.
    headers.remove(header::ACCEPT_RANGES);
    weaken(headers);
    vary(headers, header::ACCEPT_ENCODING);
}

/// Makes a strong entity tag a weak one: byte for byte the same is no longer what it says (RFC
/// 9110, section 8.8.1).
pub(super) fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG).map(HeaderValue::as_bytes) else { return };
    if tag.starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag].concat())
    {
        headers.insert(header::ETAG, weak);
    }
}

/// Adds to the tags of `If-None-Match` the strong form of those that are weak. The two mean the
/// same there (RFC 9110, section 13.1.2), but not to every upstream that compares texts, and the
/// weak ones may be of the gateway's making.
pub(crate) fn strengthen(headers: &mut HeaderMap) {
    let mut all: Vec<u8> = Vec::new();
    let mut more: Vec<u8> = Vec::new();
    for value in headers.get_all(header::IF_NONE_MATCH) {
        append(&mut all, value.as_bytes());
        // A quote ends a tag, and no tag holds one: every other piece is one.
        let mut before: &[u8] = b"";
        for (index, piece) in value.as_bytes().split(|b| *b == b'"').enumerate() {
            if index % 2 == 1 && before.ends_with(b"W/") {
                append(&mut more, b"\"");
                more.extend_from_slice(piece);
                more.push(b'"');
            }
            before = piece;
        }
    }
    if more.is_empty() {
        return;
    }
    append(&mut all, b"");
    all.extend_from_slice(&more);
    if let Ok(value) = HeaderValue::from_bytes(&all) {
        headers.insert(header::IF_NONE_MATCH, value);
    }
}

fn append(list: &mut Vec<u8>, item: &[u8]) {
    if !list.is_empty() {
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(item);
}

#[cfg(test)]
mod tests;
