//! What a route can do beside forwarding, each a policy of its own.
//!
//! On the way in policies are steps of [`crate::route`]'s gate, on the way out they are applied in
//! [`see_off`]. A route without any has no [`Policies`], and pays one test for that.

mod auth;
pub(crate) mod cidr;

pub(crate) use auth::Identity;

use http::Response;
use weir_config::model;

use crate::http::{body::Body, exchange::Exchange};

/// The policies of a route.
#[derive(Debug)]
pub struct Policies {}

impl Policies {
    /// Those of a route, where it has any.
    pub(crate) const fn compile(_route: &model::Route) -> Option<Box<Self>> {
        None
    }

    /// Whether one of them may look at a field that the gateway vouches for.
    #[allow(clippy::unused_self, reason = "to be answered by the policies there will be")]
    pub(crate) const fn reads_vouched(&self) -> bool {
        false
    }
}

/// What policies know of one request.
#[derive(Debug, Default)]
pub(crate) struct Seen {}

/// What policies make of a response, whoever made it, the innermost first.
pub(crate) async fn see_off(_exchange: &mut Exchange, response: Response<Body>) -> Response<Body> {
    response
}
