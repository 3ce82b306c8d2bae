//! `listeners`.

use std::collections::HashMap;

use super::{Decoder, absolute};
use crate::{
    address,
    fields::Fields,
    model::{Bind, Certificate, Listener, Protocols, ServerTls},
    yaml::{Node, Value},
};

/// Most listeners.
const LISTENERS: usize = 256;
/// Most certificates of a listener.
const CERTIFICATES: usize = 10_000;

const EXAMPLE: &str = "the shortest form is `listeners: [\":8080\"]`";

pub(super) fn all(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Listener> {
    let read = |d: &mut Decoder<'_>, node: &Node| {
        let listeners = d.list(node, "a list of addresses", LISTENERS, one)?;
        if node.is_empty_list() {
            d.report.error(node.span, "`listeners` is empty").hint = Some(EXAMPLE.to_owned());
        }
        Some(listeners)
    };
    let Some(listeners) = fields.at(d, "listeners", read) else {
        fields.missing(d, "listeners", EXAMPLE);
        return Vec::new();
    };
    let listeners = listeners.unwrap_or_default();
    let mut seen: HashMap<&Bind, u32> = HashMap::new();
    for listener in &listeners {
        // Port 0 is another port each time.
        if listener.bind.is_chosen_by_system() {
            continue;
        }
        if let Some(line) = seen.insert(&listener.bind, listener.at.line) {
            let what = format!("another listener has the address `{}`", listener.bind);
            d.report.error_at(listener.at, what).hint = Some(format!("first on line {line}"));
        }
    }
    listeners
}

fn one(d: &mut Decoder<'_>, node: &Node) -> Option<Listener> {
    let protocols = Protocols { h1: true, h2: true };
    if let Value::Text(_) = &node.value {
        let bind = d.parsed(node, crate::defaults::BIND, address::bind)?;
        let bind = absolute(d, bind);
        let at = node.span.at();
        let (proxy_protocol, trusted_hops) = (false, 0);
        return Some(Listener { at, bind, tls: None, protocols, proxy_protocol, trusted_hops });
    }
    let fields = Fields::open(d, node, "listeners[]");
    let bind = fields.parsed(d, "bind", address::bind).map(|bind| absolute(d, bind));
    if fields.node("bind").is_none() {
        fields.missing(d, "bind", "such as `bind: \":8080\"`");
    }
    let tls = fields.at(d, "tls", tls).flatten();
    let offered = fields.choices(d, "protocols");
    let protocols = Protocols { h1: offered.contains(&"h1"), h2: offered.contains(&"h2") };
    // The one legal value is the default; anything else is refused there.
    fields.flag(d, "early_data");
    let proxy_protocol = fields.flag(d, "proxy_protocol");
    let trusted_hops = fields.count(d, "trusted_hops");
    fields.finish();
    let at = fields.node("bind").map_or(node.span, |bind| bind.span).at();
    Some(Listener { at, bind: bind?, tls, protocols, proxy_protocol, trusted_hops })
}

fn tls(d: &mut Decoder<'_>, node: &Node) -> Option<ServerTls> {
    if node.is_off() {
        return None;
    }
    if let Value::List(_) = &node.value {
        let certificates = certificates(d, node);
        return Some(ServerTls { certificates, client_ca: None });
    }
    let fields = Fields::open(d, node, "listeners[].tls");
    let mut list: Vec<Certificate> = pair(d, &fields, node).into_iter().collect();
    let several = fields.at(d, "certificates", certificates);
    if fields.node("cert").is_none() && fields.node("key").is_none() && several.is_none() {
        fields.missing(d, "cert", "write `{ cert: edge.pem, key: edge.key }`");
    }
    list.extend(several.unwrap_or_default());
    let client_ca = fields.path(d, "client_ca");
    fields.finish();
    Some(ServerTls { certificates: list, client_ca })
}

fn certificates(d: &mut Decoder<'_>, node: &Node) -> Vec<Certificate> {
    let read = |d: &mut Decoder<'_>, node: &Node| {
        let fields = Fields::open(d, node, "listeners[].tls.certificates[]");
        let read = pair(d, &fields, node);
        if fields.node("cert").is_none() && fields.node("key").is_none() {
            fields.missing(d, "cert", "write `{ cert: edge.pem, key: edge.key }`");
        }
        fields.finish();
        read
    };
    let list = d.list(node, "a list of `{ cert, key }` pairs", CERTIFICATES, read);
    if node.is_empty_list() {
        d.report.error(node.span, "no certificate").hint =
            Some("write `[{ cert: edge.pem, key: edge.key }]`".to_owned());
    }
    list.unwrap_or_default()
}

/// `cert` and `key`; one without the other is an error.
pub(super) fn pair(d: &mut Decoder<'_>, fields: &Fields<'_>, node: &Node) -> Option<Certificate> {
    let (cert, key) = (fields.path(d, "cert"), fields.path(d, "key"));
    match (fields.node("cert"), fields.node("key")) {
        (Some(_), None) => fields.missing(d, "key", "a certificate needs its private key"),
        (None, Some(_)) => fields.missing(d, "cert", "a private key needs its certificate"),
        (Some(_), Some(_)) | (None, None) => {}
    }
    let at = fields.node("cert").map_or(node.span, |cert| cert.span).at();
    Some(Certificate { at, cert: cert?, key: key? })
}
