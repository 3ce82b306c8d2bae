//! What routes take, and what they do.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::*;

/// One route.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Where it stands in the file.
    pub at: At,
    /// Name in logs and metrics; `route-N` (from 1, file order) when the file gives none.
    pub name: String,
    /// What it takes.
    pub matches: RouteMatch,
    /// What it does.
    pub action: Action,
    /// Edits of the headers on the way.
    pub headers: HeaderEdits,
    /// Time-outs of the upstream side.
    pub timeout: RouteTimeout,
    /// Second tries; `None` is off.
    pub retry: Option<Retry>,
    /// What happens when its upstream cannot answer.
    pub fallback: Option<Fallback>,
    /// The only addresses that may use it; `None` is any.
    pub allow: Option<Networks>,
    /// Addresses that may not, whatever `allow` says.
    pub deny: Option<Networks>,
    /// How clients say who they are: any of these. Empty is that nobody is asked.
    pub auth: Vec<AuthWay>,
    /// What is kept of its responses; `None` is nothing.
    pub cache: Option<RouteCache>,
    /// What it does with requests that have an idempotency key; `None` is nothing.
    pub idempotency: Option<RouteIdempotency>,
    /// Bounds the requests under way; more are turned away.
    pub concurrency: Option<Concurrency>,
    /// Bounds on how often it may be used: a request passes all of them, or none is charged.
    pub rate_limits: Vec<RateLimit>,
    /// How urgent its requests are.
    pub priority: RoutePriority,
    /// What else becomes of its requests.
    pub traffic: Traffic,
    /// What it does for browsers, and with codings of bodies.
    pub web: Web,
    /// Hooks in Lua; `None` is none.
    pub script: Option<RouteScript>,
}

/// Conditions of a route; all must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteMatch {
    /// Host without port, lower case.
    pub host: HostMatch,
    /// Path, percent-decoded where that is safe, never the query.
    pub path: PathMatch,
    /// Methods; empty is any but CONNECT, and GET implies HEAD.
    pub methods: Vec<Method>,
    /// Header fields that must be there.
    pub headers: Vec<(HeaderName, ValueMatch)>,
    /// Query parameters that must be there.
    pub query: Vec<(String, ValueMatch)>,
}

/// Condition on the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostMatch {
    /// Any host.
    Any,
    /// Exactly this, lower case.
    Exact(String),
    /// `*.example.com`: any name below; holds `.example.com`.
    Wildcard(String),
}

/// Condition on the path.
#[derive(Debug, Clone)]
pub enum PathMatch {
    /// Exactly this path.
    Exact(String),
    /// `/a/**`: `/a`, and everything below it; holds `/a` (`` for `/**`).
    Prefix(String),
    /// `/users/{id}/posts` or `/files/{name}/**`: segments, some named; then maybe the rest.
    Template {
        /// Segments between the slashes, in order.
        segments: Vec<Segment>,
        /// Whether `/**` ends it.
        rest: bool,
    },
    /// `~ ^/v[0-9]+/`: a regular expression over the whole path.
    Regex(regex::Regex),
}

impl PartialEq for PathMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) | (Self::Prefix(a), Self::Prefix(b)) => a == b,
            (Self::Template { segments: a, rest: c }, Self::Template { segments: b, rest: d }) => {
                a == b && c == d
            }
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

/// A segment of a path template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// These characters.
    Literal(String),
    /// `{name}`: one segment, not empty.
    Param(String),
}

/// Condition on a header or query value.
#[derive(Debug, Clone)]
pub enum ValueMatch {
    /// Equal.
    Exact(String),
    /// There, whatever it is: `"*"`.
    Present,
    /// `~ regex`.
    Regex(regex::Regex),
}

impl PartialEq for ValueMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(a), Self::Exact(b)) => a == b,
            (Self::Present, Self::Present) => true,
            (Self::Regex(a), Self::Regex(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

/// What a route does with a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Sends it to an upstream.
    Forward(Forward),
    /// Answers with a `Location`.
    Redirect(Redirect),
    /// Answers at once.
    Respond(Respond),
    /// Answer with a file.
    Files(Files),
}

/// Forwarding.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// Upstreams by index into [`Config::upstreams`], with weights; `to: x` is one of weight 1.
    pub split: Vec<(usize, u32)>,
    /// Change of the path.
    pub rewrite: Rewrite,
    /// Host sent upstream: `None` keeps the client's.
    pub host: Option<String>,
}

/// Change of the path on its way upstream; the query is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Rewrite {
    /// As it came.
    Keep,
    /// `strip_prefix: /v1`: dropped where the path starts with it at a segment's border.
    StripPrefix(String),
    /// `rewrite: /new/{id}`: built from literals and the match's parameters; `{**}` is the rest.
    Template(Vec<Piece>),
}

/// A piece of a rewrite template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These characters.
    Literal(String),
    /// `{name}` of the match, a named group of its regex, or `**` for the rest of a prefix.
    Param(String),
}

/// A redirect.
#[derive(Debug, Clone, PartialEq)]
pub struct Redirect {
    /// Target: `{scheme}`, `{host}`, `{path}`, `{query}` and match parameters are filled in.
    pub to: Vec<Piece>,
    /// 301, 302, 303, 307 or 308 (the default).
    pub status: StatusCode,
}

/// A fixed response.
#[derive(Debug, Clone, PartialEq)]
pub struct Respond {
    /// Status, 200 to 599.
    pub status: StatusCode,
    /// Body.
    pub body: String,
    /// Fields; content-type defaults to `text/plain; charset=utf-8`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Edits of request and response headers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeaderEdits {
    /// Towards the upstream.
    pub request: HeaderEdit,
    /// Towards the client.
    pub response: HeaderEdit,
}

/// Edits of one message: remove, then set, then add.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeaderEdit {
    /// Replaced or inserted.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Appended beside what is there.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Dropped.
    pub remove: Vec<HeaderName>,
}

/// Time-outs of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteTimeout {
    /// From the request to the upstream's response head.
    pub headers: Duration,
    /// Of the whole exchange; streams (WebSocket, SSE, gRPC) are exempt. `None` is off.
    pub total: Option<Duration>,
    /// Between two pieces of the response body, or of a tunnel.
    pub idle: Duration,
}
