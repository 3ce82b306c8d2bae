//! The PROXY protocol, versions 1 and 2: who the client is, told by the proxy in front of us.
//!
//! Specification: <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>. A listener that
//! expects the header refuses connections without one, so that nobody reaches it past the proxy
//! under an address of the proxy's; one that does not expect it never looks for it. [`parse`] is
//! pure and takes the bytes as they come; [`read_header`] feeds it from a connection.

mod read;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

pub use self::read::read_header;
use super::stream::canonical;

/// Longest header of version 1, its CRLF included (section 2.1).
pub const V1_MAX_BYTES: usize = 107;

/// Longest header of version 2 that is taken, the type-length-value fields included. The format
/// allows 64 KiB; a proxy that relays a TLS client's certificate fields stays below this.
pub const V2_MAX_BYTES: usize = 4096;

const V1_PREFIX: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const V2_FIXED_BYTES: usize = 16;
const V2_UNIX_PATH_BYTES: usize = 108;
const TLV_CRC32C: u8 = 0x03;

/// What a header says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The proxy relays a TCP connection. IPv4-mapped IPv6 addresses are given as IPv4.
    Relayed {
        /// The client.
        source: SocketAddr,
        /// What the client connected to.
        destination: SocketAddr,
    },
    /// No address is known: the connection is the proxy's own (LOCAL: a health check), or of a kind
    /// that has none (UNKNOWN, UNSPEC, Unix). The addresses of the connection itself hold.
    Direct,
}

impl ProxyHeader {
    /// The client's address, when the header names one.
    pub fn source(&self) -> Option<SocketAddr> {
        match self {
            Self::Relayed { source, .. } => Some(*source),
            Self::Direct => None,
        }
    }
}

/// How far [`parse`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A whole header, and how many bytes it took; what follows is the client's.
    Complete(ProxyHeader, usize),
    /// Valid so far, but more is needed.
    Incomplete,
}

/// Why bytes are not a header. The connection is to be closed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The connection does not begin with a header.
    #[error("no PROXY header")]
    NoHeader,
    /// Version 1: longer than 107 bytes.
    #[error("PROXY v1 header longer than {V1_MAX_BYTES} bytes")]
    LineTooLong,
    /// Version 1: not the fields, separators and line end that section 2.1 wants.
    #[error("malformed PROXY v1 header")]
    Line,
    /// An address or port that is none, or not of the family named.
    #[error("malformed address in PROXY v1 header")]
    Address,
    /// Version 2: another version or an unknown command.
    #[error("unknown version or command in PROXY v2 header")]
    Command,
    /// Version 2: unknown address family or transport, or one that is no stream.
    #[error("unsupported address family or transport in PROXY v2 header")]
    Family,
    /// Version 2: a length too short for the family or above [`V2_MAX_BYTES`].
    #[error("PROXY v2 header length out of bounds")]
    Length,
    /// Version 2: the fields after the addresses do not fill the header exactly.
    #[error("malformed fields in PROXY v2 header")]
    Field,
    /// Version 2: the checksum is not that of the header.
    #[error("wrong checksum in PROXY v2 header")]
    Checksum,
}

/// Parses a header at the start of `bytes`; wrong bytes are refused as soon as they are seen.
///
/// # Errors
/// [`Invalid`] when no continuation of `bytes` is a header that is taken here.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Invalid> {
    if bytes.starts_with(V1_PREFIX) {
        parse_v1(bytes)
    } else if bytes.starts_with(V2_SIGNATURE) {
        parse_v2(bytes)
    } else if V1_PREFIX.starts_with(bytes) || V2_SIGNATURE.starts_with(bytes) {
        Ok(Parsed::Incomplete)
    } else {
        Err(Invalid::NoHeader)
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Parsed, Invalid> {
    let window = &bytes[..bytes.len().min(V1_MAX_BYTES)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if window.len() == V1_MAX_BYTES {
            Err(Invalid::LineTooLong)
        } else {
            Ok(Parsed::Incomplete)
        };
    };
    let line = window[V1_PREFIX.len()..end].strip_suffix(b"\r").ok_or(Invalid::Line)?;
    let line = std::str::from_utf8(line).map_err(|_| Invalid::Line)?;
    let mut fields = line.split(' ');
    let header = match fields.next() {
        // "the receiver must ignore anything presented before the CRLF"
        Some("UNKNOWN") => return Ok(Parsed::Complete(ProxyHeader::Direct, end + 1)),
        Some("TCP4") => parse_v1_fields::<Ipv4Addr>(&mut fields)?,
        Some("TCP6") => parse_v1_fields::<Ipv6Addr>(&mut fields)?,
        _ => return Err(Invalid::Line),
    };
    match fields.next() {
        None => Ok(Parsed::Complete(header, end + 1)),
        Some(_) => Err(Invalid::Line),
    }
}

fn parse_v1_fields<'a, A>(
    fields: &mut impl Iterator<Item = &'a str>,
) -> Result<ProxyHeader, Invalid>
where
    A: std::str::FromStr + Into<std::net::IpAddr>,
{
    let mut field = || fields.next().ok_or(Invalid::Line);
    let address = |text: &str| text.parse::<A>().map(Into::into).map_err(|_| Invalid::Address);
    let (source, destination) = (address(field()?)?, address(field()?)?);
    let (source_port, destination_port) = (parse_port(field()?)?, parse_port(field()?)?);
    Ok(relayed((source, source_port).into(), (destination, destination_port).into()))
}

/// A decimal number without sign or leading zero.
fn parse_port(text: &str) -> Result<u16, Invalid> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 1 || !text.starts_with('0'));
    if canonical { text.parse().map_err(|_| Invalid::Address) } else { Err(Invalid::Address) }
}

fn relayed(source: SocketAddr, destination: SocketAddr) -> ProxyHeader {
    ProxyHeader::Relayed { source: canonical(source), destination: canonical(destination) }
}

fn parse_v2(bytes: &[u8]) -> Result<Parsed, Invalid> {
    // The fixed part is judged byte by byte as far as it is there.
    let local = match bytes.get(12) {
        None => return Ok(Parsed::Incomplete),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(Invalid::Command),
    };
    let Some((fixed, _)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else {
        return Ok(Parsed::Incomplete);
    };
    let total = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if total > V2_MAX_BYTES {
        return Err(Invalid::Length);
    }
    let addresses = if local { None } else { Some(V2Family::new(fixed[13])?) };
    if addresses.is_some_and(|family| total < V2_FIXED_BYTES + family.address_bytes()) {
        return Err(Invalid::Length);
    }
    let Some(header) = bytes.get(..total) else { return Ok(Parsed::Incomplete) };
    // "the receiver [...] must discard the protocol block including the family which is ignored"
    let Some(family) = addresses else {
        return Ok(Parsed::Complete(ProxyHeader::Direct, total));
    };
    check_fields(header, V2_FIXED_BYTES + family.address_bytes())?;
    Ok(Parsed::Complete(family.addresses(&header[V2_FIXED_BYTES..]), total))
}

/// Families of version 2 that are taken.
#[derive(Debug, Clone, Copy)]
enum V2Family {
    Unspec,
    Tcp4,
    Tcp6,
    Unix,
}

impl V2Family {
    /// Datagram transports are refused: no proxy relays them over a stream.
    fn new(byte: u8) -> Result<Self, Invalid> {
        match byte {
            0x00 => Ok(Self::Unspec),
            0x11 => Ok(Self::Tcp4),
            0x21 => Ok(Self::Tcp6),
            0x31 => Ok(Self::Unix),
            _ => Err(Invalid::Family),
        }
    }

    fn address_bytes(self) -> usize {
        match self {
            Self::Unspec => 0,
            Self::Tcp4 => 2 * (4 + 2),
            Self::Tcp6 => 2 * (16 + 2),
            Self::Unix => 2 * V2_UNIX_PATH_BYTES,
        }
    }

    /// Reads the block of addresses; its length was checked against `address_bytes`.
    fn addresses(self, block: &[u8]) -> ProxyHeader {
        match (self, block) {
            (Self::Tcp4, &[a, b, c, d, e, f, g, h, p, q, r, s, ..]) => relayed(
                (Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p, q])).into(),
                (Ipv4Addr::new(e, f, g, h), u16::from_be_bytes([r, s])).into(),
            ),
            (Self::Tcp6, block) => {
                let (sources, rest) = block.split_first_chunk().unwrap_or((&[0; 16], &[]));
                let (destinations, rest) = rest.split_first_chunk().unwrap_or((&[0; 16], &[]));
                let (ports, _) = rest.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
                relayed(
                    (Ipv6Addr::from(*sources), u16::from_be_bytes([ports[0], ports[1]])).into(),
                    (Ipv6Addr::from(*destinations), u16::from_be_bytes([ports[2], ports[3]]))
                        .into(),
                )
            }
            (Self::Unspec | Self::Unix | Self::Tcp4, _) => ProxyHeader::Direct,
        }
    }
}

/// Walks the type-length-value fields from `start` and verifies a checksum among them. The rest is
/// of no use here: names and certificates that the proxy reports are not what our TLS saw.
fn check_fields(header: &[u8], start: usize) -> Result<(), Invalid> {
    let mut at = start;
    let mut seen_checksum = false;
    while at < header.len() {
        let &[kind, high, low] = header.get(at..at + 3).ok_or(Invalid::Field)? else {
            return Err(Invalid::Field);
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value_at = at + 3;
        let value = header.get(value_at..value_at + length).ok_or(Invalid::Field)?;
        if kind == TLV_CRC32C {
            let stored = <[u8; 4]>::try_from(value).map_err(|_| Invalid::Field)?;
            let repeated = std::mem::replace(&mut seen_checksum, true);
            if repeated || checksum(header, value_at) != u32::from_be_bytes(stored) {
                return Err(Invalid::Checksum);
            }
        }
        at = value_at + length;
    }
    Ok(())
}

/// CRC-32C (RFC 4960 appendix B) of `header`, with the four bytes at `zeroed` read as zero.
fn checksum(header: &[u8], zeroed: usize) -> u32 {
    const REFLECTED_POLYNOMIAL: u32 = 0x82F6_3B78;
    let mut crc = u32::MAX;
    for (at, byte) in header.iter().enumerate() {
        let byte = if (zeroed..zeroed + 4).contains(&at) { 0 } else { *byte };
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (REFLECTED_POLYNOMIAL & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests;
