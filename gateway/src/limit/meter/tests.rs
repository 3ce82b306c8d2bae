use proptest::prelude::*;

use super::*;

fn path(text: &str) -> Vec<String> {
    text.split('.').map(str::to_owned).collect()
}

fn meter(media: &'static str) -> Option<Meter> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, media.parse().unwrap());
    Meter::of(&headers, std::iter::once(0))
}

/// What is found in a body that comes in pieces of so many bytes.
fn found(media: &'static str, body: &str, wanted: &str, cut: usize) -> Option<u64> {
    let (mut meter, path) = (meter(media).unwrap(), path(wanted));
    for piece in body.as_bytes().chunks(cut) {
        meter.read(piece, |_| &path);
    }
    meter.costs().first().map(|(_, cost)| *cost)
}

fn each_cut(media: &'static str, body: &str, wanted: &str) -> Option<u64> {
    let whole = found(media, body, wanted, usize::MAX);
    for cut in [1, 2, 3, 7] {
        assert_eq!(found(media, body, wanted, cut), whole, "{body} by {cut}");
    }
    whole
}

#[test]
fn a_number_in_a_document() {
    let json = |body, wanted| each_cut("application/json", body, wanted);
    for (body, wanted, expected) in [
        (r#"{"tokens":17}"#, "tokens", Some(17)),
        ("17", "tokens", None),
        (" { \"a\" : { \"b\" : 7 } } ", "a.b", Some(7)),
        (r#"{"a":{"x":{"b":1},"y":[{"b":2}],"b":3}}"#, "a.b", Some(3)),
        (r#"{"b":1,"x":{"a":{"b":2}},"a":{"b":4}}"#, "a.b", Some(4)),
        (r#"{"a":{"c":1},"a":{"b":5}}"#, "a.b", Some(5)),
        (r#"{"a":[{"b":1}],"c":2}"#, "a.b", None),
        (r#"{"a":{"b":{"c":1}}}"#, "a.b", None),
        (r#"{"a":{"bb":1,"b":2}}"#, "a.b", Some(2)),
        (r#"{"a":{"ab":1}}"#, "a.a", None),
        (r#"{"t":"\"a\":1","x":"{","a":9}"#, "a", Some(9)),
        (r#"{"x\"":1,"\\":2,"a":3}"#, "a", Some(3)),
        (r#"{"x":"a","a":3}"#, "a", Some(3)),
        (r#"{"x":["a",4],"a":3}"#, "a", Some(3)),
        (r#"{"a":"5"}"#, "a", None),
        (r#"{"a":5.5}"#, "a", None),
        (r#"{"a":-5}"#, "a", None),
        (r#"{"a":1e3}"#, "a", None),
        (r#"{"a":null,"b":1}"#, "a", None),
        (r#"{"a":99999999999999999999999}"#, "a", Some(u64::MAX)),
        (r#"[{"a":1}]"#, "a", None),
        (r#"{"a":1,"a":2}"#, "a", Some(1)),
        (r#"{"größe":12}"#, "größe", Some(12)),
        ("", "a", None),
        ("{{{}}}]]]]]]}}}", "a", None),
    ] {
        assert_eq!(json(body, wanted), expected, "{wanted} in {body}");
    }
}

#[test]
fn the_last_event_that_has_one() {
    let events = |body| each_cut("text/event-stream; charset=utf-8", body, "usage.total_tokens");
    let stream = "data: {\"choices\":[{\"delta\":\"{\\\"usage\\\":\"}]}\n\n\
                  : a comment, and data: {\"usage\":{\"total_tokens\":1}}\n\
                  event: x\r\ndata:{\"usage\":\ndata: {\"total_tokens\":40}}\r\n\r\n\
                  data: {\"usage\":null}\n\n\
                  data: {\"usage\": {\"total_tokens\": 42}}\n\n\
                  data: {\"usage\":nul\n\n\
                  data: [DONE]\n\n";
    assert_eq!(events(stream), Some(42));
    assert_eq!(events(&stream[..stream.find("42").unwrap()]), Some(40));
    assert_eq!(events("dat: {\"usage\":{\"total_tokens\":1}}\n\n"), None);
    assert_eq!(events("data: {\"usage\":{\"total_tokens\":1}}"), Some(1));
}

#[test]
fn kinds_of_bodies() {
    for media in ["application/json", "Application/JSON; charset=utf-8", "application/hal+json"] {
        assert!(meter(media).is_some(), "{media}");
    }
    for media in ["text/html", "application/jsonl", "application/x-ndjson", "image/png"] {
        assert!(meter(media).is_none(), "{media}");
    }
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    assert!(Meter::of(&headers, std::iter::empty()).is_none());
    headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
    assert!(Meter::of(&headers, std::iter::once(0)).is_none());
}

#[test]
fn no_more_than_so_much_is_looked_through() {
    let path = path("a");
    let mut meter = meter("application/json").unwrap();
    meter.read(b"{\"x\":\"", |_| &path);
    let piece = vec![b'x'; 1 << 20];
    (0..16).for_each(|_| meter.read(&piece, |_| &path));
    meter.read(b"\",\"a\":1}", |_| &path);
    assert!(meter.costs().is_empty());
}

proptest! {
    /// What serde_json finds in any document, however it is cut.
    #[test]
    fn as_a_whole_parser_would(
        a in prop::option::of(any::<u64>()),
        texts in prop::collection::vec(".{0,12}", 0..4),
        deep in prop::collection::vec(("[ab]{0,2}", any::<u32>()), 0..4),
        cut in 1_usize..40,
    ) {
        let mut inner = serde_json::Map::new();
        for (name, value) in &deep {
            inner.insert(name.clone(), serde_json::json!({ "b": value, "t": texts }));
        }
        if let Some(a) = a {
            inner.insert("b".to_owned(), a.into());
        }
        let document = serde_json::json!({ "t": texts, "x": { "a": { "b": 1 } }, "a": inner });
        let expected = document["a"]["b"].as_u64();
        for text in [document.to_string(), format!("{document:#}")] {
            prop_assert_eq!(found("application/json", &text, "a.b", cut), expected, "{}", text);
        }
    }

    /// Nothing panics.
    #[test]
    fn any_bytes(body in prop::collection::vec(any::<u8>(), 0..400), events in any::<bool>()) {
        let mut meter = meter(["application/json", "text/event-stream"][usize::from(events)]).unwrap();
        let path = path("a.b");
        meter.read(&body, |_| &path);
        meter.costs();
    }
}
