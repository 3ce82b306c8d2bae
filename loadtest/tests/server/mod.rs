//! A server that answers as its path says.

use std::{convert::Infallible, net::TcpListener, thread, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

pub(crate) struct Server {
    address: std::net::SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let set = tokio::task::LocalSet::new();
            runtime.block_on(set.run_until(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! { () = serve(listener) => {}, _ = ended => {} }
            }));
        });
        Self { address, end: Some(end), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

#[allow(clippy::disallowed_methods, reason = "a test has no task door")]
async fn serve(listener: tokio::net::TcpListener) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::task::spawn_local(async move {
            let service = service_fn(answer);
            let server = hyper::server::conn::http1::Builder::new();
            // Clients that go away are no error here.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
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
