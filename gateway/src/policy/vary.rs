//! What a response depends on beside its URL (RFC 9110, section 12.5.5).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Says that a response depends on this field of its request, unless it says so.
pub(crate) fn vary(headers: &mut HeaderMap, name: HeaderName) {
    let mut lists = headers.get_all(header::VARY).iter().map(HeaderValue::as_bytes);
    let is_said = lists.any(|list| {
        let mut items = list.split(|b| *b == b',').map(<[u8]>::trim_ascii);
        items.any(|item| item == b"*" || item.eq_ignore_ascii_case(name.as_str().as_bytes()))
    });
    if !is_said {
        headers.append(header::VARY, HeaderValue::from(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once() {
        let after = |before: &'static str| {
            let mut headers = HeaderMap::new();
            if !before.is_empty() {
                headers.insert(header::VARY, HeaderValue::from_static(before));
            }
            vary(&mut headers, header::ORIGIN);
            headers.get_all(header::VARY).iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(after(""), ["origin"]);
        assert_eq!(after("accept, Origin"), ["accept, Origin"]);
        assert_eq!(after("*"), ["*"]);
        assert_eq!(after("x-origin"), ["x-origin", "origin"]);
    }
}
