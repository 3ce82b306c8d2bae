//! A browser's calls reach a gRPC server, and what it says in trailers comes back in the body.

use super::{ask, example};
use crate::{
    streams::grpc,
    support::{answer::Answer, gateway::Gateway},
};

/// A message in its frame.
fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[flag][..], &length.to_be_bytes(), message].concat()
}

fn call(gateway: &Gateway, method: &str, kind: &str, body: &[u8]) -> Answer {
    let mut client = gateway.client();
    let head = format!(
        "POST /t.Echo/{method} HTTP/1.1\r\nHost: a\r\nOrigin: https://page.example\r\n\
         Content-Type: application/{kind}\r\nX-Grpc-Web: 1\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(&[head.as_bytes(), body].concat());
    client.answer("POST").unwrap()
}

/// The messages of a body, and the text of the last frame.
fn frames(mut body: &[u8]) -> (Vec<Vec<u8>>, String) {
    let mut messages = Vec::new();
    while let [flag, a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        let (message, more) = rest.split_at(length);
        if *flag == 0x80 {
            assert!(more.is_empty(), "trailers come last");
            return (messages, String::from_utf8(message.to_vec()).unwrap());
        }
        messages.push(message.to_vec());
        body = more;
    }
    panic!("no trailers: {body:?}");
}

/// Base64 in pieces, each with its own padding.
fn untext(text: &[u8]) -> Vec<u8> {
    use base64::Engine as _;
    let groups = text.chunks(4);
    groups.flat_map(|g| base64::engine::general_purpose::STANDARD.decode(g).unwrap()).collect()
}

#[test]
fn a_call_comes_back_with_its_status_in_the_body() {
    let server = grpc::server();
    let gateway = example(server, server);
    let answer = call(&gateway, "Unary", "grpc-web+proto", &frame(0, b"hello"));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("content-type"), Some("application/grpc-web+proto"));
    assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    let exposed = answer.field("access-control-expose-headers").unwrap();
    assert!(exposed.contains("grpc-status") && exposed.contains("grpc-message"));
    let (messages, trailers) = frames(&answer.body);
    assert_eq!(messages, [b"hello"]);
    assert!(trailers.contains("grpc-status:0\r\n"), "{trailers}");
    let many = [frame(0, b"one"), frame(0, b"two")].concat();
    let (messages, _) = frames(&call(&gateway, "Stream", "grpc-web+proto", &many).body);
    assert_eq!(messages, [b"one", b"two"]);
    let metrics = gateway.admin("GET", "/metrics").text();
    let calls = "weir_grpc_web_calls_total{route=\"calls\",upstream=\"calls\",form=\"binary\"} 2";
    assert!(metrics.contains(calls), "{metrics}");
}

#[test]
fn a_call_in_text_is_answered_in_text() {
    use base64::Engine as _;
    let server = grpc::server();
    let gateway = example(server, server);
    let engine = base64::engine::general_purpose::STANDARD;
    let body = engine.encode(frame(0, b"hello"));
    let answer = call(&gateway, "Unary", "grpc-web-text+proto", body.as_bytes());
    assert_eq!(answer.field("content-type"), Some("application/grpc-web-text+proto"));
    let (messages, trailers) = frames(&untext(&answer.body));
    assert_eq!(messages, [b"hello"]);
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
    let broken = call(&gateway, "Unary", "grpc-web-text", b"!!!!");
    assert!(broken.field("grpc-status").is_some_and(|status| status != "0"), "{broken:?}");
}

#[test]
fn what_fails_says_so_in_words_of_grpc() {
    let server = grpc::server();
    let gateway = example(server, server);
    let failed = call(&gateway, "Unary", "grpc-web+proto", &frame(0, b"fail"));
    let said =
        failed.field("grpc-status").map(str::to_owned).unwrap_or_else(|| frames(&failed.body).1);
    assert!(said == "9" || said.contains("grpc-status:9"), "{failed:?}");
    let dead = example(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 1).into());
    let answer = call(&dead, "Unary", "grpc-web+proto", &frame(0, b"hello"));
    assert_eq!((answer.status, answer.field("grpc-status")), (200, Some("14")));
    assert_eq!(answer.field("content-type"), Some("application/grpc-web+proto"));
    assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
    let fields = "Origin: https://a\r\nAccess-Control-Request-Method: POST\r\n\
                  Access-Control-Request-Headers: content-type,x-grpc-web\r\n";
    let preflight = ask(&gateway, "OPTIONS", "/t.Echo/Unary", fields);
    assert!(preflight.field("access-control-allow-headers").unwrap().contains("x-grpc-web"));
}

/// The status of a call, wherever it is said; 0 where it went well.
fn status_of(answer: &Answer) -> u32 {
    if let Some(status) = answer.field("grpc-status") {
        return status.parse().unwrap();
    }
    let (_, trailers) = frames(&answer.body);
    let line = trailers.lines().find_map(|line| line.strip_prefix("grpc-status:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn calls_that_are_none_harm_nobody() {
    let server = grpc::server();
    let gateway = example(server, server);
    let whole = frame(0, b"hello");
    let long = |length: u32| [&[0][..], &length.to_be_bytes(), b"hello"].concat();
    for (what, body) in [
        ("nothing", Vec::new()),
        ("half of a frame's head", vec![0, 0, 0]),
        ("a frame that breaks off", whole[..7].to_vec()),
        ("a second frame that breaks off", [&whole[..], &whole[..6]].concat()),
        ("a length that is too long", long(6)),
        ("a length of 4 GiB", long(u32::MAX)),
        ("a length of 2 GiB", long(1 << 31)),
        ("a length that is too short", long(2)),
        ("a coded message without a coding", frame(1, b"hello")),
        ("a flag that nobody knows", frame(0x40, b"hello")),
        ("trailers alone", frame(0x80, b"grpc-status:0\r\n")),
        ("trailers that are long", frame(0x80, &[b'a'; 70_000])),
    ] {
        let answer = call(&gateway, "Unary", "grpc-web+proto", &body);
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        assert_ne!(status_of(&answer), 0, "{what}");
    }
    // Behind a whole message they are what the server makes of them, and no trailers of the call.
    let more = [frame(0, b"hello"), frame(0x80, b"grpc-status:7\r\n")].concat();
    assert_ne!(status_of(&call(&gateway, "Unary", "grpc-web+proto", &more)), 7);
    let after = call(&gateway, "Unary", "grpc-web+proto", &whole);
    assert_eq!((status_of(&after), frames(&after.body).0), (0, vec![b"hello".to_vec()]));
    assert!(gateway.resident() < 200 << 20, "{}", gateway.resident());
}

#[test]
fn text_that_is_no_base64_harms_nobody() {
    use base64::Engine as _;
    let server = grpc::server();
    let gateway = example(server, server);
    let engine = base64::engine::general_purpose::STANDARD;
    let good = engine.encode(frame(0, b"hello"));
    for (what, body) in [
        ("another alphabet", "AAAA_-__".to_owned()),
        ("a group that breaks off", format!("{good}AAA")),
        ("padding in the middle of a group", "A=AA".to_owned()),
        ("nothing but padding", "====".to_owned()),
        ("lines", format!("{}\r\n{}", &good[..8], &good[8..])),
        ("bytes", "\u{e9}\u{e9}".to_owned()),
        ("a message that breaks off", good[..8].to_owned()),
        ("a huge length", engine.encode([0, 0xff, 0xff, 0xff, 0xff, 1])),
    ] {
        let answer = call(&gateway, "Unary", "grpc-web-text+proto", body.as_bytes());
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        let status = match answer.field("grpc-status") {
            Some(status) => status.to_owned(),
            None => frames(&untext(&answer.body)).1,
        };
        assert!(status != "0" && !status.contains("grpc-status:0"), "{what}: {status}");
    }
    let after = call(&gateway, "Unary", "grpc-web-text+proto", good.as_bytes());
    assert_eq!(frames(&untext(&after.body)).0, [b"hello"]);
}
