//! Addresses that have something in common.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr};

use super::At;

/// Addresses with a common beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotNetwork {
    /// It is not an address with a length.
    Syntax,
    /// Bits behind the length are set; the network that was probably meant.
    Host(Network),
}

impl Network {
    /// The addresses that share the first `prefix` bits of `address`; `None` where it has not so
    /// many, or has bits set behind them. IPv4 addresses written as IPv6 are those of IPv4.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let (address, prefix) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), plain @ IpAddr::V4(_)) => (plain, prefix.checked_sub(96)?),
            (_, plain) => (plain, prefix),
        };
        let network = Self { address, prefix };
        (prefix <= network.width() && network.first() == address).then_some(network)
    }

    /// Its lowest address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => IpAddr::V4((address.to_bits() & !self.rest() as u32).into()),
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !self.rest()).into()),
        }
    }

    /// Its highest address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(address) => IpAddr::V4((address.to_bits() | self.rest() as u32).into()),
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() | self.rest()).into()),
        }
    }

    /// How many bits its addresses have in common.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    const fn width(&self) -> u8 {
        match self.address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        }
    }

    /// The bits in which its addresses differ.
    fn rest(&self) -> u128 {
        let bits = u32::from(self.width() - self.prefix);
        1_u128.checked_shl(bits).map_or(u128::MAX, |one| one - 1)
    }
}

impl FromStr for Network {
    type Err = NotNetwork;

    /// `192.0.2.0/24`, `2001:db8::/32`, or an address alone.
    fn from_str(text: &str) -> Result<Self, NotNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NotNetwork::Syntax)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width,
            Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|bits| *bits <= width).ok_or(NotNetwork::Syntax)?
            }
            Some(_) => return Err(NotNetwork::Syntax),
        };
        let whole = Self { address, prefix };
        Self::new(address, prefix).ok_or_else(|| match Self::new(whole.first(), prefix) {
            Some(meant) => NotNetwork::Host(meant),
            None => NotNetwork::Syntax,
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A list of networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks {
    /// Where it stands in the file.
    pub at: At,
    /// Those that the configuration names.
    pub listed: Vec<Network>,
    /// A file with one of them a line.
    pub file: Option<PathBuf>,
}
