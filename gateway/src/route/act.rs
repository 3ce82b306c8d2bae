//! What a route does with a request that its limits let pass: a redirect, a fixed response, the
//! answer from memory, or the request as it goes upstream.

use http::{Method, Response, StatusCode, Uri, header, request};

use super::{
    Matched, Origin, join,
    outbound::{choose, draft, renew},
    recall::{self, Recalled},
    stack::{Plan, vouch},
};
use crate::{
    cache::Asked,
    error::{Error, Reason},
    files::Wanted,
    http::{body::Body, exchange::Exchange, guard::Checked, headers::name, host::without_port},
    idempotency::{self, Target},
    limit,
    script::Scripted,
    snapshot::{Action, Forward, Route},
};

/// A request whose route is known.
pub(super) struct Routed {
    pub(super) head: request::Parts,
    pub(super) body: Body,
    /// Its path, as routes see it, where that is not as it was sent.
    pub(super) path: Option<String>,
    pub(super) matched: Matched,
    pub(super) checked: Checked,
    /// It has no body.
    pub(super) ended: bool,
    /// Its client reads trailers.
    pub(super) trailers: bool,
    /// The gateway has vouched for it.
    pub(super) vouched: bool,
}

impl Routed {
    /// Its path, as routes see it.
    pub(super) fn path(&self) -> &str {
        path(self.path.as_deref(), &self.head.uri)
    }
}

fn path<'a>(normal: Option<&'a str>, uri: &'a Uri) -> &'a str {
    match (normal, uri.path()) {
        (Some(path), _) => path,
        (None, "*" | "") => "/",
        (None, path) => path,
    }
}

/// Does what the route says, up to the upstream.
///
/// Inlined: it has a second caller, for what must first wait, and as a function of its own it would
/// have every request copied to it.
#[inline(always)]
pub(super) fn act(exchange: &mut Exchange, route: &Route, routed: Routed) -> Result<Plan, Error> {
    let Routed { mut head, body, path: normal, matched, checked, ended, trailers, mut vouched } =
        routed;
    let path = path(normal.as_deref(), &head.uri);
    let authority = checked.authority();
    let query = head.uri.query();
    match &route.action {
        Action::Forward(to) => {
            let chosen = choose(exchange, route, to, (&head.method, &head.headers), (path, query))?;
            exchange.upstream = Some(chosen);
            let keyed = match &route.idempotency {
                None => None,
                Some(rule) => {
                    let target = Target { authority, path, query };
                    idempotency::look(exchange, rule, &head, &checked, target)?
                }
            };
            let kept = route.kept(query);
            let wanted = Asked {
                authority,
                path,
                query: kept.as_deref(),
                bare: ended,
                tunnel: checked.bridged || checked.upgrade.is_some(),
                once: keyed.is_some(),
            };
            let fields = (&head.method, head.version, &mut head.headers);
            let stale = match recall::look(exchange, route, fields, wanted, &checked, &mut vouched)?
            {
                Recalled::Answer(response) => return Ok(Plan::Answer(response)),
                Recalled::Stale(response) => Some(response),
                Recalled::Nothing => None,
            };
            vouch(exchange, &mut head.headers, head.version, &checked, &mut vouched);
            let sent = if is_recalled(&head.method) { kept.as_deref() } else { query };
            if let Some(target) = aim(exchange, to, &head, (path, sent), &matched)? {
                head.uri = target.into();
            }
            if let Some(response) = stale {
                renew(exchange, route, to, head, &checked)?;
                return Ok(Plan::Answer(response));
            }
            let draft = draft(exchange, route, to, (head, body), &checked, trailers)?;
            Ok(match keyed {
                None => Plan::Forward(draft),
                Some(keyed) => Plan::Keyed(keyed, draft),
            })
        }
        Action::Redirect(location, status) => {
            let (scheme, host) = (exchange.connection.scheme(), without_port(authority));
            let origin = Origin { scheme, host, path, query };
            let location = location.render(&origin, &matched.spans).map_err(bad_target)?;
            Ok(fixed(exchange, route, *status, Body::empty(), |headers| {
                headers.insert(header::LOCATION, location);
            }))
        }
        // No tunnel is here, and a client that asked for one takes a 2xx for it.
        Action::Respond(respond) if checked.bridged && respond.status.is_success() => {
            Err(Error::MethodNotAllowed)
        }
        Action::Respond(respond) => {
            let body = Body::full(respond.body.clone());
            Ok(fixed(exchange, route, respond.status, body, |headers| {
                headers.extend(respond.headers.clone());
            }))
        }
        Action::Files(files) => {
            let path = files.path(path, &matched.spans).map_err(bad_target)?.into_owned();
            Ok(Plan::Files(Box::new(Wanted { path, head })))
        }
    }
}

fn scripted(exchange: &Exchange) -> Option<&Scripted> {
    exchange.policy.as_ref()?.script.as_deref()
}

/// The target of a request on its way upstream, where it is another than the client's.
fn aim(
    exchange: &Exchange,
    to: &Forward,
    head: &request::Parts,
    (path, query): (&str, Option<&str>),
    matched: &Matched,
) -> Result<Option<http::uri::PathAndQuery>, Error> {
    if !scripted(exchange).is_some_and(Scripted::sets_path) {
        return rewrite(to, head, query, path, matched);
    }
    // What a script has set is what it means.
    match query == head.uri.query() {
        true => Ok(None),
        false => join(path, query).map(Some).map_err(bad_target),
    }
}

/// Whether memory may answer: then what is left out of the key is not asked for, either.
pub(crate) fn is_recalled(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD) || method.as_str() == "QUERY"
}

/// The target sent upstream, with this `query`, where it is another than the client's.
pub(crate) fn rewrite(
    to: &Forward,
    head: &request::Parts,
    query: Option<&str>,
    path: &str,
    matched: &Matched,
) -> Result<Option<http::uri::PathAndQuery>, Error> {
    if !head.uri.path().starts_with('/') {
        return Ok(None);
    }
    let rewritten = to.rewrite.apply(path, query, &matched.spans).map_err(bad_target)?;
    let is_same = path == head.uri.path() && query == head.uri.query();
    if rewritten.is_none() && !is_same {
        return join(path, query).map(Some).map_err(bad_target);
    }
    Ok(rewritten)
}

pub(super) fn bad_target<E>(_: E) -> Error {
    Error::BadRequest(Reason::Target)
}

/// A response that the route itself holds.
fn fixed(
    exchange: &Exchange,
    route: &Route,
    status: StatusCode,
    body: Body,
    fill: impl FnOnce(&mut http::HeaderMap),
) -> Plan {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    fill(headers);
    dress(exchange, route, headers);
    Plan::Answer(response)
}

/// Says of a response that the route made what is said of all of them.
pub(super) fn dress(exchange: &Exchange, route: &Route, headers: &mut http::HeaderMap) {
    if let Some(id) = &exchange.request_id {
        headers.insert(&name::X_REQUEST_ID, id.clone());
    }
    limit::tell(exchange, headers);
    route.response_edits.apply(headers);
}
