//! `upstreams`.

use std::collections::HashMap;

use super::{
    Complaint, Decoder, Named, Names, balance, breaker, discovery, health, listener::pair,
};
use crate::{
    address,
    defaults::{ADDRESS, NAME},
    fields::Fields,
    model::{Address, ClientTls, Endpoint, Upstream, UpstreamLimits, UpstreamProtocol},
    source::Span,
    yaml::{Node, Value, Word, shorten},
};

/// Most upstreams.
const UPSTREAMS: usize = 10_000;
/// Most endpoints of an upstream.
const ENDPOINTS: usize = 10_000;
/// Longest name of anything, in bytes.
const NAME_MAX: usize = 128;

/// The upstreams, and every name that was written, the broken ones included, so that a route to
/// a broken upstream is not blamed as well.
pub(super) fn all(d: &mut Decoder<'_>, fields: &Fields<'_>) -> (Vec<Upstream>, Names) {
    let mut names = Names::new();
    let upstreams = fields.pairs(d, "upstreams", UPSTREAMS, |d, word, node| {
        if let Err(complaint) = name(&word.text) {
            d.complain(word.span, &word.text, complaint);
        }
        let upstream = one(d, word, node);
        let raw = upstream.as_ref().is_none_or(Upstream::is_raw);
        names.insert(word.text.clone(), Named { index: names.len(), raw });
        upstream
    });
    (upstreams, names)
}

/// A name of an upstream or a route.
pub(super) fn name(text: &str) -> Result<String, Complaint> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    let complaint = || Complaint::new(format!("expected {NAME}, found `{}`", shorten(text)));
    if text.is_empty() {
        return Err(complaint());
    }
    if text.len() > NAME_MAX {
        return Err(complaint().hint(format!("at most {NAME_MAX} characters")));
    }
    match text.char_indices().find(|(_, c)| !legal(*c)) {
        Some((offset, c)) => Err(complaint().part(offset, c.len_utf8())),
        None => Ok(text.to_owned()),
    }
}

fn one(d: &mut Decoder<'_>, word: &Word, node: &Node) -> Option<Upstream> {
    let fields = Fields::open(d, node, "upstreams.*");
    let endpoints = endpoints(d, &fields);
    let discovery = discovery::read(d, &fields);
    let (balance, hash) = balance::read(d, &fields);
    let protocol = match fields.choice(d, "protocol") {
        "h2" => UpstreamProtocol::H2,
        "h3" => UpstreamProtocol::H3,
        "auto" => UpstreamProtocol::Auto,
        _ => UpstreamProtocol::H1,
    };
    let tls = fields.at(d, "tls", tls).flatten();
    let span = fields.node("protocol").map_or(word.span, |node| node.span);
    let clear = tls.is_none() && fields.node("tls").is_none_or(Node::is_off);
    suit(d, protocol, span, clear, endpoints.as_deref().unwrap_or_default());
    let health = health::check(d, &fields);
    health::suit(d, &fields, health.as_ref(), protocol);
    let outlier = health::outlier(d, &fields);
    let breaker = breaker::read(d, &fields);
    let slow_start = fields.duration_if_any(d, "slow_start");
    let bounds = fields.section(d, "limits", "upstreams.*.limits");
    let requests = bounds.count(d, "requests");
    let limits = UpstreamLimits {
        connections: bounds.count(d, "connections"),
        requests,
        queue: bounds.count(d, "queue"),
        queue_timeout: bounds.duration(d, "queue_timeout"),
        adaptive: breaker::adaptive(d, &bounds, requests),
    };
    bounds.finish();
    let connect_timeout = fields.duration(d, "connect_timeout");
    fields.finish();
    let at = word.span.at();
    let name = word.text.clone();
    let endpoints = endpoints?;
    Some(Upstream {
        at,
        name,
        endpoints,
        discovery,
        balance,
        hash,
        protocol,
        tls,
        health,
        outlier,
        breaker,
        slow_start,
        limits,
        connect_timeout,
    })
}

/// Refuses a protocol that the rest of the upstream leaves no way to speak.
fn suit(
    d: &mut Decoder<'_>,
    protocol: UpstreamProtocol,
    span: Span,
    clear: bool,
    endpoints: &[Endpoint],
) {
    let needs_tls = match protocol {
        UpstreamProtocol::H1 | UpstreamProtocol::H2 => None,
        UpstreamProtocol::H3 => {
            let unix = |endpoint: &&Endpoint| matches!(endpoint.address, Address::Unix(_));
            for endpoint in endpoints.iter().filter(unix) {
                let what = format!("`{}` takes no UDP, over which HTTP/3 runs", endpoint.address);
                d.report.error_at(endpoint.at, what).hint =
                    Some("write `protocol: h2` or `protocol: h1`".to_owned());
            }
            Some((
                "`protocol: h3` is never without TLS and so needs `tls`",
                "write `tls: on`, or name the authority with `tls: { ca: ca.pem }`",
            ))
        }
        UpstreamProtocol::Auto => Some((
            "`protocol: auto` asks by ALPN and so needs `tls`",
            "write `tls: on`, or `protocol: h2` for HTTP/2 by prior knowledge",
        )),
    };
    if let Some((what, hint)) = needs_tls.filter(|_| clear) {
        d.report.error(span, what).hint = Some(hint.to_owned());
    }
}

fn endpoints(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Vec<Endpoint>> {
    const EXAMPLE: &str = "such as `endpoints: [\"127.0.0.1:9001\"]`";
    let discovered = fields.entry("discovery").filter(|entry| !entry.value.is_off());
    let Some(node) = fields.node("endpoints") else {
        fields.at(d, "endpoints", |_, _| ());
        if discovered.is_some() {
            return Some(Vec::new());
        }
        fields.missing(d, "endpoints", EXAMPLE);
        return None;
    };
    if let Some(entry) = discovered {
        let what = "endpoints are either written in `endpoints` or found by `discovery`";
        d.report.error(entry.key.span, what).hint = Some(
            "remove one of them; a fixed list beside it is an upstream of its own, for a `split` \
             or a `fallback`"
                .to_owned(),
        );
    }
    let endpoints = fields.at(d, "endpoints", list).flatten()?;
    if node.is_empty_list() {
        d.report.error(node.span, "`endpoints` is empty").hint = Some(EXAMPLE.to_owned());
    }
    unique(d, &endpoints);
    Some(endpoints)
}

/// A list of endpoints.
pub(super) fn list(d: &mut Decoder<'_>, node: &Node) -> Option<Vec<Endpoint>> {
    d.list(node, "a list of addresses", ENDPOINTS, endpoint)
}

/// Refuses two endpoints of one name, or of one address.
pub(super) fn unique(d: &mut Decoder<'_>, endpoints: &[Endpoint]) {
    let mut seen: HashMap<&Address, u32> = HashMap::with_capacity(endpoints.len());
    let mut names: HashMap<&str, u32> = HashMap::new();
    for endpoint in endpoints {
        let name = endpoint.name.as_deref();
        if let Some((name, line)) =
            name.and_then(|name| Some((name, names.insert(name, endpoint.at.line)?)))
        {
            let what = format!("the upstream has an endpoint of the name `{name}` already");
            d.report.error_at(endpoint.at, what).hint = Some(format!("first on line {line}"));
        }
        if let Some(line) = seen.insert(&endpoint.address, endpoint.at.line) {
            let what = format!("the upstream has the endpoint `{}` already", endpoint.address);
            let hint = format!("first on line {line}; a greater share is a `weight`");
            d.report.error_at(endpoint.at, what).hint = Some(hint);
        }
    }
}

fn endpoint(d: &mut Decoder<'_>, node: &Node) -> Option<Endpoint> {
    let rooted = |d: &Decoder<'_>, address| match address {
        Address::Unix(path) => Address::Unix(d.base.join(path)),
        Address::Tcp(_) | Address::Name(..) => address,
    };
    let at = node.span.at();
    if let Value::Text(_) = &node.value {
        let address = d.parsed(node, ADDRESS, address::endpoint)?;
        let address = rooted(d, address);
        return Some(Endpoint { at, address, name: None, weight: 1, zone: None });
    }
    let fields = Fields::open(d, node, "upstreams.*.endpoints[]");
    let address = fields.parsed(d, "address", address::endpoint);
    if fields.node("address").is_none() {
        fields.missing(d, "address", "such as `address: \"127.0.0.1:9001\"`");
    }
    let own = fields.parsed(d, "name", name);
    let weight = fields.count(d, "weight");
    let zone = fields.parsed(d, "zone", name);
    fields.finish();
    let at = fields.node("address").map_or(at, |address| address.span.at());
    Some(Endpoint { at, address: rooted(d, address?), name: own, weight, zone })
}

fn tls(d: &mut Decoder<'_>, node: &Node) -> Option<ClientTls> {
    let at = node.span.at();
    if node.is_off() {
        return None;
    }
    if node.is_on() {
        return Some(ClientTls { at, server_name: None, ca: None, client: None, verify: true });
    }
    let fields = Fields::open(d, node, "upstreams.*.tls");
    let server_name = fields.parsed(d, "server_name", |text| {
        let numeric = text.parse::<std::net::IpAddr>().is_ok();
        if numeric || address::is_host_name(text) {
            return Ok(text.to_ascii_lowercase());
        }
        Err(Complaint::new(format!("expected a host name, found `{}`", shorten(text))))
    });
    let ca = fields.path(d, "ca");
    let client = pair(d, &fields, node);
    let verify = fields.flag(d, "verify");
    if let (false, Some(verify)) = (verify, fields.entry("verify")) {
        d.report
            .warn(
                verify.key.span,
                "the endpoint's certificate is not verified: anyone on the way can read and answer",
            )
            .hint = Some("name the authority with `ca: ca.pem` instead".to_owned());
    }
    fields.finish();
    Some(ClientTls { at, server_name, ca, client, verify })
}
