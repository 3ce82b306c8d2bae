//! One active check of an endpoint: a connection of its own, opened as those for requests are, and
//! mostly a GET over it in whatever version that speaks.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use http_body_util::BodyExt as _;
use weir_config::model::{HealthCheck, Probe};

use super::{
    connect::Connector,
    endpoint::Endpoint,
    forward::{Draft, Shape},
    h1::Answer,
    h2::H2Answer,
    h3::H3Answer,
    pool::{EndpointPool, Pooled, Ready},
};
use crate::{
    error::Error,
    http::{body::Body, guard::Framing, upload::Upload},
    quic::Dialer,
};

/// Bytes of an answer that are read, for its sender to see it taken.
const ANSWER_MOST: usize = 64 * 1024;
/// How long that may take once the status is known.
const ANSWER_TIME: std::time::Duration = std::time::Duration::from_millis(250);

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION")));

/// Checks an endpoint once; the error says why it did not pass.
pub(crate) async fn run(
    endpoint: &Arc<Endpoint>,
    connector: &Arc<Connector>,
    check: &HealthCheck,
    dialer: &Rc<Dialer>,
) -> Result<(), String> {
    let pool = EndpointPool::apart(endpoint.clone(), connector.clone(), dialer.clone());
    let pool = Pooled(Rc::new(pool));
    let asking = async {
        match &check.probe {
            Probe::Connect => pool.0.open(false).await.map(|_| None),
            Probe::Http { path, .. } => ask(&pool, path).await.map(Some),
        }
    };
    let asked = tokio::time::timeout(check.timeout, Box::pin(asking)).await;
    let judged = match (asked, &check.probe) {
        (Err(_), _) => Err("no answer in time".to_owned()),
        (Ok(Err(error)), _) => Err(error.to_string()),
        (Ok(Ok(Some((status, body)))), Probe::Http { expect, .. }) => {
            let _ = tokio::time::timeout(ANSWER_TIME, read(body)).await;
            let expected = expect.iter().any(|range| range.contains(status.as_u16()));
            expected.then_some(()).ok_or_else(|| format!("status {}", status.as_u16()))
        }
        (Ok(Ok(_)), _) => Ok(()),
    };
    pool.0.close();
    judged
}

/// Sends a GET; the status and the body of what comes back.
async fn ask(pool: &Pooled, path: &str) -> Result<(StatusCode, Body), Error> {
    let mut draft = draft(path)?;
    let answered = match pool.0.open(false).await? {
        Ready::H1(connection) => {
            draft.prepare(pool, Version::HTTP_11).map_err(|failed| failed.error)?;
            connection.exchange(&mut draft, None).await.map(|answer| match answer {
                Answer::Response(response) => response.map(Body::h1),
                Answer::Bodiless(head, _) | Answer::Switched(head, _) => bodiless(head),
            })
        }
        Ready::H2(connection) => {
            draft.prepare(pool, Version::HTTP_2).map_err(|failed| failed.error)?;
            connection.exchange(&mut draft, None, drop).await.map(|answer| match answer {
                H2Answer::Response(response) => response.map(Body::h2),
                H2Answer::Switched(head, _) => bodiless(head),
            })
        }
        Ready::H3(connection) => {
            draft.prepare(pool, Version::HTTP_3).map_err(|failed| failed.error)?;
            connection.exchange(&mut draft, None, drop).await.map(|answer| match answer {
                H3Answer::Response(response) => response.map(Body::h3),
                H3Answer::Switched(head, _) => bodiless(head),
            })
        }
    };
    let (head, body) = answered.map_err(|failed| failed.error)?.into_parts();
    Ok((head.status, body))
}

fn draft(path: &str) -> Result<Draft, Error> {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    // The configuration lets in what is a target.
    *request.uri_mut() = Uri::try_from(path).map_err(|_| Error::Bug)?;
    request.headers_mut().insert(header::USER_AGENT, USER_AGENT);
    let (head, ()) = request.into_parts();
    let shape =
        Shape { framing: Framing::None, upgrade: None, again: false, trailers: false, host: None };
    Ok(Draft { head, upload: Upload::empty(), client: None, shape })
}

fn bodiless(head: http::response::Parts) -> http::Response<Body> {
    http::Response::from_parts(head, Body::empty())
}

/// Takes what comes, within bounds.
async fn read(mut body: Body) {
    let mut left = ANSWER_MOST;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
    }
}
