use http::{Method, Request, Version};

use super::*;
use crate::http::headers::{Outbound, prepare_upstream};

/// All bytes of a request that came with these fields and whose body comes in these pieces.
fn sent(
    method: &Method,
    fields: &[(&'static str, &'static str)],
    framing: Framing,
    pieces: &[&str],
    trailers: Option<&HeaderMap>,
) -> Result<String, Error> {
    let request = Request::builder().method(method).uri("http://c/p?q");
    let request =
        fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    let outbound = Outbound {
        version: Version::HTTP_11,
        tls: false,
        host: None,
        fallback_host: &HeaderValue::from_static("10.1.1.1:80"),
        framing,
        upgrade: None,
        again: true,
        attempt: 1,
        trailers: true,
    };
    prepare_upstream(&mut head, &outbound).unwrap();
    let mut out = BytesMut::new();
    put_head(&mut out, &head);
    let mut body = BodyEncoder::new(framing);
    for piece in pieces {
        body.put_data(&mut out, piece.as_bytes())?;
    }
    body.put_end(&mut out, trailers)?;
    Ok(String::from_utf8(out.to_vec()).unwrap())
}

const METHODS: [Method; 4] = [Method::GET, Method::HEAD, Method::POST, Method::DELETE];
/// What the client said of the framing, which the gateway found out for itself.
const STALE: &[(&str, &str)] =
    &[("host", "c"), ("transfer-encoding", "chunked"), ("content-length", "9")];

#[test]
fn bodies_of_unknown_length_are_sent_whatever_the_method() {
    for method in METHODS {
        // An empty piece must not become the last chunk.
        let pieces = ["abc", "", "0123456789abcdef"];
        let bytes = sent(&method, &[("host", "c")], Framing::Unknown, &pieces, None).unwrap();
        let expected = format!(
            "{method} /p?q HTTP/1.1\r\nhost: c\r\ntransfer-encoding: chunked\r\n\r\n\
             3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
        );
        assert_eq!(bytes, expected);
    }
}

#[test]
fn bodies_of_known_length_keep_it() {
    for method in METHODS {
        let bytes = sent(&method, STALE, Framing::Length(5), &["abc", "de"], None).unwrap();
        let expected =
            format!("{method} /p?q HTTP/1.1\r\nhost: c\r\ncontent-length: 5\r\n\r\nabcde");
        assert_eq!(bytes, expected);
    }
}

#[test]
fn a_body_of_another_length_than_announced_fails() {
    let of = |pieces| sent(&Method::PUT, STALE, Framing::Length(5), pieces, None);
    assert_eq!(of(&["abc", "def"]), Err(Error::Bug));
    assert_eq!(of(&["abc"]), Err(Error::ClientGone));
}

#[test]
fn no_body_leaves_no_framing_behind() {
    for method in METHODS {
        let bytes = sent(&method, STALE, Framing::None, &[], None).unwrap();
        assert_eq!(bytes, format!("{method} /p?q HTTP/1.1\r\nhost: c\r\n\r\n"));
    }
}

#[test]
fn trailers_follow_the_last_chunk_announced_or_not() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let of = |framing| sent(&Method::POST, &[("host", "c")], framing, &["abc"], Some(&trailers));
    assert!(of(Framing::Unknown).unwrap().ends_with("\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"));
    // There is no place for them.
    assert!(of(Framing::Length(3)).unwrap().ends_with("content-length: 3\r\n\r\nabc"));
}
