//! `listeners`.

use std::collections::HashMap;

use super::{Decoder, absolute};
use crate::{
    address,
    fields::Fields,
    model::{AltSvc, Bind, Certificate, Listener, Protocols, ServerTls},
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
    if let Value::Text(_) = &node.value {
        let bind = d.parsed(node, crate::defaults::BIND, address::bind)?;
        return Some(Listener {
            at: node.span.at(),
            bind: absolute(d, bind),
            tls: None,
            protocols: Protocols { h1: true, h2: true, h3: false },
            early_data: false,
            alt_svc: AltSvc::Auto,
            proxy_protocol: false,
            trusted_hops: 0,
        });
    }
    let fields = Fields::open(d, node, "listeners[]");
    let bind = fields.parsed(d, "bind", address::bind).map(|bind| absolute(d, bind));
    if fields.node("bind").is_none() {
        fields.missing(d, "bind", "such as `bind: \":8080\"`");
    }
    let tls = fields.at(d, "tls", tls).flatten();
    let proxy_protocol = fields.flag(d, "proxy_protocol");
    let trusted_hops = fields.count(d, "trusted_hops");
    let unix = matches!(bind, Some(Bind::Unix(_)));
    let clear = tls.is_none() && fields.node("tls").is_none_or(Node::is_off);
    let protocols = match fields.choices(d, "protocols") {
        None => Protocols { h1: true, h2: true, h3: !(clear || unix || proxy_protocol) },
        Some(words) => {
            let [h1, h2, h3] = ["h1", "h2", "h3"].map(|word| words.contains(&word));
            Protocols { h1, h2, h3 }
        }
    };
    let early_data = fields.flag(d, "early_data");
    let alt_svc = alt_svc(d, &fields);
    suit(d, &fields, protocols, alt_svc, &Unfit { clear, unix, proxy_protocol });
    fields.finish();
    let at = fields.node("bind").map_or(node.span, |bind| bind.span).at();
    let bind = bind?;
    Some(Listener { at, bind, tls, protocols, early_data, alt_svc, proxy_protocol, trusted_hops })
}

fn alt_svc(d: &mut Decoder<'_>, fields: &Fields<'_>) -> AltSvc {
    if fields.node("alt_svc").is_some_and(Node::is_off) {
        fields.at(d, "alt_svc", |_, _| ());
        return AltSvc::Off;
    }
    let port = fields.count_or(d, "alt_svc").and_then(|port| u16::try_from(port).ok());
    port.map_or(AltSvc::Auto, AltSvc::Port)
}

/// What makes HTTP/3 impossible on a listener.
struct Unfit {
    clear: bool,
    unix: bool,
    proxy_protocol: bool,
}

/// Refuses HTTP/3 where it cannot be spoken, and early data without it.
fn suit(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    protocols: Protocols,
    alt_svc: AltSvc,
    unfit: &Unfit,
) {
    let Some(span) = fields.node("protocols").or_else(|| fields.node("bind")).map(|node| node.span)
    else {
        return;
    };
    if protocols.h3 {
        for (unfit, what, hint) in [
            (
                unfit.clear,
                "`h3` is never without TLS and so needs `tls`",
                "write `tls: { cert: edge.pem, key: edge.key }`, or take `h3` off the list",
            ),
            (
                unfit.unix,
                "`h3` runs over UDP, which a Unix socket does not carry",
                "take `h3` off the list",
            ),
            (
                unfit.proxy_protocol,
                "`h3` has no PROXY header: only TCP connections carry it",
                "take `h3` off the list, or give it a listener without `proxy_protocol`",
            ),
        ] {
            if unfit {
                d.report.error(span, what).hint = Some(hint.to_owned());
            }
        }
    }
    let written = |name| fields.entry(name).filter(|entry| !entry.value.is_off());
    if let Some(early_data) = written("early_data") {
        if unfit.clear {
            d.report
                .error(early_data.value.span, "`early_data` is of TLS and so needs `tls`")
                .hint = Some("write `tls: { cert: edge.pem, key: edge.key }`".to_owned());
        } else if !protocols.h3 {
            let what = "only HTTP/3 takes early data, and this listener does not offer it";
            d.report.warn(early_data.key.span, what).hint =
                Some("add `h3` to `protocols`".to_owned());
        }
    }
    let port = matches!(alt_svc, AltSvc::Port(_));
    if let Some(alt_svc) = written("alt_svc").filter(|_| port && !protocols.h3) {
        let what = "`alt_svc` tells of HTTP/3, which this listener does not offer";
        d.report.warn(alt_svc.key.span, what).hint = Some("remove it".to_owned());
    }
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
