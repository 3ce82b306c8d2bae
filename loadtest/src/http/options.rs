//! What a run's options say about connections.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

/// Options of all connections of a run.
#[derive(Clone, Debug, Default)]
pub struct NetOptions {
    /// k6's `hosts`: a name, with or without a port, to an address, with or without a port.
    pub hosts: HashMap<String, String>,
    /// Addresses that must not be connected to.
    pub blacklist: Vec<Network>,
    /// Names that must not be looked up.
    pub blocked_names: Vec<NamePattern>,
    /// Every request has a connection to itself.
    pub no_connection_reuse: bool,
}

impl NetOptions {
    /// What `hosts` says of a name.
    pub fn address_of(&self, host: &str, port: u16) -> Option<SocketAddr> {
        if self.hosts.is_empty() {
            return None;
        }
        let wildcard = host.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        let found = self.hosts.get(&format!("{host}:{port}"));
        let found = found.or_else(|| self.hosts.get(host));
        let found = found.or_else(|| self.hosts.get(&wildcard?))?;
        if let Ok(address) = found.parse() {
            return Some(address);
        }
        Some(SocketAddr::new(found.parse().ok()?, port))
    }
}

/// An address range, `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8` or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    /// Whether `ip` is in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let shift = 32 - u32::from(self.bits);
                (u64::from(a.to_bits()) >> shift) == (u64::from(b.to_bits()) >> shift)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let differ = a.to_bits() ^ b.to_bits();
                self.bits == 0 || differ >> (128 - u32::from(self.bits)) == 0
            }
            _ => false,
        }
    }
}

/// A host name, or `*.` and the end of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(pub String);

impl NamePattern {
    /// Whether `host` fits it.
    pub fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some(end) => host.ends_with(end),
            None => host == self.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_names_as_k6_does() {
        let hosts =
            [("a.test", "10.0.0.1"), ("b.test:81", "10.0.0.2:82"), ("*.c.test", "10.0.0.3")];
        let hosts = hosts.map(|(k, v)| (k.to_string(), v.to_string())).into();
        let options = NetOptions { hosts, ..NetOptions::default() };
        let to = |host, port| options.address_of(host, port).map(|a| a.to_string());
        assert_eq!(to("a.test", 80).as_deref(), Some("10.0.0.1:80"));
        assert_eq!(to("b.test", 81).as_deref(), Some("10.0.0.2:82"));
        assert_eq!(to("b.test", 80), None);
        assert_eq!(to("x.c.test", 9).as_deref(), Some("10.0.0.3:9"));
    }

    #[test]
    fn knows_ranges() {
        let range = Network::parse("10.1.0.0/16").unwrap();
        assert!(range.contains("10.1.2.3".parse().unwrap()));
        assert!(!range.contains("10.2.2.3".parse().unwrap()));
        assert!(Network::parse("0.0.0.0/0").unwrap().contains("1.2.3.4".parse().unwrap()));
        assert!(Network::parse("fd00::/8").unwrap().contains("fd01::1".parse().unwrap()));
        assert_eq!(Network::parse("10.0.0.0/33"), None);
    }
}
