//! The static table (RFC 9204 appendix A), ready for both directions.

use std::mem;

use http::{HeaderName, HeaderValue};

/// Entries in the table.
pub(crate) const LENGTH: usize = 99;

/// Names and values, by index.
#[rustfmt::skip]
static TEXTS: [(&str, &str); LENGTH] = [
    (":authority", ""),
    (":path", "/"),
    ("age", "0"),
    ("content-disposition", ""),
    ("content-length", "0"),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("referer", ""),
    ("set-cookie", ""),
    (":method", "CONNECT"),
    (":method", "DELETE"),
    (":method", "GET"),
    (":method", "HEAD"),
    (":method", "OPTIONS"),
    (":method", "POST"),
    (":method", "PUT"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "103"),
    (":status", "200"),
    (":status", "304"),
    (":status", "404"),
    (":status", "503"),
    ("accept", "*/*"),
    ("accept", "application/dns-message"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-ranges", "bytes"),
    ("access-control-allow-headers", "cache-control"),
    ("access-control-allow-headers", "content-type"),
    ("access-control-allow-origin", "*"),
    ("cache-control", "max-age=0"),
    ("cache-control", "max-age=2592000"),
    ("cache-control", "max-age=604800"),
    ("cache-control", "no-cache"),
    ("cache-control", "no-store"),
    ("cache-control", "public, max-age=31536000"),
    ("content-encoding", "br"),
    ("content-encoding", "gzip"),
    ("content-type", "application/dns-message"),
    ("content-type", "application/javascript"),
    ("content-type", "application/json"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "image/gif"),
    ("content-type", "image/jpeg"),
    ("content-type", "image/png"),
    ("content-type", "text/css"),
    ("content-type", "text/html; charset=utf-8"),
    ("content-type", "text/plain"),
    ("content-type", "text/plain;charset=utf-8"),
    ("range", "bytes=0-"),
    ("strict-transport-security", "max-age=31536000"),
    ("strict-transport-security", "max-age=31536000; includesubdomains"),
    ("strict-transport-security", "max-age=31536000; includesubdomains; preload"),
    ("vary", "accept-encoding"),
    ("vary", "origin"),
    ("x-content-type-options", "nosniff"),
    ("x-xss-protection", "1; mode=block"),
    (":status", "100"),
    (":status", "204"),
    (":status", "206"),
    (":status", "302"),
    (":status", "400"),
    (":status", "403"),
    (":status", "421"),
    (":status", "425"),
    (":status", "500"),
    ("accept-language", ""),
    ("access-control-allow-credentials", "FALSE"),
    ("access-control-allow-credentials", "TRUE"),
    ("access-control-allow-headers", "*"),
    ("access-control-allow-methods", "get"),
    ("access-control-allow-methods", "get, post, options"),
    ("access-control-allow-methods", "options"),
    ("access-control-expose-headers", "content-length"),
    ("access-control-request-headers", "content-type"),
    ("access-control-request-method", "get"),
    ("access-control-request-method", "post"),
    ("alt-svc", "clear"),
    ("authorization", ""),
    ("content-security-policy", "script-src 'none'; object-src 'none'; base-uri 'none'"),
    ("early-data", "1"),
    ("expect-ct", ""),
    ("forwarded", ""),
    ("if-range", ""),
    ("origin", ""),
    ("purpose", "prefetch"),
    ("server", ""),
    ("timing-allow-origin", "*"),
    ("upgrade-insecure-requests", "1"),
    ("user-agent", ""),
    ("x-forwarded-for", ""),
    ("x-frame-options", "deny"),
    ("x-frame-options", "sameorigin"),
];

/// The name and value at `index`, which is below [`LENGTH`].
pub(crate) fn text(index: usize) -> (&'static str, &'static str) {
    TEXTS[index]
}

// === Decoding: entries as `http` types ===

/// The entries that are fields, as they go into a header map without any allocation.
static FIELDS: [Option<(HeaderName, HeaderValue)>; LENGTH] = fields();

#[expect(clippy::mem_replace_option_with_some, reason = "what it proposes may drop in a constant")]
const fn fields() -> [Option<(HeaderName, HeaderValue)>; LENGTH] {
    let mut fields = [const { None }; LENGTH];
    let mut i = 0;
    while i < LENGTH {
        let (name, value) = TEXTS[i];
        if name.as_bytes()[0] != b':' {
            let field = (HeaderName::from_static(name), HeaderValue::from_static(value));
            // A plain assignment would drop the old entry, which a constant cannot.
            mem::forget(mem::replace(&mut fields[i], Some(field)));
        }
        i += 1;
    }
    fields
}

/// The field at `index`, which is below [`LENGTH`]; `None` for a pseudo-header field.
pub(crate) fn field(index: usize) -> Option<&'static (HeaderName, HeaderValue)> {
    FIELDS[index].as_ref()
}

// === Encoding: entries by name ===

const NONE: u8 = u8::MAX;
const SLOTS: usize = 256;

/// The first entry of each name, by the name's hash; the next slots are tried in turn.
static BY_NAME: [u8; SLOTS] = by_name();

/// Of each entry the next one of the same name.
static NEXT: [u8; LENGTH] = next();

/// Length and three letters tell nearly all the names apart.
const fn slot(name: &[u8]) -> usize {
    let n = name.len();
    let letters = (name[0] as usize) * 7 + (name[n / 2] as usize) * 31 + (name[n - 1] as usize);
    (letters + n * 5) % SLOTS
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

const fn by_name() -> [u8; SLOTS] {
    let mut slots = [NONE; SLOTS];
    let mut i = 0;
    while i < LENGTH {
        let name = TEXTS[i].0.as_bytes();
        let mut slot = slot(name);
        while slots[slot] != NONE && !same(TEXTS[slots[slot] as usize].0.as_bytes(), name) {
            slot = (slot + 1) % SLOTS;
        }
        if slots[slot] == NONE {
            slots[slot] = i as u8;
        }
        i += 1;
    }
    slots
}

const fn next() -> [u8; LENGTH] {
    let mut next = [NONE; LENGTH];
    let mut i = 0;
    while i < LENGTH {
        let mut j = i + 1;
        while j < LENGTH && !same(TEXTS[i].0.as_bytes(), TEXTS[j].0.as_bytes()) {
            j += 1;
        }
        if j < LENGTH {
            next[i] = j as u8;
        }
        i += 1;
    }
    next
}

/// What the table has for a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The entry of this name and value.
    Both(usize),
    /// An entry of this name.
    Name(usize),
    Nothing,
}

/// Looks a field up.
pub(crate) fn find(name: &str, value: &[u8]) -> Found {
    if name.is_empty() {
        return Found::Nothing;
    }
    let mut slot = slot(name.as_bytes());
    let first = loop {
        match BY_NAME[slot] {
            NONE => return Found::Nothing,
            index if TEXTS[usize::from(index)].0 == name => break index,
            _ => slot = (slot + 1) % SLOTS,
        }
    };
    let mut index = first;
    while index != NONE {
        if TEXTS[usize::from(index)].1.as_bytes() == value {
            return Found::Both(usize::from(index));
        }
        index = NEXT[usize::from(index)];
    }
    Found::Name(usize::from(first))
}
