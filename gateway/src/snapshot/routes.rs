//! Routes of a configuration made into running ones.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use http::{HeaderMap, HeaderValue, header};
use weir_config::model::{self, At};

use super::{Action, Fallback, Forward, Respond, Route, compile::Compiler};
use crate::{
    admission::bulkhead::Bulkhead,
    cache::Rule,
    files::Files,
    http::headers::Edits,
    idempotency,
    limit::{KeyedBulkhead, RouteLimits, SharedStore, Stores},
    policy::Policies,
    route::{Location, PathRewrite},
    script::RouteScript,
    upstream::retry::{budget::Budget, policy::RetryPolicy},
};

impl Compiler<'_> {
    pub(super) fn route(&mut self, route: &model::Route, params: &[Box<str>]) -> Option<Route> {
        let action = match &route.action {
            model::Action::Forward(forward) => self.forward(route.at, forward, params)?,
            model::Action::Redirect(redirect) => match Location::compile(&redirect.to, params) {
                Ok(location) => Action::Redirect(location, redirect.status),
                Err(error) => {
                    self.error(route.at, format!("redirect: {error}"));
                    return None;
                }
            },
            model::Action::Respond(fixed) => Action::Respond(respond(fixed)),
            model::Action::Files(files) => match Files::compile(files, params) {
                Ok(files) => Action::Files(files),
                Err(error) => {
                    self.error(route.at, format!("files: {error}"));
                    return None;
                }
            },
        };
        let whole = route.concurrency.as_ref().filter(|concurrency| concurrency.key.is_empty());
        Some(Route {
            name: route.name.as_str().into(),
            action,
            max_body: route.traffic.max_body.unwrap_or(self.loaded.config.limits.body),
            request_edits: Edits::new(&route.headers.request),
            response_edits: Edits::new(&route.headers.response),
            timeout: route.timeout,
            retry: route.retry.as_ref().map(|retry| self.retry(&route.name, retry)),
            fallback: route.fallback.as_ref().map(|fallback| match fallback {
                model::Fallback::Upstream(index) => Fallback::Upstream(*index),
                model::Fallback::Respond(fixed) => Fallback::Respond(respond(fixed)),
            }),
            cache: route.cache.as_ref().and_then(|cache| self.rule(route, cache)),
            idempotency: route.idempotency.as_ref().map(|config| {
                idempotency::Rule::new(config, &lasting_name(route), self.records.clone())
            }),
            priority: route.priority.clone(),
            bulkhead: whole.map(|concurrency| {
                let before = self.route_before(&route.name);
                Bulkhead::new(concurrency.max, before.and_then(|before| before.bulkhead.as_ref()))
            }),
            limits: self.limits(route)?,
            policies: self.policies(route)?,
        })
    }

    /// What else a route does; `None` where that is impossible.
    fn policies(&mut self, route: &model::Route) -> Option<Option<Box<Policies>>> {
        let script = self.script(route)?;
        let upstreams = &self.loaded.config.upstreams;
        match Policies::compile(route, upstreams, script, &mut self.around) {
            Ok(policies) => Some(policies),
            Err(wrong) => {
                wrong.into_iter().for_each(|(at, what)| self.error(at, what));
                None
            }
        }
    }

    /// What a route keeps, each upstream's answers by themselves.
    fn rule(&self, route: &model::Route, config: &model::RouteCache) -> Option<Rule> {
        let model::Action::Forward(forward) = &route.action else { return None };
        let upstreams = &self.loaded.config.upstreams;
        // A script may choose any.
        let any = route.script.is_some();
        let may = |index: &usize| any || forward.split.iter().any(|(one, _)| one == index);
        let names = (0..upstreams.len()).filter(may).map(|index| (index, &*upstreams[index].name));
        // Names may be by number: after a reload another route can have that of before.
        let mut conditions = DefaultHasher::new();
        format!("{:?}", route.matches).hash(&mut conditions);
        let route = format!("{} {:x}", route.name, conditions.finish());
        Some(Rule::new(config, self.cache.clone()?, &route, names))
    }

    /// The limits of a route; `None` where one is impossible.
    fn limits(&mut self, route: &model::Route) -> Option<Option<RouteLimits>> {
        let store = &self.limit_store;
        let per_key = route.concurrency.as_ref().filter(|bound| !bound.key.is_empty());
        let shared = SharedStore::secret(self.loaded.config.redis.as_ref());
        let stores = Stores { own: store, shared };
        let per_key = per_key.map(|bound| KeyedBulkhead::new(&route.name, bound, &stores));
        match RouteLimits::new(&route.name, &route.rate_limits, per_key, &stores) {
            Ok(limits) => Some(limits),
            Err((index, error)) => {
                let at = route.rate_limits.get(index).map_or(route.at, |limit| limit.at);
                self.error(at, format!("rate_limit: {error}"));
                None
            }
        }
    }

    /// The script of a route; `None` where it does not load.
    fn script(&mut self, route: &model::Route) -> Option<Option<RouteScript>> {
        let Some(config) = &route.script else { return Some(None) };
        let before = self.previous.map(|previous| &previous.scripts);
        match self.scripts.load(config, &route.name, before) {
            Ok(script) => Some(Some(script)),
            Err(error) => {
                self.error(config.at, format!("script: {error}"));
                None
            }
        }
    }

    /// The route of this name in the running configuration.
    fn route_before(&self, name: &str) -> Option<&Route> {
        self.previous?.routes.iter().find(|route| &*route.name == name)
    }

    /// A retry policy, with the budget that the route of this name has used so far.
    fn retry(&self, route: &str, retry: &model::Retry) -> RetryPolicy {
        let before = self.route_before(route).and_then(|before| before.retry.as_ref());
        let budget = before.map(|before| before.budget.clone());
        RetryPolicy::new(retry, budget.unwrap_or_else(|| Arc::new(Budget::new(retry.budget))))
    }

    fn forward(&mut self, at: At, forward: &model::Forward, params: &[Box<str>]) -> Option<Action> {
        let rewrite = match PathRewrite::compile(&forward.rewrite, params) {
            Ok(rewrite) => rewrite,
            Err(error) => {
                self.error(at, format!("rewrite: {error}"));
                return None;
            }
        };
        let mut sum = 0;
        let split =
            forward.split.iter().filter(|(_, weight)| *weight > 0).map(|(index, weight)| {
                sum += weight;
                (*index, sum)
            });
        let split = split.collect();
        let Ok(host) = forward.host.as_deref().map(HeaderValue::try_from).transpose() else {
            self.error(at, "the host is not a valid field value");
            return None;
        };
        Some(Action::Forward(Forward { split, rewrite, host }))
    }
}

/// What tells a route from all others, in configurations to come and of other gateways as well.
/// Names may be by number, which is another route's once the file has one more.
fn lasting_name(route: &model::Route) -> String {
    let number = route.name.strip_prefix("route-").unwrap_or_default();
    let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if numbered { format!("{:?}", route.matches) } else { route.name.clone() }
}

fn respond(respond: &model::Respond) -> Respond {
    let mut headers = HeaderMap::new();
    if !respond.body.is_empty() {
        let text = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, text);
    }
    for (name, value) in &respond.headers {
        headers.insert(name, value.clone());
    }
    Respond { status: respond.status, headers, body: respond.body.clone().into() }
}
