//! Redis Cluster, as much of it as running scripts takes: which slot a key is in, and who owns it.
//!
//! Sources: the Redis Cluster specification, "Key distribution model" and "Hash tags"; the reply
//! of `CLUSTER SLOTS`.

use redis::Value;

/// Slots of a cluster.
pub(super) const SLOTS: usize = 16_384;
/// Nodes that are kept account of; the specification recommends at most as many.
pub(super) const NODES: usize = 1_000;

/// One range of slots, and where its master is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    /// `None` where the node that was asked is not sure: the same as its own.
    pub(super) host: Option<String>,
    pub(super) port: u16,
}

/// The slot of a key, by what of it counts.
pub(super) fn slot(tag: &[u8]) -> usize {
    const TABLE: [u16; 256] = table();
    let crc = tag
        .iter()
        .fold(0_u16, |crc, byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)]);
    usize::from(crc) % SLOTS
}

/// CRC-16/XMODEM: polynomial 0x1021, no reflection, beginning with 0.
const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

/// What `CLUSTER SLOTS` says; `None` if it is no such reply.
pub(super) fn ranges(reply: &Value) -> Option<Vec<Range>> {
    let Value::Array(list) = reply else { return None };
    (list.len() <= SLOTS).then_some(())?;
    list.iter().map(range).collect()
}

fn range(reply: &Value) -> Option<Range> {
    let Value::Array(parts) = reply else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = &parts[..] else {
        return None;
    };
    let [host, Value::Int(port), ..] = &master[..] else { return None };
    let host = match host {
        Value::BulkString(host) => Some(String::from_utf8(host.clone()).ok()?),
        Value::SimpleString(host) => Some(host.clone()),
        Value::Nil => None,
        _ => return None,
    };
    // "?" is a node whose name is not known yet.
    let host = host.filter(|host| !host.is_empty() && host != "?");
    let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
    let port = u16::try_from(*port).ok().filter(|port| *port > 0)?;
    (first <= last && usize::from(last) < SLOTS).then_some(Range { first, last, host, port })
}

/// Host and port of `address`, as `MOVED` and `ASK` name it; no host where it is the same.
pub(super) fn address(address: &str) -> Option<(Option<&str>, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    Some(((!host.is_empty() && host != "?").then_some(host), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots() {
        // From the specification, and from CLUSTER KEYSLOT.
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b""), 0);
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn who_owns_what() {
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let of = |first, last, master| {
            let replica = node(text("10.0.0.9"), 1);
            let range = Value::Array(vec![Value::Int(first), Value::Int(last), master, replica]);
            ranges(&Value::Array(vec![range]))
        };
        let expect = |host: Option<&str>| {
            let host = host.map(String::from);
            Some(vec![Range { first: 0, last: 5_460, host, port: 7_000 }])
        };
        assert_eq!(of(0, 5_460, node(text("10.0.0.1"), 7_000)), expect(Some("10.0.0.1")));
        for unsure in [Value::Nil, text(""), text("?")] {
            assert_eq!(of(0, 5_460, node(unsure, 7_000)), expect(None));
        }
        assert_eq!(of(0, 16_384, node(text("a"), 1)), None);
        assert_eq!(of(-1, 5, node(text("a"), 1)), None);
        assert_eq!(of(6, 5, node(text("a"), 1)), None);
        assert_eq!(of(0, 5, node(text("a"), 0)), None);
        assert_eq!(of(0, 5, node(text("a"), 70_000)), None);
        assert_eq!(of(0, 5, node(Value::BulkString(vec![0xff]), 1)), None);
        assert_eq!(of(0, 5, Value::Nil), None);
        assert_eq!(ranges(&Value::Okay), None);
        assert_eq!(ranges(&Value::Array(vec![Value::Array(vec![])])), None);
        assert_eq!(ranges(&Value::Array(vec![])), Some(vec![]));
    }

    #[test]
    fn redirections() {
        assert_eq!(address("10.0.0.1:7000"), Some((Some("10.0.0.1"), 7_000)));
        assert_eq!(address("::1:7000"), Some((Some("::1"), 7_000)));
        assert_eq!(address(":7000"), Some((None, 7_000)));
        assert_eq!(address("?:7000"), Some((None, 7_000)));
        assert_eq!(address("a:0"), None);
        assert_eq!(address("a"), None);
        assert_eq!(address("a:70000"), None);
    }
}
