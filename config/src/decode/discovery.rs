//! `discovery` of an upstream, and the `resolver` of the names in it.

use std::net::{IpAddr, SocketAddr};

use super::{Complaint, Decoder};
use crate::{
    address,
    defaults::{DNS_HOST, DNS_SERVER, DNS_SERVICE, OFFER},
    fields::Fields,
    model::{Address, Discovery, DiscoverySource, Resolver},
    yaml::shorten,
};

#[cfg(test)]
mod tests;

/// The words of which there is one.
const SOURCES: [&str; 4] = ["members", "dns", "dns_srv", "file"];
/// Longest name of a service that members offer, in bytes.
const OFFER_MAX: usize = 63;
/// Most DNS servers.
const SERVERS: usize = 8;
/// Where a DNS server listens that is written without a port.
const DNS_PORT: u16 = 53;

/// Who tells the endpoints of an upstream; `None` is nobody, or was wrong.
pub(super) fn read(d: &mut Decoder<'_>, upstream: &Fields<'_>) -> Option<Discovery> {
    let fields = upstream.policy(d, "discovery", "upstreams.*.discovery")?;
    let at = upstream.entry("discovery")?.key.span.at();
    let members = fields.parsed(d, "members", offer).map(DiscoverySource::Members);
    let dns = fields.parsed(d, "dns", host).map(|(host, port)| DiscoverySource::Dns(host, port));
    let srv = fields.parsed(d, "dns_srv", service).map(DiscoverySource::DnsSrv);
    let file = fields.path(d, "file").map(DiscoverySource::File);
    let mut written = SOURCES.into_iter().filter_map(|name| fields.entry(name));
    match (written.next(), written.next()) {
        (Some(_), Some(second)) => {
            let what = "there is one source: either `members`, `dns`, `dns_srv` or `file`";
            d.report.error(second.key.span, what);
        }
        (None, None) => fields.missing(
            d,
            "members",
            "or `dns`, `dns_srv` or `file`, such as `discovery: { dns: \"users.internal:8080\" }`",
        ),
        _ => {}
    }
    if let (Some(entry), false) = (fields.entry("members"), d.gossips) {
        let what = "`members` needs a `membership`, and the file has none";
        d.report.error(entry.key.span, what).hint = Some(
            "write `membership: { bind: \"127.0.0.1:7946\", name: edge-1 }` at the top level"
                .to_owned(),
        );
    }
    fields.finish();
    Some(Discovery { at, source: members.or(dns).or(srv).or(file)? })
}

/// Who is asked for names.
pub(super) fn resolver(d: &mut Decoder<'_>, file: &Fields<'_>) -> Resolver {
    let fields = file.section(d, "resolver", "resolver");
    let servers = fields.at(d, "servers", |d, node| {
        if node.is_empty_list() {
            d.report.error(node.span, "`servers` is empty").hint =
                Some("leave it out for those of /etc/resolv.conf".to_owned());
        }
        d.each(node, SERVERS, |d, node| d.parsed(node, DNS_SERVER, server))
    });
    let timeout = fields.duration(d, "timeout");
    fields.finish();
    Resolver { servers: servers.unwrap_or_default(), timeout }
}

/// The name of a service that members offer.
fn offer(text: &str) -> Result<String, Complaint> {
    let complaint = || Complaint::new(format!("expected {OFFER}, found `{}`", shorten(text)));
    if text.is_empty() {
        return Err(complaint());
    }
    if text.len() > OFFER_MAX {
        return Err(complaint().hint(format!("at most {OFFER_MAX} characters")));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match text.char_indices().find(|(_, c)| !plain(*c)) {
        Some((offset, c)) => Err(complaint().part(offset, c.len_utf8())),
        None => Ok(text.to_owned()),
    }
}

/// A name of DNS and a port.
fn host(text: &str) -> Result<(String, u16), Complaint> {
    match address::endpoint(text) {
        Ok(Address::Name(host, port)) => Ok((host, port)),
        Ok(Address::Tcp(_) | Address::Unix(_)) => {
            let complaint = Complaint::new(format!("expected {DNS_HOST}, found `{text}`"));
            Err(complaint.hint(format!("no name to look up: write `endpoints: [\"{text}\"]`")))
        }
        Err(complaint) => Err(complaint),
    }
}

/// A name of DNS that has SRV records.
fn service(text: &str) -> Result<String, Complaint> {
    if address::is_host_name(text) {
        return Ok(text.to_ascii_lowercase());
    }
    let complaint = Complaint::new(format!("expected {DNS_SERVICE}, found `{}`", shorten(text)));
    Err(match text.rsplit_once(':') {
        Some((name, port)) if address::is_host_name(name) && port.parse::<u16>().is_ok() => {
            complaint.hint(format!("the records say the ports: write `{name}`"))
        }
        _ => complaint,
    })
}

/// A DNS server.
fn server(text: &str) -> Result<SocketAddr, Complaint> {
    let parsed = text.parse::<SocketAddr>().ok();
    let bare = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, DNS_PORT));
    parsed
        .or_else(bare)
        .filter(|server| server.port() != 0)
        .ok_or_else(|| Complaint::new(format!("expected {DNS_SERVER}, found `{}`", shorten(text))))
}
