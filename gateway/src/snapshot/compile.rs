//! A validated configuration made into a snapshot: the one place that knows both.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use weir_config::{
    Diagnostic, Diagnostics, Loaded,
    model::{self, At, Config},
};

use super::{Listener, Snapshot, upstream};
use crate::{
    cache::Cache,
    clock::Tick,
    discover::{Found, found::filled},
    idempotency,
    limit::{LimitStore, SharedStore},
    listen::tls::{Remembered, ServerTlsState},
    pem::TlsProblem,
    policy::Around,
    route::Matcher,
    script::Scripts,
    upstream::{connect::Connector, endpoint::Upstream, tls::UpstreamTls},
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
    compiler.values(config);
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

pub(super) struct Compiler<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) found: &'a Found,
    pub(super) previous: Option<&'a Snapshot>,
    pub(super) limit_store: Arc<LimitStore>,
    pub(super) now: Tick,
    pub(super) wall: SystemTime,
    pub(super) cache: Option<Arc<Cache>>,
    pub(super) records: Arc<idempotency::Records>,
    pub(super) around: Around<'a>,
    pub(super) scripts: Scripts,
    pub(super) errors: Vec<Diagnostic>,
    pub(super) warnings: Vec<Diagnostic>,
}

impl Compiler<'_> {
    pub(super) fn error(&mut self, at: At, what: impl Into<String>) {
        self.errors.push(self.loaded.error(at, what));
    }

    /// Takes in the keys that are expressions in Lua.
    fn values(&mut self, config: &Config) {
        let before = self.previous.map(|previous| &previous.scripts);
        for value in config.lua_values() {
            if let Err(what) = self.scripts.load_value(&value.text, before) {
                let what = format!("this is no expression in Lua: {what}");
                let mut error = self.loaded.error(value.at, what);
                error.hint = Some(
                    "it says one value, such as `req.headers[\"x-tenant\"]`; what takes more is \
                     for a `script`"
                        .to_owned(),
                );
                self.errors.push(error);
            }
        }
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
