//! What a valid file probably does not mean.

use std::collections::{HashMap, HashSet};

use http::Method;

use crate::{
    model::{
        Action, Address, AuthWay, Bind, Concurrency, Config, CredentialPlace, Fallback, HostMatch,
        KeyPart, PathMatch, PlaceStore, RateLimit, RateStore, Route, RouteMatch, Segment,
    },
    report::Report,
    source::Span,
};

mod web;

/// Warns about everything that is odd in a valid file.
pub(crate) fn check(config: &Config, report: &mut Report<'_>) {
    listeners(config, report);
    unused(config, report);
    unused_limits(config, report);
    guessable(config, report);
    unnamed(config, report);
    shadowed(config, report);
    loops(config, report);
    alone(config, report);
    roomless(config, report);
    unasked(config, report);
    kept_for_all(config, report);
    web::check(config, report);
}

/// Keyed requests that there is never room for.
fn roomless(config: &Config, report: &mut Report<'_>) {
    let room = config.idempotency.memory;
    for route in &config.routes {
        let Some(keyed) = &route.idempotency else { continue };
        let sizes = [("max_body", keyed.max_body), ("max_response", keyed.max_response)];
        for (key, _) in sizes.into_iter().filter(|(_, most)| u64::from(*most) > room) {
            let what = format!(
                "bodies may be as long as `idempotency.{key}` of `{}`, and there is less room for \
                 all together",
                route.name
            );
            report.warn_at(route.at, what).hint = Some(format!(
                "raise `idempotency.memory` at the top of the file, or lower `{key}`"
            ));
        }
    }
}

fn listeners(config: &Config, report: &mut Report<'_>) {
    let asks = |tls: &crate::model::ServerTls| tls.client_ca.is_some();
    let guarded = config.listeners.iter().find(|one| one.tls.as_ref().is_some_and(asks));
    for listener in &config.listeners {
        if listener.trusted_hops > 0 && !listener.bind.is_local() && !listener.proxy_protocol {
            let what = format!(
                "whoever reaches `{}` past our proxies can forge X-Forwarded-For",
                listener.bind
            );
            report.warn_at(listener.at, what).hint =
                Some("make sure that only they can connect".to_owned());
        }
        if let (Some(guarded), None, false) = (guarded, &listener.tls, listener.bind.is_local()) {
            let what = format!(
                "`{}` is clear and serves all that `{}` asks client certificates for",
                listener.bind, guarded.bind
            );
            report.warn_at(listener.at, what);
        }
        if let Bind::Any(port @ 1..) = listener.bind {
            let same = |bind: &Bind| matches!(bind, Bind::Tcp(one) if one.port() == port);
            if let Some(other) = config.listeners.iter().find(|other| same(&other.bind)) {
                let what = format!("`{}` already covers `{}`", listener.bind, other.bind);
                report.warn_at(other.at, what).hint =
                    Some("the more exact address gets its connections".to_owned());
            }
        }
    }
}

/// Names of keys on a shared server that anybody can compute.
fn guessable(config: &Config, report: &mut Report<'_>) {
    let Some(redis) = config.redis.as_ref().filter(|redis| redis.secret.is_none()) else { return };
    let chosen = |part: &KeyPart| match part {
        KeyPart::Header(_)
        | KeyPart::Cookie(_)
        | KeyPart::Query(_)
        | KeyPart::Path
        | KeyPart::Lua(_) => true,
        KeyPart::ClientIp | KeyPart::Route | KeyPart::Identity | KeyPart::Claim(_) => false,
    };
    let guessed = |route: &Route| {
        let mut limits = route.rate_limits.iter().filter(|limit| limit.store != RateStore::Local);
        let limit = limits.find(|limit| limit.key.iter().any(chosen));
        let places = shared_places(route).filter(|bound| bound.key.iter().any(chosen));
        let places = || places.map(|_| format!("the `concurrency` of `{}`", route.name));
        limit.map(|limit| format!("the limit `{}`", limit.name)).or_else(places)
    };
    let Some(guessed) = config.routes.iter().find_map(guessed) else { return };
    let what = format!(
        "without `redis.secret` a client can make up a value that counts as another's under \
         {guessed}"
    );
    report.warn_at(redis.at, what).hint =
        Some("give all gateways that share limits the same text".to_owned());
}

/// The bound on requests under way, where gateways share it.
fn shared_places(route: &Route) -> Option<&Concurrency> {
    route.concurrency.as_ref().filter(|bound| bound.store != PlaceStore::Local)
}

/// What gateways share by the name of a route that has none: with another route before it, it would
/// be another one's.
fn unnamed(config: &Config, report: &mut Report<'_>) {
    for (index, route) in config.routes.iter().enumerate() {
        let own = |limit: &&RateLimit| !limit.shared && limit.store != RateStore::Local;
        let limit = route.rate_limits.iter().find(own);
        let limit = limit.map(|limit| format!("the limit `{}`", limit.name));
        let places = || shared_places(route).map(|_| "the `concurrency` of a route".to_owned());
        let Some(limit) = limit.or_else(places) else { continue };
        if route.name == format!("route-{}", index + 1) {
            let what = format!(
                "gateways share {limit} by its route's name, which is just its place in the file"
            );
            report.warn_at(route.at, what).hint = Some("give the route a `name`".to_owned());
        }
    }
}

fn unused(config: &Config, report: &mut Report<'_>) {
    let mut used = vec![false; config.upstreams.len()];
    for route in &config.routes {
        for way in &route.auth {
            if let AuthWay::Forward(forward) = way
                && let Some(used) = used.get_mut(forward.to)
            {
                *used = true;
            }
        }
        let Action::Forward(forward) = &route.action else { continue };
        let mirror = route.traffic.mirror.as_ref().map(|mirror| mirror.to);
        for index in forward.split.iter().map(|(index, _)| *index).chain(mirror) {
            if let Some(used) = used.get_mut(index) {
                *used = true;
            }
        }
        if let Some(Fallback::Upstream(index)) = route.fallback
            && let Some(used) = used.get_mut(index)
        {
            *used = true;
        }
    }
    if config.routes.is_empty() {
        report.warn(Span::default(), "no routes: every request is answered 404");
        return;
    }
    if config.routes.iter().any(|route| route.script.is_some()) {
        // A script may use any.
        return;
    }
    for (upstream, _) in config.upstreams.iter().zip(&used).filter(|(_, used)| !**used) {
        let what = format!("no route uses the upstream `{}`", upstream.name);
        report.warn_at(upstream.at, what);
    }
}

fn unused_limits(config: &Config, report: &mut Report<'_>) {
    let limits = config.routes.iter().flat_map(|route| &route.rate_limits);
    let used: HashSet<&str> =
        limits.filter(|limit| limit.shared).map(|limit| limit.name.as_str()).collect();
    let unused = config.rate_limits.iter().filter(|limit| !used.contains(limit.name.as_str()));
    for limit in unused {
        let what = format!("no route uses the rate limit `{}`", limit.name);
        report.warn_at(limit.at, what).hint =
            Some(format!("a route uses it with `rate_limit: {}`", limit.name));
    }
}

/// Earlier routes of the same host and path that a route is compared with.
const COMPARED: usize = 64;

/// Routes that an earlier one of the same host and path leaves nothing to.
///
/// Of different paths the longer one comes first, and of equal ones the one with more conditions:
/// only routes with equally many can hide each other.
fn shadowed(config: &Config, report: &mut Report<'_>) {
    let mut groups: HashMap<(&HostMatch, String, usize), Vec<&Route>> = HashMap::new();
    for route in &config.routes {
        let matches = &route.matches;
        let key = (&matches.host, canonical(&matches.path), conditions(matches));
        let group = groups.entry(key).or_default();
        let first = group.iter().take(COMPARED).find(|one| covers(&one.matches, matches));
        if let Some(first) = first {
            let what = format!(
                "`{}` is never reached: `{}` on line {} takes all that it would take",
                route.name, first.name, first.at.line
            );
            let hint = "of equal host, path and number of conditions the first in the file wins";
            report.warn_at(route.at, what).hint = Some(hint.to_owned());
        }
        group.push(route);
    }
}

/// How many conditions there are beside host and path; a list of methods is one.
fn conditions(matches: &RouteMatch) -> usize {
    usize::from(!matches.methods.is_empty()) + matches.headers.len() + matches.query.len()
}

/// The path with its names forgotten: `/users/{id}` and `/users/{name}` take the same.
fn canonical(path: &PathMatch) -> String {
    match path {
        PathMatch::Template { segments, .. } => {
            let anonymous = segments.iter().map(|segment| match segment {
                Segment::Literal(text) => Segment::Literal(text.clone()),
                Segment::Param(_) => Segment::Param("p".to_owned()),
            });
            let rest = matches!(path, PathMatch::Template { rest: true, .. });
            crate::pattern::show_path(&PathMatch::Template { segments: anonymous.collect(), rest })
        }
        PathMatch::Exact(_) | PathMatch::Prefix(_) | PathMatch::Regex(_) => {
            crate::pattern::show_path(path)
        }
    }
}

/// Whether one takes all that the other takes, host and path being equal.
fn covers(one: &RouteMatch, other: &RouteMatch) -> bool {
    // GET implies HEAD.
    let takes = |method: &Method| {
        let methods = &one.methods;
        methods.contains(method) || *method == Method::HEAD && methods.contains(&Method::GET)
    };
    let methods =
        one.methods.is_empty() || (!other.methods.is_empty() && other.methods.iter().all(takes));
    methods
        && one.headers.iter().all(|condition| other.headers.contains(condition))
        && one.query.iter().all(|condition| other.query.contains(condition))
}

/// Endpoints that are addresses of the gateway itself.
fn loops(config: &Config, report: &mut Report<'_>) {
    let mut ours = HashSet::new();
    let mut every = HashSet::new();
    for listener in &config.listeners {
        match &listener.bind {
            Bind::Tcp(address) => {
                ours.insert(*address);
            }
            Bind::Any(port) => {
                every.insert(*port);
            }
            Bind::Unix(_) => {}
        }
    }
    for endpoint in config.upstreams.iter().flat_map(|upstream| &upstream.endpoints) {
        let Address::Tcp(address) = &endpoint.address else { continue };
        let any = address.ip().is_loopback() && every.contains(&address.port());
        if any || ours.contains(address) {
            let what = format!("`{address}` is a listener of this gateway: requests go in circles");
            report.warn_at(endpoint.at, what);
        }
    }
}

/// Endpoints that are chosen by who a client is, on routes that ask nobody.
fn unasked(config: &Config, report: &mut Report<'_>) {
    for route in config.routes.iter().filter(|route| route.auth.is_empty()) {
        let Action::Forward(forward) = &route.action else { continue };
        let by_identity = |(index, _): &&(usize, u32)| {
            let hash = config.upstreams.get(*index).and_then(|upstream| upstream.hash.as_ref());
            hash.is_some_and(|hash| hash.key.iter().any(KeyPart::is_of_identity))
        };
        if let Some((index, _)) = forward.split.iter().find(by_identity) {
            let what = format!(
                "`{}` asks nobody who they are, and `{}` chooses endpoints by that",
                route.name, config.upstreams[*index].name
            );
            report.warn_at(route.at, what).hint = Some("give the route an `auth`".to_owned());
        }
    }
}

/// Answers that are kept behind credentials of which caches know nothing (RFC 9111, section 3.5, is
/// about `Authorization` alone).
fn kept_for_all(config: &Config, report: &mut Report<'_>) {
    let known =
        |place: &CredentialPlace| *place == CredentialPlace::Header(http::header::AUTHORIZATION);
    for route in &config.routes {
        let unknown = route.auth.iter().any(|way| match way {
            AuthWay::Jwt(jwt) => !jwt.token.iter().all(known),
            AuthWay::Basic(_) => false,
            AuthWay::ApiKey(_) | AuthWay::Mtls(_) | AuthWay::Forward(_) => true,
        });
        let key = route.cache.as_ref().map(|cache| &cache.key);
        let Some(key) = key.filter(|_| unknown) else { continue };
        if key.headers.is_empty() && key.cookies.is_empty() && key.lua.is_empty() {
            let what = format!(
                "`{}` keeps answers behind `auth`: one client may get what another was told",
                route.name
            );
            report.warn_at(route.at, what).hint = Some(
                "tell them apart with `cache.key.headers`, by a header that `auth` fills"
                    .to_owned(),
            );
        }
    }
}

/// Hedges that would need a second endpoint.
fn alone(config: &Config, report: &mut Report<'_>) {
    let single = |(index, _): &(usize, u32)| {
        config.upstreams.get(*index).is_some_and(|upstream| upstream.endpoints.len() == 1)
    };
    for route in &config.routes {
        let Action::Forward(forward) = &route.action else { continue };
        let hedged = route.retry.as_ref().is_some_and(|retry| retry.hedge.is_some());
        if hedged && forward.split.iter().all(single) {
            let what = format!(
                "`{}` never hedges: that takes a second endpoint of its upstream",
                route.name
            );
            report.warn_at(route.at, what);
        }
    }
}
