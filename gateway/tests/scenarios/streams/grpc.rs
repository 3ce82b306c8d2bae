//! gRPC: a real tonic client and server with the gateway between them.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream, wrappers::TcpListenerStream};
use tonic::{
    Code, Request, Response, Status, Streaming,
    body::Body,
    client,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::{Service, http as grpc_http},
    server::{Grpc, StreamingService, UnaryService},
    transport::{Channel, Endpoint, Server},
};

use crate::support::gateway::{Gateway, Setup};

/// Messages are their bytes.
#[derive(Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(dst, &item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

impl Decoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; bytes::Buf::remaining(src)];
        bytes::Buf::copy_to_slice(src, &mut item);
        Ok(Some(item))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

/// Echoes, or fails as the message says.
#[derive(Clone, Copy)]
struct Echo;

impl UnaryService<Vec<u8>> for Echo {
    type Response = Vec<u8>;
    type Future = Ready<Result<Response<Vec<u8>>, Status>>;

    fn call(&mut self, request: Request<Vec<u8>>) -> Self::Future {
        let mark = request.metadata().get("x-mark").cloned();
        let message = request.into_inner();
        if message == b"fail" {
            let mut status = Status::with_details(
                Code::FailedPrecondition,
                "not today: 100 % \u{e9}",
                bytes::Bytes::from_static(b"\0details"),
            );
            status.metadata_mut().insert("x-why", "because".parse().unwrap());
            return ready(Err(status));
        }
        let mut response = Response::new(message);
        if let Some(mark) = mark {
            response.metadata_mut().insert("x-mark", mark);
        }
        ready(Ok(response))
    }
}

impl StreamingService<Vec<u8>> for Echo {
    type Response = Vec<u8>;
    type ResponseStream = Streaming<Vec<u8>>;
    type Future = Ready<Result<Response<Streaming<Vec<u8>>>, Status>>;

    fn call(&mut self, request: Request<Streaming<Vec<u8>>>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

impl Service<grpc_http::Request<Body>> for Echo {
    type Response = grpc_http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: grpc_http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = Grpc::new(Plain).max_decoding_message_size(64 << 20);
            Ok(match request.uri().path() {
                "/t.Echo/Unary" => grpc.unary(Self, request).await,
                "/t.Echo/Stream" => grpc.streaming(Self, request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

pub(crate) fn server() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let incoming = TcpListenerStream::new(listener);
            let _ = Server::builder().serve_with_incoming(Echo, incoming).await;
        });
    });
    address
}

async fn stub() -> (Gateway, client::Grpc<Channel>) {
    stub_within("30s").await
}

/// A stub of a route with this total time.
async fn stub_within(total: &str) -> (Gateway, client::Grpc<Channel>) {
    let gateway = Setup::to(&[server()])
        .upstream("protocol: h2")
        .limits("body: 1GiB")
        .route(&format!("timeout: {{ headers: {total}, total: {total}, idle: 30s }}"))
        .start();
    let uri = format!("http://{}", gateway.listen);
    let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
    let mut grpc = client::Grpc::new(channel).max_decoding_message_size(64 << 20);
    grpc.ready().await.unwrap();
    (gateway, grpc)
}

const UNARY: PathAndQuery = PathAndQuery::from_static("/t.Echo/Unary");
const STREAM: PathAndQuery = PathAndQuery::from_static("/t.Echo/Stream");

#[tokio::test]
async fn unary_calls_keep_message_metadata_and_status() {
    let (_gateway, mut grpc) = stub().await;
    let mut request = Request::new(b"hello".to_vec());
    request.metadata_mut().insert("x-mark", "42".parse().unwrap());
    let response = grpc.unary(request, UNARY, Plain).await.unwrap();
    assert_eq!(response.metadata().get("x-mark").unwrap(), "42");
    assert_eq!(response.into_inner(), b"hello");
    let large = vec![7u8; 8 << 20];
    grpc.ready().await.unwrap();
    let response = grpc.unary(Request::new(large.clone()), UNARY, Plain).await.unwrap();
    assert!(response.into_inner() == large);
}

#[tokio::test]
async fn a_failing_call_keeps_its_code_message_and_details() {
    let (_gateway, mut grpc) = stub().await;
    let status = grpc.unary(Request::new(b"fail".to_vec()), UNARY, Plain).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "not today: 100 % \u{e9}");
    assert_eq!(status.details(), b"\0details");
    assert_eq!(status.metadata().get("x-why").unwrap(), "because");
    let other = PathAndQuery::from_static("/t.Echo/Nothing");
    grpc.ready().await.unwrap();
    let status = grpc.unary(Request::new(Vec::new()), other, Plain).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_bidirectional_stream_is_a_conversation_that_outlives_the_total_time() {
    let (_gateway, mut grpc) = stub_within("2s").await;
    let (send, receive) = mpsc::channel(1);
    send.send(b"0".to_vec()).await.unwrap();
    let request = Request::new(ReceiverStream::new(receive));
    let mut answers = grpc.streaming(request, STREAM, Plain).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap(), b"0");
    for n in 1..=15 {
        let message = n.to_string().into_bytes();
        send.send(message.clone()).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap(), message);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(send);
    assert_eq!(answers.message().await.unwrap(), None);
    assert!(answers.trailers().await.unwrap().is_some());
}

#[tokio::test]
async fn a_thousand_messages_arrive_in_order() {
    let (_gateway, mut grpc) = stub().await;
    let messages = tokio_stream::iter((0..1000u32).map(|n| n.to_be_bytes().to_vec()));
    let answers = grpc.streaming(Request::new(messages), STREAM, Plain).await.unwrap().into_inner();
    let back: Vec<_> = answers.collect::<Result<Vec<_>, _>>().await.unwrap();
    let sent: Vec<_> = (0..1000u32).map(|n| n.to_be_bytes().to_vec()).collect();
    assert!(back == sent);
}

#[tokio::test]
async fn a_dead_server_is_unavailable() {
    let gateway =
        Setup::to(&[SocketAddr::from(([127, 0, 0, 1], 1))]).upstream("protocol: h2").start();
    let uri = format!("http://{}", gateway.listen);
    let channel = Endpoint::from_shared(uri).unwrap().connect().await.unwrap();
    let mut grpc = client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let status = grpc.unary(Request::new(Vec::new()), UNARY, Plain).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
}
