use proptest::prelude::*;

use super::*;

fn head(text: &str) -> Result<Option<Response<()>>, Error> {
    Ok(taken(text)?.map(|head| head.response))
}

fn taken(text: &str) -> Result<Option<Head>, Error> {
    take_head(&mut BytesMut::from(text))
}

fn framed(text: &str, method: &Method) -> Result<Framing, Error> {
    taken(text).unwrap().unwrap().framing(method)
}

/// Everything a body yields when its bytes come in pieces of `step`.
fn body(framing: Framing, bytes: &[u8], step: usize) -> Result<(Vec<u8>, HeaderMap), Error> {
    let (mut body, mut buffer) = (Body::new(framing), BytesMut::new());
    let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
    let mut pieces = bytes.chunks(step);
    loop {
        match body.step(&mut buffer)? {
            Step::Data(piece) => {
                assert!(!piece.is_empty());
                data.extend_from_slice(&piece);
            }
            Step::Trailers(fields) => trailers = fields,
            Step::End => return Ok((data, trailers)),
            Step::More => match pieces.next() {
                Some(piece) => buffer.extend_from_slice(piece),
                None => body.close()?,
            },
        }
    }
}

#[test]
fn heads_are_taken_whole_and_share_the_buffer() {
    let text = "HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nEmpty:\r\n\r\nrest";
    let mut buffer = BytesMut::from(text);
    let taken = take_head(&mut buffer).unwrap().unwrap().response;
    assert_eq!(&buffer[..], b"rest");
    let values: Vec<_> = taken.headers().get_all("a").iter().collect();
    assert_eq!(values, ["1", "2"]);
    assert_eq!(taken.headers()["empty"], "");
    for cut in 0..text.len() - 4 {
        assert!(head(&text[..cut]).unwrap().is_none(), "{cut}");
    }
}

#[test]
fn an_unusual_reason_is_kept() {
    let taken = head("HTTP/1.1 200 Fine\r\n\r\n").unwrap().unwrap();
    assert_eq!(taken.extensions().get::<ReasonPhrase>().unwrap().as_bytes(), b"Fine");
    let taken = head("HTTP/1.1 200 OK\r\n\r\n").unwrap().unwrap();
    assert!(taken.extensions().get::<ReasonPhrase>().is_none());
}

#[test]
fn what_is_no_head_is_refused() {
    for text in [
        "garbage\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\na : 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: 1\r\n folded\r\n\r\n",
        "HTTP/1.1 200 OK\r\na: \u{0}\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: 1\r\n\r\n",
    ] {
        assert_eq!(head(text).err(), Some(Error::UpstreamGarbage), "{text:?}");
    }
    let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(HEAD_BYTES));
    assert_eq!(head(&long).err(), Some(Error::UpstreamHeadersTooLarge));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: 1\r\n".repeat(FIELDS + 1));
    assert_eq!(head(&many).err(), Some(Error::UpstreamHeadersTooLarge));
}

#[test]
fn one_framing_or_none() {
    const GARBAGE: Result<Framing, Error> = Err(Error::UpstreamGarbage);
    for (fields, expected) in [
        ("", Ok(Framing::Close)),
        ("content-length: 0", Ok(Framing::Empty)),
        ("content-length: 5", Ok(Framing::Length(5))),
        ("content-length: 5\r\ncontent-length: 5", Ok(Framing::Length(5))),
        ("content-length: 5\r\ncontent-length: 6", GARBAGE),
        ("content-length: 5, 5", GARBAGE),
        ("content-length: +5", GARBAGE),
        ("content-length: -5", GARBAGE),
        ("content-length: 0x5", GARBAGE),
        ("content-length:", GARBAGE),
        ("content-length: 99999999999999999999", GARBAGE),
        ("transfer-encoding: chunked", Ok(Framing::Chunked)),
        ("transfer-encoding: Chunked\r\ncontent-length: 5", Ok(Framing::Chunked)),
        ("transfer-encoding: gzip, chunked", GARBAGE),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", GARBAGE),
        ("transfer-encoding: identity", GARBAGE),
        ("transfer-encoding:", GARBAGE),
    ] {
        let end = if fields.is_empty() { "" } else { "\r\n" };
        let text = format!("HTTP/1.1 200 OK\r\n{fields}{end}\r\n");
        assert_eq!(framed(&text, &Method::GET), expected, "{fields}");
    }
    assert_eq!(
        framed("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", &Method::GET),
        GARBAGE
    );
    for status in [204, 304, 100, 101, 199] {
        let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 5\r\n\r\n");
        assert_eq!(framed(&text, &Method::GET), Ok(Framing::Empty), "{status}");
    }
    let text = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(framed(text, &Method::HEAD), Ok(Framing::Empty));
}

#[test]
fn keep_alive_follows_version_and_connection() {
    for (text, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nconnection: x, Close\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\n\r\n", false),
        ("HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\n\r\n", true),
        ("HTTP/1.0 200 OK\r\nconnection: keep-alive, close\r\n\r\n", false),
    ] {
        assert_eq!(taken(text).unwrap().unwrap().keeps_alive(), expected, "{text}");
    }
}

#[test]
fn a_connection_that_nominates_nothing_is_no_field() {
    for (value, kept) in [
        ("keep-alive", false),
        ("Close, ", false),
        ("", false),
        ("upgrade", true),
        ("keep-alive, x-mine", true),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\nconnection: {value}\r\n\r\n");
        let fields = head(&text).unwrap().unwrap();
        assert_eq!(fields.headers().contains_key(header::CONNECTION), kept, "{value}");
    }
}

#[test]
fn bodies_come_whole_however_they_are_cut() {
    let chunked = b"5;x=\"y\"\r\nhello\r\n1\r\n \r\n005\r\nworld\r\n0\r\nt: 1\r\n\r\n";
    for step in 1..=chunked.len() {
        let (data, trailers) = body(Framing::Chunked, chunked, step).unwrap();
        assert_eq!(
            (&data[..], &trailers["t"]),
            (&b"hello world"[..], &HeaderValue::from_static("1"))
        );
        assert_eq!(body(Framing::Length(5), b"hello", step).unwrap().0, b"hello");
        assert_eq!(body(Framing::Close, b"hello", step).unwrap().0, b"hello");
    }
    assert_eq!(body(Framing::Empty, b"", 1).unwrap().0, b"");
    assert_eq!(body(Framing::Chunked, b"0\r\n\r\n", 1).unwrap().0, b"");
}

#[test]
fn cut_and_crooked_bodies_break() {
    let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(CHUNK_LINE_BYTES));
    let wasteful = format!("1;{}\r\nx\r\n", "e".repeat(1000)).repeat(20);
    let trailers = format!("0\r\nt: {}\r\n\r\n", "x".repeat(TRAILER_BYTES));
    for text in [
        "",
        "5",
        "5\r\n",
        "5\r\nhell",
        "5\r\nhello",
        "5\r\nhello\r\n",
        "5\r\nhello\r\n0\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "3\r\nhello\r\n0\r\n\r\n",
        "\r\nhello",
        "g\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-1\r\n",
        "11111111111111111\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "0\r\nbad\r\n\r\n",
        &long,
        &wasteful,
        &trailers,
    ] {
        for step in [1, 7, 1 << 20] {
            let broken = body(Framing::Chunked, text.as_bytes(), step).err();
            assert_eq!(broken, Some(Error::UpstreamBodyBroken), "{:.40}", text);
        }
    }
    assert_eq!(body(Framing::Length(6), b"hello", 2).err(), Some(Error::UpstreamBodyBroken));
}

#[test]
fn what_follows_a_body_stays_in_the_buffer() {
    for (framing, bytes) in [
        (Framing::Length(5), &b"helloHTTP"[..]),
        (Framing::Chunked, b"5\r\nhello\r\n0\r\n\r\nHTTP"),
    ] {
        let (mut body, mut buffer) = (Body::new(framing), BytesMut::from(bytes));
        while !matches!(body.step(&mut buffer).unwrap(), Step::End) {}
        assert_eq!(&buffer[..], b"HTTP");
    }
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic_nor_yield_more_than_they_are(bytes: Vec<u8>, step in 1_usize..64) {
        let _ = take_head(&mut BytesMut::from(&bytes[..]));
        for framing in [Framing::Chunked, Framing::Close, Framing::Length(10)] {
            if let Ok((data, _)) = body(framing, &bytes, step) {
                prop_assert!(data.len() <= bytes.len());
            }
        }
    }
}
