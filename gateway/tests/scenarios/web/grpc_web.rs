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
