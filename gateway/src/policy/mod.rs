//! What a route can do beside forwarding, each a policy of its own.
//!
//! On the way in policies are steps of [`crate::route`]'s gate, on the way out they are applied in
//! [`see_off`]. A route without any has no [`Policies`], and pays one test for that.

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Response, header, request};
use tokio::sync::Semaphore;
use weir_config::model;

use crate::{
    clock,
    error::Error,
    files,
    http::{body::Body, exchange::Exchange, headers::name},
    limit::key::Subject,
};

mod chance;
mod fault;
mod maintenance;
mod mirror;
mod places;
mod sticky;

pub use fault::Fault;
pub(crate) use fault::{Faulted, Struck};
pub use maintenance::Maintenance;
pub use mirror::Mirror;
pub(crate) use mirror::Mirrored;
use places::Places;
pub use sticky::Sticky;

pub mod compress;
pub(crate) mod cors;
pub mod decompress;
mod grpc_web;
#[cfg(test)]
mod script;
mod security_headers;
mod vary;
pub(crate) mod web;

use web::Web;

/// The policies of a route.
#[derive(Debug)]
pub struct Policies {
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
}

impl Policies {
    /// Those of a route, where it has any.
    pub(crate) fn compile(
        route: &model::Route,
        upstreams: &[model::Upstream],
    ) -> Option<Box<Self>> {
        let traffic = &route.traffic;
        let named = |(index, weight): &(usize, u32)| {
            upstreams.get(*index).map(|upstream| (*index, upstream.name.as_str(), *weight))
        };
        let split = match &route.action {
            model::Action::Forward(forward) => forward.split.as_slice(),
            _ => &[],
        };
        let split = || split.iter().filter_map(named);
        let this = Self {
            maintenance: traffic.maintenance.as_ref().map(Maintenance::new),
            sticky: traffic.sticky.as_ref().and_then(|sticky| Sticky::new(sticky, split())),
            fault: Fault::new(&traffic.fault),
            mirror: traffic.mirror.as_ref().map(Mirror::new),
            web: Web::compile(&route.web),
        };
        let any = this.maintenance.is_some()
            || this.sticky.is_some()
            || this.fault.is_some()
            || this.mirror.is_some()
            || this.web.is_some();
        any.then(|| Box::new(this))
    }

    /// Whether one of them may look at a field that the gateway vouches for.
    pub(crate) fn reads_vouched(&self) -> bool {
        self.sticky.as_ref().is_some_and(Sticky::reads_vouched)
    }

    /// What their responses will depend on, before anything else happens to a request.
    pub(crate) fn note(&self, head: &request::Parts) -> Box<Seen> {
        let web = self.web.as_ref().map(|web| web.note(head)).unwrap_or_default();
        Box::new(Seen { web, ..Seen::default() })
    }
}

/// What policies know of one request.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) web: web::Seen,
    /// The cookie that keeps its client with its upstream, where it has none.
    cookie: Option<HeaderValue>,
    /// What goes wrong with it on purpose.
    struck: Struck,
    /// It was held back on purpose.
    held: bool,
}

/// What a worker has room for beside its requests.
#[derive(Debug)]
pub(crate) struct Aside {
    /// Copies under way.
    copies: Places,
    /// Requests held back on purpose.
    delays: Places,
    /// Turns to read files.
    pub(crate) reads: Rc<Semaphore>,
}

impl Default for Aside {
    fn default() -> Self {
        let reads = Rc::new(Semaphore::new(files::READS));
        Self { copies: Places::new(COPIES), delays: Places::new(DELAYS), reads }
    }
}

/// Most copies of requests under way on one worker: each may hold a body.
const COPIES: u32 = 128;
/// Most requests that one worker holds back on purpose.
const DELAYS: u32 = 1024;

/// The upstream that a request stays with, where its route is sticky and something decides.
pub(crate) fn stay(
    exchange: &mut Exchange,
    policies: &Policies,
    headers: &HeaderMap,
    (path, query): (&str, Option<&str>),
) -> Option<usize> {
    let sticky = policies.sticky.as_ref()?;
    let subject = Subject { client: exchange.client, headers, path, query, route: "" };
    let connection = &exchange.connection;
    let told = connection.peer().trusts()
        && headers.get(&name::X_FORWARDED_PROTO).is_some_and(|scheme| scheme == "https");
    let secure = told || connection.scheme() == "https";
    let choice = sticky.choose(&subject, secure, &mut exchange.connection.worker.rng.borrow_mut());
    if let Some(seen) = &mut exchange.policy {
        seen.cookie = choice.cookie;
    }
    choice.upstream
}

/// Draws what goes wrong on purpose with a request that is about to be forwarded.
pub(crate) fn strike(exchange: &mut Exchange, policies: &Policies, headers: &HeaderMap) {
    if let (Some(fault), Some(seen)) = (&policies.fault, &mut exchange.policy) {
        seen.struck = fault.strike(headers, &mut exchange.connection.worker.rng.borrow_mut());
    }
}

/// Whether something goes wrong on purpose.
pub(crate) fn is_struck(exchange: &Exchange) -> bool {
    exchange.policy.as_ref().is_some_and(|seen| seen.struck != Struck::default())
}

/// Has go wrong what was drawn.
pub(crate) async fn suffer(exchange: &mut Exchange) -> Result<(), Error> {
    let Some(seen) = &mut exchange.policy else { return Ok(()) };
    let Struck { delay, abort } = seen.struck;
    if let Some(delay) = delay {
        let place = exchange.connection.worker.aside.delays.take();
        let held = place.is_some();
        seen.held = held;
        count(exchange, if held { Faulted::Delay } else { Faulted::DelaySkipped });
        if held {
            let turn = clock::now() + delay;
            let route = exchange.route.map(|index| &exchange.world.snapshot.routes[index]);
            let total = route.and_then(|route| route.timeout.total);
            let end = total
                .map_or(exchange.deadline, |total| exchange.deadline.min(exchange.began + total));
            tokio::time::sleep_until(turn.min(end).instant()).await;
            if end <= turn {
                return Err(Error::DeadlinePassed);
            }
        }
    }
    match abort {
        None => Ok(()),
        Some(status) => {
            count(exchange, Faulted::Abort);
            Err(Error::FaultInjected(status))
        }
    }
}

fn count(exchange: &Exchange, faulted: Faulted) {
    exchange.world.counters(exchange.route, exchange.upstream).record_fault(faulted);
}

/// Whether a request was held back on purpose.
pub(crate) fn is_held(exchange: &Exchange) -> bool {
    exchange.policy.as_ref().is_some_and(|seen| seen.held)
}

/// What policies make of a response, whoever made it, the innermost first.
pub(crate) async fn see_off(
    exchange: &mut Exchange,
    mut response: Response<Body>,
) -> Response<Body> {
    let world = exchange.world.clone();
    let route = exchange.route.map(|route| &world.snapshot.routes[route]);
    let policies = route.and_then(|route| route.policies.as_deref());
    let Some(mut seen) = exchange.policy.take() else { return response };
    if let Some(web) = policies.and_then(|policies| policies.web.as_ref()) {
        response = web.see_off(exchange, &mut seen.web, response);
    }
    // Behind that: a cookie of ours makes no secret of what the upstream said.
    if let Some(cookie) = seen.cookie.take() {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    exchange.policy = Some(seen);
    response
}
