use std::net::IpAddr;

use http::{Method, Request, Response, StatusCode, Uri};
use proptest::prelude::*;
use weir_config::model::HeaderEdit;

use super::*;
use crate::{error::Error, http::guard::Framing};

const V1: Version = Version::HTTP_11;
const V2: Version = Version::HTTP_2;

/// `name: value` a line.
fn fields(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in text.lines().map(|line| line.trim().split_once(": ").unwrap()) {
        headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    headers
}

/// The fields one a line, sorted by name.
fn text(headers: &HeaderMap) -> String {
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort_by(|a, b| a.split(':').next().cmp(&b.split(':').next()));
    lines.join("\n")
}

fn request(uri: &str, headers: &str) -> request::Parts {
    let (mut parts, ()) = Request::builder().uri(uri).body(()).unwrap().into_parts();
    parts.headers = fields(headers);
    parts
}

fn peer(hops: u32) -> Peer {
    Peer::new(Some("10.0.0.9".parse().unwrap()), true, hops)
}

fn receive(parts: &mut request::Parts, peer: &Peer, ids: &mut Ids) -> Received {
    let host = parts.headers.get(header::HOST).cloned();
    let received = super::receive(parts, host.as_ref(), peer, ids);
    if !received.vouched {
        let (headers, version) = (&mut parts.headers, parts.version);
        let client = vouch(headers, version, (peer, host.as_ref()), &received.request_id);
        assert_eq!(client, received.client);
    }
    received
}

fn ids() -> Ids {
    Ids::new(fastrand::Rng::with_seed(7))
}

/// Receives a request and gives what is left, without the four that are always set.
fn left(hops: u32, headers: &str) -> String {
    let mut parts = request("/", headers);
    receive(&mut parts, &peer(hops), &mut ids());
    for ours in ["via", "x-request-id", "x-forwarded-proto", "x-forwarded-for"] {
        assert!(parts.headers.remove(ours).is_some(), "{ours}");
    }
    parts.headers.remove("x-forwarded-host");
    text(&parts.headers)
}

#[test]
fn hop_by_hop_fields_go() {
    let headers = "accept: a
        connection: keep-alive, X-Mine, te
        connection: other
        expect: 100-continue
        host: h
        http2-settings: AA
        keep-alive: 5
        other: 1
        proxy: http://evil
        proxy-authorization: Basic AA
        proxy-connection: close
        te: trailers
        trailer: checksum
        transfer-encoding: chunked
        upgrade: h2c
        x-mine: 1
        x-other: 2";
    assert_eq!(left(0, headers), "accept: a\nhost: h\ntrailer: checksum\nx-other: 2");
}

#[test]
fn connection_cannot_strip_what_frames_routes_or_vouches() {
    for name in ["host", "content-length", "content-type", "authorization", "cache-control"] {
        let kept = left(0, &format!("connection: close, {name}\n{name}: 1"));
        assert_eq!(kept, format!("{name}: 1"));
    }
    let mut parts = request("/", "connection: x-forwarded-for, via\nx-forwarded-for: 1.1.1.1");
    let received = receive(&mut parts, &peer(1), &mut ids());
    assert_eq!(received.client, Some(IpAddr::from([1, 1, 1, 1])));
    assert_eq!(
        left(0, "connection: \u{1}, a b, ,,\"x\"\na: 1".replace('\u{1}', "\t").as_str()),
        "a: 1"
    );
}

#[test]
fn forwarding_fields_by_trusted_hops() {
    let two = "x-forwarded-for: 6.6.6.6, 1.1.1.1\nx-forwarded-for: 2.2.2.2";
    for (hops, headers, client, chain) in [
        (0, "", "10.0.0.9", "10.0.0.9"),
        (0, two, "10.0.0.9", "10.0.0.9"),
        (1, "", "10.0.0.9", "10.0.0.9"),
        (1, two, "2.2.2.2", "2.2.2.2, 10.0.0.9"),
        (2, two, "1.1.1.1", "1.1.1.1, 2.2.2.2, 10.0.0.9"),
        (3, two, "6.6.6.6", "6.6.6.6, 1.1.1.1, 2.2.2.2, 10.0.0.9"),
        (4, two, "10.0.0.9", "10.0.0.9"),
        (u32::MAX, two, "10.0.0.9", "10.0.0.9"),
        (1, "x-forwarded-for: 1.1.1.1:99", "1.1.1.1", "1.1.1.1:99, 10.0.0.9"),
        (1, "x-forwarded-for: [::2]:99", "::2", "[::2]:99, 10.0.0.9"),
        (1, "x-forwarded-for: [::2]", "::2", "[::2], 10.0.0.9"),
        (1, "x-forwarded-for: ::ffff:1.1.1.1", "1.1.1.1", "::ffff:1.1.1.1, 10.0.0.9"),
        (1, "x-forwarded-for: 1.1.1.1,, ,", "1.1.1.1", "1.1.1.1, 10.0.0.9"),
        (1, "x-forwarded-for: unknown", "10.0.0.9", "unknown, 10.0.0.9"),
        (1, "x-forwarded-for: , ,", "10.0.0.9", "10.0.0.9"),
    ] {
        let mut parts = request("/", headers);
        let received = receive(&mut parts, &peer(hops), &mut ids());
        let context = format!("{hops} {headers}");
        assert_eq!(received.client, Some(client.parse().unwrap()), "{context}");
        let all: Vec<_> = parts.headers.get_all("x-forwarded-for").iter().collect();
        assert_eq!(all, [chain], "{context}");
    }
}

#[test]
fn scheme_and_host_by_trusted_hops() {
    let headers = "host: h\nx-forwarded-proto: http\nx-forwarded-host: x:1\nx-forwarded-port: 1
        x-real-ip: 6.6.6.6\nforwarded: for=6.6.6.6";
    for (hops, headers, proto, host) in [
        (0, headers, "https", Some("h")),
        (1, headers, "http", Some("x:1")),
        (1, "host: h\nx-forwarded-proto: ftp\nx-forwarded-host: a,b", "https", Some("h")),
        (1, "x-forwarded-proto: http\nx-forwarded-proto: http", "https", None),
        (1, "x-forwarded-host: u@h", "https", None),
    ] {
        let mut parts = request("/", headers);
        receive(&mut parts, &peer(hops), &mut ids());
        assert_eq!(parts.headers["x-forwarded-proto"], proto, "{headers}");
        let found = parts.headers.get("x-forwarded-host").map(|v| v.to_str().unwrap());
        assert_eq!(found, host, "{headers}");
        assert!(!parts.headers.contains_key("forwarded"));
    }
    assert_eq!(left(0, headers), "host: h");
    assert_eq!(left(1, headers), "host: h\nx-forwarded-port: 1\nx-real-ip: 6.6.6.6");
}

#[test]
fn unix_sockets_have_no_address() {
    let mut parts = request("/", "x-forwarded-for: 6.6.6.6");
    let received = receive(&mut parts, &Peer::new(None, false, 0), &mut ids());
    assert_eq!(received.client, None);
    assert!(!parts.headers.contains_key("x-forwarded-for"));
    let mut parts = request("/", "x-forwarded-for: 6.6.6.6");
    let received = receive(&mut parts, &Peer::new(None, false, 1), &mut ids());
    assert_eq!(received.client, Some("6.6.6.6".parse().unwrap()));
    assert_eq!(parts.headers["x-forwarded-for"], "6.6.6.6");
}

#[test]
fn request_ids() {
    let long = "a".repeat(129);
    for (hops, sent, kept) in [
        (0, "x-request-id: abc".to_owned(), false),
        (1, "x-request-id: abc".to_owned(), true),
        (1, format!("x-request-id: {}", &long[1..]), true),
        (1, format!("x-request-id: {long}"), false),
        (1, "x-request-id: a b".to_owned(), false),
        (1, "x-request-id: a\nx-request-id: b".to_owned(), false),
        (1, String::new(), false),
    ] {
        let mut parts = request("/", &sent);
        let before = parts.headers.get("x-request-id").cloned();
        let id = receive(&mut parts, &peer(hops), &mut ids()).request_id;
        let all: Vec<_> = parts.headers.get_all("x-request-id").iter().collect();
        assert_eq!(all, [&id], "{sent}");
        if kept {
            assert_eq!(Some(id), before, "{sent}");
        } else {
            let hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            assert!(id.len() == 32 && id.as_bytes().iter().all(hex), "{sent}: {id:?}");
        }
    }
    let mut ids = ids();
    let mut next = || receive(&mut request("/", ""), &peer(0), &mut ids).request_id;
    let all: std::collections::HashSet<_> = (0..100).map(|_| next()).collect();
    assert_eq!(all.len(), 100);
}

#[test]
fn trace_context_is_valid_or_gone() {
    let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let later = format!("cc-{}-more", &good[3..]);
    for (value, kept) in [
        (good, true),
        (later.as_str(), true),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
        ("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", false),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false),
        ("00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01", false),
        ("00", false),
    ] {
        let found = left(0, &format!("traceparent: {value}\ntracestate: a=b"));
        assert_eq!(found.lines().count(), if kept { 2 } else { 0 }, "{value}");
    }
    assert_eq!(left(0, &format!("traceparent: {good}\ntraceparent: {good}")), "");
    assert_eq!(left(0, "tracestate: a=b"), "");
}

#[test]
fn via_is_appended() {
    for (version, entry) in [
        (Version::HTTP_10, "1.0 weir"),
        (V1, "1.1 weir"),
        (V2, "2 weir"),
        (Version::HTTP_3, "3 weir"),
    ] {
        let mut parts = request("/", "via: 1.1 edge");
        parts.version = version;
        receive(&mut parts, &peer(0), &mut ids());
        let all: Vec<_> = parts.headers.get_all("via").iter().collect();
        assert_eq!(all, ["1.1 edge", entry]);
    }
}

#[test]
fn clients_that_read_trailers_are_noticed() {
    for (te, expected) in [("trailers", true), ("gzip, Trailers;q=1", true), ("gzip", false)] {
        let mut parts = request("/", &format!("te: {te}"));
        assert_eq!(receive(&mut parts, &peer(0), &mut ids()).trailers, expected, "{te}");
    }
}

fn of_connection(protocol: &'static str, headers: &str) -> Upgrade {
    Upgrade::of_connection(HeaderValue::from_static(protocol), &fields(headers))
}

fn outbound(version: Version, framing: Framing) -> Outbound<'static> {
    static FALLBACK: HeaderValue = HeaderValue::from_static("10.1.1.1:80");
    Outbound {
        version,
        tls: false,
        host: None,
        fallback_host: &FALLBACK,
        framing,
        upgrade: None,
        again: true,
        attempt: 1,
        trailers: true,
    }
}

#[test]
fn framing_towards_the_upstream_is_unambiguous() {
    for (sent, version, framing, expected) in [
        ("content-length: 9\ntransfer-encoding: x", V1, Framing::None, ""),
        ("content-length: 9", V1, Framing::Length(5), "content-length: 5"),
        ("content-length: 5\ncontent-length: 5", V1, Framing::Length(5), "content-length: 5"),
        ("transfer-encoding: x", V1, Framing::Length(0), "content-length: 0"),
        ("content-length: 5", V1, Framing::Unknown, "transfer-encoding: chunked"),
        ("", V1, Framing::Unknown, "transfer-encoding: chunked"),
        ("transfer-encoding: chunked", V2, Framing::Unknown, "te: trailers"),
        ("content-length: 5", V2, Framing::Unknown, "te: trailers"),
        ("", V2, Framing::Length(5), "content-length: 5\nte: trailers"),
        ("content-length: 5", V2, Framing::None, "te: trailers"),
    ] {
        let mut parts = request("/", sent);
        parts.headers.insert("host", HeaderValue::from_static("h"));
        prepare_upstream(&mut parts, &outbound(version, framing)).unwrap();
        parts.headers.remove("host");
        assert_eq!(text(&parts.headers), expected, "{sent} {framing:?}");
    }
}

#[test]
fn websockets_are_asked_for_upstream() {
    let mut parts = request("/", "host: h");
    let upgrade = of_connection("websocket", "");
    let upgrade = Outbound { upgrade: Some(&upgrade), ..outbound(V1, Framing::None) };
    prepare_upstream(&mut parts, &upgrade).unwrap();
    assert_eq!(text(&parts.headers), "connection: upgrade\nhost: h\nupgrade: websocket");
    prepare_upstream(&mut parts, &outbound(V1, Framing::None)).unwrap();
    assert_eq!(text(&parts.headers), "host: h");
}

#[test]
fn host_and_target_take_the_form_of_the_version() {
    let route = HeaderValue::from_static("route");
    for (uri, sent, route_host, host, h1, h2) in [
        ("/p?q", "host: c", None, "c", "/p?q", "http://c/p?q"),
        ("/p?q", "host: c", Some(&route), "route", "/p?q", "http://route/p?q"),
        ("https://c/p", "host: c", None, "c", "/p", "http://c/p"),
        ("https://c/p", "", None, "c", "/p", "http://c/p"),
        ("https://c/p", "host: c", Some(&route), "route", "/p", "http://route/p"),
        ("/p", "", None, "10.1.1.1:80", "/p", "http://10.1.1.1:80/p"),
        ("/", "host: [::1]:80", None, "[::1]:80", "/", "http://[::1]:80/"),
    ] {
        let mut parts = request(uri, sent);
        let out = |version| Outbound { host: route_host, ..outbound(version, Framing::None) };
        // Another attempt by another version starts from what the last one left.
        for _ in 0..2 {
            prepare_upstream(&mut parts, &out(V1)).unwrap();
            assert_eq!((parts.uri.to_string().as_str(), parts.version), (h1, V1), "{uri}");
            assert_eq!(parts.headers["host"], host, "{uri}");
            prepare_upstream(&mut parts, &out(V2)).unwrap();
            assert_eq!((&parts.uri, parts.version), (&h2.parse::<Uri>().unwrap(), V2), "{uri}");
            assert!(!parts.headers.contains_key("host"), "{uri}");
        }
    }
}

#[test]
fn upstreams_are_told_of_further_attempts() {
    let grpc = "content-type: application/grpc+proto\nhost: c\nte: trailers";
    for (sent, attempt, expected) in [
        ("host: c", 1, "host: c"),
        ("host: c", 2, "host: c\nx-weir-attempts: 2"),
        ("content-type: application/grpc\nhost: c", 1, "content-type: application/grpc\nhost: c"),
        (
            grpc,
            3,
            "content-type: application/grpc+proto\ngrpc-previous-rpc-attempts: 2\nhost: c\n\
             x-weir-attempts: 3",
        ),
    ] {
        let mut parts = request("/", sent);
        // Each attempt starts from what the last one left.
        for attempt in 1..=attempt {
            let outbound = Outbound { attempt, ..outbound(V1, Framing::None) };
            prepare_upstream(&mut parts, &outbound).unwrap();
        }
        assert_eq!(text(&parts.headers), expected, "{attempt}");
    }
}

#[test]
fn clients_do_not_say_how_many_attempts_there_were() {
    let sent = "host: h\nx-weir-attempts: 7\nx-weir-attempts: 8";
    assert_eq!((left(0, sent).as_str(), left(1, sent).as_str()), ("host: h", "host: h"));
    let mut trailers = fields("x-sum: 1\nx-weir-attempts: 7");
    filter_trailers(&mut trailers);
    assert_eq!(text(&trailers), "x-sum: 1");
}

#[test]
fn options_of_the_whole_server_survive_both_versions() {
    let mut parts = request("*", "host: c");
    parts.method = Method::OPTIONS;
    prepare_upstream(&mut parts, &outbound(V2, Framing::None)).unwrap();
    assert_eq!(parts.uri.path(), "*");
    assert_eq!(parts.uri.authority().unwrap(), "c");
    prepare_upstream(&mut parts, &outbound(V1, Framing::None)).unwrap();
    assert_eq!(parts.uri.to_string(), "*");
}

fn relayed(status: u16, method: &Method, websocket: bool, headers: &str) -> Result<String, Error> {
    let (mut parts, ()) = Response::builder().status(status).body(()).unwrap().into_parts();
    parts.headers = fields(headers);
    let upgrade = websocket.then(|| of_connection("websocket", ""));
    relay(&mut parts, method, upgrade.as_ref(), &HeaderValue::from_static("id"))?;
    assert_eq!(parts.headers.remove("via").unwrap(), "1.1 weir");
    assert_eq!(parts.headers.remove("x-request-id").unwrap(), "id");
    Ok(text(&parts.headers))
}

#[test]
fn responses_lose_what_is_not_for_the_client() {
    let headers = "alt-svc: h3=\":443\"
        connection: close, X-Mine, content-length, set-cookie
        content-length: 5
        http2-settings: AA
        keep-alive: 5
        proxy-authenticate: Basic
        proxy-status: inner; error=dns_error
        server: s
        set-cookie: a
        trailer: t
        upgrade: h2c
        x-mine: 1
        x-request-id: theirs";
    let kept = "content-length: 5\nproxy-status: inner; error=dns_error\nserver: s
        set-cookie: a\ntrailer: t";
    assert_eq!(relayed(200, &Method::GET, false, headers).unwrap(), text(&fields(kept)));
}

#[test]
fn response_framing() {
    let garbage = Err(Error::UpstreamGarbage);
    let is = |text: &str| Ok(text.to_owned());
    for (status, method, headers, expected) in [
        (200, Method::GET, "transfer-encoding: chunked\ncontent-length: 5", is("")),
        (200, Method::GET, "transfer-encoding: gzip", garbage.clone()),
        (200, Method::GET, "transfer-encoding: gzip, chunked", garbage.clone()),
        (200, Method::GET, "transfer-encoding: chunked, chunked", garbage.clone()),
        (200, Method::GET, "transfer-encoding: x\ntransfer-encoding: chunked", garbage.clone()),
        (200, Method::GET, "content-length: 5\ncontent-length: 5", is("content-length: 5")),
        (200, Method::GET, "content-length: 5\ncontent-length: 6", garbage.clone()),
        (200, Method::GET, "content-length: 5, 5", garbage.clone()),
        (200, Method::GET, "content-length: +5", garbage.clone()),
        (200, Method::GET, "content-length: 99999999999999999999", garbage),
        (204, Method::GET, "content-length: 5", is("")),
        (304, Method::GET, "content-length: 5", is("content-length: 5")),
        (200, Method::HEAD, "content-length: 5", is("content-length: 5")),
        (200, Method::HEAD, "content-length: 5\ncontent-length: 6", is("")),
    ] {
        assert_eq!(relayed(status, &method, false, headers), expected, "{status} {headers}");
    }
}

#[test]
fn protocols_are_switched_only_when_asked() {
    let proper = "connection: Upgrade\nupgrade: WebSocket\nsec-websocket-accept: x";
    let passed = "connection: upgrade\nsec-websocket-accept: x\nupgrade: websocket";
    assert_eq!(relayed(101, &Method::GET, true, proper).unwrap(), passed);
    for (websocket, headers) in [
        (false, proper),
        (true, "connection: upgrade\nupgrade: h2c"),
        (true, "upgrade: websocket"),
        (true, "connection: upgrade"),
    ] {
        let result = relayed(101, &Method::GET, websocket, headers);
        assert_eq!(result, Err(Error::UpgradeFailed), "{headers}");
    }
    assert_eq!(relayed(200, &Method::GET, true, proper).unwrap(), "sec-websocket-accept: x");
}

#[test]
fn trailers_cannot_reframe_reroute_or_authenticate() {
    let mut trailers = fields(
        "authorization: a\ncache-control: a\nconnection: a\ncontent-encoding: a\ncontent-length: 5
        cookie: a\nexpect: a\ngrpc-message: ok\ngrpc-status: 0\nhost: a\nif-match: a\nset-cookie: a
        te: a\ntrailer: a\ntransfer-encoding: chunked\nx-checksum: 1\nx-forwarded-for: 1.1.1.1
        x_checksum: 2",
    );
    filter_trailers(&mut trailers);
    assert_eq!(text(&trailers), "grpc-message: ok\ngrpc-status: 0\nx-checksum: 1");
}

#[test]
fn edits_remove_then_set_then_add() {
    let pair = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let edit = HeaderEdit {
        set: vec![pair("a", "new"), pair("b", "set"), pair("content-length", "7")],
        add: vec![pair("c", "2"), pair("transfer-encoding", "x"), pair("host", "x")],
        remove: vec![HeaderName::from_static("a"), HeaderName::from_static("content-length")],
    };
    let mut headers = fields("a: 1\na: 2\nb: 1\nc: 1\ncontent-length: 5\nhost: h");
    Edits::new(&edit).apply(&mut headers);
    assert_eq!(text(&headers), "a: new\nb: set\nc: 1\nc: 2\ncontent-length: 5\nhost: h");
}

proptest! {
    #[test]
    fn never_panics(
        list in proptest::collection::vec(
            ("connection|te|x-forwarded-(for|proto|host)|x-request-id|traceparent|upgrade|host\
              |content-length|transfer-encoding|via|[a-z_-]{1,6}",
             proptest::collection::vec(any::<u8>(), 0..60)),
            0..8,
        ),
        hops in 0u32..4,
        status in 100u16..600,
        websocket: bool,
    ) {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            let (name, value) = (HeaderName::try_from(name), HeaderValue::from_bytes(&value));
            if let (Ok(name), Ok(value)) = (name, value) {
                headers.append(name, value);
            }
        }
        let mut parts = request("/", "");
        parts.headers = headers.clone();
        receive(&mut parts, &peer(hops), &mut ids());
        for name in ["x-forwarded-for", "x-forwarded-proto", "x-request-id"] {
            prop_assert_eq!(parts.headers.get_all(name).iter().count(), 1);
        }
        for version in [V2, V1] {
            let _ = prepare_upstream(&mut parts, &outbound(version, Framing::Unknown));
            prop_assert!(!parts.headers.contains_key("content-length"));
            prop_assert!(!parts.headers.contains_key("connection"));
        }
        let (mut response, ()) = Response::new(()).into_parts();
        response.status = StatusCode::from_u16(status).unwrap();
        response.headers = headers.clone();
        let upgrade = websocket.then(|| of_connection("websocket", ""));
        let id = HeaderValue::from_static("id");
        if relay(&mut response, &Method::GET, upgrade.as_ref(), &id).is_ok() {
            prop_assert!(!response.headers.contains_key("transfer-encoding"));
            prop_assert!(response.headers.get_all("content-length").iter().count() <= 1);
        }
        filter_trailers(&mut headers);
        prop_assert!(!headers.contains_key("host"));
    }
}
