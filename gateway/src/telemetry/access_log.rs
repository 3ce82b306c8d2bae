//! The access log: one line per request, built by hand into a buffer of the worker.
//!
//! Whatever a client sends, a record stays one line and (as JSON) one valid object: quotes, line
//! ends, control characters and bytes that are not UTF-8 are escaped or replaced (compare
//! CVE-2024-45808). [`LogBuffer`] hands full buffers to the [`LogWriter`]'s thread.

mod buffer;
mod stamp;
#[cfg(test)]
mod tests;

pub use buffer::{LogBuffer, LogWriter};
use stamp::Stamp;

use crate::{
    idempotency::key::RecordKey,
    upstream::{retry::policy::Stop, trail::Trail},
};

/// Form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object.
    Json,
    /// NCSA common log format: `client - - [date] "request" status bytes`.
    Common,
}

/// What there is to tell about one request. Byte strings are logged as they are if they are UTF-8.
#[derive(Debug, Clone, Copy)]
pub struct AccessRecord<'a> {
    /// When the request's head was there: milliseconds since the Unix epoch.
    pub unix_millis: u64,
    /// The request's id.
    pub id: &'a [u8],
    /// The trace that it is in, where it has a span.
    pub trace: Option<u128>,
    /// The client's address, without its port.
    pub client: &'a str,
    /// Method.
    pub method: &'a str,
    /// Host as the client named it; empty if it did not.
    pub host: &'a [u8],
    /// Path and query.
    pub path: &'a [u8],
    /// Version, such as `HTTP/1.1`.
    pub protocol: &'a str,
    /// Status of the response; 499 when the client did not wait for it.
    pub status: u16,
    /// Why, when the gateway said no (see `docs/errors.md`).
    pub flag: Option<&'a str>,
    /// Name of the route, if one matched.
    pub route: Option<&'a str>,
    /// Name of the upstream, if the route has one.
    pub upstream: Option<&'a str>,
    /// Address of the endpoint asked last.
    pub endpoint: Option<&'a str>,
    /// How many times an endpoint was asked.
    pub attempts: u32,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// From the request's head to the response's end.
    pub duration_nanos: u64,
    /// From the last attempt's start to its response's head.
    pub upstream_nanos: Option<u64>,
    /// Who the client is, by its credential.
    pub identity: Option<&'a str>,
    /// Why it was not believed.
    pub auth: Option<&'a str>,
    /// Name of the limit that denied the request.
    pub limit: Option<&'a str>,
    /// Name of a limit that would have, were it not in dry run.
    pub limit_dry_run: Option<&'a str>,
    /// Who decided for limits that are kept elsewhere.
    pub limit_source: Option<&'a str>,
    /// How long limits held the request back.
    pub limit_delay_nanos: u64,
    /// What was tried, where not all went well.
    pub trail: Option<&'a Trail>,
    /// What the cache did, where the route has one.
    pub cache: Option<&'a str>,
    /// What became of the idempotency key, where there is one that means something.
    pub idempotency: Option<&'a str>,
    /// Under what it is kept.
    pub record: Option<&'a RecordKey>,
    /// By what the response was compressed here.
    pub encoding: Option<&'a str>,
    /// What came of the hooks of the route's script, where it has one.
    pub script: Option<&'a str>,
}

impl AccessRecord<'_> {
    fn append(&self, out: &mut Vec<u8>, format: Format, stamp: &mut Stamp) {
        match format {
            Format::Json => self.append_json(out, stamp),
            Format::Common => self.append_common(out, stamp),
        }
    }

    fn append_json(&self, out: &mut Vec<u8>, stamp: &mut Stamp) {
        out.extend_from_slice(b"{\"time\":\"");
        stamp.append_rfc3339(out, self.unix_millis);
        out.extend_from_slice(b"\",\"id\":\"");
        escape_json(out, self.id);
        out.extend_from_slice(b"\",\"client\":\"");
        escape_json(out, self.client.as_bytes());
        out.extend_from_slice(b"\",\"method\":\"");
        escape_json(out, self.method.as_bytes());
        out.extend_from_slice(b"\",\"host\":\"");
        escape_json(out, self.host);
        out.extend_from_slice(b"\",\"path\":\"");
        escape_json(out, self.path);
        out.extend_from_slice(b"\",\"protocol\":\"");
        escape_json(out, self.protocol.as_bytes());
        out.extend_from_slice(b"\",\"status\":");
        integer(out, u64::from(self.status));
        optional(out, b",\"flag\":", self.flag);
        optional(out, b",\"route\":", self.route);
        optional(out, b",\"upstream\":", self.upstream);
        optional(out, b",\"endpoint\":", self.endpoint);
        out.extend_from_slice(b",\"attempts\":");
        integer(out, u64::from(self.attempts));
        out.extend_from_slice(b",\"bytes_in\":");
        integer(out, self.bytes_in);
        out.extend_from_slice(b",\"bytes_out\":");
        integer(out, self.bytes_out);
        out.extend_from_slice(b",\"duration_ms\":");
        millis(out, self.duration_nanos);
        if let Some(nanos) = self.upstream_nanos {
            out.extend_from_slice(b",\"upstream_ms\":");
            millis(out, nanos);
        }
        optional(out, b",\"identity\":", self.identity);
        optional(out, b",\"auth\":", self.auth);
        optional(out, b",\"limit\":", self.limit);
        optional(out, b",\"limit_dry_run\":", self.limit_dry_run);
        optional(out, b",\"limit_source\":", self.limit_source);
        if self.limit_delay_nanos > 0 {
            out.extend_from_slice(b",\"limit_delay_ms\":");
            millis(out, self.limit_delay_nanos);
        }
        optional(out, b",\"cache\":", self.cache);
        optional(out, b",\"idempotency\":", self.idempotency);
        optional(out, b",\"script\":", self.script);
        if let Some(record) = self.record {
            optional(out, b",\"idempotency_record\":", Some(&record.to_string()));
        }
        if let Some(trace) = self.trace {
            optional(out, b",\"trace\":", Some(&format!("{trace:032x}")));
        }
        optional(out, b",\"encoding\":", self.encoding);
        if let Some(trail) = self.trail {
            append_trail(out, trail);
        }
        out.extend_from_slice(b"}\n");
    }

    fn append_common(&self, out: &mut Vec<u8>, stamp: &mut Stamp) {
        escape_common(out, self.client.as_bytes());
        out.extend_from_slice(b" - - [");
        stamp.append_common(out, self.unix_millis);
        out.extend_from_slice(b"] \"");
        escape_common(out, self.method.as_bytes());
        out.push(b' ');
        escape_common(out, self.path);
        out.push(b' ');
        escape_common(out, self.protocol.as_bytes());
        out.extend_from_slice(b"\" ");
        integer(out, u64::from(self.status));
        out.push(b' ');
        match self.bytes_out {
            0 => out.push(b'-'),
            bytes => integer(out, bytes),
        }
        out.push(b'\n');
    }
}

#[cold]
fn append_trail(out: &mut Vec<u8>, trail: &Trail) {
    let mut before: &[u8] = b",\"tried\":[";
    for tried in &trail.tried {
        out.extend_from_slice(before);
        out.extend_from_slice(b"{\"endpoint\":\"");
        escape_json(out, tried.endpoint.as_bytes());
        out.extend_from_slice(b"\",\"said\":\"");
        out.extend_from_slice(tried.said.to_string().as_bytes());
        out.extend_from_slice(b"\",\"ms\":");
        millis(out, tried.took.as_nanos() as u64);
        out.push(b'}');
        before = b",";
    }
    if !trail.tried.is_empty() {
        out.push(b']');
    }
    optional(out, b",\"stopped\":", trail.stop.map(Stop::name));
    if trail.fallback {
        out.extend_from_slice(b",\"fallback\":true");
    }
}

fn optional(out: &mut Vec<u8>, key: &[u8], value: Option<&str>) {
    if let Some(value) = value {
        out.extend_from_slice(key);
        out.push(b'"');
        escape_json(out, value.as_bytes());
        out.push(b'"');
    }
}

fn integer(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Nanoseconds as milliseconds with three decimals.
fn millis(out: &mut Vec<u8>, nanos: u64) {
    let micros = nanos / 1_000;
    integer(out, micros / 1_000);
    let rest = micros % 1_000;
    let digit = |n: u64| b'0' + (n % 10) as u8;
    out.extend_from_slice(&[b'.', digit(rest / 100), digit(rest / 10), digit(rest)]);
}

/// Bytes that stand for themselves in both forms: printable ASCII without `"` and `\`.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        plain[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    plain
};

fn is_plain(bytes: &[u8]) -> bool {
    // Without an early end the compiler unrolls this; nearly every value is plain to its end.
    bytes.iter().fold(true, |plain, &byte| plain & PLAIN[usize::from(byte)])
}

/// Appends the inside of a JSON string (RFC 8259, section 7).
fn escape_json(out: &mut Vec<u8>, bytes: &[u8]) {
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        escape_json_slowly(out, bytes);
    }
}

#[cold]
fn escape_json_slowly(out: &mut Vec<u8>, bytes: &[u8]) {
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            // Control characters, those of ISO 6429's second set included: a terminal obeys them.
            // And the two line ends of Unicode, at which some readers split.
            '\0'..' ' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                let code = character as u32;
                let digit = |shift: u32| HEX[(code >> shift & 0xf) as usize];
                out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Appends what may stand between quotes in the common format, as Apache and nginx do: `\xHH` for
/// quotes, backslashes and everything beyond printable ASCII.
fn escape_common(out: &mut Vec<u8>, bytes: &[u8]) {
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    for &byte in bytes {
        if PLAIN[usize::from(byte)] {
            out.push(byte);
        } else {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]);
            out.extend_from_slice(&[b'\\', b'x', high, low]);
        }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
