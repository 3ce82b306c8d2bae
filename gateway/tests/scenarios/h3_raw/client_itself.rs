//! The raw client against an HTTP/3 server of another hand (h3 on quinn): what it says is HTTP/3,
//! and what it hears it understands, so that a failure elsewhere is the gateway's.

use std::{net::SocketAddr, sync::Arc};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Response};

use crate::support::{
    certificates::Authority,
    h3_outcome::Outcome,
    h3_raw::{Raw, Tuning, run},
    h3_wire::{CONTROL, DATA, HEADERS, SETTINGS, code, frame, headers, request, varint},
    qpack_raw::huffman_section,
};

/// A server that echoes method, path, length of the body and the field `x-a`, with trailers.
fn serve(authority: &Authority) -> SocketAddr {
    let tls = authority.issue(&["edge.test"]).server(&[b"h3"]);
    let tls = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    let endpoint =
        run(async { quinn::Endpoint::server(config, ([127, 0, 0, 1], 0).into()) }).unwrap();
    let address = endpoint.local_addr().unwrap();
    std::thread::spawn(move || {
        run(async move {
            while let Some(incoming) = endpoint.accept().await {
                let connection = h3_quinn::Connection::new(incoming.await.unwrap());
                let mut connection =
                    h3::server::Connection::<_, Bytes>::new(connection).await.unwrap();
                while let Ok(Some(resolver)) = connection.accept().await {
                    let Ok((head, mut stream)) = resolver.resolve_request().await else { continue };
                    let mut length = 0;
                    while let Ok(Some(piece)) = stream.recv_data().await {
                        length += piece.remaining();
                    }
                    let field = head.headers().get("x-a").map_or("", |v| v.to_str().unwrap());
                    let text = format!("{} {} {length} {field}", head.method(), head.uri().path());
                    let mut trailers = HeaderMap::new();
                    trailers.insert("x-sum", "42".parse().unwrap());
                    let response = Response::builder().header("content-type", "text/plain");
                    let _ = stream.send_response(response.body(()).unwrap()).await;
                    let _ = stream.send_data(text.into()).await;
                    let _ = stream.send_trailers(trailers).await;
                    let _ = stream.finish().await;
                }
            }
        });
    });
    address
}

#[test]
fn another_server_understands_the_raw_client() {
    let authority = Authority::new();
    let address = serve(&authority);
    let tls = authority.client_x25519(&[b"h3"]);
    let tuning = Tuning { stream_window: 1 << 20, window: 8 << 20, tls };
    let client = Raw::try_connect(address, &tuning).unwrap().greet();
    let Outcome::Response(response) = client.get("/x") else { panic!("no response") };
    assert_eq!(response.body, b"GET /x 0 ");
    assert_eq!(response.field("content-type"), Some("text/plain"));
    assert_eq!(response.trailers, Some(vec![("x-sum".to_owned(), "42".to_owned())]));
    let text: String = (' '..='~').collect();
    let fields = [&request("POST", "/y")[..], &[("x-a", &text[1..])]].concat();
    for head in [headers(&fields), frame(HEADERS, &huffman_section(&fields))] {
        let outcome = client.exchange(&[head, frame(DATA, b"hello")].concat());
        assert_eq!(outcome.text(), format!("POST /y 5 {}", &text[1..]), "{outcome:?}");
    }
    drop(client);
    let mut client = Raw::try_connect(address, &tuning).unwrap();
    client.uni(&[varint(CONTROL), frame(SETTINGS, b"").repeat(2)].concat());
    assert_eq!(super::ending(&client), Outcome::Closed(code::FRAME_UNEXPECTED));
}
