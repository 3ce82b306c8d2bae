//! One active check of an endpoint: a connection of its own, opened as those for requests are, and
//! mostly a request over it in whatever version that speaks.

use std::{rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Uri, header};
use http_body_util::BodyExt as _;
use tokio::time::timeout;
use weir_config::model::{HealthCheck, Probe, StatusRange};

use super::{
    connect::Connector,
    draft::Draft,
    endpoint::Endpoint,
    once::{ask, draft},
    pool::{EndpointPool, Pooled},
};
use crate::{
    error::Error,
    http::{body::Body, guard::Framing, upload::Upload},
    quic::Dialer,
};

mod grpc;

/// Bytes of an answer that are read, for its sender to see it taken.
const ANSWER_MOST: usize = 64 * 1024;
/// How long that may take once the status is known.
const ANSWER_TIME: Duration = Duration::from_millis(250);

/// Checks an endpoint once; the error says why it did not pass.
pub(crate) async fn run(
    endpoint: &Arc<Endpoint>,
    connector: &Arc<Connector>,
    check: &HealthCheck,
    dialer: &Rc<Dialer>,
) -> Result<(), String> {
    let pool = EndpointPool::apart(endpoint.clone(), connector.clone(), dialer.clone());
    let pool = Pooled(Rc::new(pool));
    // Boxed: a handshake is large.
    let result = match timeout(check.timeout, Box::pin(attempt(&pool, &check.probe))).await {
        Err(_) => Err("no answer in time".to_owned()),
        Ok(Err(reason)) => Err(reason),
        Ok(Ok(Verdict { result, rest })) => {
            // What was asked for is taken, or its sender would see a failure.
            let _ = timeout(ANSWER_TIME, read(rest, |_| ())).await;
            result
        }
    };
    pool.0.close();
    result
}

/// What came of an answer, and what of it is still to be read.
struct Verdict {
    result: Result<(), String>,
    rest: Body,
}

async fn attempt(pool: &Pooled, probe: &Probe) -> Result<Verdict, String> {
    match probe {
        Probe::Connect => {
            pool.0.open(false).await.map_err(|error| error.to_string())?;
            Ok(Verdict { result: Ok(()), rest: Body::empty() })
        }
        Probe::Http { path, expect } => {
            let draft = get(path).map_err(|error| error.to_string())?;
            let (head, rest) = ask(pool, draft).await?.into_parts();
            Ok(Verdict { result: judge(head.status.as_u16(), expect), rest })
        }
        Probe::Grpc { service } => {
            let (head, mut body) = ask(pool, call(service)).await?.into_parts();
            let mut reply = grpc::Reply::new(&head);
            read(&mut body, |frame| reply.take(frame)).await;
            Ok(Verdict { result: reply.judge(), rest: Body::empty() })
        }
    }
}

fn judge(status: u16, expect: &[StatusRange]) -> Result<(), String> {
    let expected = expect.iter().any(|range| range.contains(status));
    expected.then_some(()).ok_or_else(|| format!("status {status}"))
}

fn get(path: &str) -> Result<Draft, Error> {
    // The configuration lets in what is a target.
    let target = Uri::try_from(path).map_err(|_| Error::Bug)?;
    Ok(draft(Method::GET, target, Framing::None, Upload::empty()))
}

/// A call of gRPC's health protocol.
fn call(service: &str) -> Draft {
    let message = Body::full(grpc::request(service));
    let target = Uri::from_static(grpc::PATH);
    let mut draft = draft(Method::POST, target, Framing::Unknown, Upload::whole(message));
    draft.head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    draft.shape.trailers = true;
    draft
}

/// Takes what comes, within bounds.
async fn read(
    mut body: impl http_body::Body<Data = Bytes, Error = Error> + Unpin,
    mut take: impl FnMut(http_body::Frame<Bytes>),
) {
    let mut left = ANSWER_MOST;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
        take(frame);
    }
}
