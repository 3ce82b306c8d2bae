use bytes::BytesMut;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::h3::{qpack, varint};

const WIDE: Bounds = Bounds { bytes: 64 * 1024, count: 100 };

fn block(fields: &[(&str, &str)]) -> BytesMut {
    let mut out = BytesMut::new();
    qpack::encode_prefix(&mut out);
    for (name, value) in fields {
        qpack::encode(name, value.as_bytes(), false, &mut out);
    }
    out
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/x?y")];

/// A GET with one thing changed: `None` leaves the field out.
fn get_with(name: &str, value: Option<&str>) -> Vec<(&'static str, String)> {
    let kept = GET.iter().filter(|(n, _)| value.is_some() || *n != name);
    kept.map(|(n, v)| (*n, if *n == name { value.unwrap_or(v) } else { v }.to_owned())).collect()
}

fn read_owned(fields: &[(&str, String)]) -> Result<Request<()>, Malformed> {
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
    request(&block(&fields), WIDE)
}

fn get(more: &[(&str, &str)]) -> Result<Request<()>, Malformed> {
    request(&block(&[&GET, more].concat()), WIDE)
}

fn refused<T: std::fmt::Debug>(result: Result<T, Malformed>) -> Malformed {
    result.expect_err("it is malformed")
}

#[test]
fn a_request() {
    let request = get(&[("accept", "*/*"), ("cookie", "a=b"), ("cookie", "c=d"), ("x-y", "")]);
    let request = request.unwrap();
    assert_eq!(request.version(), Version::HTTP_3);
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.uri(), "https://a.test/x?y");
    assert_eq!(request.headers().len(), 4);
    assert_eq!(request.headers()["accept"], "*/*");
    let cookies: Vec<_> = request.headers().get_all("cookie").iter().collect();
    assert_eq!(cookies, ["a=b", "c=d"]);
    assert_eq!(request.headers()["x-y"], "");
}

#[test]
fn each_pseudo_header_field_comes_once_and_first() {
    for (name, _) in GET {
        assert_eq!(refused(get(&[(name, "GET")])), Malformed::Message, "{name}");
    }
    for name in [":status", ":protocol", ":", ":Method", ":other"] {
        assert_eq!(refused(get(&[(name, "200")])), Malformed::Message, "{name}");
    }
    for place in 0..4 {
        let mut fields = GET.to_vec();
        fields.insert(place, ("accept", "*/*"));
        assert_eq!(refused(request(&block(&fields), WIDE)), Malformed::Message);
    }
}

#[test]
fn what_must_be_there_is_there() {
    for name in [":method", ":scheme", ":authority", ":path"] {
        assert_eq!(refused(read_owned(&get_with(name, None))), Malformed::Message, "{name}");
        assert_eq!(refused(read_owned(&get_with(name, Some("")))), Malformed::Message, "{name}");
    }
    assert_eq!(refused(request(&block(&[]), WIDE)), Malformed::Message);
}

#[test]
fn pseudo_header_fields_have_sound_values() {
    for (name, value) in [
        (":method", "G T"),
        (":method", "GET\0"),
        (":scheme", "ht tp"),
        (":scheme", "https:"),
        (":authority", "u@a.test"),
        (":authority", "a.test/x"),
        (":authority", "a b"),
        (":path", "x"),
        (":path", "*"),
        (":path", "/x#y"),
        (":path", "/x?y#z"),
        (":path", "/x y"),
        (":path", "https://a.test/"),
        (":path", "/x\r\n"),
    ] {
        let result = read_owned(&get_with(name, Some(value)));
        assert_eq!(refused(result), Malformed::Message, "{name} {value}");
    }
    let request = read_owned(&get_with(":scheme", Some("HTTPS"))).unwrap();
    assert_eq!(request.uri().scheme(), Some(&Scheme::HTTPS));
    let mut options = GET;
    (options[0].1, options[3].1) = ("OPTIONS", "*");
    assert_eq!(super::request(&block(&options), WIDE).unwrap().uri().path(), "*");
}

#[test]
fn host_and_authority_agree() {
    let same = get(&[("host", "a.test")]).unwrap();
    assert_eq!(same.headers()["host"], "a.test");
    assert!(get(&[("host", "A.test")]).is_ok());
    assert_eq!(refused(get(&[("host", "b.test")])), Malformed::Message);
    assert_eq!(refused(get(&[("host", "")])), Malformed::Message);
    assert_eq!(refused(get(&[("host", "a.test"), ("host", "b.test")])), Malformed::Message);
    let mut without = get_with(":authority", None);
    without.push(("host", "a.test".to_owned()));
    let request = read_owned(&without).unwrap();
    assert_eq!(request.uri(), "/x?y");
    assert_eq!(request.headers()["host"], "a.test");
    without.pop();
    without.push(("host", String::new()));
    assert_eq!(refused(read_owned(&without)), Malformed::Message);
}

#[test]
fn fields_of_a_connection_are_refused() {
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        assert_eq!(refused(get(&[(name, "x")])), Malformed::Message, "{name}");
        let response = response(&block(&[(":status", "200"), (name, "x")]), WIDE);
        assert_eq!(refused(response), Malformed::Message, "{name}");
        assert_eq!(refused(trailers(&block(&[(name, "x")]), WIDE)), Malformed::Message, "{name}");
    }
    assert_eq!(get(&[("te", "trailers")]).unwrap().headers()["te"], "trailers");
    for value in ["", "gzip", "trailers, deflate"] {
        assert_eq!(refused(get(&[("te", value)])), Malformed::Message);
    }
    assert_eq!(refused(trailers(&block(&[("te", "trailers")]), WIDE)), Malformed::Message);
}

#[test]
fn names_and_values_are_sound() {
    for name in ["", "Accept", "a b", "a:b", "\u{e9}", "x\n", "x\0"] {
        assert_eq!(refused(get(&[(name, "v")])), Malformed::Message, "{name:?}");
    }
    let long = "X".repeat(70);
    assert_eq!(refused(get(&[(&long, "v")])), Malformed::Message);
    for value in [" a", "a ", "\ta", "a\t", " ", "a\rb", "a\nb", "a\0b", "\x7f"] {
        assert_eq!(refused(get(&[("x", value)])), Malformed::Message, "{value:?}");
        assert_eq!(refused(get(&[("accept", value)])), Malformed::Message, "{value:?}");
        assert_eq!(refused(get(&[("te", value)])), Malformed::Message, "{value:?}");
    }
    assert_eq!(get(&[("x", "a\tb c \u{e9}")]).unwrap().headers()["x"], "a\tb c \u{e9}");
}

#[test]
fn connect_is_plain_or_extended() {
    let connect = |fields: &[(&str, &str)]| {
        request(&block(&[&[(":method", "CONNECT")], fields].concat()), WIDE)
    };
    let plain = connect(&[(":authority", "a.test:443")]).unwrap();
    assert_eq!(plain.uri(), "a.test:443");
    assert!(plain.uri().scheme().is_none() && plain.uri().path_and_query().is_none());
    let (authority, scheme, path) = (GET[2], GET[1], GET[3]);
    let protocol = (":protocol", "websocket");
    let extended = connect(&[scheme, authority, path, protocol]).unwrap();
    assert_eq!(extended.uri(), "https://a.test/x?y");
    let name = extended.extensions().get::<h2::ext::Protocol>().unwrap();
    assert_eq!(name.as_str(), "websocket");
    for fields in [
        &[][..],
        &[authority], // no port
        &[(":authority", "a.test:443"), scheme],
        &[(":authority", "a.test:443"), path],
        &[(":authority", "a.test:443"), scheme, path], // no protocol
        &[authority, protocol],
        &[authority, scheme, protocol],
        &[scheme, path, protocol],
        &[scheme, path, protocol, ("host", "a.test")],
        &[scheme, authority, path, (":protocol", "")],
        &[scheme, authority, path, (":protocol", "a b")],
    ] {
        assert_eq!(refused(connect(fields)), Malformed::Message, "{fields:?}");
    }
}

#[test]
fn a_response() {
    let read = |fields: &[(&str, &str)]| response(&block(fields), WIDE);
    let head = read(&[(":status", "200"), ("content-type", "text/css")]).unwrap();
    assert_eq!((head.version(), head.status()), (Version::HTTP_3, StatusCode::OK));
    assert_eq!(head.headers()["content-type"], "text/css");
    assert_eq!(read(&[(":status", "103")]).unwrap().status(), 103);
    assert_eq!(read(&[(":status", "799")]).unwrap().status(), 799);
    for fields in [
        &[][..],
        &[("age", "0")],
        &[("age", "0"), (":status", "200")],
        &[(":status", "200"), (":status", "200")],
        &[(":status", "200"), (":path", "/")],
        &[(":status", "101")],
        &[(":status", "99")],
        &[(":status", "20")],
        &[(":status", "+20")],
        &[(":status", "")],
        &[(":status", "2000")],
    ] {
        assert_eq!(refused(read(fields)), Malformed::Message, "{fields:?}");
    }
}

#[test]
fn trailers_have_no_pseudo_header_fields() {
    assert_eq!(trailers(&block(&[("grpc-status", "0")]), WIDE).unwrap()["grpc-status"], "0");
    assert!(trailers(&block(&[]), WIDE).unwrap().is_empty());
    for (name, value) in GET {
        assert_eq!(refused(trailers(&block(&[(name, value)]), WIDE)), Malformed::Message);
    }
    assert_eq!(refused(trailers(&block(&[(":status", "200")]), WIDE)), Malformed::Message);
}

#[test]
fn bounds_hold_to_the_byte() {
    let fields = [(":status", "200"), ("age", "0"), ("server", "weir"), ("x-name", "x-value")];
    let bytes = fields.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    let exact = Bounds { bytes, count: 4 };
    assert!(response(&block(&fields), exact).is_ok());
    let short = Bounds { bytes: bytes - 1, count: 4 };
    assert_eq!(refused(response(&block(&fields), short)), Malformed::TooLarge);
    let few = Bounds { bytes, count: 3 };
    assert_eq!(refused(response(&block(&fields), few)), Malformed::TooLarge);
    for bytes in 0..bytes {
        let bounds = Bounds { bytes, count: 4 };
        assert_eq!(refused(response(&block(&fields), bounds)), Malformed::TooLarge, "{bytes}");
    }
}

#[test]
fn bounds_beyond_what_a_map_holds_do_no_harm() {
    let endless = Bounds { bytes: usize::MAX, count: usize::MAX };
    assert!(response(&block(&[(":status", "200")]), endless).is_ok());
    let mut many = block(&[(":status", "200")]);
    for i in 0..40_000 {
        qpack::encode(&format!("x-{i}"), b"", false, &mut many);
    }
    assert!(response(&many, endless).is_err_and(|it| it == Malformed::TooLarge));
}

#[test]
fn what_cannot_be_read_comes_before_what_is_malformed() {
    let failed = Malformed::Connection(Code::QpackDecompressionFailed);
    assert_eq!(refused(request(b"", WIDE)), failed);
    assert_eq!(refused(trailers(b"\x02\x00", WIDE)), failed);
    let mut worse = block(&[("Bad", "name"), ("age", "0")]);
    assert_eq!(refused(trailers(&worse, WIDE)), Malformed::Message);
    worse.extend(b"\x80");
    assert_eq!(refused(trailers(&worse, WIDE)), failed);
    // Within one field: the name is malformed, the value is no Huffman code.
    assert_eq!(refused(trailers(b"\x00\x00\x21A\x81\xff", WIDE)), failed);
}

#[test]
fn never_indexed_stays_never_indexed() {
    let read = trailers(b"\x00\x00\x31x\x01a\x21y\x01b\x7f\x4d\x01c", WIDE).unwrap();
    assert!(read["x"].is_sensitive() && read["server"].is_sensitive());
    assert!(!read["y"].is_sensitive());
    let mut out = BytesMut::new();
    encode_trailers(&read, &mut out);
    let again = trailers(&out[3..], WIDE).unwrap();
    assert!(again["x"].is_sensitive() && again["server"].is_sensitive());
    for name in ["authorization", "cookie", "set-cookie", "proxy-authorization"] {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(""));
        let mut out = BytesMut::new();
        encode_trailers(&headers, &mut out);
        assert!(trailers(&out[3..], WIDE).unwrap()[name].is_sensitive(), "{name}");
    }
}

/// The block of a HEADERS frame, which must be all there is.
fn payload(frame: &[u8]) -> &[u8] {
    let (kind, first) = varint::decode(frame).unwrap();
    let (length, second) = varint::decode(&frame[first..]).unwrap();
    let block = &frame[first + second..];
    assert_eq!((kind, length), (0x01, block.len() as u64));
    block
}

fn rewritten(request: Request<()>) -> Request<()> {
    let mut out = BytesMut::new();
    encode_request(&request.into_parts().0, &mut out);
    super::request(payload(&out), WIDE).unwrap()
}

#[test]
fn requests_are_written_as_they_are_read() {
    let websocket = h2::ext::Protocol::from_static("websocket");
    let post = Request::post("http://a.test:8080/p?q").header("x-a", "b").body(()).unwrap();
    let read = rewritten(post);
    assert_eq!(
        (read.method(), read.uri().to_string().as_str()),
        (&Method::POST, "http://a.test:8080/p?q")
    );
    assert_eq!(read.headers()["x-a"], "b");
    let tunnel = Request::connect("a.test:443").body(()).unwrap();
    assert_eq!(rewritten(tunnel).uri(), "a.test:443");
    let extended = Request::connect("https://a.test/ws").extension(websocket.clone());
    let read = rewritten(extended.body(()).unwrap());
    assert_eq!(read.uri(), "https://a.test/ws");
    assert_eq!(read.extensions().get::<h2::ext::Protocol>(), Some(&websocket));
    // Host goes where there is an authority, and stays where there is none.
    let host = |uri: &str| Request::get(uri).header("host", "b.test").body(()).unwrap();
    let read = rewritten(host("https://a.test/"));
    assert!(read.uri() == "https://a.test/" && read.headers().is_empty());
    let read = rewritten(host("/x"));
    assert!(read.uri() == "/x" && read.headers()["host"] == "b.test");
}

#[test]
fn frames_of_every_length_are_written() {
    for size in [0, 30, 16_300, 16_381, 16_382, 16_383, 16_384, 20_000, 70_000] {
        let mut headers = HeaderMap::new();
        // Huffman makes nothing of it.
        headers.insert("x", HeaderValue::from_bytes(&vec![0xf9; size]).unwrap());
        let mut out = BytesMut::from(&b"before"[..]);
        encode_response(StatusCode::OK, &headers, &mut out);
        let read = response(payload(&out[6..]), Bounds { bytes: 100_000, count: 9 }).unwrap();
        assert_eq!(read.headers(), &headers, "{size}");
    }
}

proptest! {
    #[test]
    fn responses_are_written_as_they_are_read(
        status in 102_u16..1000,
        fields in prop::collection::vec(("x-[a-z]{1,8}|age|date|cookie", "[!-~]{0,40}"), 0..30),
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in &fields {
            headers.append(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let mut out = BytesMut::new();
        encode_response(status, &headers, &mut out);
        let read = response(payload(&out), WIDE).unwrap();
        prop_assert_eq!((read.status(), read.headers()), (status, &headers));
    }

    #[test]
    fn what_is_read_can_be_written(
        lines in prop::collection::vec((0_u8..99, "[ -~]{0,9}"), 0..12),
        garbage: Vec<u8>,
    ) {
        let mut block = block(&GET);
        for (index, value) in &lines {
            let (name, _) = qpack::static_table::text((*index).into());
            qpack::encode(name, value.as_bytes(), false, &mut block);
        }
        block.extend(garbage);
        if let Ok(read) = request(&block, WIDE) {
            let headers = read.headers().clone();
            let mut again = rewritten(read).into_parts().0.headers;
            if let Some(host) = headers.get("host") {
                again.insert("host", host.clone());
            }
            prop_assert_eq!(again, headers);
        }
    }
}
