//! What a route does for browsers, and with codings of bodies: one field each, `None` where the
//! route has none of it.

use std::{cell::Cell, rc::Rc};

use http::{HeaderMap, Response, StatusCode, request};
use weir_config::model::{self, Encoding};

use super::{
    compress,
    cors::{self, Cors},
    decompress::{self, decoder::Coding},
    grpc_web::Call,
    security_headers::SecurityHeaders,
};
use crate::{
    error::Error,
    http::{body::Body, exchange::Exchange, headers::name},
};

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Web {
    pub(crate) cors: Option<Cors>,
    security: Option<SecurityHeaders>,
    compress: Option<compress::Rule>,
    decompress: Option<decompress::Rule>,
    grpc_web: bool,
}

/// What is known of one request.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What it says of its origin.
    pub(crate) cors: cors::Asked,
    wish: compress::Wish,
    /// The call of gRPC-Web that it is.
    pub(crate) call: Option<Call>,
    /// By what its body is decoded.
    pub(crate) decoded: Option<Coding>,
    /// By what its response is coded, and how many bytes there were before.
    pub(crate) coded: Option<(Encoding, Rc<Cell<u64>>)>,
}

/// What changed of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changed {
    /// How long its body is, which nobody knows now.
    pub(crate) length: bool,
    /// It wants trailers, whether its client reads them or not.
    pub(crate) trailers: bool,
}

impl Web {
    /// What the file says of a route, where it says anything.
    pub(crate) fn compile(config: &model::Web, sticky: Option<&model::Sticky>) -> Option<Self> {
        let own_cookie = match sticky {
            Some(model::Sticky::Cookie { name, .. }) => Some(name.as_str()),
            Some(model::Sticky::Key(_)) | None => None,
        };
        let compress = |config| compress::Rule::new(config).beside_cookie(own_cookie);
        (*config != model::Web::default()).then(|| Self {
            cors: config.cors.as_ref().map(|cors| Cors::new(cors, config.grpc_web)),
            security: config.security.as_ref().map(SecurityHeaders::new),
            compress: config.compress.as_ref().map(compress),
            decompress: config.decompress.map(decompress::Rule::new),
            grpc_web: config.grpc_web,
        })
    }

    /// What its responses will depend on, before anything else happens to a request.
    pub(crate) fn note(&self, head: &request::Parts) -> Seen {
        Seen {
            cors: self.cors.as_ref().map(|cors| cors.ask(head)).unwrap_or_default(),
            wish: self.compress.as_ref().map(|rule| rule.wish(head)).unwrap_or_default(),
            call: self.grpc_web.then(|| Call::of(head)).flatten(),
            ..Seen::default()
        }
    }

    /// The answer to a preflight; its fields are those of every response.
    pub(crate) fn preflight(&self, exchange: &Exchange, seen: &Seen) -> Option<Response<Body>> {
        if self.cors.is_none() || !seen.cors.is_preflight() {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let id = exchange.request_id.clone();
        response.headers_mut().extend(id.map(|id| (name::X_REQUEST_ID.clone(), id)));
        Some(response)
    }

    /// Gives a request the form in which its upstream takes it.
    ///
    /// # Errors
    /// [`Error::UnknownCoding`].
    pub(crate) fn enter(
        &self,
        seen: &mut Seen,
        headers: &mut HeaderMap,
        body: &mut Body,
        limit: u64,
    ) -> Result<Changed, Error> {
        let mut changed = Changed::default();
        if self.compress.is_some() {
            compress::strengthen(headers);
        }
        if let Some(rule) = &self.decompress {
            seen.decoded = rule.apply(headers, body, limit)?;
            changed.length |= seen.decoded.is_some();
        }
        if let Some(call) = &seen.call {
            changed.length |= call.enter(headers, body);
            changed.trailers = true;
        }
        Ok(changed)
    }

    /// Gives a response, whoever made it, the form in which its client takes it.
    pub(crate) fn see_off(
        &self,
        exchange: &Exchange,
        seen: &mut Seen,
        mut response: Response<Body>,
    ) -> Response<Body> {
        if let Some(cors) = &self.cors {
            cors.apply(&seen.cors, response.headers_mut());
        }
        if let Some(security) = &self.security {
            security.apply(response.headers_mut(), exchange.connection.scheme() == "https");
        }
        if let Some(rule) = &self.compress {
            let mut wish = seen.wish;
            // A meter reads costs out of the body that goes by.
            wish.accepted.coding = wish.accepted.coding.filter(|_| exchange.meter.is_none());
            (response, seen.coded) = rule.apply(&wish, response);
        }
        match &seen.call {
            Some(call) => call.leave(response, exchange.error),
            None => response,
        }
    }
}
