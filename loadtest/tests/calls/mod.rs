//! A gRPC server on the `h2` crate: one service with a method of each kind, and reflection.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Response};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage as _, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use crate::serving::{Serving, tls};

pub(crate) const PROTO: &str = r#"
syntax = "proto3";
package test;
import "kinds.proto";
service Greeter {
  rpc Say(Request) returns (Reply);
  rpc Fail(Request) returns (Reply);
  rpc Slow(Request) returns (Reply);
  rpc Count(Request) returns (stream Reply);
  rpc Sum(stream Request) returns (Reply);
  rpc Chat(stream Request) returns (stream Reply);
}
message Request { string name = 1; int32 count = 2; Kind kind = 3; }
message Reply {
  string text = 1; int64 number = 2; repeated string list = 3; bytes raw = 4; Kind kind = 5;
  Reply inner = 6; repeated Reply more = 7; map<string, Reply> named = 8; }
"#;

pub(crate) const KINDS: &str = r#"
syntax = "proto3";
package test;
enum Kind { PLAIN = 0; LOUD = 1; }
"#;

pub(crate) struct CallServer {
    serving: Serving,
    /// The certificate, PEM.
    pub(crate) certificate: String,
}

impl CallServer {
    pub(crate) fn start() -> Self {
        Self::begin(None, String::new())
    }

    /// With TLS, as `localhost`.
    pub(crate) fn start_tls() -> Self {
        let (tls, certificate) = tls("localhost", &["h2"]);
        Self::begin(Some(TlsAcceptor::from(tls)), certificate)
    }

    fn begin(tls: Option<TlsAcceptor>, certificate: String) -> Self {
        let pool = pool();
        let serving = Serving::tcp(move |stream| {
            let (pool, tls) = (pool.clone(), tls.clone());
            async move {
                match tls {
                    // Clients that trust nobody are no error here.
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            talk(stream, pool).await;
                        }
                    }
                    None => talk(stream, pool).await,
                }
            }
        });
        Self { serving, certificate }
    }

    /// An argument that makes the address `__ENV.GRPC`.
    pub(crate) fn variable(&self) -> String {
        format!("GRPC={}", self.serving.address)
    }

    /// The same by name.
    pub(crate) fn named(&self) -> String {
        format!("GRPC=localhost:{}", self.serving.address.port())
    }
}

/// The descriptors of the service, compiled from its files.
pub(crate) fn pool() -> DescriptorPool {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("greeter.proto"), PROTO).unwrap();
    std::fs::write(folder.path().join("kinds.proto"), KINDS).unwrap();
    let set = protox::compile(["greeter.proto"], [folder.path()]).unwrap();
    DescriptorPool::from_file_descriptor_set(set).unwrap()
}

#[allow(clippy::disallowed_methods, reason = "a test has no task door")]
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: S, pool: DescriptorPool) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let pool = pool.clone();
        tokio::task::spawn_local(async move {
            // Calls that clients give up are no error here.
            let _ = answer(&pool, request, respond).await;
        });
    }
}

type Respond = h2::server::SendResponse<Bytes>;

async fn answer(
    pool: &DescriptorPool,
    request: http::Request<h2::RecvStream>,
    mut respond: Respond,
) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_string();
    let mut response = Response::builder()
        .header("content-type", "application/grpc")
        .header(
            "x-seen-mine",
            head.headers.get("x-mine").cloned().unwrap_or_else(|| "none".parse().unwrap()),
        )
        .body(())
        .unwrap();
    if path == "/test.Greeter/Fail" {
        let headers = response.headers_mut();
        headers.insert("grpc-status", "5".parse().unwrap());
        headers.insert("grpc-message", "not%20here".parse().unwrap());
        respond.send_response(response, true)?;
        return Ok(());
    }
    let mut out = respond.send_response(response, false)?;
    if path == "/grpc.health.v1.Health/Check" {
        let mut asked = BytesMut::new();
        while let Some(data) = body.data().await {
            asked.extend_from_slice(&data?);
        }
        // The whole server is well, and of services only one.
        let (status, code) = match take(&mut asked).unwrap_or_default() {
            name if name.is_empty() => (1, "0"),
            name if name.ends_with(b"test.Greeter") => (2, "0"),
            _ => (0, "5"),
        };
        out.send_data(frame(&[8, status]), false)?;
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.parse().unwrap());
        return out.send_trailers(trailers);
    }
    let mut buffer = BytesMut::new();
    let mut total = (0, Vec::new());
    loop {
        while let Some(message) = take(&mut buffer) {
            match &*path {
                "/test.Greeter/Sum" => {
                    let request = Request::of(pool, message);
                    total.0 += request.count;
                    total.1.push(request.name);
                }
                path if path.ends_with("/ServerReflectionInfo") => {
                    out.send_data(frame(&reflect(pool, &message)), false)?;
                }
                _ => reply(pool, &path, Request::of(pool, message), &mut out).await?,
            }
        }
        match body.data().await {
            Some(data) => {
                let data = data?;
                let _ = body.flow_control().release_capacity(data.len());
                buffer.extend_from_slice(&data);
            }
            None => break,
        }
    }
    if path == "/test.Greeter/Sum" {
        out.send_data(frame(&text(pool, "sum", total.0, &total.1)), false)?;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("x-trailer", "behind".parse().unwrap());
    out.send_trailers(trailers)
}

struct Request {
    name: String,
    count: i64,
    kind: i32,
}

impl Request {
    fn of(pool: &DescriptorPool, bytes: Bytes) -> Self {
        let message = pool.get_message_by_name("test.Request").unwrap();
        let message = DynamicMessage::decode(message, bytes).unwrap();
        let field = |name: &str| message.get_field_by_name(name).unwrap().into_owned();
        Self {
            name: field("name").as_str().unwrap().to_string(),
            count: i64::from(field("count").as_i32().unwrap()),
            kind: field("kind").as_enum_number().unwrap(),
        }
    }
}

async fn reply(
    pool: &DescriptorPool,
    path: &str,
    request: Request,
    out: &mut h2::SendStream<Bytes>,
) -> Result<(), h2::Error> {
    match path {
        "/test.Greeter/Count" => {
            for number in 0..request.count {
                out.send_data(frame(&text(pool, &request.name, number, &[])), false)?;
            }
            return Ok(());
        }
        "/test.Greeter/Slow" => tokio::time::sleep(Duration::from_secs(5)).await,
        _ => {}
    }
    let loud = if request.kind == 1 { "!" } else { "" };
    let words = format!("hello {}{loud}", request.name);
    out.send_data(frame(&text(pool, &words, request.count, &[])), false)
}

fn text(pool: &DescriptorPool, text: &str, number: i64, list: &[String]) -> Vec<u8> {
    let mut reply = DynamicMessage::new(pool.get_message_by_name("test.Reply").unwrap());
    reply.set_field_by_name("text", Value::String(text.to_string()));
    reply.set_field_by_name("number", Value::I64(number));
    if !list.is_empty() {
        let inner = DynamicMessage::new(reply.descriptor());
        reply.set_field_by_name("more", Value::List(vec![Value::Message(inner)]));
    }
    let list = list.iter().map(|item| Value::String(item.clone())).collect();
    reply.set_field_by_name("list", Value::List(list));
    reply.encode_to_vec()
}

/// The answer of server reflection to what is asked for: by its field's number.
fn reflect(pool: &DescriptorPool, question: &[u8]) -> Vec<u8> {
    let (number, text) = (question[0] >> 3, String::from_utf8_lossy(&question[2..]).into_owned());
    let field = |number: u8, content: &[u8]| {
        let mut out = vec![number << 3 | 2];
        prost::encoding::encode_varint(content.len() as u64, &mut out);
        out.extend_from_slice(content);
        out
    };
    let file =
        |name: &str| pool.get_file_by_name(name).unwrap().file_descriptor_proto().encode_to_vec();
    match number {
        7 => field(6, &field(1, &field(1, b"test.Greeter"))),
        4 if text == "test.Greeter" => field(4, &field(1, &file("greeter.proto"))),
        3 => field(4, &field(1, &file(&text))),
        _ => field(7, &field(2, b"unknown")),
    }
}

fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.extend_from_slice(message);
    frame.freeze()
}

fn take(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = u32::from_be_bytes(buffer.get(1..5)?.try_into().unwrap()) as usize;
    if buffer.len() < 5 + length {
        return None;
    }
    let mut message = buffer.split_to(5 + length).freeze();
    Some(message.split_off(5))
}
