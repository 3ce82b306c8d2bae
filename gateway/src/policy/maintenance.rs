//! A route that is closed, but for some.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use weir_config::model;

use super::cidr::NetworkSet;
use crate::{
    error::Error,
    http::{body::Body, headers::name, problem, reply},
};

/// What a closed route answers, and whom it lets through.
#[derive(Debug)]
pub struct Maintenance {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// What programs read, where the file has no words of its own.
    problem: Option<Bytes>,
    allow: NetworkSet,
}

impl Maintenance {
    pub(crate) fn new(config: &model::Maintenance) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, config.content_type.clone());
        // It passes, and some statuses may be stored by a cache in front without a word of ours.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(&name::PROXY_STATUS, reply::proxy_status(Error::Maintenance));
        if let Some(time) = config.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(time.as_secs().max(1)));
        }
        let body = match config.body.as_str() {
            "" => format!("{} {} (MT)\n", config.status.as_u16(), Error::Maintenance).into(),
            text => text.to_owned().into(),
        };
        let own = config.body.is_empty();
        let problem = own.then(|| problem::with_status(Error::Maintenance, config.status, None));
        Self {
            status: config.status,
            headers,
            body,
            problem,
            allow: config.allow.iter().copied().collect(),
        }
    }

    /// Whether a client goes through all the same.
    pub(crate) fn lets_through(&self, client: Option<IpAddr>) -> bool {
        client.is_some_and(|client| self.allow.contains(client))
    }

    /// What all others get: a problem document, if they take one and the file has no words of its
    /// own.
    pub(crate) fn answer(&self, takes_problem: bool) -> Response<Body> {
        let mut response = Response::new(Body::full(self.body.clone()));
        *response.status_mut() = self.status;
        response.headers_mut().clone_from(&self.headers);
        if let Some(document) = self.problem.clone().filter(|_| takes_problem) {
            problem::put(&mut response, document);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn all_others_get_what_they_read() {
        let closed = Maintenance::new(&model::Maintenance {
            status: StatusCode::BAD_GATEWAY,
            body: String::new(),
            content_type: HeaderValue::from_static("text/plain"),
            retry_after: Some(Duration::from_millis(1)),
            allow: Vec::new(),
        });
        for (takes_problem, kind) in [(true, "application/problem+json"), (false, "text/plain")] {
            let answer = closed.answer(takes_problem);
            assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
            assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
            assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
            assert_eq!(answer.headers()[header::CONTENT_TYPE], kind);
        }
        assert!(!closed.lets_through(None), "a client without an address is nobody");
    }
}
