//! A server that answers as its path says.

use std::{convert::Infallible, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;

use crate::serving::Serving;

pub(crate) struct Server(Serving);

impl Server {
    pub(crate) fn start() -> Self {
        Self(Serving::tcp(|stream| async {
            let server = hyper::server::conn::http1::Builder::new();
            // Clients that go away are no error here.
            let _ = server.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
        }))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.address)
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name: &str| {
        let value = request.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_string()
    };
    let (path, cookies) = (request.uri().path().to_string(), header("cookie"));
    let mut builder = Response::builder()
        .header("x-method", request.method().as_str())
        .header("x-uri", request.uri().to_string())
        .header("x-seen-mine", header("x-mine"))
        .header("x-type", header("content-type"));
    let body = request.into_body().collect().await.map(|body| body.to_bytes());
    let body = body.unwrap_or_default();
    let body = match path.as_str() {
        "/echo" => body,
        "/cookies" => Bytes::from(cookies),
        "/redirect" => {
            builder = builder
                .status(302)
                .header("location", "/cookies")
                .header("set-cookie", "session=1; Path=/; HttpOnly");
            Bytes::new()
        }
        "/wait" => {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Bytes::from_static(b"waited")
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Bytes::new()
        }
        path => match path.strip_prefix("/status/") {
            Some(status) => {
                builder = builder.status(status);
                Bytes::new()
            }
            None => Bytes::from_static(b"hello"),
        },
    };
    Ok(builder.body(Full::new(body)).unwrap())
}
