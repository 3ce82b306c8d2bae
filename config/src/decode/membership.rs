//! `membership`: who this gateway speaks to, as whom, and under which secret.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Complaint, Decoder, upstream};
use crate::{
    address,
    defaults::{ADVERTISE, SEED},
    fields::{Fields, REDACTED},
    model::{Address, Bind, Membership, Secret},
    yaml::{Entry, Node, Value, shorten},
};

/// Most members to join through.
const SEEDS: usize = 64;
/// Most secrets at once.
const SECRETS: usize = 8;
/// Fewest bytes of a secret.
const SECRET_MIN: usize = 16;
/// Most bytes of a name and of a label.
const TEXT_MAX: usize = 128;

/// The membership; `None` is off, or was wrong.
pub(super) fn read(d: &mut Decoder<'_>, file: &Fields<'_>) -> Option<Membership> {
    let fields = file.policy(d, "membership", "membership")?;
    let entry = file.entry("membership")?;
    if fields.is_broken() {
        return None;
    }
    if fields.node("bind").is_none() {
        fields.missing(d, "bind", "such as `bind: \"127.0.0.1:7946\"`");
    }
    let bind = fields.parsed(d, "bind", bind);
    let advertise = fields.parsed(d, "advertise", advertise);
    let name = fields.parsed(d, "name", |text| upstream::name(text).and_then(short));
    let label = fields.parsed(d, "label", |text| short(text.to_owned()));
    let seeds = seeds(d, &fields);
    let secrets = secrets(d, &fields);
    fields.finish();
    let (bind, advertise) = place(d, &fields, &bind?, advertise)?;
    let local = |address: &SocketAddr| address.ip().is_loopback();
    if secrets.is_empty() && !(local(&bind) && advertise.as_ref().is_none_or(local)) {
        exposed(d, &fields, if local(&bind) { "advertise" } else { "bind" });
    }
    let at = entry.key.span.at();
    Some(Membership { at, bind, advertise, name, seeds, secrets, label: label? })
}

/// Where it speaks and where others reach it, with the parts filled in that follow from another.
fn place(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    bind: &Bind,
    advertise: Option<(IpAddr, Option<u16>)>,
) -> Option<(SocketAddr, Option<SocketAddr>)> {
    let bind = match *bind {
        Bind::Tcp(address) => address,
        // Of the family that others see: a socket of both would know them by other addresses.
        Bind::Any(port) => match advertise {
            Some((IpAddr::V6(_), _)) => (Ipv6Addr::UNSPECIFIED, port).into(),
            _ => (Ipv4Addr::UNSPECIFIED, port).into(),
        },
        Bind::Unix(_) => return None,
    };
    let advertise = match (advertise, bind.port()) {
        (Some((_, None)), 0) => {
            let span = fields.node("advertise").map(|node| node.span).unwrap_or_default();
            d.report.error(span, "`advertise` without a port, while `bind` leaves its own open");
            return None;
        }
        (Some((ip, port)), bound) => Some(SocketAddr::new(ip, port.unwrap_or(bound))),
        (None, _) => None,
    };
    if bind.ip().is_unspecified() && advertise.is_none() && fields.node("advertise").is_none() {
        let span = fields.node("bind").map(|node| node.span).unwrap_or_default();
        let what = "others are told one address, and this is every address of the machine";
        d.report.error(span, what).hint = Some(
            "write the one that they reach: `advertise: 192.0.2.1`, or from the environment, \
             `advertise: \"${POD_IP}\"`"
                .to_owned(),
        );
    }
    Some((bind, advertise))
}

/// Says that whoever reaches the address could take part.
fn exposed(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str) {
    // One that could not be read was told of; an empty one is none.
    let empty = |node: &Node| matches!(&node.value, Value::Text(text) if text.is_empty());
    let written = fields.node("secret").is_some_and(|node| !empty(node));
    if written || fields.node("secrets").is_some() {
        return;
    }
    let span = fields.node(name).map(|node| node.span).unwrap_or_default();
    let what = "off loopback a membership needs a `secret`: without, anyone who reaches it could \
                take part";
    d.report.error(span, what).hint = Some(
        "share one of 16 bytes or more with all members, `secret: \"${WEIR_GOSSIP_SECRET}\"`, \
         or bind to 127.0.0.1"
            .to_owned(),
    );
}

fn bind(text: &str) -> Result<Bind, Complaint> {
    match address::bind(text)? {
        Bind::Unix(_) => {
            Err(Complaint::new("members speak over UDP and TCP, not over Unix sockets")
                .hint("write an IP address and a port, such as `127.0.0.1:7946`"))
        }
        bind => Ok(bind),
    }
}

fn advertise(text: &str) -> Result<(IpAddr, Option<u16>), Complaint> {
    let wrong = || Complaint::new(format!("expected {ADVERTISE}, found `{}`", shorten(text)));
    let whole = text.parse::<SocketAddr>().map(|address| (address.ip(), Some(address.port())));
    let alone = || text.parse::<IpAddr>().map(|ip| (ip, None));
    let Ok((ip, port)) = whole.or_else(|_| alone()) else { return Err(wrong()) };
    if ip.is_unspecified() || ip.is_multicast() {
        return Err(wrong().hint("write the one address that others reach this machine at"));
    }
    if port == Some(0) {
        return Err(wrong().hint("port 0 is no port to speak to"));
    }
    Ok((ip, port))
}

/// A text that fits into what members tell each other.
fn short(text: String) -> Result<String, Complaint> {
    if text.len() > TEXT_MAX {
        return Err(Complaint::new(format!("{} bytes; at most {TEXT_MAX} are", text.len())));
    }
    Ok(text)
}

fn seeds(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Address> {
    let seeds = fields.at(d, "seeds", |d, node| {
        let mut seeds: Vec<Address> = Vec::new();
        d.each(node, SEEDS, |d, node| {
            let seed = d.parsed(node, SEED, seed)?;
            if seeds.contains(&seed) {
                d.report.error(node.span, format!("`{seed}` stands there twice"));
            }
            seeds.push(seed);
            Some(())
        });
        seeds
    });
    seeds.unwrap_or_default()
}

fn seed(text: &str) -> Result<Address, Complaint> {
    match address::endpoint(text)? {
        Address::Unix(_) => Err(Complaint::new("members speak over UDP and TCP")
            .hint("write a host and a port, such as `10.0.0.1:7946`")),
        address => Ok(address),
    }
}

/// What is shared, the one to seal with first.
fn secrets(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Secret> {
    let one = fields.secret(d, "secret");
    let several = fields.secrets(d, "secrets", SECRETS);
    // Told of their keys: the line of an entry may be the secret itself.
    let (first, list) = (fields.entry("secret"), fields.entry("secrets"));
    if let (Some(_), Some(entry)) = (first, list) {
        d.report.error(entry.key.span, "there is either `secret` or `secrets`").hint =
            Some("write all of them in `secrets`".to_owned());
    }
    if let Some(entry) = list.filter(|entry| entry.value.is_empty_list()) {
        d.report.error(entry.key.span, "`secrets` is empty");
    }
    let secrets: Vec<Secret> = one.into_iter().chain(several.into_iter().flatten()).collect();
    let span = first.or(list).map(|entry: &Entry| entry.key.span).unwrap_or_default();
    let weak = |secret: &Secret| secret.0.len() < SECRET_MIN && secret.0 != REDACTED;
    if let Some(short) = secrets.iter().find(|secret| weak(secret)) {
        let what = format!("a secret of {} bytes; {SECRET_MIN} are the fewest", short.0.len());
        d.report.error(span, what).hint = Some("make one with `openssl rand -hex 32`".to_owned());
    }
    secrets
}

#[cfg(test)]
mod tests;
