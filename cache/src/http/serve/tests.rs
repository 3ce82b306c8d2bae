use proptest::prelude::*;

use super::{
    super::fixture::{Asked, NOW, at, stored},
    *,
};

const WHOLE: &str = "200
    cache-control: max-age=60
    etag: \"abc\"
    content-type: text/plain
    last-modified: Thu, 19 Nov 2026 12:00:00 GMT
    age: 3";

fn answered(asked: &str) -> Answer {
    answer(&Asked::new(asked).request(), &stored(WHOLE), at(4), 0xabc)
}

fn field(answer: &Answer, name: &str) -> String {
    answer.headers.get(name).map_or_else(String::new, |value| value.to_str().unwrap().into())
}

#[test]
fn a_get_gets_the_whole_with_its_age() {
    let answer = answered("GET");
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"0123456789"[..]));
    assert_eq!(field(&answer, "age"), "7");
    assert_eq!(field(&answer, "content-length"), "10");
    assert_eq!(field(&answer, "date"), "Fri, 20 Nov 2026 12:00:00 GMT");
}

#[test]
fn what_was_just_fetched_has_no_age_of_ours() {
    let answer = |received: &str| {
        let asked = Asked::new("GET");
        let received = super::super::fixture::headers(received);
        field(&answer_fetched(&asked.request(), &stored(WHOLE), &received, at(4), 0), "age")
    };
    assert_eq!(answer(""), "");
    assert_eq!(answer("age: 7200"), "7200");
}

#[test]
fn a_head_gets_the_same_without_a_body() {
    let (head, get) = (answered("HEAD\nrange: bytes=0-1"), answered("GET"));
    assert_eq!((head.status, &head.headers), (get.status, &get.headers));
    assert!(head.body.is_empty());
}

#[test]
fn who_has_it_gets_a_304() {
    let answer = answered("GET\nif-none-match: \"abc\"\nrange: bytes=0-1");
    assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
    assert_eq!(field(&answer, "etag"), "\"abc\"");
    assert_eq!(field(&answer, "cache-control"), "max-age=60");
    assert_eq!(field(&answer, "age"), "7");
    assert_eq!(field(&answer, "content-type"), "");
    assert_eq!(field(&answer, "content-length"), "");
}

#[test]
fn a_part_is_cut_out() {
    let answer = answered("GET\nrange: bytes=2-4");
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (206, &b"234"[..]));
    assert_eq!(field(&answer, "content-range"), "bytes 2-4/10");
    assert_eq!(field(&answer, "content-length"), "3");
    assert_eq!(field(&answer, "content-type"), "text/plain");
    let answer = answered("GET\nrange: bytes=2-4\nif-range: \"other\"");
    assert_eq!(answer.status.as_u16(), 200);
    let answer = answered("GET\nrange: bytes=10-");
    assert_eq!((answer.status.as_u16(), answer.body.len()), (416, 0));
    assert_eq!(field(&answer, "content-range"), "bytes */10");
    let answer = answered("GET\nrange: bytes=0-1\nrange: bytes=2-3");
    assert_eq!(answer.status.as_u16(), 200);
}

#[test]
fn several_parts_are_wrapped() {
    let answer = answered("GET\nrange: bytes=8-9, 0-0");
    assert_eq!(answer.status.as_u16(), 206);
    let boundary = "00000000000000000000000000000abc";
    let expected = format!(
        "\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
         \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-0/10\r\n\r\n0\
         \r\n--{boundary}--\r\n"
    );
    assert_eq!(answer.body, expected);
    assert_eq!(
        field(&answer, "content-type"),
        format!("multipart/byteranges; boundary={boundary}")
    );
    assert_eq!(field(&answer, "content-length"), expected.len().to_string());
    assert_eq!(field(&answer, "content-range"), "");
}

#[test]
fn ranges_are_of_a_200_to_a_get() {
    let gone = stored("404\ncache-control: max-age=60");
    let asked = Asked::new("GET\nrange: bytes=0-1");
    assert_eq!(answer(&asked.request(), &gone, NOW, 0).status.as_u16(), 404);
    let asked = Asked::new("QUERY\nrange: bytes=0-1");
    assert_eq!(answer(&asked.request(), &stored(WHOLE), NOW, 0).status.as_u16(), 200);
}

proptest! {
    #[test]
    fn the_length_is_the_body_s(range in "bytes=[0-9,\\-]{0,12}") {
        let answer = answered(&format!("GET\nrange: {range}"));
        prop_assert_eq!(field(&answer, "content-length"), answer.body.len().to_string());
    }
}
