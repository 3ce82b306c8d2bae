//! Deadlines that clients name: who keeps them, who is told, and who is not to blame.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http::{HeaderMap, Method, Request, Response};
use tokio::net::TcpListener;

use super::{await_states, endpoints, metric};
use crate::support::{
    answer::{Answer, End},
    eventually,
    gateway::{Gateway, Setup},
    h2_client,
    origin::{Next, Origin},
};

/// The calendar's time so far from now, as `x-request-deadline` has it.
fn deadline(ahead: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (now + ahead).as_millis().to_string()
}

/// `GET path` with this deadline.
fn get(gateway: &Gateway, path: &str, deadline: &str) -> Answer {
    let head = format!("GET {path} HTTP/1.1\r\nHost: weir.test\r\nX-Request-Deadline: {deadline}");
    gateway.client().send(format!("{head}\r\n\r\n").as_bytes()).answer("GET").unwrap()
}

/// An origin that never answers `/stall`, and of `/drip` never sends the end.
fn slow() -> Origin {
    Origin::start(|x| {
        match x.target() {
            "/stall" => {}
            "/drip" => {
                x.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
                for _ in 0..200 {
                    x.send(".")?;
                    thread::sleep(Duration::from_millis(20));
                }
            }
            _ => return x.echo(),
        }
        x.closed();
        Ok(Next::Close)
    })
}

const SHORT: Duration = Duration::from_secs(1);

fn took(started: Instant) {
    let took = started.elapsed();
    assert!(took >= SHORT && took < SHORT * 9, "{took:?}");
}

#[test]
fn a_deadline_shortens_what_the_route_allows() {
    let origin = slow();
    let gateway = Setup::to(&[origin.address]).start();
    let (started, wanted) = (Instant::now(), deadline(SHORT));
    let answer = get(&gateway, "/stall", &wanted);
    took(started);
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (504, "504 the time for this request is over (UT)\n")
    );
    assert_eq!(answer.field("proxy-status"), Some("weir; error=http_response_timeout"));
    let seen = origin.completed("/stall");
    assert_eq!(seen.all("x-request-deadline"), [wanted.as_str()]);
    // In time nothing changes.
    assert_eq!(get(&gateway, "/", &deadline(SHORT * 100)).status, 200);
}

#[test]
fn a_deadline_never_lengthens() {
    let origin = slow();
    let gateway = Setup::to(&[origin.address]).route("timeout: 1s").start();
    let started = Instant::now();
    assert_eq!(get(&gateway, "/stall", &deadline(SHORT * 100)).status, 504);
    took(started);
}

#[test]
fn nobody_is_asked_for_an_answer_that_comes_too_late() {
    let origin = slow();
    let gateway = Setup::to(&[origin.address]).start();
    for over in ["0", "1700000000000", &deadline(Duration::ZERO)] {
        let answer = get(&gateway, "/", over);
        assert_eq!((answer.status, answer.field("connection")), (504, None), "{over}");
    }
    assert_eq!((origin.connections(), origin.seen().len()), (0, 0));
}

#[test]
fn what_is_no_deadline_is_a_bad_request() {
    let origin = slow();
    let gateway = Setup::to(&[origin.address]).start();
    for wrong in ["soon", "-1", "1.5", "", "99999999999999999", "1\r\nX-Request-Deadline: 1"] {
        let answer = get(&gateway, "/", wrong);
        let text = "400 bad request: invalid deadline (DPE)\n";
        assert_eq!((answer.status, answer.text().as_str()), (400, text), "{wrong}");
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_route_may_take_the_word_from_its_clients() {
    let origin = slow();
    let gateway = Setup::to(&[origin.address])
        .route("headers: { request: { remove: [x-request-deadline] } }")
        .start();
    assert_eq!(get(&gateway, "/", "0").status, 200);
    assert_eq!(get(&gateway, "/", "soon").status, 200);
    assert!(origin.seen().iter().all(|seen| seen.field("x-request-deadline").is_none()));
}

#[test]
fn no_endpoint_is_to_blame_for_an_impatient_client() {
    let (a, b) = (slow(), slow());
    let gateway =
        Setup::to(&[a.address, b.address]).upstream("outlier: { consecutive_failures: 1 }").start();
    for path in ["/stall", "/drip", "/stall", "/drip"] {
        get(&gateway, path, &deadline(Duration::from_millis(60)));
    }
    await_states(&gateway, ["healthy", "healthy"]);
    assert!(metric(&gateway, "weir_endpoint_ejections_total") == 0.0);
}

#[test]
fn a_body_ends_with_its_deadline() {
    let origin = slow();
    let gateway = Setup::to(&[origin.address]).start();
    let started = Instant::now();
    let answer = get(&gateway, "/drip", &deadline(SHORT));
    took(started);
    assert_eq!((answer.status, answer.end), (200, End::Truncated));
    assert!(!answer.body.is_empty() && answer.body.len() < 200);
}

#[test]
fn a_deadline_is_kept_in_the_line_as_well() {
    let origin = slow();
    let gateway = Setup::to(&[origin.address])
        .upstream("limits: { requests: 1, queue_timeout: 30s }")
        .start();
    let mut first = gateway.client();
    first.send(b"GET /stall HTTP/1.1\r\nHost: weir.test\r\n\r\n");
    assert!(eventually(|| origin.seen().len() == 1));
    let started = Instant::now();
    let answer = get(&gateway, "/", &deadline(SHORT));
    took(started);
    assert_eq!(answer.text(), "504 the time for this request is over (UT)\n");
    assert_eq!(origin.seen().len(), 1);
}

/// What a server of gRPC was asked, and what was reset.
#[derive(Default)]
struct Ledger {
    seen: Mutex<Vec<Request<()>>>,
    resets: Mutex<Vec<Reason>>,
    connections: AtomicUsize,
}

/// A server of gRPC that never answers `/stall`, and else sends a message every 20 ms for ever.
fn server() -> (SocketAddr, Arc<Ledger>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let ledger = Arc::<Ledger>::default();
    let shared = Arc::clone(&ledger);
    thread::spawn(move || {
        let builder = tokio::runtime::Builder::new_current_thread().enable_all().build();
        builder.unwrap().block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let ledger = Arc::clone(&shared);
                ledger.connections.fetch_add(1, Ordering::AcqRel);
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(talk(request, respond, Arc::clone(&ledger)));
                    }
                });
            }
        });
    });
    (address, ledger)
}

async fn talk(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, ledger: Arc<Ledger>) {
    let (head, _body) = request.into_parts();
    let stalls = head.uri.path() == "/stall";
    ledger.seen.lock().unwrap().push(Request::from_parts(head, ()));
    let reset = |reason| ledger.resets.lock().unwrap().push(reason);
    if stalls {
        if let Ok(reason) = std::future::poll_fn(|cx| respond.poll_reset(cx)).await {
            reset(reason);
        }
        return;
    }
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut send = respond.send_response(head, false).unwrap();
    loop {
        let _ = send.send_data(Bytes::from_static(&[0, 0, 0, 0, 1, 7]), false);
        let pause = tokio::time::sleep(Duration::from_millis(20));
        tokio::select! {
            () = pause => {}
            Ok(reason) = std::future::poll_fn(|cx| send.poll_reset(cx)) => return reset(reason),
        }
    }
}

/// A call with this time-out: the head of its answer, and how its body ended.
async fn call(
    gateway: &Gateway,
    path: &str,
    timeout: &str,
) -> (HeaderMap, Result<Bytes, h2::Error>) {
    let mut request = h2_client::head(Method::POST, path);
    let headers = request.headers_mut();
    headers.insert("content-type", "application/grpc".parse().unwrap());
    headers.insert("te", "trailers".parse().unwrap());
    headers.insert("grpc-timeout", timeout.parse().unwrap());
    let send = h2_client::connect(gateway.listen).await;
    let mut send = send.ready().await.unwrap();
    let (response, _) = send.send_request(request, true).unwrap();
    let (head, body) = response.await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    (head.headers, h2_client::whole(body).await.map(|(bytes, _)| bytes))
}

fn grpc() -> (Gateway, Arc<Ledger>) {
    let (address, ledger) = server();
    (Setup::to(&[address]).upstream("protocol: h2").start(), ledger)
}

#[tokio::test]
async fn a_call_that_takes_too_long_says_so_in_its_own_words() {
    let (gateway, ledger) = grpc();
    let started = Instant::now();
    let (head, body) = call(&gateway, "/stall", "1000m").await;
    took(started);
    assert_eq!((&head["grpc-status"], body.unwrap().len()), (&"4".parse().unwrap(), 0));
    assert_eq!(head["grpc-message"], "the time for this request is over");
    let seen = ledger.seen.lock().unwrap().remove(0);
    let left = seen.headers()["grpc-timeout"].to_str().unwrap();
    let micros: u32 = left.strip_suffix('u').unwrap_or_else(|| panic!("{left}")).parse().unwrap();
    assert!((100_000..1_000_000).contains(&micros), "{left}");
    assert!(eventually(|| *ledger.resets.lock().unwrap() == [Reason::CANCEL]));
}

/// A connection on which nothing comes for so short a time is not given up.
#[tokio::test]
async fn impatient_calls_share_a_connection() {
    let (gateway, ledger) = grpc();
    for _ in 0..5 {
        let (head, _) = call(&gateway, "/stall", "500m").await;
        assert_eq!(head["grpc-status"], "4");
    }
    assert_eq!(ledger.seen.lock().unwrap().len(), 5);
    // Each worker may have one of its own.
    assert!(ledger.connections.load(Ordering::Acquire) <= 2);
}

#[tokio::test]
async fn calls_that_nobody_waits_for_are_not_made() {
    let (gateway, ledger) = grpc();
    for (timeout, code) in [("0S", "4"), ("5", "13"), ("123456789m", "13"), ("1s", "13")] {
        let (head, _) = call(&gateway, "/", timeout).await;
        assert_eq!(head["grpc-status"], code, "{timeout}");
    }
    assert!(ledger.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_stream_ends_with_its_calls_deadline() {
    let (gateway, ledger) = grpc();
    let started = Instant::now();
    let (_, body) = call(&gateway, "/", "1000m").await;
    took(started);
    assert!(body.unwrap_err().is_reset());
    assert!(eventually(|| ledger.resets.lock().unwrap().len() == 1));
    assert_eq!(gateway.access_line("\"/\"")["flag"], "UT");
}

#[test]
fn the_routes_own_time_bounds_the_queue() {
    let origin = slow();
    let gateway = Setup::yaml(&format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [{{ bind: \"$LISTEN\" }}]\n\
         timeouts: {{ drain: 2s }}\n\
         upstreams:\n  origin: {{ endpoints: [\"{}\"], outlier: off,\n    \
         limits: {{ requests: 1, queue_timeout: 20s }} }}\n\
         routes:\n  - {{ match: /stall, to: origin }}\n  \
         - {{ match: /x, to: origin, timeout: {{ headers: 300ms, total: 300ms }} }}\n",
        origin.address
    ))
    .start();
    let mut first = gateway.client();
    first.send(b"GET /stall HTTP/1.1\r\nHost: weir.test\r\n\r\n");
    assert!(eventually(|| origin.seen_at("/stall").len() == 1));
    let started = Instant::now();
    assert_eq!(gateway.client().get("/x").unwrap().status, 504);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(origin.seen_at("/x").is_empty());
    assert_eq!(endpoints(&gateway)[0]["failures"], 0);
}
