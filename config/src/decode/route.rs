//! `routes`.

use std::collections::HashMap;

use http::{StatusCode, Uri};

use super::{
    Complaint, Decoder, Known, Names, admission, auth, cache, condition, connect, fallback, files,
    header, idempotency, limit, network, respond, retry, script, timeout, traffic, upstream, web,
};
use crate::{
    diagnostic::Diagnostic,
    fields::Fields,
    model::{Action, Files, Forward, PathMatch, Piece, Redirect, Rewrite, Route, RouteMatch},
    pattern,
    source::Span,
    yaml::{Node, Value, shorten},
};

/// Most routes.
const ROUTES: usize = 100_000;
/// Largest weight in a split.
const WEIGHT_MAX: u32 = 1_000_000;
/// Most upstreams in a split.
const SPLIT_MAX: usize = 256;

const ACTIONS: [&str; 5] = ["to", "split", "redirect", "respond", "files"];

pub(super) fn all(d: &mut Decoder<'_>, fields: &Fields<'_>, known: &Known<'_>) -> Vec<Route> {
    let mut number = 0;
    let routes = fields.at(d, "routes", |d, node| {
        let read = |d: &mut Decoder<'_>, node: &Node| {
            number += 1;
            one(d, node, number, known)
        };
        d.list(node, "a list of routes", ROUTES, read)
    });
    let routes = routes.flatten().unwrap_or_default();
    let mut seen: HashMap<&str, u32> = HashMap::with_capacity(routes.len());
    for route in &routes {
        if let Some(line) = seen.insert(&route.name, route.at.line) {
            let what = format!("another route has the name `{}`", route.name);
            d.report.error_at(route.at, what).hint = Some(format!("first on line {line}"));
        }
    }
    routes
}

fn one(d: &mut Decoder<'_>, node: &Node, number: usize, known: &Known<'_>) -> Option<Route> {
    let names = known.upstreams;
    let fields = Fields::open(d, node, "routes[]");
    if fields.is_broken() {
        return None;
    }
    let name = fields.parsed(d, "name", upstream::name);
    let at = fields.node("name").map_or(node.span, |name| name.span).at();
    let matched = fields.at(d, "match", |d, node| condition::read(d, Some(node)));
    let (matches, good) = matched.unwrap_or_else(|| condition::read(d, None));
    // Without its path, what a template may name is unknown: nothing is said of it then.
    let path = good.then_some(&matches.path);
    let action = action(d, &fields, node.span, path, names);
    let headers = header::edits(d, &fields);
    let timeout = fields.at(d, "timeout", timeout::read).unwrap_or_else(|| timeout::default(None));
    let retry = retry::read(d, &fields, &timeout);
    let fallback = fallback::read(d, &fields, action.as_ref(), names);
    let allow = network::route(d, &fields, "allow", "routes[].allow");
    let deny = network::route(d, &fields, "deny", "routes[].deny");
    let around = auth::Around { upstreams: names, certificates: known.certificates };
    let auth = auth::of_route(d, &fields, around);
    let cache = cache::route(d, &fields, known.cache);
    let idempotency = idempotency::route(d, &fields);
    let concurrency = admission::concurrency(d, &fields, &matches.path);
    let rate_limits = limit::of_route(d, &fields, known.limits, &matches.path);
    let priority = admission::priority(d, &fields);
    let traffic = traffic::of_route(d, &fields, action.as_ref(), names, known.closed);
    let web = web::read(d, &fields);
    let script = script::route(d, &fields);
    auth::needed(d, &fields, (&rate_limits, concurrency.as_ref(), idempotency.as_ref()));
    let forwards = matches!(action, Some(Action::Forward(_)) | None);
    if !forwards {
        idle(d, &fields);
    }
    connect::check(d, &fields, &matches, &headers, names);
    lint(d, &fields, &matches);
    fields.finish();
    let name = name.unwrap_or_else(|| format!("route-{number}"));
    Some(Route {
        at,
        name,
        matches,
        action: action?,
        headers,
        timeout,
        retry: retry.filter(|_| forwards),
        fallback,
        allow,
        deny,
        auth,
        cache: cache.filter(|_| forwards),
        idempotency: idempotency.filter(|_| forwards),
        concurrency,
        rate_limits,
        priority,
        traffic,
        web,
        script,
    })
}

/// Refuses what a route that sends nothing upstream has no use for; what is off may stay.
fn idle(d: &mut Decoder<'_>, fields: &Fields<'_>) {
    let never = ["strip_prefix", "rewrite", "set_host", "timeout", "max_body"];
    // What files are found by.
    let never = if fields.entry("files").is_some() { &never[2..] } else { &never };
    let unless_off = [
        "retry",
        "fallback",
        "cache",
        "idempotency",
        "concurrency",
        "sticky",
        "mirror",
        "fault",
        "decompress",
        "grpc_web",
    ];
    let written = never.iter().chain(&unless_off).filter_map(|key| fields.entry(key));
    for entry in written {
        let key = &entry.key.text;
        if entry.value.is_off() && unless_off.contains(&key.as_str()) {
            continue;
        }
        let what = format!("`{key}` has no effect: the route sends nothing upstream");
        d.report.error(entry.key.span, what).hint =
            Some("remove it, or write `to: upstream`".to_owned());
    }
}

/// Warnings that need the places of single keys.
fn lint(d: &mut Decoder<'_>, fields: &Fields<'_>, matches: &RouteMatch) {
    if let (Some(node), PathMatch::Exact(path) | PathMatch::Prefix(path)) =
        (fields.node("strip_prefix"), &matches.path)
    {
        let Value::Text(prefix) = &node.value else { return };
        let applies = path
            .strip_prefix(prefix.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let wider =
            matches!(&matches.path, PathMatch::Prefix(_)) && prefix.starts_with(path.as_str());
        if !applies && !wider {
            let what = format!("no path that the route takes begins with `{}`", shorten(prefix));
            d.report.warn(node.span, what);
        }
    }
}

fn action(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    span: Span,
    path: Option<&PathMatch>,
    names: &Names,
) -> Option<Action> {
    let split = split(d, fields, names);
    let redirect = fields.at(d, "redirect", |d, node| redirect(d, node, path));
    let respond = fields.at(d, "respond", |d, node| respond::read(d, node, "routes[].respond"));
    let files = files::read(d, fields);
    let rewrite = rewrite(d, fields, path);
    let host = fields.parsed(d, "set_host", set_host);
    let written: Vec<_> = ACTIONS.iter().filter_map(|name| fields.entry(name)).collect();
    match written.as_slice() {
        [] => {
            let one = d.report.error(span, "the route does nothing");
            one.hint = Some("name an upstream with `to: name`, or answer yourself".to_owned());
            one.legal = ACTIONS.map(str::to_owned).to_vec();
            None
        }
        [_] => match (redirect, respond, files) {
            (Some(redirect), ..) => Some(Action::Redirect(redirect?)),
            (_, Some(respond), _) => Some(Action::Respond(respond?)),
            (.., Some(files)) => Some(Action::Files(Files { rewrite: rewrite?, ..files? })),
            (None, None, None) => {
                Some(Action::Forward(Forward { split: split?, rewrite: rewrite?, host }))
            }
        },
        [first, second, ..] => {
            let what = format!(
                "a route does one thing: `{}` and `{}` exclude each other",
                first.key.text, second.key.text
            );
            d.report.error(second.key.span, what).legal = ACTIONS.map(str::to_owned).to_vec();
            None
        }
    }
}

/// `to` or `split`.
fn split(d: &mut Decoder<'_>, fields: &Fields<'_>, names: &Names) -> Option<Vec<(usize, u32)>> {
    let to = fields.at(d, "to", |d, node| {
        let name = d.text(node, "the name of an upstream")?;
        Some(vec![(index(d, node.span, name, names)?, 1)])
    });
    let mut broken = false;
    let weights = fields.pairs(d, "split", SPLIT_MAX, |d, word, node| {
        let index = index(d, word.span, &word.text, names);
        let expects = format!("a weight from 0 to {WEIGHT_MAX}");
        let weight = d.parsed(node, &expects, |text| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            let weight = text.parse().ok().filter(|weight| digits && *weight <= WEIGHT_MAX);
            let hint = "weights are plain numbers: `split: { api: 90, canary: 10 }`";
            weight.ok_or_else(|| {
                Complaint::new(format!("expected {expects}, found `{}`", shorten(text))).hint(hint)
            })
        });
        let both = index.zip(weight);
        broken |= both.is_none();
        both
    });
    if let Some(node) = fields.node("split").filter(|_| !broken)
        && weights.iter().all(|(_, weight)| *weight == 0)
        && matches!(node.value, Value::Map(_) | Value::Null)
    {
        d.report.error(node.span, "every weight is 0: the route would go nowhere");
        return None;
    }
    match to {
        Some(to) => to,
        None => fields.node("split").filter(|_| !broken).map(|_| weights),
    }
}

/// The place of an upstream in the list.
pub(super) fn index(d: &mut Decoder<'_>, span: Span, name: &str, names: &Names) -> Option<usize> {
    if let Some(named) = names.get(name) {
        return Some(named.index);
    }
    /// Most names that are worth listing.
    const LISTED: usize = 12;
    let full = d.report.full();
    let one = d.report.error(span, format!("unknown upstream `{}`", shorten(name)));
    if !full {
        let mut sorted: Vec<_> = names.iter().collect();
        sorted.sort_by_key(|(_, named)| named.index);
        let known = || sorted.iter().map(|(name, _)| name.as_str());
        one.hint = Diagnostic::suggest(name, known()).map(|name| format!("did you mean `{name}`?"));
        one.legal = known().take(LISTED).map(str::to_owned).collect();
        if names.is_empty() {
            one.hint = Some("the file has no upstreams: write them under `upstreams`".to_owned());
        }
    }
    None
}

/// `strip_prefix` or `rewrite`.
fn rewrite(d: &mut Decoder<'_>, fields: &Fields<'_>, path: Option<&PathMatch>) -> Option<Rewrite> {
    let strip = fields.parsed(d, "strip_prefix", |text| match pattern::path(text) {
        Ok(PathMatch::Exact(prefix)) if prefix.len() > 1 => {
            Ok(prefix.strip_suffix('/').map_or_else(|| prefix.clone(), str::to_owned))
        }
        _ => {
            Err(Complaint::new(format!("expected a path such as `/v1`, found `{}`", shorten(text))))
        }
    });
    let template = fields.at(d, "rewrite", |d, node| {
        let text = d.text(node, "a path with placeholders such as `/new/{id}/{**}`")?;
        if !text.starts_with('/') {
            d.report.error(node.span, "the new path must begin with `/`");
            return None;
        }
        placeholders(d, node, text, path, &[])
    });
    match (fields.entry("strip_prefix"), fields.entry("rewrite")) {
        (None, None) => Some(Rewrite::Keep),
        (Some(_), None) => strip.map(Rewrite::StripPrefix),
        (None, Some(_)) => template.flatten().map(Rewrite::Template),
        (Some(_), Some(entry)) => {
            let what = "`rewrite` and `strip_prefix` exclude each other";
            d.report.error(entry.key.span, what).hint =
                Some("`rewrite: /{**}` drops the prefix of a `/prefix/**` as well".to_owned());
            None
        }
    }
}

/// A template whose names the match, or `more`, defines.
fn placeholders(
    d: &mut Decoder<'_>,
    node: &Node,
    text: &str,
    path: Option<&PathMatch>,
    more: &[&str],
) -> Option<Vec<Piece>> {
    let pieces = match pattern::template(text) {
        Ok(pieces) => pieces,
        Err(complaint) => {
            d.complain(node.span, text, complaint);
            return None;
        }
    };
    let named = pattern::names(path?);
    let mut good = true;
    if let Some(name) = named.iter().find(|name| more.contains(&name.as_str())) {
        let what = format!("`{{{name}}}` of `match.path` hides the `{{{name}}}` of redirects");
        d.report.error(node.span, what).hint = Some("give it another name there".to_owned());
        good = false;
    }
    for piece in &pieces {
        let Piece::Param(name) = piece else { continue };
        if named.contains(name) || more.contains(&name.as_str()) {
            continue;
        }
        good = false;
        let known = named.iter().map(String::as_str).chain(more.iter().copied());
        let legal: Vec<String> = known.clone().map(|name| format!("{{{name}}}")).collect();
        let hint = match Diagnostic::suggest(name, known) {
            Some(name) => Some(format!("did you mean `{{{name}}}`?")),
            None if name == "**" => {
                Some("`{**}` is what a `/**` at the end of the path took".to_owned())
            }
            None if legal.is_empty() => Some("`match.path` names nothing".to_owned()),
            None => None,
        };
        let braced = format!("{{{name}}}");
        let offset = text.find(&braced).unwrap_or_default();
        let span = d.report.source.part(node.span, text, offset, braced.len());
        let one = d.report.error(span, format!("`{braced}` is not defined by `match.path`"));
        one.hint = hint;
        one.legal = legal;
    }
    good.then_some(pieces)
}

fn redirect(d: &mut Decoder<'_>, node: &Node, path: Option<&PathMatch>) -> Option<Redirect> {
    const NAMES: [&str; 4] = ["scheme", "host", "path", "query"];
    let target = |d: &mut Decoder<'_>, node: &Node| {
        let text = d.text(node, "a URL or path with placeholders")?;
        let begins = ["/", "http://", "https://", "{"].iter().any(|start| text.starts_with(start));
        if !begins {
            let what = format!("expected a URL or a path, found `{}`", shorten(text));
            d.report.error(node.span, what).hint =
                Some("such as `https://example.com{path}`".to_owned());
            return None;
        }
        placeholders(d, node, text, path, &NAMES)
    };
    if let Value::Text(_) = &node.value {
        return Some(Redirect { to: target(d, node)?, status: StatusCode::PERMANENT_REDIRECT });
    }
    let fields = Fields::open(d, node, "routes[].redirect");
    let to = fields.at(d, "to", target);
    if to.is_none() {
        fields.missing(d, "to", "such as `to: https://example.com{path}`");
    }
    let status = fields.choice(d, "status").parse().ok();
    fields.finish();
    Some(Redirect { to: to.flatten()?, status: status? })
}

fn set_host(text: &str) -> Result<String, Complaint> {
    let authority = text.parse::<http::uri::Authority>().ok();
    let plain = authority.filter(|authority| !authority.host().is_empty() && !text.contains('@'));
    let uri = Uri::builder().scheme("http").path_and_query("/").authority(text).build();
    match plain {
        Some(_) if uri.is_ok() => Ok(text.to_ascii_lowercase()),
        _ => {
            let what = "expected a host name, maybe with a port";
            Err(Complaint::new(format!("{what}, found `{}`", shorten(text))))
        }
    }
}
