use http::{Request, StatusCode};
use proptest::prelude::*;
use weir_config::model::MemoryLimit;

use super::*;

mod wire;

fn limits() -> Limits {
    Limits {
        connections: 1,
        header_bytes: 32 << 10,
        header_count: 100,
        body: 1000,
        h2_streams: 1,
        h2_stream_window: 1,
        h2_connection_window: 1,
        h3_streams: 1,
        h3_stream_window: 1,
        h3_connection_window: 1,
        h3_half_open: 1,
        memory: MemoryLimit::Off,
        lag: None,
        rate_limit_keys: 1,
    }
}

/// `METHOD target` and the fields, one a line, in the given version.
fn head(version: Version, text: &str) -> Parts {
    let mut lines = text.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let request = Request::builder().method(method).uri(target).version(version);
    let request = lines.fold(request, |request, line| {
        let (name, value) = line.split_once(": ").unwrap();
        request.header(name, value)
    });
    request.body(()).unwrap().into_parts().0
}

#[track_caller]
fn accepted(version: Version, text: &str) -> (Parts, Checked) {
    let mut parts = head(version, text);
    match check(&mut parts, false, &limits()) {
        Ok(checked) => (parts, checked),
        Err(error) => panic!("{text}: {error}"),
    }
}

#[track_caller]
fn refused(version: Version, text: &str) -> Error {
    let mut parts = head(version, text);
    match check(&mut parts, false, &limits()) {
        Ok(checked) => panic!("{text}: accepted as {checked:?}"),
        Err(error) => error,
    }
}

#[test]
fn http11_refusals() {
    use Reason::*;
    for (text, expected) in [
        ("GET /", bad(HostMissing)),
        ("GET http://a/", bad(HostMissing)),
        ("GET /\nhost: a\nhost: a", bad(HostRepeated)),
        ("GET /\nhost: a\nhost: b", bad(HostRepeated)),
        ("GET /\nhost: u@h", bad(Host)),
        ("GET /\nhost: a b", bad(Host)),
        ("GET /\nhost: a/b", bad(Host)),
        ("GET /\nhost: a,b", bad(Host)),
        ("GET /\nhost: a:99999", bad(Host)),
        ("GET http://a/\nhost: u@h", bad(Host)),
        ("GET http://u@h/\nhost: h", bad(Host)),
        ("GET a:80\nhost: a", bad(Target)),
        ("GET a\nhost: a", bad(Target)),
        ("GET *\nhost: a", bad(Target)),
        ("GET ftp://a/\nhost: a", bad(Target)),
        ("CONNECT a:80", bad(HostMissing)),
        ("CONNECT a:80\nhost: a\nhost: a", bad(HostRepeated)),
        ("CONNECT a\nhost: a", bad(Target)),
        ("CONNECT a:\nhost: a", bad(Target)),
        ("CONNECT a:0\nhost: a", bad(Target)),
        ("CONNECT u@a:80\nhost: a", bad(Host)),
        ("CONNECT /\nhost: a:80", bad(Target)),
        ("CONNECT *\nhost: a:80", bad(Target)),
        ("CONNECT http://a:80/\nhost: a:80", bad(Target)),
        ("CONNECT a:80\nhost: a\ncontent-length: 0", bad(ContentLength)),
        ("CONNECT a:80\nhost: a\ntransfer-encoding: chunked", bad(TransferEncoding)),
        ("TRACE /\nhost: a", Error::MethodNotAllowed),
        ("POST /\nhost: a\ncontent-length: +5", bad(ContentLength)),
        ("POST /\nhost: a\ncontent-length: -5", bad(ContentLength)),
        ("POST /\nhost: a\ncontent-length: 5,5", bad(ContentLength)),
        ("POST /\nhost: a\ncontent-length: 5, 6", bad(ContentLength)),
        ("POST /\nhost: a\ncontent-length: 0x5", bad(ContentLength)),
        ("POST /\nhost: a\ncontent-length: 5 5", bad(ContentLength)),
        ("POST /\nhost: a\ncontent-length: 99999999999999999999", bad(ContentLength)),
        ("POST /\nhost: a\ncontent-length: 5\ncontent-length: 6", bad(ContentLengthRepeated)),
        ("POST /\nhost: a\ncontent-length: \ncontent-length: 6", bad(ContentLength)),
        ("POST /\nhost: a\ncontent-length: 5\ntransfer-encoding: chunked", bad(Framing)),
        ("POST /\nhost: a\ntransfer-encoding: chunked\ncontent-length: 5", bad(Framing)),
        ("POST /\nhost: a\ntransfer-encoding: cow", bad(TransferEncoding)),
        ("POST /\nhost: a\ntransfer-encoding: gzip", bad(TransferEncoding)),
        ("POST /\nhost: a\ntransfer-encoding: identity", bad(TransferEncoding)),
        ("POST /\nhost: a\ntransfer-encoding: chunked, gzip", bad(TransferEncoding)),
        ("POST /\nhost: a\ntransfer-encoding: chunked, chunked", bad(TransferEncoding)),
        ("POST /\nhost: a\ntransfer-encoding: ,chunked", bad(TransferEncoding)),
        ("POST /\nhost: a\ntransfer-encoding: chunked,", bad(TransferEncoding)),
        ("POST /\nhost: a\ntransfer-encoding: chunked;a=b", bad(TransferEncoding)),
        ("POST /\nhost: a\ntransfer-encoding: \"chunked\"", bad(TransferEncoding)),
        ("POST /\nhost: a\ntransfer-encoding: xchunked", bad(TransferEncoding)),
        ("POST /\nhost: a\ntransfer-encoding: ", bad(TransferEncoding)),
        ("POST /\nhost: a\ntransfer-encoding: c ow, chunked", bad(TransferEncoding)),
        (
            "POST /\nhost: a\ntransfer-encoding: chunked\ntransfer-encoding: chunked",
            bad(TransferEncoding),
        ),
        (
            "POST /\nhost: a\ntransfer-encoding: gzip\ntransfer-encoding: chunked",
            bad(TransferEncoding),
        ),
        ("POST /\nhost: a\ntransfer-encoding: cow, chunked", Error::NotImplemented),
        ("POST /\nhost: a\ntransfer-encoding: gzip;q=1, chunked", Error::NotImplemented),
        ("POST /\nhost: a\ncontent-length: 5\nexpect: 200-ok", Error::ExpectationFailed),
    ] {
        assert_eq!(refused(Version::HTTP_11, text), expected, "{text}");
    }
}

#[test]
fn connect_is_for_its_authority_alone() {
    for (version, text, bridged) in [
        (Version::HTTP_10, "CONNECT a:80", false),
        (Version::HTTP_11, "CONNECT a:80\nhost: b\nconnection: upgrade\nupgrade: x", false),
        (Version::HTTP_2, "CONNECT a:80\nhost: b", true),
        (Version::HTTP_3, "CONNECT a:80", true),
    ] {
        let (parts, checked) = accepted(version, text);
        assert_eq!((parts.uri.to_string().as_str(), host(&parts.headers)), ("a:80", Some("a:80")));
        assert_eq!(checked.framing, Framing::None, "{text}");
        assert_eq!((checked.bridged, checked.upgrade), (bridged, None), "{text}");
    }
}

#[test]
fn http10_has_no_transfer_coding() {
    let text = "POST /\ntransfer-encoding: chunked";
    assert_eq!(refused(Version::HTTP_10, text), bad(Reason::TransferEncoding));
}

#[test]
fn http2_refusals() {
    use Reason::*;
    for (text, expected) in [
        ("GET /", bad(HostMissing)),
        ("GET https://a/\nhost: a\nhost: a", bad(HostRepeated)),
        ("GET https://a/\nhost: b@c", bad(Host)),
        ("GET https://u@h/", bad(Host)),
        ("GET ftp://a/", bad(Target)),
        ("GET https://a?b", bad(Target)),
        ("CONNECT a", bad(Target)),
        ("CONNECT a:80\ncontent-length: 5", bad(ContentLength)),
        ("CONNECT a:80\nupgrade: websocket", bad(ConnectionField)),
        ("GET https://a/\nconnection: close", bad(ConnectionField)),
        ("GET https://a/\nkeep-alive: 5", bad(ConnectionField)),
        ("GET https://a/\nproxy-connection: close", bad(ConnectionField)),
        ("GET https://a/\nupgrade: websocket", bad(ConnectionField)),
        ("GET https://a/\nhttp2-settings: AA", bad(ConnectionField)),
        ("POST https://a/\ntransfer-encoding: chunked", bad(ConnectionField)),
        ("GET https://a/\nte: gzip", bad(ConnectionField)),
        ("GET https://a/\nte: trailers, gzip", bad(ConnectionField)),
        ("GET https://a/\nx:  padded", bad(FieldValue)),
        ("GET https://a/\nx: padded\t", bad(FieldValue)),
        ("POST https://a/\ncontent-length: 5\ncontent-length: 6", bad(ContentLengthRepeated)),
        ("POST https://a/\ncontent-length: +5", bad(ContentLength)),
    ] {
        for version in [Version::HTTP_2, Version::HTTP_3] {
            assert_eq!(refused(version, text), expected, "{text}");
        }
    }
}

#[test]
fn end_of_stream_contradicts_a_length() {
    let mut parts = head(Version::HTTP_2, "POST https://a/\ncontent-length: 5");
    assert_eq!(check(&mut parts, true, &limits()), Err(bad(Reason::Body)));
    let mut parts = head(Version::HTTP_2, "POST https://a/\ncontent-length: 0");
    assert_eq!(check(&mut parts, true, &limits()).unwrap().framing, Framing::Length(0));
}

#[test]
fn framings() {
    for (version, text, expected) in [
        (Version::HTTP_11, "GET /\nhost: a", Framing::None),
        (Version::HTTP_11, "POST /\nhost: a", Framing::None),
        (Version::HTTP_11, "POST /\nhost: a\ncontent-length: 0", Framing::Length(0)),
        (Version::HTTP_11, "GET /\nhost: a\ncontent-length: 7", Framing::Length(7)),
        (Version::HTTP_11, "GET /\nhost: a\ntransfer-encoding: chunked", Framing::Unknown),
        (Version::HTTP_11, "GET /\nhost: a\ntransfer-encoding: Chunked ", Framing::Unknown),
        (Version::HTTP_10, "POST /\ncontent-length: 3", Framing::Length(3)),
        (Version::HTTP_2, "POST https://a/", Framing::Unknown),
        (Version::HTTP_3, "POST https://a/", Framing::Unknown),
        (Version::HTTP_3, "POST https://a/\ncontent-length: 3", Framing::Length(3)),
        (Version::HTTP_2, "POST https://a/\ncontent-length: 3", Framing::Length(3)),
    ] {
        assert_eq!(accepted(version, text).1.framing, expected, "{text}");
    }
}

#[test]
fn equal_lengths_become_one() {
    for lengths in ["content-length: 5\ncontent-length: 5", "content-length: 005"] {
        let (parts, _) = accepted(Version::HTTP_2, &format!("POST https://a/\n{lengths}"));
        let all: Vec<_> = parts.headers.get_all("content-length").iter().collect();
        assert_eq!(all, ["5"]);
    }
}

#[test]
fn the_target_beats_the_host_field() {
    for (version, text, expected, uri) in [
        (Version::HTTP_11, "GET /p?q\nhost: b:80", Some("b:80"), "/p?q"),
        (Version::HTTP_11, "GET http://a:8080/p?q\nhost: b", Some("a:8080"), "/p?q"),
        (Version::HTTP_11, "GET http://a?q\nhost: b", Some("a"), "/?q"),
        (Version::HTTP_11, "GET http://a\nhost: b", Some("a"), "/"),
        (Version::HTTP_11, "OPTIONS *\nhost: b", Some("b"), "*"),
        (Version::HTTP_11, "GET /p#frag\nhost: b", Some("b"), "/p"),
        (Version::HTTP_10, "GET /p", None, "/p"),
        (Version::HTTP_10, "GET http://a/p", Some("a"), "/p"),
        (Version::HTTP_2, "GET https://a/p", Some("a"), "https://a/p"),
        (Version::HTTP_3, "GET https://a/p", Some("a"), "https://a/p"),
        (Version::HTTP_2, "GET https://a/p\nhost: b", Some("a"), "https://a/p"),
        (Version::HTTP_2, "GET /p\nhost: b", Some("b"), "/p"),
        (Version::HTTP_2, "GET https://[::1]:8443/", Some("[::1]:8443"), "https://[::1]:8443/"),
    ] {
        let (parts, _) = accepted(version, text);
        assert_eq!(host(&parts.headers), expected, "{text}");
        assert_eq!(parts.headers.get_all("host").iter().count(), expected.iter().count());
        assert_eq!(parts.uri, *uri, "{text}");
    }
}

#[test]
fn upgrades_are_asked_for_properly() {
    let proper = "GET /\nhost: a\nconnection: keep-alive, Upgrade\nupgrade: WebSocket";
    assert_eq!(accepted(Version::HTTP_11, proper).1.upgrade.unwrap(), "websocket");
    let other = "GET /\nhost: a\nconnection: upgrade\nupgrade: foo/2";
    assert_eq!(accepted(Version::HTTP_11, other).1.upgrade.unwrap(), "foo/2");
    for text in [
        "GET /\nhost: a\nupgrade: websocket",
        "GET /\nhost: a\nkeep-alive: 5\nproxy-connection: close\nte: gzip",
        "GET /\nhost: a\nconnection: upgrade",
        "GET /\nhost: a\nconnection: keep-alive\nupgrade: websocket",
        "GET /\nhost: a\nconnection: upgrade\nupgrade: h2c",
        "GET /\nhost: a\nconnection: upgrade, http2-settings\nupgrade: h2c\nhttp2-settings: AA",
        "GET /\nhost: a\nconnection: upgrade\nupgrade: HTTP/2.0",
        "GET /\nhost: a\nconnection: upgrade\nupgrade: TLS/1.0",
        "GET /\nhost: a\nconnection: upgrade\nupgrade: h2c, websocket",
        "GET /\nhost: a\nconnection: upgrade\nupgrade: a\nupgrade: b",
        "POST /\nhost: a\nconnection: upgrade\nupgrade: websocket",
        "GET /\nhost: a\nconnection: upgrade\nupgrade: websocket\ncontent-length: 3",
        "GET /\nhost: a\nconnection: upgrade\nupgrade: websocket\ntransfer-encoding: chunked",
    ] {
        assert!(accepted(Version::HTTP_11, text).1.upgrade.is_none(), "{text}");
    }
    let old = "GET /\nhost: a\nconnection: upgrade\nupgrade: websocket";
    assert!(accepted(Version::HTTP_10, old).1.upgrade.is_none());
}

fn extended(version: Version, protocol: &str, text: &str) -> Result<(Parts, Checked), Error> {
    let mut parts = head(version, text);
    parts.extensions.insert(h2::ext::Protocol::from(protocol));
    let checked = check(&mut parts, false, &limits())?;
    Ok((parts, checked))
}

#[test]
fn extended_connect_for_websocket_is_a_get() {
    for version in [Version::HTTP_2, Version::HTTP_3] {
        let text = "CONNECT https://a/chat?x";
        let (parts, checked) = extended(version, "WebSocket", text).unwrap();
        assert_eq!((parts.method, parts.uri.path()), (Method::GET, "/chat"));
        assert_eq!(host(&parts.headers), Some("a"));
        assert_eq!(checked.upgrade.unwrap(), "websocket");
        assert!(checked.bridged);
        assert_eq!(checked.framing, Framing::None);
    }
}

#[test]
fn extended_connect_is_refused_when_it_is_no_tunnel_to_know() {
    use Version as V;
    for (version, protocol, text, expected) in [
        (V::HTTP_2, "connect-udp", "CONNECT https://a/", Error::UnknownProtocol),
        (V::HTTP_3, "webtransport", "CONNECT https://a/", Error::UnknownProtocol),
        (V::HTTP_2, "", "CONNECT https://a/", Error::UnknownProtocol),
        (V::HTTP_2, "websocket", "CONNECT /\nhost: a", bad(Reason::Target)),
        (V::HTTP_2, "websocket", "CONNECT a:80", bad(Reason::Target)),
        (V::HTTP_2, "websocket", "CONNECT ftp://a/", bad(Reason::Target)),
        (V::HTTP_2, "websocket", "CONNECT https://u@a/", bad(Reason::Host)),
        (
            V::HTTP_2,
            "websocket",
            "CONNECT https://a/\ncontent-length: 0",
            bad(Reason::ContentLength),
        ),
        (
            V::HTTP_2,
            "websocket",
            "CONNECT https://a/\nupgrade: websocket",
            bad(Reason::ConnectionField),
        ),
        (V::HTTP_11, "websocket", "CONNECT https://a/\nhost: a", bad(Reason::Target)),
    ] {
        assert_eq!(extended(version, protocol, text).err(), Some(expected), "{version:?} {text}");
    }
}

#[test]
fn expectations() {
    let expects = "POST /\nhost: a\ncontent-length: 5\nexpect: 100-Continue";
    assert!(accepted(Version::HTTP_11, expects).1.expect_continue);
    assert!(!accepted(Version::HTTP_10, expects).1.expect_continue);
    assert!(!accepted(Version::HTTP_11, "GET /\nhost: a\nexpect: 100-continue").1.expect_continue);
}

#[test]
fn underscored_names_are_dropped() {
    let text = "GET /\nhost: a\nx_forwarded_for: 1.2.3.4\ncontent_length: 9\nx-b: 1";
    let (parts, _) = accepted(Version::HTTP_11, text);
    let names: Vec<_> = parts.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["host", "x-b"]);
}

#[test]
fn cookie_crumbs_are_joined_in_http2_only() {
    let crumbs = "cookie: a=1\ncookie: b=2\ncookie: c=3";
    let (parts, _) = accepted(Version::HTTP_3, &format!("GET https://a/\n{crumbs}"));
    assert_eq!(parts.headers.get_all("cookie").iter().count(), 1);
    let (parts, _) = accepted(Version::HTTP_2, &format!("GET https://a/\n{crumbs}"));
    let all: Vec<_> = parts.headers.get_all("cookie").iter().collect();
    assert_eq!(all, ["a=1; b=2; c=3"]);
    let (parts, _) = accepted(Version::HTTP_11, &format!("GET /\nhost: a\n{crumbs}"));
    assert_eq!(parts.headers.get_all("cookie").iter().count(), 3);
}

#[test]
fn sizes() {
    let many = |count| format!("GET /\nhost: a{}", "\nx: y".repeat(count));
    accepted(Version::HTTP_11, &many(99));
    assert_eq!(refused(Version::HTTP_11, &many(100)), Error::HeadersTooLarge);
    let big = format!("GET /\nhost: a\nx: {}", "y".repeat(32 << 10));
    assert_eq!(refused(Version::HTTP_11, &big), Error::HeadersTooLarge);
    let long = format!("GET /{}\nhost: a", "y".repeat(32 << 10));
    assert_eq!(refused(Version::HTTP_11, &long), Error::UriTooLong);
    let crumbs = format!("GET https://a/{}", "\ncookie: a".repeat(101));
    assert_eq!(refused(Version::HTTP_2, &crumbs), Error::HeadersTooLarge);
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![
        Just(Version::HTTP_09),
        Just(Version::HTTP_10),
        Just(Version::HTTP_11),
        Just(Version::HTTP_2),
        Just(Version::HTTP_3)
    ]
}

fn field() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = prop_oneof![
        "host|content-length|transfer-encoding|connection|upgrade|te|expect|cookie|x_y",
        "[a-z0-9!#$%&'*+.^_`|~-]{1,8}"
    ];
    let value = prop_oneof![
        "[ \t,;:=a-z0-9\\[\\]@-]{0,12}".prop_map(String::into_bytes),
        "chunked|websocket|upgrade|100-continue|5|a|a:80|\\[::1\\]".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..20)
    ];
    (name, value)
}

proptest! {
    #[test]
    fn never_panics_and_leaves_one_form(
        version in version(),
        method in "GET|POST|OPTIONS|CONNECT|TRACE|X",
        target in "/|\\*|a:80|http://a/b|https://u@h|[/a-z?:@\\[\\]*#.%-]{1,20}",
        fields in proptest::collection::vec(field(), 0..8),
        ended: bool,
    ) {
        let Ok(request) = Request::builder().method(&*method).uri(&*target).body(()) else {
            return Ok(());
        };
        let (mut parts, ()) = request.into_parts();
        parts.version = version;
        for (name, value) in fields {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                parts.headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
            }
        }
        match check(&mut parts, ended, &limits()) {
            Err(error) => prop_assert!(error.disposition().status.is_client_error()
                || error.disposition().status == StatusCode::NOT_IMPLEMENTED),
            Ok(checked) => {
                let hosts = parts.headers.get_all("host").iter().count();
                prop_assert!(hosts == 1 || (hosts == 0 && version <= Version::HTTP_10));
                prop_assert!(parts.headers.get_all("content-length").iter().count() <= 1);
                prop_assert_eq!(
                    matches!(checked.framing, Framing::Length(_)),
                    parts.headers.contains_key("content-length")
                );
                let path = parts.uri.path();
                prop_assert!(path.starts_with('/') || path == "*" || method == "CONNECT");
                // What was checked once passes again unchanged.
                let fields = parts.headers.clone();
                prop_assert_eq!(check(&mut parts, ended, &limits()), Ok(checked));
                prop_assert_eq!(&fields, &parts.headers);
            }
        }
    }
}
