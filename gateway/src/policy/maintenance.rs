//! A route that is closed, but for some.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use weir_config::model::{self, Prefix};

use crate::{
    error::Error,
    http::{body::Body, headers::name, reply},
};

/// What a closed route answers, and whom it lets through.
#[derive(Debug)]
pub struct Maintenance {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    allow: Box<[Prefix]>,
}

impl Maintenance {
    pub(crate) fn new(config: &model::Maintenance) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, config.content_type.clone());
        headers.insert(&name::PROXY_STATUS, reply::proxy_status(Error::Maintenance));
        if let Some(time) = config.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
        }
        let body = match config.body.as_str() {
            "" => format!("{} {} (MT)\n", config.status.as_u16(), Error::Maintenance).into(),
            text => text.to_owned().into(),
        };
        Self { status: config.status, headers, body, allow: config.allow.clone().into() }
    }

    /// Whether a client goes through all the same.
    pub(crate) fn lets_through(&self, client: Option<IpAddr>) -> bool {
        client.is_some_and(|client| self.allow.iter().any(|prefix| prefix.holds(client)))
    }

    /// What all others get.
    pub(crate) fn answer(&self, grpc: bool) -> Response<Body> {
        if grpc {
            return reply::of_grpc_error(Error::Maintenance);
        }
        let mut response = Response::new(Body::full(self.body.clone()));
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        response
    }
}
