//! The look into the cache, before anything else is done for a request that is to be forwarded.

use http::{HeaderMap, Method, Response, StatusCode, Version};

use super::{
    carry::{own, own_stored},
    stack::vouch,
};
use crate::{
    cache::{self, Asked, Looked},
    error::Error,
    http::{body::Body, exchange::Exchange, guard::Checked},
    snapshot::Route,
};

/// What the cache has for a request.
pub(super) enum Recalled {
    Answer(Response<Body>),
    /// An answer that is to be made anew.
    Stale(Response<Body>),
    Nothing,
}

/// Looks into the cache; what it must ask for is then noted on the exchange. The gateway vouches
/// for the request where what is there may hang on that.
pub(super) fn look(
    exchange: &mut Exchange,
    route: &Route,
    (method, version, headers): (&Method, Version, &mut HeaderMap),
    wanted: Asked<'_>,
    checked: &Checked,
    vouched: &mut bool,
) -> Result<Recalled, Error> {
    let (Some(rule), Some(upstream)) = (&route.cache, exchange.upstream) else {
        return Ok(Recalled::Nothing);
    };
    let mut looked = cache::look(exchange, rule, upstream, (method, headers), wanted, *vouched);
    if matches!(looked, Looked::Unvouched) {
        vouch(exchange, headers, version, checked, vouched);
        looked = cache::look(exchange, rule, upstream, (method, headers), wanted, true);
    }
    let ours = |exchange: &Exchange, response: Response<Body>| {
        let (mut parts, body) = response.into_parts();
        // What has no body but the length of one, as some origins have it, is for `own` to settle.
        match parts.status {
            StatusCode::NO_CONTENT => own(exchange, route, method, None, &mut parts)?,
            _ => own_stored(exchange, route, &mut parts)?,
        }
        Ok(Response::from_parts(parts, body))
    };
    match looked {
        Looked::Answer(response) => ours(exchange, response).map(Recalled::Answer),
        Looked::Stale(response, asking) => {
            exchange.asking = Some(asking);
            ours(exchange, response).map(Recalled::Stale)
        }
        Looked::Unvouched => Err(Error::Bug),
        Looked::Ask(asking) => {
            exchange.asking = Some(asking);
            Ok(Recalled::Nothing)
        }
    }
}
