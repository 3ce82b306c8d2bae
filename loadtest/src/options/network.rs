//! Options about names, addresses and TLS.

use std::net::{IpAddr, SocketAddr};

use super::{
    Dns, DnsPolicy, DnsSelect, HostAddress, OptionsError, TlsAuth, TlsVersion, reader::Reader,
};
use crate::http::Version;

pub(super) fn hosts(options: &Reader<'_>) -> Result<Vec<(String, HostAddress)>, OptionsError> {
    let host = |(name, text): (String, String)| {
        let address = text.parse::<SocketAddr>();
        let address = address.map(|a| HostAddress { ip: a.ip(), port: Some(a.port()) });
        let address = address.or_else(|_| {
            let ip = text.trim_matches(['[', ']']).parse();
            ip.map(|ip| HostAddress { ip, port: None })
        });
        let error = |_| {
            let path = format!("hosts.{name}");
            OptionsError::new(path, format!("'{text}' is no IP address, with or without a port"))
        };
        address.map(|address| (name.clone(), address)).map_err(error)
    };
    options.pairs("hosts")?.into_iter().map(host).collect()
}

pub(super) fn dns(options: &Reader<'_>) -> Result<Dns, OptionsError> {
    let mut dns = Dns {
        ttl: Some(std::time::Duration::from_secs(300)),
        select: DnsSelect::Random,
        policy: DnsPolicy::PreferIpv4,
    };
    let Some(value) = options.value("dns") else { return Ok(dns) };
    let reader = Reader::of("dns".to_owned(), value)?;
    match reader.value("ttl").and_then(|ttl| ttl.as_str()) {
        Some("inf") => dns.ttl = None,
        _ => dns.ttl = reader.duration("ttl")?.or(dns.ttl),
    }
    dns.select = match reader.text("select")? {
        None => dns.select,
        Some("first") => DnsSelect::First,
        Some("random") => DnsSelect::Random,
        Some("roundRobin") => DnsSelect::RoundRobin,
        Some(other) => {
            let problem = format!("'{other}' is none of first, random and roundRobin");
            return Err(reader.error("select", problem));
        }
    };
    dns.policy = match reader.text("policy")? {
        None => dns.policy,
        Some("preferIPv4") => DnsPolicy::PreferIpv4,
        Some("preferIPv6") => DnsPolicy::PreferIpv6,
        Some("onlyIPv4") => DnsPolicy::OnlyIpv4,
        Some("onlyIPv6") => DnsPolicy::OnlyIpv6,
        Some("any") => DnsPolicy::Any,
        Some(other) => {
            let words = "preferIPv4, preferIPv6, onlyIPv4, onlyIPv6 and any";
            return Err(reader.error("policy", format!("'{other}' is none of {words}")));
        }
    };
    Ok(dns)
}

pub(super) fn blacklist_ips(options: &Reader<'_>) -> Result<Vec<(IpAddr, u8)>, OptionsError> {
    let network = |text: &str| {
        let (ip, bits) = text.split_once('/')?;
        let (ip, bits): (IpAddr, u8) = (ip.parse().ok()?, bits.parse().ok()?);
        (bits <= if ip.is_ipv4() { 32 } else { 128 }).then_some((ip, bits))
    };
    let network = |text: &str| {
        let problem = || format!("'{text}' is no network; write it like 10.0.0.0/8");
        network(text).ok_or_else(|| options.error("blacklistIPs", problem()))
    };
    options.texts("blacklistIPs")?.into_iter().map(network).collect()
}

pub(super) fn block_hostnames(options: &Reader<'_>) -> Result<Vec<String>, OptionsError> {
    let pattern = |text: &str| {
        let rest = text.strip_prefix('*').unwrap_or(text);
        let word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        if text.is_empty() || !rest.chars().all(word) {
            let problem =
                format!("invalid hostname pattern '{text}'; only the first letter may be *");
            return Err(options.error("blockHostnames", problem));
        }
        Ok(text.to_lowercase())
    };
    options.texts("blockHostnames")?.into_iter().map(pattern).collect()
}

pub(super) fn local_ips(options: &Reader<'_>) -> Result<Vec<IpAddr>, OptionsError> {
    let ip = |text: &str| {
        let problem =
            || format!("'{text}' is no IP address; ranges and networks are not supported");
        text.parse().map_err(|_| options.error("localIPs", problem()))
    };
    options.texts("localIPs")?.into_iter().map(ip).collect()
}

pub(super) fn http_version(options: &Reader<'_>) -> Result<Version, OptionsError> {
    let Some(value) = options.value("httpVersion") else { return Ok(Version::default()) };
    // A script may write the number 2 as well.
    let word = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Version::parse(&word).ok_or_else(|| {
        options.error("httpVersion", format!("'{word}' is none of '1.1', '2' and '3'"))
    })
}

pub(super) fn tls_version(
    options: &Reader<'_>,
) -> Result<Option<(TlsVersion, TlsVersion)>, OptionsError> {
    let Some(value) = options.value("tlsVersion") else { return Ok(None) };
    if value.is_string() {
        let version = version(options, "tlsVersion")?;
        return Ok(version.map(|version| (version, version)));
    }
    let reader = Reader::of("tlsVersion".to_owned(), value)?;
    let min = version(&reader, "min")?.unwrap_or(TlsVersion::Tls10);
    let max = version(&reader, "max")?.unwrap_or(TlsVersion::Tls13);
    if min > max {
        return Err(options.error("tlsVersion", "min is above max"));
    }
    Ok(Some((min, max)))
}

fn version(reader: &Reader<'_>, key: &str) -> Result<Option<TlsVersion>, OptionsError> {
    Ok(match reader.text(key)? {
        None | Some("") => None,
        Some("tls1.0") => Some(TlsVersion::Tls10),
        Some("tls1.1") => Some(TlsVersion::Tls11),
        Some("tls1.2") => Some(TlsVersion::Tls12),
        Some("tls1.3") => Some(TlsVersion::Tls13),
        Some(other) => {
            let problem = format!("'{other}' is none of tls1.0, tls1.1, tls1.2 and tls1.3");
            return Err(reader.error(key, problem));
        }
    })
}

pub(super) fn tls_auth(options: &Reader<'_>) -> Result<Vec<TlsAuth>, OptionsError> {
    let list = options.list("tlsAuth")?;
    let auth = |(i, value)| {
        let reader = Reader::of(format!("tlsAuth[{i}]"), value)?;
        let text = |key| reader.text(key)?.ok_or_else(|| reader.error(key, "is missing"));
        Ok(TlsAuth {
            cert: text("cert")?.to_owned(),
            key: text("key")?.to_owned(),
            password: reader.text("password")?.map(str::to_owned),
            domains: reader.texts("domains")?.into_iter().map(str::to_owned).collect(),
        })
    };
    list.iter().enumerate().map(auth).collect()
}
