//! The host of a request, as Host or `:authority` carry it: `name`, `name:port`, `[v6]:port`.

use std::net::Ipv6Addr;

#[cfg(test)]
mod tests;

/// Whether `value` is a host with an optional port (RFC 9110, 7.2; RFC 3986, 3.2.2).
///
/// Narrower than the RFC in three points: no `%` escapes, which no name in DNS needs and HTTP/2
/// libraries refuse; no `,`, which is how intermediaries join two Host fields; no IPvFuture.
/// User information is no part of a host. An empty port (`name:`) is allowed, as in the RFC.
pub fn is_valid(value: &[u8]) -> bool {
    let (name, port) = match value {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|b| *b == b']') else { return false };
            let (address, after) = (&rest[..end], &rest[end + 1..]);
            let valid = str::from_utf8(address).is_ok_and(|a| a.parse::<Ipv6Addr>().is_ok());
            return valid && (after.is_empty() || after.strip_prefix(b":").is_some_and(is_port));
        }
        _ => match value.iter().position(|b| *b == b':') {
            Some(colon) => (&value[..colon], Some(&value[colon + 1..])),
            None => (value, None),
        },
    };
    !name.is_empty() && name.iter().all(|b| is_name_byte(*b)) && port.is_none_or(is_port)
}

/// The host without its port; `host` must be valid.
pub fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

/// RFC 3986: `reg-name` without escapes and without the comma.
fn is_name_byte(byte: u8) -> bool {
    matches!(byte,
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~'
        | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'=')
}

/// Up to five digits, up to 65535.
fn is_port(digits: &[u8]) -> bool {
    digits.len() <= 5
        && digits.iter().all(u8::is_ascii_digit)
        && digits.iter().fold(0u32, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65_535
}
