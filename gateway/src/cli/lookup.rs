//! `weir route`: one request through the gateway's own look-up, in words.

mod web;

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::Path,
    process::ExitCode,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header, request::Parts,
    uri::PathAndQuery,
};
use weir_config::{
    Loaded,
    model::{self, Action, HeaderEdit, Rewrite, UpstreamProtocol},
    units::show_duration,
};

use super::{compiled, file::counted, output::print, wrong};
use crate::{
    error::{Error, Reason},
    http::{
        guard,
        headers::{self, Ids, Peer},
        host::without_port,
    },
    limit::key::Subject,
    route::{Failed, Found, Matched, Origin, PassedOver, Why, act, canonical_host, gate, stack},
    script::{Values, Vms},
    snapshot::{self, Snapshot},
};

/// `weir route`.
pub(super) fn run(file: &Path, method: &str, url: &str, headers: &[String]) -> ExitCode {
    let (loaded, compiled) = match compiled(file) {
        Ok(compiled) => compiled,
        Err(diagnostics) => {
            eprint!("{}", diagnostics.render());
            return wrong();
        }
    };
    let (scheme, request) = match read(method, url, headers) {
        Ok(read) => read,
        Err(what) => {
            eprintln!("error: {what}");
            return wrong();
        }
    };
    let mut out = String::new();
    let taken =
        Lookup { loaded: &loaded, snapshot: &compiled.snapshot, out: &mut out, client: None }
            .run(scheme, request);
    match taken {
        Ok(true) => print(&out, ExitCode::SUCCESS),
        Ok(false) => print(&out, ExitCode::FAILURE),
        Err(error) => {
            let text = format!("{out}no route is asked: {}\n", error.problem().trim_end());
            print(&text, ExitCode::FAILURE)
        }
    }
}

/// The scheme, and the request as a client would send it.
fn read(
    method: &str,
    url: &str,
    headers: &[String],
) -> Result<(&'static str, Request<()>), String> {
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| format!("{method:?} is not a method, such as GET"))?;
    let absolute = match url {
        "*" => url.to_owned(),
        _ if url.starts_with('/') || url.contains("://") => url.to_owned(),
        _ => format!("http://{url}"),
    };
    let uri: Uri = absolute.parse().map_err(|error| format!("{url:?} is not a URL: {error}"))?;
    let mut request = Request::new(());
    for line in headers {
        let field = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        let (name, value) =
            field.ok_or_else(|| format!("{line:?} is not a header field, such as 'x-beta: 1'"))?;
        request.headers_mut().append(name, value);
    }
    // As clients do: the host goes into its field, which -H may replace.
    if !request.headers().contains_key(header::HOST) {
        let host = uri.authority().map_or("localhost", |authority| authority.as_str());
        let host = HeaderValue::from_str(host).map_err(|_| format!("{url:?} has no valid host"))?;
        request.headers_mut().insert(header::HOST, host);
    }
    let scheme = match uri.scheme_str() {
        None | Some("http" | "ws") => "http",
        Some("https" | "wss") => "https",
        Some(other) => return Err(format!("{url:?} has the scheme {other:?}, not http or https")),
    };
    let target = match uri.authority() {
        Some(authority) if method == Method::CONNECT => {
            Uri::builder().authority(authority.clone()).build().unwrap_or_default()
        }
        _ => uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from),
    };
    *request.method_mut() = method;
    *request.uri_mut() = target;
    Ok((scheme, request))
}

mod traffic;
mod values;

struct Lookup<'a> {
    loaded: &'a Loaded,
    snapshot: &'a Snapshot,
    out: &'a mut String,
    /// The client's address, by trusted hops.
    client: Option<IpAddr>,
}

impl Lookup<'_> {
    /// Does what the gateway does up to the point where it would act; whether a route was found.
    fn run(mut self, scheme: &'static str, request: Request<()>) -> Result<bool, Error> {
        let (mut head, ()) = request.into_parts();
        let checked = guard::check(&mut head, true, &self.snapshot.limits)?;
        // As if it had come from this machine, to the first listener.
        let hops = self.snapshot.listeners.first().map_or(0, |first| first.config.trusted_hops);
        let peer = Peer::new(Some(Ipv4Addr::LOCALHOST.into()), scheme == "https", hops);
        let (host, ids) = (checked.host.as_ref(), &mut Ids::new(fastrand::Rng::with_seed(0)));
        let received = headers::receive(&mut head, host, &peer, ids);
        if !received.vouched {
            let (fields, version) = (&mut head.headers, head.version);
            headers::vouch(fields, version, (&peer, host), &received.request_id);
        }
        self.client = received.client;
        let path = stack::routed_path(&head.uri)?.into_owned();
        let authority = checked.authority().to_owned();
        let host = canonical_host(&authority);
        let query = head.uri.query();
        match head.method {
            Method::CONNECT => self.line("request", &format!("CONNECT {authority}")),
            _ => self.line("request", &format!("{} {scheme}://{host}{path}", head.method)),
        }
        let asked = gate::preflight(self.snapshot, &host, &path, &head);
        let asked = asked.map(|(method, _)| method);
        if let Some(method) = &asked {
            self.line("preflight", &format!("routed as the {method} that it asks for"));
        }
        let method = asked.as_ref().unwrap_or(&head.method);
        let fields = (&head.headers, asked.is_some());
        let explained = self.snapshot.matcher.explain(&host, &path, query, method, fields);
        let matched = match &explained.found {
            Found::Route(matched) => Some(matched),
            _ if head.method == Method::CONNECT => {
                self.line("no route", "405, for none names CONNECT");
                None
            }
            Found::MethodNotAllowed(methods) => {
                let allow = show(&methods.to_allow());
                self.line("no route", &format!("405, for another method; Allow: {allow}"));
                None
            }
            Found::NotFound => {
                self.line("no route", "404");
                None
            }
        };
        if let (Some(matched), Some(why)) = (matched, &explained.why) {
            let origin = Origin { scheme, host: without_port(&authority), path: &path, query };
            self.route(matched, why, &head, &origin)?;
        }
        for passed in &explained.passed_over {
            self.passed_over(passed);
        }
        Ok(matched.is_some())
    }

    fn line(&mut self, label: &str, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "{label:<17} {text}");
    }

    /// A route by name and place.
    fn name(&self, index: usize) -> String {
        let route = &self.loaded.config.routes[index];
        format!("`{}` ({}:{})", route.name, self.loaded.name, route.at.line)
    }

    fn route(
        &mut self,
        matched: &Matched,
        why: &Why,
        head: &Parts,
        origin: &Origin<'_>,
    ) -> Result<(), Error> {
        let name = self.name(matched.route);
        self.line("route", &name);
        let rules = [&why.host, &why.path].into_iter().chain(&why.conditions);
        self.line("because of", &rules.map(String::as_str).collect::<Vec<_>>().join(", "));
        for (name, value) in &why.params {
            self.line("value", &format!("{{{name}}} = {value}"));
        }
        let snapshot = self.snapshot;
        let compiled = &snapshot.routes[matched.route];
        for (name, line) in compiled.policies.iter().flat_map(|policies| policies.describe()) {
            self.line(name, &line);
        }
        self.gate(matched.route);
        self.values(matched.route, head, origin);
        match &compiled.action {
            snapshot::Action::Forward(forward) => {
                let (query, kept) = (head.uri.query(), compiled.kept(head.uri.query()));
                let query = if act::is_recalled(&head.method) { kept.as_deref() } else { query };
                let target = act::rewrite(forward, head, query, origin.path, matched)?;
                let target = target.as_ref().or_else(|| head.uri.path_and_query());
                self.forward(matched.route, target.map(PathAndQuery::as_str));
                self.keys(matched.route, head, target);
                self.traffic(matched.route, head, origin);
            }
            snapshot::Action::Redirect(location, status) => {
                let location = location
                    .render(origin, &matched.spans)
                    .map_err(|_| Error::BadRequest(Reason::Target))?;
                self.line("redirect", &format!("{} to {}", status.as_u16(), show(&location)));
            }
            snapshot::Action::Files(files) => {
                let path = files
                    .path(origin.path, &matched.spans)
                    .map_err(|_| Error::BadRequest(Reason::Target))?;
                self.line("file", &files.describe(&path));
            }
            snapshot::Action::Respond(respond) => {
                let (status, bytes) = (respond.status.as_u16(), respond.body.len());
                self.line("respond", &format!("{status}, {}", counted(bytes, "byte")));
                self.fields("respond with", &respond.headers);
            }
        }
        let policies = compiled.policies.as_ref();
        if let Some(script) = policies.and_then(|policies| policies.script.as_ref()) {
            self.line("script", &script.describe());
        }
        self.edits(matched.route);
        for (label, text) in web::lines(&self.loaded.config.routes[matched.route]) {
            self.line(label, &text);
        }
        Ok(())
    }

    fn forward(&mut self, index: usize, target: Option<&str>) {
        let config = &self.loaded.config;
        let route = &config.routes[index];
        let Action::Forward(forward) = &route.action else { return };
        let total: u32 = forward.split.iter().map(|(_, weight)| weight).sum();
        for (upstream, weight) in &forward.split {
            let share = f64::from(*weight) * 100.0 / f64::from(total.max(1));
            let share = match forward.split.len() {
                1 => String::new(),
                _ => format!(" for {share:.0}%"),
            };
            let upstream = &config.upstreams[*upstream];
            self.line("forward to", &format!("`{}`{share}, {}", upstream.name, describe(upstream)));
        }
        let rewritten = if forward.rewrite == Rewrite::Keep { "" } else { " (rewritten)" };
        match target {
            Some(target) => self.line("path upstream", &format!("{target}{rewritten}")),
            None => self.line("sent upstream", "the bytes behind the CONNECT, and no request"),
        }
        if let Some(host) = &forward.host {
            self.line("host upstream", host);
        }
        let timeout = &route.timeout;
        let total = timeout.total.map_or_else(|| "off".to_owned(), show_duration);
        let (headers, idle) = (show_duration(timeout.headers), show_duration(timeout.idle));
        self.line("timeout", &format!("headers {headers}, total {total}, idle {idle}"));
    }

    /// Which endpoint the key of the request decides for, where one does.
    fn keys(&mut self, index: usize, head: &Parts, target: Option<&PathAndQuery>) {
        let snapshot = self.snapshot;
        let route = &snapshot.routes[index];
        let snapshot::Action::Forward(forward) = &route.action else { return };
        let mut headers = head.headers.clone();
        route.request_edits.apply(&mut headers);
        let vms = Vms::new(&snapshot.scripts, None);
        let values = Values::new(&snapshot.scripts, &vms, &head.method, None);
        let subject = Subject {
            client: self.client,
            headers: &headers,
            path: target.map_or("/", PathAndQuery::path),
            query: target.and_then(PathAndQuery::query),
            route: &route.name,
            identity: None,
            lua: values.as_ref().map(|values| values as _),
        };
        for (upstream, _) in &forward.split {
            let upstream = &snapshot.upstreams[*upstream];
            let Some(keys) = &upstream.keys else { continue };
            let key = keys.key().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let owner = keys.place(&subject).and_then(|place| keys.owner(place));
            let text = match owner.and_then(|owner| Some((upstream.endpoints.get(owner)?, owner))) {
                _ if upstream.config.discovery.is_some() => {
                    format!("one that is found for `{}`, by {key}", upstream.name)
                }
                Some((endpoint, owner)) => {
                    let name = Some(keys.name(owner)).filter(|name| **name != *endpoint.name);
                    let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
                    format!("{}{name} of `{}`, by {key}", endpoint.name, upstream.name)
                }
                None => format!("any of `{}`, for the request has no {key}", upstream.name),
            };
            self.line("endpoint", &text);
        }
    }

    fn edits(&mut self, index: usize) {
        let headers = &self.loaded.config.routes[index].headers;
        for (label, edit) in
            [("request headers", &headers.request), ("response headers", &headers.response)]
        {
            for text in edits(edit) {
                self.line(label, &text);
            }
        }
    }

    fn fields(&mut self, label: &str, fields: &HeaderMap) {
        for (name, value) in fields {
            self.line(label, &format!("{name}: {}", show(value)));
        }
    }

    fn passed_over(&mut self, passed: &PassedOver) {
        let why = match &passed.failed {
            Failed::Method(methods) if methods.is_empty() => "does not name CONNECT".to_owned(),
            Failed::Method(methods) => {
                format!("takes {} only", show(&methods.to_allow()))
            }
            Failed::Header(name) => format!("wants another `{name}` header"),
            Failed::Query(name) => format!("wants another `{name}` in the query"),
        };
        let text = format!("{}: {why}", self.name(passed.route));
        self.line("passed over", &text);
    }
}

/// Such as `p2c over 127.0.0.1:9001, 127.0.0.1:9002 (weight 2); h1`.
fn describe(upstream: &model::Upstream) -> String {
    let endpoints = upstream.endpoints.iter().map(|endpoint| match endpoint.weight {
        1 => endpoint.address.to_string(),
        weight => format!("{} (weight {weight})", endpoint.address),
    });
    let endpoints = match &upstream.discovery {
        None => endpoints.collect::<Vec<_>>().join(", "),
        Some(found) => format!("what {} {} tells", found.source.word(), found.source.subject()),
    };
    let protocol = match upstream.protocol {
        UpstreamProtocol::H1 => "h1",
        UpstreamProtocol::H2 => "h2",
        UpstreamProtocol::H3 => "h3",
        UpstreamProtocol::Auto => "h1 or h2",
    };
    let tls = if upstream.tls.is_some() { " over TLS" } else { "" };
    format!("{} over {endpoints}; {protocol}{tls}", upstream.balance.word())
}

fn edits(edit: &HeaderEdit) -> Vec<String> {
    let pairs = |verb: &'static str, list: &[(HeaderName, HeaderValue)]| -> Vec<String> {
        list.iter().map(|(name, value)| format!("{verb} {name}: {}", show(value))).collect()
    };
    let mut lines: Vec<String> = edit.remove.iter().map(|name| format!("remove {name}")).collect();
    lines.extend(pairs("set", &edit.set));
    lines.extend(pairs("add", &edit.add));
    lines
}

fn show(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
