//! Whatever the headers of a request and of a response say: no panic, and what is stored is
//! answered with a body of the length that its header section names.
//!
//! The input is header lines of the request, an empty line, and those of the response.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header::CONTENT_LENGTH};
use libfuzzer_sys::fuzz_target;
use weir_cache::{
    http::{
        decide,
        freshness::Exchange,
        key::{Target, name_of_url},
        policy::Policy,
        serve,
        stored::{Head, Request, Response},
        validate,
    },
    time::Time,
};

const NOW: Time = Time::from_seconds(1_795_176_000);

fn headers(text: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in text.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(line[..colon].trim_ascii());
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let (asked, answered) = (headers(&bytes[..at]), headers(&bytes[at..]));
    let method = Method::GET;
    let request = Request::new(&method, &asked);
    let exchange = Exchange { asked: NOW, answered: NOW };
    let policy = Policy { heuristics: true, store_cookies: true, ..Policy::default() };
    let path_and_query = "/a/b?c";
    let target = Target { scheme: "http", authority: "a", path_and_query, scope: "" };
    target.invalidated(&Method::POST, StatusCode::OK, &answered);
    if let Ok(text) = str::from_utf8(bytes) {
        name_of_url(text);
    }
    let response = Response {
        status: StatusCode::OK,
        headers: &answered,
        exchange,
        is_content_location: target.is_content_location(&answered),
    };
    decide::bypass(&request);
    let Ok(head) = Head::of(&request, &response, &policy) else { return };
    assert!(head.selection().matches(&asked));
    let Ok(stored) = head.with_body(vec![b'x'; 100].into(), &policy) else { return };
    decide::may_serve_on_error(&request, &stored, NOW);
    validate::freshen(&stored, &request, &answered, exchange, &policy);
    let answer = serve::answer(&request, &stored, NOW, 1);
    if let Some(length) = answer.headers.get(CONTENT_LENGTH) {
        assert_eq!(length, &HeaderValue::from(answer.body.len()));
    }
});
