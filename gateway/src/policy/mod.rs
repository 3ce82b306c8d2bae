//! What a route can do beside forwarding, each a policy of its own.
//!
//! On the way in policies are steps of [`crate::route`]'s gate, on the way out they are applied in
//! [`see_off`]. A route without any has no [`Policies`], and pays one test for that.

use http::Response;
use weir_config::model;

use crate::{
    http::{body::Body, exchange::Exchange},
    script::{self, RouteScript, Scripted},
};

/// The policies of a route.
#[derive(Debug)]
pub struct Policies {
    /// Hooks in Lua.
    pub(crate) script: Option<RouteScript>,
}

impl Policies {
    /// Those of a route, where it has any.
    pub(crate) fn compile(_route: &model::Route, script: Option<RouteScript>) -> Option<Box<Self>> {
        let any = script.is_some();
        any.then(|| Box::new(Self { script }))
    }

    /// Whether one of them may look at a field that the gateway vouches for.
    pub(crate) const fn reads_vouched(&self) -> bool {
        self.script.is_some()
    }
}

/// What policies know of one request.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What its script knows.
    pub(crate) script: Option<Box<Scripted>>,
}

/// What policies make of a response, whoever made it, the innermost first.
pub(crate) async fn see_off(exchange: &mut Exchange, response: Response<Body>) -> Response<Body> {
    let world = exchange.world.clone();
    let policies = exchange.route.and_then(|route| world.snapshot.routes[route].policies.as_ref());
    let Some(policies) = policies else { return response };
    match &policies.script {
        Some(script) => script::see_off(exchange, script, response).await,
        None => response,
    }
}
