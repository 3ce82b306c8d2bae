//! From a request to its answer: the paths, who may ask for them, and the two that do something.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY, WWW_AUTHENTICATE,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    time::{error::Elapsed, timeout},
};
use weir_config::Change;

use super::{
    Shared, dashboard,
    guard::{self, Peer, Refusal},
    purge, records, views,
};
use crate::{app::Control, clock, idempotency::key::RecordKey, telemetry::registry};

/// Bytes of a request's body, none of which mean anything so far.
const BODY_BYTES: usize = 64 * 1024;
/// For a request's body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// For a reload: certificates are read and addresses bound meanwhile.
const RELOAD_TIME: Duration = Duration::from_secs(60);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// RFC 9512.
const YAML: &str = "application/yaml";

pub(super) type Answer = Response<Full<Bytes>>;

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    /// Shows something, to GET and HEAD.
    View(View),
    /// Does something, upon POST.
    Deed(Deed),
    /// What is known of an idempotency key; DELETE forgets it.
    Record(RecordKey),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Dashboard,
    Ready,
    Live,
    Metrics,
    Status,
    Config,
    Upstreams,
    Members,
    Routes,
    Limits,
    Cache,
    Idempotency,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Reload,
    Drain,
    Purge,
}

/// Every path, in the order in which a 404 lists them.
pub(super) const PAGES: [(&str, Page); 15] = [
    ("/", Page::View(View::Dashboard)),
    ("/ready", Page::View(View::Ready)),
    ("/live", Page::View(View::Live)),
    ("/metrics", Page::View(View::Metrics)),
    ("/status", Page::View(View::Status)),
    ("/config", Page::View(View::Config)),
    ("/upstreams", Page::View(View::Upstreams)),
    ("/members", Page::View(View::Members)),
    ("/routes", Page::View(View::Routes)),
    ("/limits", Page::View(View::Limits)),
    ("/cache", Page::View(View::Cache)),
    ("/cache/purge", Page::Deed(Deed::Purge)),
    ("/idempotency", Page::View(View::Idempotency)),
    ("/reload", Page::Deed(Deed::Reload)),
    ("/drain", Page::Deed(Deed::Drain)),
];

impl Page {
    /// Whether everybody may have it: a balancer's health check knows no token, and the dashboard
    /// must load before it can ask for one; it holds no data.
    const fn is_open(self) -> bool {
        matches!(self, Self::View(View::Dashboard | View::Ready | View::Live))
    }
}

/// What is at a path.
fn page(path: &str) -> Option<Page> {
    let fixed = PAGES.iter().find(|(one, _)| *one == path).map(|(_, page)| *page);
    let record = || path.strip_prefix("/idempotency/").and_then(RecordKey::from_hex);
    fixed.or_else(|| record().map(Page::Record))
}

/// Answers a request.
pub(super) async fn answer<B>(shared: &Shared, peer: Peer, request: Request<B>) -> Answer
where
    B: http_body::Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let page = page(head.uri.path());
    let mut answer = match admit(shared, peer, page, &head.method, &head.headers) {
        Err(refusal) => refused(refusal),
        Ok(()) => match page {
            None => unknown(),
            Some(Page::View(view)) if looks(&head.method) => show(shared, view),
            Some(Page::View(_)) => wrong_method("GET, HEAD"),
            Some(Page::Deed(deed)) if head.method == Method::POST => match discard(body).await {
                Ok(()) => act(shared, deed, &head.uri).await,
                Err(answer) => answer,
            },
            Some(Page::Deed(_)) => wrong_method("POST"),
            Some(Page::Record(key)) if looks(&head.method) => records::show(shared, &key).await,
            Some(Page::Record(key)) if head.method == Method::DELETE => {
                records::forget(shared, &key).await
            }
            Some(Page::Record(_)) => wrong_method("GET, HEAD, DELETE"),
        },
    };
    protect(answer.headers_mut());
    answer
}

fn admit(
    shared: &Shared,
    peer: Peer,
    page: Option<Page>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    if page.is_some_and(Page::is_open) {
        return Ok(());
    }
    let token = shared.token.borrow();
    guard::check(token.as_ref().map(|token| token.0.as_str()), peer, !looks(method), headers)
}

fn looks(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn show(shared: &Shared, view: View) -> Answer {
    let live = &shared.live;
    match view {
        View::Dashboard => dashboard::page(),
        View::Ready if live.is_draining() => {
            text(StatusCode::SERVICE_UNAVAILABLE, "draining: the gateway is about to stop")
        }
        View::Ready => text(StatusCode::OK, "ready"),
        View::Live => text(StatusCode::OK, "live"),
        View::Metrics => {
            reply(StatusCode::OK, registry::CONTENT_TYPE, live.registry.render(clock::now()))
        }
        View::Config => reply(StatusCode::OK, YAML, weir_config::explain(&live.snapshot().config)),
        View::Upstreams => {
            let (now, unix_time) = (clock::now(), clock::unix_time());
            json(&views::upstreams(live, now, unix_time))
        }
        View::Members => json(&views::members(&live.roll)),
        View::Cache => json(&purge::view(shared)),
        View::Idempotency => json(&records::view(shared)),
        View::Routes => json(&views::routes(&live.snapshot(), clock::now())),
        View::Limits => json(&views::limits(&live.snapshot(), &live.registry)),
        View::Status => json(&views::status(live, &shared.status.report(), clock::unix_time())),
    }
}

async fn act(shared: &Shared, deed: Deed, target: &Uri) -> Answer {
    if deed == Deed::Purge {
        return purge::purge(shared, target);
    }
    let draining = shared.live.is_draining();
    if deed == Deed::Drain {
        // Once it drains, the control thread listens to nobody any more.
        if !draining && shared.control.send(Control::Drain).await.is_err() {
            return gone();
        }
        return text(StatusCode::ACCEPTED, "draining: requests under way are answered, then exit");
    }
    if draining {
        return gone();
    }
    match timeout(RELOAD_TIME, reload(shared)).await {
        Ok(Some(Ok(changes))) => json(&json!({ "changes": changes })),
        Ok(Some(Err(diagnostics))) => text(StatusCode::UNPROCESSABLE_ENTITY, diagnostics),
        Ok(None) => gone(),
        Err(Elapsed { .. }) => text(
            StatusCode::GATEWAY_TIMEOUT,
            "the reload is still under way: /status will say how it ended",
        ),
    }
}

/// `None` when the control thread has left for the drain.
async fn reload(shared: &Shared) -> Option<Result<Vec<Change>, String>> {
    let (answer, result) = oneshot::channel();
    shared.control.send(Control::Reload(answer)).await.ok()?;
    result.await.ok()
}

/// Reads a body to its end and keeps nothing of it.
async fn discard<B>(body: B) -> Result<(), Answer>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let body = std::pin::pin!(body);
    match timeout(BODY_TIME, Limited::new(body, BODY_BYTES).collect()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => {
            Err(text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long: none is needed"))
        }
        Err(Elapsed { .. }) => {
            Err(text(StatusCode::REQUEST_TIMEOUT, "the body did not come: none is needed"))
        }
    }
}

fn refused(refusal: Refusal) -> Answer {
    let mut answer = text(refusal.status(), refusal.to_string());
    if refusal == Refusal::Token {
        let challenge = HeaderValue::from_static("Bearer realm=\"weir admin\"");
        answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    answer
}

fn unknown() -> Answer {
    let paths = PAGES.map(|(path, _)| path).join(" ");
    let paths = format!("no such path here; there are: {paths} /idempotency/{{record}}");
    text(StatusCode::NOT_FOUND, paths)
}

fn wrong_method(allowed: &'static str) -> Answer {
    let mut answer =
        text(StatusCode::METHOD_NOT_ALLOWED, format!("this path takes other methods: {allowed}"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn gone() -> Answer {
    text(StatusCode::SERVICE_UNAVAILABLE, "draining: the gateway is about to stop, ask the next")
}

pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut text = text.into();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    reply(status, TEXT, text)
}

pub(super) fn json(value: &Value) -> Answer {
    let mut text = format!("{value:#}");
    text.push('\n');
    reply(StatusCode::OK, JSON, text)
}

pub(super) fn reply(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

/// What browsers are told about every answer: not to keep it, guess at it or show it elsewhere.
fn protect(headers: &mut HeaderMap) {
    const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (RESOURCE_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
