//! A route that is closed, but for some.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use weir_config::model;

use super::cidr::NetworkSet;
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
    allow: NetworkSet,
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
        let allow = config.allow.iter().copied().collect();
        Self { status: config.status, headers, body, allow }
    }

    /// Whether a client goes through all the same.
    pub(crate) fn lets_through(&self, client: Option<IpAddr>) -> bool {
        client.is_some_and(|client| self.allow.contains(client))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn calls_get_what_they_read() {
        let closed = Maintenance::new(&model::Maintenance {
            status: StatusCode::BAD_GATEWAY,
            body: String::new(),
            content_type: HeaderValue::from_static("text/plain"),
            retry_after: Some(Duration::from_millis(1)),
            allow: Vec::new(),
        });
        let call = closed.answer(true);
        assert_eq!(
            (call.status(), &call.headers()["grpc-status"]),
            (StatusCode::OK, &"14".parse().unwrap())
        );
        let answer = closed.answer(false);
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        assert!(!closed.lets_through(None), "a client without an address is nobody");
    }
}
