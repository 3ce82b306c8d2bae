//! What a route can do beside forwarding, each a policy of its own.
//!
//! On the way in policies are steps of [`crate::route`]'s gate, on the way out they are applied in
//! [`see_off`]. A route without any has no [`Policies`], and pays one test for that.

use http::{Response, request};
use weir_config::model;

use crate::http::{body::Body, exchange::Exchange};

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
    /// What it does for browsers, and with codings of bodies.
    pub(crate) web: Option<Web>,
}

impl Policies {
    /// Those of a route, where it has any.
    pub(crate) fn compile(route: &model::Route) -> Option<Box<Self>> {
        let web = Web::compile(&route.web);
        web.is_some().then(|| Box::new(Self { web }))
    }

    /// Whether one of them may look at a field that the gateway vouches for.
    #[allow(clippy::unused_self, reason = "to be answered by the policies there will be")]
    pub(crate) const fn reads_vouched(&self) -> bool {
        false
    }

    /// What their responses will depend on, before anything else happens to a request.
    pub(crate) fn note(&self, head: &request::Parts) -> Box<Seen> {
        Box::new(Seen { web: self.web.as_ref().map(|web| web.note(head)).unwrap_or_default() })
    }
}

/// What policies know of one request.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) web: web::Seen,
}

/// What policies make of a response, whoever made it, the innermost first.
pub(crate) async fn see_off(
    exchange: &mut Exchange,
    mut response: Response<Body>,
) -> Response<Body> {
    let world = exchange.world.clone();
    let route = exchange.route.map(|route| &world.snapshot.routes[route]);
    let policies = route.and_then(|route| route.policies.as_deref());
    if let (Some(policies), Some(mut seen)) = (policies, exchange.policy.take()) {
        if let Some(web) = &policies.web {
            response = web.see_off(exchange, &mut seen.web, response);
        }
        exchange.policy = Some(seen);
    }
    response
}
