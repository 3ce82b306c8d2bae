use http::{HeaderName, Request};

use super::*;
use crate::policy::scripted::{Step, body, read};

fn call(fields: &[(&str, &str)]) -> Option<Call> {
    let mut request = Request::builder().method("POST");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    Call::of(&request.body(()).unwrap().into_parts().0)
}

fn of(kind: &str) -> Option<(bool, bool, String)> {
    let call = call(&[("content-type", kind)])?;
    Some((call.asks_in_text, call.wants_text, call.suffix.into_string()))
}

#[test]
fn calls_are_told_by_their_type() {
    assert_eq!(of("application/grpc-web"), Some((false, false, String::new())));
    assert_eq!(of("application/grpc-web+proto"), Some((false, false, "+proto".into())));
    assert_eq!(of("Application/grpc-web-text; a=b"), Some((true, true, String::new())));
    assert_eq!(of("application/grpc-web-text+proto"), Some((true, true, "+proto".into())));
    for other in ["application/grpc", "application/grpc-webx", "application/grpc-web+", "text"] {
        assert_eq!(of(other), None, "{other}");
    }
    let kind = ("content-type", "application/grpc-web+proto");
    let text = ("accept", "text/x, application/grpc-web-text");
    assert!(call(&[kind, text]).unwrap().wants_text);
    let kind = ("content-type", "application/grpc-web-text");
    assert!(!call(&[kind, ("accept", "application/grpc-web+proto")]).unwrap().wants_text);
    assert!(call(&[kind, ("accept", "*/*")]).unwrap().wants_text);
}

#[test]
fn a_call_goes_up_as_one_of_grpc() {
    let call = call(&[("content-type", "application/grpc-web-text+proto")]).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in [("content-length", "12"), ("x-grpc-web", "1"), ("accept", "*/*")] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let mut asked = body([Step::Data(b"AAAA".to_vec()), Step::Pause, Step::Data(b"AAE=".to_vec())]);
    assert!(call.enter(&mut headers, &mut asked));
    assert_eq!(headers.len(), 1, "{headers:?}");
    assert_eq!(headers["content-type"], "application/grpc+proto");
    assert_eq!(read(asked).whole(), [0, 0, 0, 0, 1]);
    let mut broken = body([Step::Data(b"AAAAA".to_vec())]);
    call.enter(&mut headers, &mut broken);
    assert!(matches!(read(broken).failed, Some(Error::BadRequest(_))));
}

fn answered(call: &Call, steps: Vec<Step>) -> (HeaderMap, Vec<u8>) {
    let mut response = Response::new(body(steps));
    let kind = HeaderValue::from_static("application/grpc+proto");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    let (head, body) = call.leave(response, None).into_parts();
    (head.headers, read(body).whole())
}

#[test]
fn trailers_come_back_as_a_frame() {
    let trailers = HeaderMap::from_iter([
        (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0")),
        (HeaderName::from_static("x-a"), HeaderValue::from_static("b c")),
    ]);
    let steps = vec![Step::Data(vec![0, 0, 0, 0, 1, 7]), Step::Trailers(trailers)];
    let binary = call(&[("content-type", "application/grpc-web+proto")]).unwrap();
    let (headers, body) = answered(&binary, steps.clone());
    assert_eq!(headers["content-type"], "application/grpc-web+proto");
    let lines = b"grpc-status:0\r\nx-a:b c\r\n";
    let length = u8::try_from(lines.len()).unwrap();
    let expected = [&[0, 0, 0, 0, 1, 7, 0x80, 0, 0, 0, length][..], lines].concat();
    assert_eq!(body, expected);
    let text = call(&[("content-type", "application/grpc-web-text")]).unwrap();
    let (headers, body) = answered(&text, steps);
    assert_eq!(headers["content-type"], "application/grpc-web-text");
    let (mut decoder, mut out) = (text::Text::default(), Vec::new());
    decoder.decode(&body, &mut out).unwrap();
    assert_eq!(out, expected);
}

#[test]
fn errors_speak_grpc_and_other_answers_pass() {
    let call = call(&[("content-type", "application/grpc-web+proto")]).unwrap();
    let own = call.leave(reply::of_error(Error::RateLimited), Some(Error::RateLimited));
    assert_eq!(
        (own.status(), &own.headers()["grpc-status"]),
        (StatusCode::OK, &HeaderValue::from_static("8"))
    );
    assert_eq!(own.headers()["content-type"], "application/grpc-web+proto");
    assert!(own.headers().contains_key("proxy-status"));
    assert!(read(own.into_body()).whole().is_empty());
    let page = Response::builder().status(404).header("content-type", "text/html");
    let page = call.leave(page.body(Body::full("no".into())).unwrap(), None);
    assert_eq!(
        (page.status().as_u16(), &page.headers()["content-type"]),
        (404, &HeaderValue::from_static("text/html"))
    );
}
