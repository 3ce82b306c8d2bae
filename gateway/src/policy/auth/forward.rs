//! Another service decides: it is asked with a request of the gateway's own.

use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, header};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use weir_config::model::{ForwardAuth, Rewrite, RoutePriority, RouteTimeout};

use super::{identity::Identity, verdict::Verdict};
use crate::{
    clock,
    error::Error,
    http::{
        body::Body,
        drain::drain,
        exchange::Exchange,
        guard::Framing,
        headers::{Edits, name},
        upload::Upload,
    },
    policy::Asked,
    route::PathRewrite,
    snapshot::{self, Action, Route},
    upstream::{
        draft::{Draft, Shape},
        fetch::whole,
        forward::{Forwarded, forward},
    },
};

/// What the service is told of the request that it decides on.
static METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
static URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Forward {
    config: ForwardAuth,
    target: Uri,
    /// What asking is bounded by.
    route: Route,
}

impl Forward {
    /// # Errors
    /// When its path is none.
    pub(crate) fn new(name: &str, config: &ForwardAuth) -> Result<Self, String> {
        let target = config.path.parse().map_err(|_| "the path is no target")?;
        let rewrite = PathRewrite::compile(&Rewrite::Keep, &[]).map_err(|e| e.to_string())?;
        let timeout = RouteTimeout {
            headers: config.timeout,
            total: Some(config.timeout),
            idle: config.timeout,
        };
        let route = Route {
            name: name.into(),
            action: Action::Forward(snapshot::Forward {
                split: vec![(config.to, 1)],
                rewrite,
                host: None,
            }),
            request_edits: Edits::default(),
            response_edits: Edits::default(),
            timeout,
            max_body: u64::MAX,
            priority: RoutePriority::default(),
            bulkhead: None,
            limits: None,
            policies: None,
            retry: None,
            fallback: None,
            cache: None,
            idempotency: None,
        };
        Ok(Self { config: config.clone(), target, route })
    }

    /// Fields that only the service's answer may fill.
    pub(crate) fn reserved(&self) -> impl Iterator<Item = &HeaderName> {
        self.config.response_headers.iter().chain([&self.config.identity])
    }

    /// Asks whether a request may pass.
    pub(crate) async fn ask(&self, exchange: &Exchange, asked: &Asked<'_>) -> Verdict {
        let until: Instant = (clock::now() + self.config.timeout).instant();
        let world = exchange.world.clone();
        let Some(pool) = world.upstreams.get(self.config.to) else {
            return Verdict::Down("its upstream is not there");
        };
        let mut own = exchange.beside();
        own.upstream = Some(self.config.to);
        own.began = clock::now();
        let mut draft = self.draft(exchange, asked);
        let now = own.began;
        let answered = Box::pin(forward(&mut own, pool, &self.route, &mut draft, now));
        let answered = timeout_at(until, answered).await.unwrap_or(Err(Error::HeadersTimeout));
        let response = match answered {
            Ok(Forwarded::Response(response)) => response,
            Ok(Forwarded::Switched(..)) => return self.fail("it switched protocols"),
            Err(error) => {
                tracing::debug!(route = &*self.route.name, %error, "auth: forward: no answer");
                return self.fail("no answer from the service that decides");
            }
        };
        let status = response.status();
        if status.is_success() {
            let identity = self.identity(&response);
            drain(response.into_body());
            return Verdict::Good(identity.into());
        }
        if status.is_server_error() && self.config.allow_on_failure {
            drain(response.into_body());
            return self.fail("the service that decides fails");
        }
        let (mut head, body) = response.into_parts();
        // Its length is what is passed on of it.
        head.headers.remove(header::CONTENT_LENGTH);
        let body = timeout_at(until, whole(body, self.config.max_body as usize)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        if body.is_empty() {
            head.headers.remove(header::CONTENT_TYPE);
            head.headers.remove(header::CONTENT_ENCODING);
        }
        Verdict::Answer(Box::new(Response::from_parts(head, Body::full(body))))
    }

    fn fail(&self, why: &'static str) -> Verdict {
        if self.config.allow_on_failure { Verdict::Skipped } else { Verdict::Down(why) }
    }

    /// What is sent: the fields that are named, and where the request comes from and goes to.
    fn draft(&self, exchange: &Exchange, asked: &Asked<'_>) -> Draft {
        let mut request = Request::new(());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.target.clone();
        let headers = request.headers_mut();
        for name in &self.config.request_headers {
            for value in asked.headers.get_all(name) {
                headers.append(name, value.clone());
            }
        }
        let mut tell = |name: &HeaderName, value: Result<HeaderValue, _>| {
            if let Ok(value) = value {
                headers.insert(name, value);
            }
        };
        tell(&METHOD, HeaderValue::from_str(asked.method.as_str()));
        // As routes and the upstream see it: another form of the path is another path to somebody.
        let query = asked.query.map(|query| format!("?{query}")).unwrap_or_default();
        tell(&URI, HeaderValue::from_str(&format!("{}{query}", asked.path)));
        // What proxies of ours say is there already, if anything is.
        let told = |name: &HeaderName| asked.headers.get(name).cloned().map(Ok);
        let host = || HeaderValue::from_str(asked.authority);
        tell(&name::X_FORWARDED_HOST, told(&name::X_FORWARDED_HOST).unwrap_or_else(host));
        let scheme = || HeaderValue::from_str(exchange.connection.scheme());
        tell(&name::X_FORWARDED_PROTO, told(&name::X_FORWARDED_PROTO).unwrap_or_else(scheme));
        if let Some(client) = exchange.client {
            tell(&name::X_FORWARDED_FOR, HeaderValue::from_str(&client.to_string()));
        }
        if let Some(id) = &exchange.request_id {
            headers.insert(&name::X_REQUEST_ID, id.clone());
        }
        let (head, ()) = request.into_parts();
        Draft::new(head, Upload::empty(), Shape::new(Framing::None))
    }

    /// Who the client is, by the answer; what is copied out of it are its claims as well.
    fn identity(&self, response: &Response<Body>) -> Identity {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let first = response.headers().get(&self.config.identity).and_then(text);
        let (mut told, mut claims) = (Vec::new(), Map::new());
        for name in self.reserved() {
            let values = response.headers().get_all(name).iter();
            told.extend(values.map(|value| (name.clone(), value.clone())));
            let value = response.headers().get(name).and_then(text);
            claims.extend(value.map(|value| (name.to_string(), Value::from(value))));
        }
        let named = first.filter(|name| !name.is_empty()).map(String::into_boxed_str);
        told.dedup();
        Identity { name: named, claims, told }
    }
}
