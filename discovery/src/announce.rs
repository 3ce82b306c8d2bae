//! What a member says of itself besides its name: what it is, and which services it runs. It
//! travels as the metadata of its record, so every member hears of it with the member itself.
//!
//! One byte of version, one of kind, one for the number of services; then for each its name behind
//! a byte of length, its address (4 or 6, the octets, the port), its weight and a byte of flags.
//! Numbers are big-endian. Words that a later version adds stand behind the services and are
//! skipped by this one.

use std::net::{IpAddr, SocketAddr};

use crate::swim::META_BYTES_MAX;

/// The only version so far.
const VERSION: u8 = 1;
/// Longest name of a service, in bytes; as long as a label of DNS.
pub const SERVICE_BYTES_MAX: usize = 63;
/// Most services of one member.
pub const OFFERS_MAX: usize = 16;

const READY: u8 = 1;

/// What kind of process a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// It forwards requests.
    #[default]
    Gateway,
    /// It speaks for instances of services.
    Agent,
    /// Something that this version does not know.
    Other(u8),
}

/// What a member says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Announcement {
    /// What it is.
    pub kind: Kind,
    /// What it runs, each service once.
    pub offers: Vec<Offer>,
}

/// A service that a member runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The name of the service: 1 to [`SERVICE_BYTES_MAX`] of letters, digits, `-`, `_` and `.`.
    pub service: Box<str>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share relative to other instances'; at least 1.
    pub weight: u16,
    /// Whether it takes requests now: an instance that is not well, or about to end, does not.
    pub ready: bool,
}

/// Why an announcement cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidAnnouncement {
    /// The name of a service is empty, too long, or has other characters.
    Service,
    /// A service twice, or more than [`OFFERS_MAX`].
    Offers,
    /// A weight or a port of 0.
    Zero,
    /// More than the metadata of a record can hold.
    Length,
}

impl std::fmt::Display for InvalidAnnouncement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Service => {
                write!(f, "a service is 1 to {SERVICE_BYTES_MAX} letters, digits, `-`, `_` and `.`")
            }
            Self::Offers => {
                write!(f, "a member offers at most {OFFERS_MAX} services, each of them once")
            }
            Self::Zero => f.write_str("a weight and a port are at least 1"),
            Self::Length => {
                write!(f, "what a member says of itself takes at most {META_BYTES_MAX} bytes")
            }
        }
    }
}

impl std::error::Error for InvalidAnnouncement {}

impl Announcement {
    /// The metadata that says this.
    ///
    /// # Errors
    /// What others would not believe.
    pub fn encode(&self) -> Result<Vec<u8>, InvalidAnnouncement> {
        check(&self.offers)?;
        // Checked above: at most `OFFERS_MAX`.
        let mut meta = vec![VERSION, self.kind.code(), self.offers.len() as u8];
        for offer in &self.offers {
            // Checked above: at most `SERVICE_BYTES_MAX`.
            meta.push(offer.service.len() as u8);
            meta.extend_from_slice(offer.service.as_bytes());
            match offer.address.ip() {
                IpAddr::V4(ip) => {
                    meta.push(4);
                    meta.extend_from_slice(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    meta.push(6);
                    meta.extend_from_slice(&ip.octets());
                }
            }
            meta.extend_from_slice(&offer.address.port().to_be_bytes());
            meta.extend_from_slice(&offer.weight.to_be_bytes());
            meta.push(if offer.ready { READY } else { 0 });
        }
        if meta.len() > META_BYTES_MAX { Err(InvalidAnnouncement::Length) } else { Ok(meta) }
    }

    /// What metadata says; `None` if it is not an announcement, or not a valid one.
    #[must_use]
    pub fn decode(meta: &[u8]) -> Option<Self> {
        let mut reader = Reader(meta);
        if reader.byte()? != VERSION {
            return None;
        }
        let kind = Kind::of(reader.byte()?);
        let count = usize::from(reader.byte()?);
        if count > OFFERS_MAX {
            return None;
        }
        let offers: Option<Vec<Offer>> = (0..count).map(|_| reader.offer()).collect();
        let offers = offers?;
        check(&offers).ok()?;
        Some(Self { kind, offers })
    }

    /// What it says of one service.
    #[must_use]
    pub fn offer(&self, service: &str) -> Option<&Offer> {
        self.offers.iter().find(|offer| *offer.service == *service)
    }
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Gateway => 0,
            Self::Agent => 1,
            Self::Other(code) => code,
        }
    }

    const fn of(code: u8) -> Self {
        match code {
            0 => Self::Gateway,
            1 => Self::Agent,
            code => Self::Other(code),
        }
    }
}

fn check(offers: &[Offer]) -> Result<(), InvalidAnnouncement> {
    if offers.len() > OFFERS_MAX {
        return Err(InvalidAnnouncement::Offers);
    }
    for (place, offer) in offers.iter().enumerate() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let length = offer.service.len();
        if !(1..=SERVICE_BYTES_MAX).contains(&length) || !offer.service.bytes().all(plain) {
            return Err(InvalidAnnouncement::Service);
        }
        if offer.weight == 0 || offer.address.port() == 0 {
            return Err(InvalidAnnouncement::Zero);
        }
        if offers[..place].iter().any(|earlier| earlier.service == offer.service) {
            return Err(InvalidAnnouncement::Offers);
        }
    }
    Ok(())
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn offer(&mut self) -> Option<Offer> {
        let length = usize::from(self.byte()?);
        let service = std::str::from_utf8(self.bytes(length)?).ok()?;
        let ip: IpAddr = match self.byte()? {
            4 => self.array::<4>()?.into(),
            6 => self.array::<16>()?.into(),
            _ => return None,
        };
        let port = u16::from_be_bytes(self.array()?);
        let weight = u16::from_be_bytes(self.array()?);
        let ready = self.byte()? & READY != 0;
        let address = SocketAddr::new(ip, port);
        Some(Offer { service: service.into(), address, weight, ready })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer(service: &str, address: &str) -> Offer {
        let address = address.parse().expect("an address");
        Offer { service: service.into(), address, weight: 2, ready: true }
    }

    #[test]
    fn what_is_said_is_heard() {
        for offers in [
            vec![],
            vec![offer("api", "10.0.0.1:8080"), offer("users.v2", "[2001:db8::1]:443")],
            vec![Offer { ready: false, weight: u16::MAX, ..offer("a", "127.0.0.1:1") }],
        ] {
            for kind in [Kind::Gateway, Kind::Agent, Kind::Other(9)] {
                let said = Announcement { kind, offers: offers.clone() };
                let meta = said.encode().expect("it is valid");
                assert_eq!(Announcement::decode(&meta), Some(said));
            }
        }
    }

    #[test]
    fn what_nobody_would_believe_is_not_said() {
        let refused = |offers| Announcement { kind: Kind::Agent, offers }.encode().unwrap_err();
        let long = "x".repeat(SERVICE_BYTES_MAX + 1);
        for name in ["", "a b", "ä", long.as_str()] {
            assert_eq!(refused(vec![offer(name, "[::1]:1")]), InvalidAnnouncement::Service);
        }
        let twice = vec![offer("a", "[::1]:1"), offer("a", "[::1]:2")];
        assert_eq!(refused(twice), InvalidAnnouncement::Offers);
        let many = (0..=OFFERS_MAX).map(|i| offer(&format!("s{i}"), "[::1]:1")).collect();
        assert_eq!(refused(many), InvalidAnnouncement::Offers);
        assert_eq!(refused(vec![offer("a", "[::1]:0")]), InvalidAnnouncement::Zero);
        let weightless = Offer { weight: 0, ..offer("a", "[::1]:1") };
        assert_eq!(refused(vec![weightless]), InvalidAnnouncement::Zero);
        let long = "x".repeat(SERVICE_BYTES_MAX - 1);
        let much = (0..9).map(|i| offer(&format!("{long}{i}"), "[::1]:1")).collect();
        assert_eq!(refused(much), InvalidAnnouncement::Length);
    }

    #[test]
    fn a_later_version_may_say_more() {
        let said = Announcement { kind: Kind::Agent, offers: vec![offer("a", "10.0.0.1:1")] };
        let mut meta = said.encode().expect("it is valid");
        meta.extend_from_slice(b"zone=a");
        assert_eq!(Announcement::decode(&meta), Some(said));
        meta[0] = 2;
        assert_eq!(Announcement::decode(&meta), None, "unless it says it otherwise");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(meta in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Some(said) = Announcement::decode(&meta) {
                prop_assert!(check(&said.offers).is_ok());
            }
        }

        #[test]
        fn what_is_cut_short_is_refused(cut in 0_usize..40) {
            let said = Announcement { kind: Kind::Agent, offers: vec![offer("api", "[::1]:80")] };
            let meta = said.encode().expect("it is valid");
            let cut = cut % meta.len();
            prop_assert_eq!(Announcement::decode(&meta[..cut]), None);
        }
    }
}
