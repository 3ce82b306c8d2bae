//! The tree of a file to the model, collecting every error on the way.
//!
//! A value that is wrong is reported and stands in for its default, so that what follows it is
//! read as well; only a file without errors becomes a `Config`.

use std::{collections::HashMap, io, num::NonZeroU32, path::Path};

use crate::{
    address,
    fields::Fields,
    model::{
        AccessLog, Admin, Bind, CacheStore, Config, Endpoint, Level, Limits, Log, Maintenance,
        Timeouts,
    },
    report::Report,
    source::Span,
    yaml::{Node, Value},
};

mod admission;
mod auth;
mod balance;
mod breaker;
mod cache;
mod condition;
mod connect;
mod cost;
mod discovery;
mod fallback;
mod files;
mod header;
mod health;
mod idempotency;
mod key;
mod limit;
mod listener;
mod membership;
mod network;
mod respond;
mod retry;
mod route;
mod script;
mod servers;
mod timeout;
mod trace;
mod traffic;
mod upstream;
mod web;

/// What reading a file needs.
pub(crate) struct Decoder<'s> {
    pub(crate) report: Report<'s>,
    /// Directory that relative paths start from.
    pub(crate) base: &'s Path,
    /// Reads the files that hold secrets.
    pub(crate) read: &'s dyn Fn(&Path) -> io::Result<String>,
    /// Regular expressions so far: each costs memory beyond its text.
    pub(crate) expressions: usize,
    /// Whether the file names servers that gateways share.
    pub(crate) shares: bool,
    /// Whether the file says that the gateway is a member.
    pub(crate) gossips: bool,
}

/// Most regular expressions of a file.
const EXPRESSIONS: usize = 10_000;

/// A complaint about a text, and which bytes of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) what: String,
    pub(crate) hint: Option<String>,
    /// Offset and length in bytes; the whole text without.
    pub(crate) part: Option<(usize, usize)>,
}

impl Complaint {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), ..Self::default() }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn part(mut self, offset: usize, length: usize) -> Self {
        self.part = Some((offset, length));
        self
    }
}

impl Decoder<'_> {
    /// Says that something else was expected here.
    pub(crate) fn mismatch(&mut self, node: &Node, expects: &str) {
        if !matches!(node.value, Value::Bad) {
            self.report.error(node.span, format!("expected {expects}, found {}", node.found()));
        }
    }

    /// A scalar's text.
    pub(crate) fn text<'n>(&mut self, node: &'n Node, expects: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => Some(text),
            _ => {
                self.mismatch(node, expects);
                None
            }
        }
    }

    /// A scalar's text, read by `parse`.
    pub(crate) fn parsed<T>(
        &mut self,
        node: &Node,
        expects: &str,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        let text = self.text(node, expects)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(complaint) => {
                self.complain(node.span, text, complaint);
                None
            }
        }
    }

    /// A pattern that may be a regular expression, of which a file has a bounded number.
    pub(crate) fn pattern<T>(
        &mut self,
        node: &Node,
        expects: &str,
        parse: impl FnOnce(&str) -> Result<T, Complaint>,
    ) -> Option<T> {
        if matches!(&node.value, Value::Text(text) if text.starts_with('~')) {
            self.expressions += 1;
            if self.expressions > EXPRESSIONS {
                let what = format!("more than {EXPRESSIONS} regular expressions");
                self.report.error(node.span, what);
                return None;
            }
        }
        self.parsed(node, expects, parse)
    }

    pub(crate) fn complain(&mut self, span: Span, text: &str, complaint: Complaint) {
        let span = complaint
            .part
            .map_or(span, |(offset, length)| self.report.source.part(span, text, offset, length));
        self.report.error(span, complaint.what).hint = complaint.hint;
    }

    /// One value or a list of them.
    pub(crate) fn each<'n, T>(
        &mut self,
        node: &'n Node,
        most: usize,
        mut read: impl FnMut(&mut Self, &'n Node) -> Option<T>,
    ) -> Vec<T> {
        let Value::List(items) = &node.value else {
            return read(self, node).into_iter().collect();
        };
        if items.len() > most {
            self.report.error(node.span, format!("{} entries; at most {most} are", items.len()));
            return Vec::new();
        }
        let mut out = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let length = self.report.enter(&format!("[{index}]"));
            out.extend(read(self, item));
            self.report.leave(length);
        }
        out
    }

    /// The entries of a list that must be one; `None` when it is not.
    pub(crate) fn list<'n, T>(
        &mut self,
        node: &'n Node,
        expects: &str,
        most: usize,
        read: impl FnMut(&mut Self, &'n Node) -> Option<T>,
    ) -> Option<Vec<T>> {
        match &node.value {
            Value::List(_) => Some(self.each(node, most, read)),
            Value::Text(text) => {
                let what = format!("expected {expects}, found `{}`", crate::yaml::shorten(text));
                let hint = format!("write it as a list: `[{}]`", crate::yaml::shorten(text));
                self.report.error(node.span, what).hint = Some(hint);
                None
            }
            Value::Null | Value::Map(_) | Value::Bad => {
                self.mismatch(node, expects);
                None
            }
        }
    }
}

/// The whole file; `None` when errors were reported.
pub(crate) fn file(d: &mut Decoder<'_>, root: &Node) -> Option<Config> {
    let fields = Fields::open(d, root, "");
    let workers = workers(d, &fields);
    let admin = admin(d, &fields);
    let listeners = listener::all(d, &fields);
    if let Some(Some(admin)) = &admin
        && let Some(same) = listeners.iter().find(|one| one.bind == admin.bind)
        && !same.bind.is_chosen_by_system()
    {
        let what = format!("`{}` is the address of the admin listener", same.bind);
        d.report.error_at(same.at, what).hint =
            Some("give one of them another port, or write `admin: off`".to_owned());
    }
    let limits = limits(d, &fields);
    let timeouts = timeouts(d, &fields);
    let log = log(d, &fields);
    d.gossips = fields.node("membership").is_some_and(|node| !node.is_off());
    let tracing = trace::read(d, &fields);
    let resolver = discovery::resolver(d, &fields);
    let (upstreams, names) = upstream::all(d, &fields);
    let redis = servers::read(d, &fields);
    let membership = membership::read(d, &fields);
    let (rate_limits, shared) = limit::shared(d, &fields);
    let cache = cache::store(d, &fields);
    let idempotency = idempotency::store(d, &fields);
    let closed = traffic::closed(d, &fields);
    let asks = |tls: &crate::model::ServerTls| tls.client_ca.is_some();
    let certificates = listeners.iter().any(|one| one.tls.as_ref().is_some_and(asks));
    let known =
        Known { upstreams: &names, limits: &shared, cache, closed: closed.as_ref(), certificates };
    let routes = route::all(d, &fields, &known);
    fields.finish();
    if d.report.failed() {
        return None;
    }
    let admin = admin?;
    Some(Config {
        workers,
        admin,
        listeners,
        limits,
        timeouts,
        log,
        tracing,
        resolver,
        redis,
        membership,
        rate_limits,
        cache,
        idempotency,
        maintenance: closed,
        upstreams,
        routes,
    })
}

/// A list of endpoints that is a file of its own.
pub(crate) fn endpoints(d: &mut Decoder<'_>, root: &Node) -> Option<Vec<Endpoint>> {
    let endpoints = upstream::list(d, root)?;
    upstream::unique(d, &endpoints);
    Some(endpoints)
}

/// The upstreams by name.
pub(crate) type Names = HashMap<String, Named>;

/// What routes must know of an upstream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named {
    /// Its place in the list.
    pub(crate) index: usize,
    /// Whether its connections may carry bytes that are no HTTP.
    pub(crate) raw: bool,
}

/// What routes may name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    upstreams: &'a Names,
    limits: &'a limit::Shared,
    cache: Option<CacheStore>,
    /// What a route answers that says nothing of maintenance.
    closed: Option<&'a Maintenance>,
    /// Whether a listener asks for certificates of clients.
    certificates: bool,
}

fn workers(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<NonZeroU32> {
    fields.count_or(d, "workers").and_then(NonZeroU32::new)
}

/// `Some(None)` is off; `None` is an error that was reported.
fn admin(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Option<Admin>> {
    let written = fields.node("admin");
    let read = |d: &mut Decoder<'_>, node: &Node| {
        if node.is_off() {
            return Some(None);
        }
        let inner = Fields::open(d, node, "admin");
        let bind = inner.parsed(d, "bind", address::bind);
        let token = inner.secret(d, "token");
        inner.finish();
        let bind = bind.map(|bind| absolute(d, bind))?;
        if token.is_none() && !bind.is_local() {
            let span = inner.node("bind").map_or(node.span, |bind| bind.span);
            let what = format!(
                "anyone who reaches `{bind}` can read the configuration and all upstreams' state"
            );
            d.report.warn(span, what).hint =
                Some("bind it to 127.0.0.1, or set `admin.token`".to_owned());
        }
        Some(Some(Admin { bind, token, written: written.is_some() }))
    };
    match fields.at(d, "admin", read) {
        Some(admin) => admin,
        None => read(d, &Node::nothing()),
    }
}

/// A Unix socket's path, from the directory of the file.
fn absolute(d: &Decoder<'_>, bind: Bind) -> Bind {
    match bind {
        Bind::Unix(path) => Bind::Unix(d.base.join(path)),
        Bind::Any(_) | Bind::Tcp(_) => bind,
    }
}

fn limits(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Limits {
    let limits = fields.section(d, "limits", "limits");
    let headers = limits.section(d, "headers", "limits.headers");
    let h2 = limits.section(d, "h2", "limits.h2");
    let h3 = limits.section(d, "h3", "limits.h3");
    let read = Limits {
        connections: limits.count(d, "connections"),
        header_bytes: headers.size32(d, "bytes"),
        header_count: headers.count(d, "count"),
        body: limits.size(d, "body"),
        h2_streams: h2.count(d, "streams"),
        h2_stream_window: h2.size32(d, "stream_window"),
        h2_connection_window: h2.size32(d, "connection_window"),
        h3_streams: h3.count(d, "streams"),
        h3_stream_window: h3.size32(d, "stream_window"),
        h3_connection_window: h3.size32(d, "connection_window"),
        h3_half_open: h3.count(d, "half_open"),
        memory: admission::memory(d, &limits),
        lag: limits.duration_or_off(d, "lag"),
        rate_limit_keys: limits.count(d, "rate_limit_keys"),
    };
    for (section, stream, connection) in [
        (&h2, read.h2_stream_window, read.h2_connection_window),
        (&h3, read.h3_stream_window, read.h3_connection_window),
    ] {
        if stream > connection {
            let node = section.node("stream_window").or_else(|| section.node("connection_window"));
            let span = node.map(|node| node.span).unwrap_or_default();
            let what = "`stream_window` is above `connection_window`, which no stream can fill";
            d.report.warn(span, what);
        }
    }
    limits.finish();
    headers.finish();
    h2.finish();
    h3.finish();
    read
}

fn timeouts(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Timeouts {
    let timeouts = fields.section(d, "timeouts", "timeouts");
    let read = Timeouts {
        handshake: timeouts.duration(d, "handshake"),
        header_read: timeouts.duration(d, "header_read"),
        body_idle: timeouts.duration(d, "body_idle"),
        keep_alive: timeouts.duration(d, "keep_alive"),
        drain: timeouts.duration(d, "drain"),
    };
    timeouts.finish();
    read
}

fn log(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Log {
    let log = fields.section(d, "log", "log");
    let access = match log.choice(d, "access") {
        "common" => AccessLog::Common,
        "off" => AccessLog::Off,
        _ => AccessLog::Json,
    };
    let level = match log.choice(d, "level") {
        "trace" => Level::Trace,
        "debug" => Level::Debug,
        "warn" => Level::Warn,
        "error" => Level::Error,
        _ => Level::Info,
    };
    log.finish();
    Log { access, level }
}
