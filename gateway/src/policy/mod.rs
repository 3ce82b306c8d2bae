//! What a route can do beside forwarding, each a policy of its own.
//!
//! On the way in policies are steps of [`crate::route`]'s gate, on the way out they are applied in
//! [`see_off`]. A route without any has no [`Policies`], and pays one test for that.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, header, request};
use weir_config::model;

use crate::{
    error::Error,
    http::{body::Body, exchange::Exchange, problem},
    script::{self, RouteScript, Scripted},
};

pub mod auth;
mod chance;
pub mod cidr;
pub mod compress;
pub(crate) mod cors;
pub mod decompress;
mod fault;
mod grpc_web;
mod maintenance;
mod mirror;
mod places;
#[cfg(test)]
mod scripted;
mod security_headers;
mod sticky;
mod traffic;
mod vary;
pub(crate) mod web;

use auth::Refused;
pub(crate) use auth::{
    Around, Auth, AuthTally, Identity, Memory, Outcome, Passage, Wrong, certificate::Certified,
    files, jwks::Jwks,
};
use cidr::NetworkSet;
pub use fault::Fault;
pub(crate) use fault::{Faulted, Struck};
pub use maintenance::Maintenance;
pub use mirror::Mirror;
pub(crate) use mirror::Mirrored;
pub use sticky::Sticky;
pub(crate) use traffic::{Aside, is_held, is_struck, stay, strike, suffer};
use web::Web;

/// The policies of a route.
#[derive(Debug, Default)]
pub struct Policies {
    /// The only addresses that may use it.
    allow: Option<NetworkSet>,
    /// Those that may not.
    deny: Option<NetworkSet>,
    /// How clients say who they are.
    pub(crate) auth: Option<Auth>,
    /// Whether it is closed.
    pub maintenance: Option<Maintenance>,
    /// Who stays with which upstream of its split.
    pub sticky: Option<Sticky>,
    /// What goes wrong on purpose.
    pub fault: Option<Fault>,
    /// Who gets copies of its requests.
    pub mirror: Option<Mirror>,
    /// What it does for browsers, and with codings of bodies.
    pub(crate) web: Option<Web>,
    /// Hooks in Lua.
    pub(crate) script: Option<RouteScript>,
}

/// A request, as far as policies look at it.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    /// Its path, as routes see it.
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    /// The host that it is for, maybe with a port.
    pub(crate) authority: &'a str,
}

impl Policies {
    /// Those of a route, where it has any.
    ///
    /// # Errors
    /// Everything that is wrong with them, mostly with files that they name.
    pub(crate) fn compile(
        route: &model::Route,
        upstreams: &[model::Upstream],
        script: Option<RouteScript>,
        around: &mut Around<'_>,
    ) -> Result<Option<Box<Self>>, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let mut networks = |name: &str, config: &Option<model::Networks>| {
            let config = config.as_ref()?;
            let set = networks_of(config);
            set.map_err(|what| wrong.push((config.at, format!("{name}: {what}")))).ok()
        };
        let (allow, deny) = (networks("allow", &route.allow), networks("deny", &route.deny));
        let auth = match Auth::compile(route, around) {
            Ok(auth) => auth,
            Err(more) => {
                wrong.extend(more);
                None
            }
        };
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let traffic = &route.traffic;
        let this = Self {
            allow,
            deny,
            auth,
            maintenance: traffic.maintenance.as_ref().map(Maintenance::new),
            sticky: sticky(route, upstreams),
            fault: Fault::new(&traffic.fault),
            mirror: traffic.mirror.as_ref().map(Mirror::new),
            web: Web::compile(&route.web, traffic.sticky.as_ref()),
            script,
        };
        Ok(this.is_any().then(|| Box::new(this)))
    }

    const fn is_any(&self) -> bool {
        self.allow.is_some()
            || self.deny.is_some()
            || self.auth.is_some()
            || self.maintenance.is_some()
            || self.sticky.is_some()
            || self.fault.is_some()
            || self.mirror.is_some()
            || self.web.is_some()
            || self.script.is_some()
    }

    /// Whether a client at this address may use the route. One without an address, on a Unix
    /// socket, is on no list.
    pub(crate) fn admits(&self, client: Option<IpAddr>) -> bool {
        let on = |list: &NetworkSet| client.is_some_and(|client| list.contains(client));
        !self.deny.as_ref().is_some_and(on) && self.allow.as_ref().is_none_or(on)
    }

    /// In words, for `weir route`.
    pub(crate) fn describe(&self) -> Vec<(&'static str, String)> {
        let networks = |set: &NetworkSet| format!("{} ranges of addresses", set.len());
        let auth = |auth: &Auth| {
            auth.ways.iter().map(auth::Way::describe).collect::<Vec<_>>().join(" or ")
        };
        let lines = [
            ("allow", self.allow.as_ref().map(networks)),
            ("deny", self.deny.as_ref().map(networks)),
            ("auth", self.auth.as_ref().map(auth)),
        ];
        lines.into_iter().filter_map(|(name, line)| Some((name, line?))).collect()
    }

    /// What their responses will depend on, before anything else happens to a request.
    pub(crate) fn note(&self, head: &request::Parts) -> Box<Seen> {
        let web = self.web.as_ref().map(|web| web.note(head));
        Box::new(Seen { web: web.unwrap_or_default(), ..Seen::default() })
    }

    /// Whether one of them may look at a field that the gateway vouches for.
    pub(crate) fn reads_vouched(&self) -> bool {
        self.script.is_some() || self.sticky.as_ref().is_some_and(Sticky::reads_vouched)
    }
}

/// Who stays with which upstream of the route's split.
fn sticky(route: &model::Route, upstreams: &[model::Upstream]) -> Option<Sticky> {
    let split = match &route.action {
        model::Action::Forward(forward) => forward.split.as_slice(),
        _ => &[],
    };
    let named = split.iter().filter_map(|(index, weight)| {
        upstreams.get(*index).map(|upstream| (*index, upstream.name.as_str(), *weight))
    });
    Sticky::new(route.traffic.sticky.as_ref()?, named)
}

/// The networks of the configuration and of its file.
fn networks_of(config: &model::Networks) -> Result<NetworkSet, String> {
    let file = match &config.file {
        None => Vec::new(),
        Some(path) => {
            let text = auth::read(path)?;
            cidr::read_list(&text).map_err(|what| format!("{}: {what}", path.display()))?
        }
    };
    Ok(config.listed.iter().copied().chain(file).collect())
}

/// What policies know of one request.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Why it was turned away, where nobody believed it.
    pub(crate) refused: Option<Box<Refused>>,
    /// The cookie that keeps its client with its upstream, where it has none.
    cookie: Option<HeaderValue>,
    /// What goes wrong with it on purpose.
    struck: Struck,
    /// It was held back on purpose.
    held: bool,
    /// What its browser policies know.
    pub(crate) web: web::Seen,
    /// What its script knows.
    pub(crate) script: Option<Box<Scripted>>,
}

/// Why nobody believed a client, for the log.
pub(crate) fn refused(exchange: &Exchange) -> Option<String> {
    Some(exchange.policy.as_ref()?.refused.as_ref()?.describe())
}

/// Tells a client that is turned away what it may do about it.
pub(crate) fn explain(exchange: &Exchange, error: Error, headers: &mut HeaderMap) {
    let refused = exchange.policy.as_ref().and_then(|seen| seen.refused.as_ref());
    if let Some(refused) = refused {
        auth::challenge(error, refused, headers);
    }
}

/// What a request that a policy turned away is told in a document, where its client takes one.
pub(crate) fn problem(exchange: &Exchange, error: Error) -> Option<Bytes> {
    if !exchange.takes_problem {
        return None;
    }
    let refused = exchange.policy.as_ref().and_then(|seen| seen.refused.as_ref());
    let is_auths = matches!(error, Error::Unauthenticated | Error::Denied | Error::AuthUnavailable);
    problem::of(error, refused.filter(|_| is_auths).map(|refused| refused.why))
}

/// What policies make of a response, whoever made it, the innermost first.
pub(crate) async fn see_off(
    exchange: &mut Exchange,
    mut response: Response<Body>,
) -> Response<Body> {
    let world = exchange.world.clone();
    let route = exchange.route.map(|route| &world.snapshot.routes[route]);
    let policies = route.and_then(|route| route.policies.as_deref());
    let Some(policies) = policies else { return response };
    if let Some(script) = &policies.script {
        response = script::see_off(exchange, script, response).await;
    }
    let Some(mut seen) = exchange.policy.take() else { return response };
    if let Some(web) = &policies.web {
        response = web.see_off(exchange, &mut seen.web, response);
    }
    // Behind compression, which leaves answers alone that set cookies: this one is no secret.
    if let Some(cookie) = seen.cookie.take() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    exchange.policy = Some(seen);
    response
}
