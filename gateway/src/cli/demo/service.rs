//! The services behind the demonstration: each a thread with an HTTP/1.1 server on loopback.

use std::{
    cell::Cell,
    convert::Infallible,
    fmt::Write as _,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    rc::Rc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{runtime::Builder, time::sleep};

use crate::task;

/// How long `/slow` takes.
const SLOW: Duration = Duration::from_secs(3);
/// Events of `/stream`, and the time between two.
const EVENTS: u32 = 5;
const EVENT_INTERVAL: Duration = Duration::from_millis(300);
/// How long to wait when a connection cannot be accepted.
const PAUSE: Duration = Duration::from_millis(50);

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// A service that runs as long as the process.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
}

impl Service {
    pub(super) fn start(name: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let thread = thread::Builder::new().name(format!("demo-{name}"));
        thread.spawn(move || {
            if let Err(error) = serve(name, listener) {
                tracing::error!(%error, name, "a service of the demo has stopped");
            }
        })?;
        Ok(Self { name, address })
    }
}

fn serve(name: &'static str, listener: TcpListener) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let count = Rc::new(Cell::new(0));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let count = count.clone();
            task::spawn(async move {
                let answer = service_fn(|request| {
                    count.set(count.get() + 1);
                    answer(name, count.get(), request)
                });
                // It fails when the gateway hangs up, and by design in `/fail`.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    })
}

/// Ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("cut off on purpose")]
struct CutOff;

async fn answer(
    name: &'static str,
    count: u64,
    request: Request<Incoming>,
) -> Result<Response<Body>, CutOff> {
    let response = match request.uri().path() {
        "/fail" => return Err(CutOff),
        "/slow" => {
            sleep(SLOW).await;
            text(format!("{name}, at last\n"))
        }
        "/echo" => Response::new(request.into_body().boxed_unsync()),
        "/stream" => events(name),
        "/headers" => text(head(name, &request)),
        "/news" => news(name, count),
        path => text(format!("{name}: {} {path}, my request number {count}\n", request.method())),
    };
    Ok(response)
}

fn text(text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {});
    let mut response = Response::new(body.boxed_unsync());
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

/// What caches may keep, under a tag to purge it by.
fn news(name: &str, count: u64) -> Response<Body> {
    let mut response = text(format!("news of {name}, my request number {count}\n"));
    let headers = response.headers_mut();
    let keep = HeaderValue::from_static("max-age=60, stale-while-revalidate=60");
    headers.insert(header::CACHE_CONTROL, keep);
    headers.insert("surrogate-key", HeaderValue::from_static("news"));
    response
}

/// What arrived.
fn head(name: &str, request: &Request<Incoming>) -> String {
    let mut text = format!("{name} was sent {} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    text
}

fn events(name: &'static str) -> Response<Body> {
    let events = stream::unfold(1, move |event| async move {
        if event > EVENTS {
            return None;
        }
        sleep(EVENT_INTERVAL).await;
        let data = Bytes::from(format!("data: event {event} of {EVENTS} from {name}\n\n"));
        Some((Ok(Frame::data(data)), event + 1))
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
