//! A validated configuration made into a snapshot: the one place that knows both.

use std::{
    hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _, RandomState},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{HeaderMap, HeaderValue, header};
use weir_config::{
    Diagnostic, Diagnostics, Loaded,
    model::{self, At, Config},
};

use super::{Action, Fallback, Forward, Listener, Respond, Route, Snapshot, upstream};
use crate::{
    admission::bulkhead::Bulkhead,
    cache::{Cache, Rule},
    clock::Tick,
    discover::{Found, found::filled},
    files::Files,
    http::headers::Edits,
    idempotency,
    limit::{KeyedBulkhead, LimitStore, RouteLimits, SharedStore, Stores},
    listen::tls::{Remembered, ServerTlsState},
    pem::TlsProblem,
    policy::{Around, Policies},
    route::{Location, Matcher, PathRewrite},
    script::{RouteScript, Scripts},
    upstream::{
        connect::Connector,
        endpoint::Upstream,
        retry::{budget::Budget, policy::RetryPolicy},
        tls::UpstreamTls,
    },
};

/// A snapshot and what an operator should look at.
#[derive(Debug)]
pub struct Compiled {
    /// Ready to be put in place.
    pub snapshot: Snapshot,
    /// Warnings of the load and the compilation together.
    pub warnings: Diagnostics,
}

/// Compiles a configuration, with the endpoints that were found for it. `previous` is the running
/// one: what both name keeps its state.
///
/// # Errors
/// Everything that is wrong, at once. Nothing of the running configuration has changed then.
pub fn compile(
    loaded: &Loaded,
    found: &Found,
    previous: Option<&Snapshot>,
    now: Tick,
    unix_time: Duration,
) -> Result<Compiled, Diagnostics> {
    let limit_store = previous.map(|previous| previous.limit_store.clone());
    let mut compiler = Compiler {
        loaded,
        found,
        previous,
        limit_store: limit_store.unwrap_or_else(|| empty_store(&loaded.config.limits)),
        now,
        wall: UNIX_EPOCH + unix_time,
        cache: cache(loaded.config.cache, previous),
        records: records(loaded.config.idempotency, previous),
        around: Around {
            before: previous.map_or(&[], |previous| &previous.jwks),
            jwks: Vec::new(),
            now: UNIX_EPOCH + unix_time,
        },
        scripts: Scripts::after(previous.map(|previous| &previous.scripts)),
        errors: Vec::new(),
        warnings: loaded.warnings.iter().cloned().collect(),
    };
    let config = &loaded.config;
    let shared_store = compiler.shared_store();
    let listeners = config.listeners.iter().filter_map(|l| compiler.listener(l)).collect();
    let upstreams = config.upstreams.iter().filter_map(|u| compiler.upstream(u)).collect();
    let matcher = compiler.matcher(config);
    let mut routes = Vec::new();
    if let Some(matcher) = &matcher {
        for (index, route) in config.routes.iter().enumerate() {
            routes.extend(compiler.route(route, matcher.params(index)));
        }
    }
    let Compiler { limit_store, cache, records, around, scripts, errors, warnings, .. } = compiler;
    match matcher {
        Some(matcher) if errors.is_empty() => Ok(Compiled {
            snapshot: Snapshot {
                version: previous.map_or(0, |previous| previous.version) + 1,
                limits: config.limits.clone(),
                timeouts: config.timeouts.clone(),
                config: Arc::new(config.clone()),
                matcher: Arc::new(matcher),
                routes: routes.into(),
                upstreams,
                listeners,
                jwks: around.jwks.into(),
                cache,
                records,
                scripts,
                limit_store,
                shared_store,
            },
            warnings: Diagnostics::new(warnings),
        }),
        _ => Err(Diagnostics::new(errors)),
    }
}

struct Compiler<'a> {
    loaded: &'a Loaded,
    found: &'a Found,
    previous: Option<&'a Snapshot>,
    limit_store: Arc<LimitStore>,
    now: Tick,
    wall: SystemTime,
    cache: Option<Arc<Cache>>,
    records: Arc<idempotency::Records>,
    around: Around<'a>,
    scripts: Scripts,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Compiler<'_> {
    fn error(&mut self, at: At, what: impl Into<String>) {
        self.errors.push(self.loaded.error(at, what));
    }

    fn problems(&mut self, problems: Vec<TlsProblem>) {
        for problem in problems {
            self.error(problem.at, problem.to_string());
        }
    }

    fn warn(&mut self, warnings: Vec<TlsProblem>) {
        for problem in warnings {
            self.warnings.push(self.loaded.warning(problem.at, problem.to_string()));
        }
    }

    fn listener(&mut self, config: &model::Listener) -> Option<Arc<Listener>> {
        let before = self.previous.and_then(|previous| {
            previous.listeners.iter().find(|listener| listener.config.bind == config.bind)
        });
        let tls = match &config.tls {
            None => None,
            Some(tls) => {
                let state = before.and_then(|before| before.tls.as_deref());
                let limits = &self.loaded.config.limits;
                let early_data = config.early_data.then(|| Remembered::of(limits));
                match ServerTlsState::load(tls, config.protocols, early_data, state, self.wall) {
                    Ok((state, warnings)) => {
                        self.warn(warnings);
                        Some(Arc::new(state))
                    }
                    Err(problems) => {
                        self.problems(problems);
                        return None;
                    }
                }
            }
        };
        let name = config.bind.to_string().into();
        Some(Arc::new(Listener { config: config.clone(), name, tls, announced: None }))
    }

    fn upstream(&mut self, config: &model::Upstream) -> Option<Arc<Upstream>> {
        let before = self.previous.and_then(|previous| {
            previous.upstreams.iter().find(|upstream| upstream.config.name == config.name)
        });
        let view = self.found.view(&self.loaded.config, config);
        let config = filled(config, view.as_deref());
        let connector = self.connector(&config, before.map(|before| &before.connector))?;
        if let Some(tls) = connector.tls.as_ref().filter(|_| config.discovery.is_none()) {
            for endpoint in &config.endpoints {
                if let Err(error) = tls.name_for(&endpoint.address) {
                    self.error(endpoint.at, error.to_string());
                }
            }
        }
        let at = config.at;
        let assembled =
            upstream::assemble(config, view, connector, before.map(|before| &**before), self.now);
        assembled.map_err(|what| self.error(at, format!("balance: {what}"))).ok().map(Arc::new)
    }

    /// A connector as before where it would be equal, so that its open connections stay in use.
    fn connector(
        &mut self,
        config: &model::Upstream,
        before: Option<&Arc<Connector>>,
    ) -> Option<Arc<Connector>> {
        let files = Connector::stamp_files(config.tls.as_ref());
        if let Some(before) = before.filter(|before| before.equals(config, &files)) {
            return Some(before.clone());
        }
        let tls = match &config.tls {
            None => None,
            Some(tls) => match UpstreamTls::load(tls, config.protocol, self.wall) {
                Ok((tls, warnings)) => {
                    self.warn(warnings);
                    Some(tls)
                }
                Err(problems) => {
                    self.problems(problems);
                    return None;
                }
            },
        };
        Some(Arc::new(Connector::new(config, tls, files)))
    }

    fn matcher(&mut self, config: &Config) -> Option<Matcher> {
        match Matcher::build(&config.routes) {
            Ok(matcher) => Some(matcher),
            Err(errors) => {
                for error in errors {
                    self.error(error.at, error.to_string());
                }
                None
            }
        }
    }

    fn route(&mut self, route: &model::Route, params: &[Box<str>]) -> Option<Route> {
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

    /// The servers that gateways share.
    fn shared_store(&mut self) -> Option<SharedStore> {
        let redis = self.loaded.config.redis.as_ref()?;
        let before = self.previous.and_then(|previous| previous.shared_store.as_ref());
        match SharedStore::new(redis, before) {
            Ok(store) => Some(store),
            Err(error) => {
                self.error(redis.at, format!("redis: {error}"));
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

/// The store of before, with all that is in it, until this configuration takes effect in its size.
fn cache(config: Option<model::CacheStore>, previous: Option<&Snapshot>) -> Option<Arc<Cache>> {
    let config = config?;
    let before = previous.and_then(|previous| previous.cache.as_ref());
    Some(before.cloned().unwrap_or_else(|| Arc::new(Cache::new(config, secret()))))
}

/// The records of before, whatever their bound: to forget them is to run their requests again.
fn records(
    config: model::IdempotencyStore,
    previous: Option<&Snapshot>,
) -> Arc<idempotency::Records> {
    let before = previous.map(|previous| previous.records.clone());
    before.unwrap_or_else(|| Arc::new(idempotency::Records::new(config.memory)))
}

/// What tells a route from all others, in configurations to come and of other gateways as well.
/// Names may be by number, which is another route's once the file has one more.
fn lasting_name(route: &model::Route) -> String {
    let number = route.name.strip_prefix("route-").unwrap_or_default();
    let numbered = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if numbered { format!("{:?}", route.matches) } else { route.name.clone() }
}

/// From the system's randomness, through the standard library's hasher keys.
fn secret() -> u64 {
    RandomState::new().hash_one(0)
}

/// What limits begin with. It has its size for as long as the process lives.
fn empty_store(limits: &model::Limits) -> Arc<LimitStore> {
    let mut secret = [0; 16];
    // Without randomness from the system nothing of TLS works either.
    let _ = aws_lc_rs::rand::fill(&mut secret);
    Arc::new(LimitStore::new(limits.rate_limit_keys as usize, secret))
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
