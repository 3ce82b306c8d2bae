//! Cache directives: of responses and of requests (RFC 9111 section 5.2), of `CDN-Cache-Control`
//! and `Weir-Cache-Control` (RFC 9213).

use std::time::Duration;

use http::{HeaderMap, HeaderName, header::CACHE_CONTROL};

use super::structured::{self, Value};

/// The directives for all caches that serve an origin (RFC 9213 section 3.1).
pub const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The directives for Weir alone: they come before all others.
pub const WEIR_CACHE_CONTROL: HeaderName = HeaderName::from_static("weir-cache-control");

/// A number of seconds in a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delta {
    /// That many.
    Seconds(u32),
    /// The directive is there but says nothing that can be read, or two things. A lifetime like
    /// that is over (RFC 9111 section 4.2.1).
    Invalid,
}

impl Delta {
    /// Reads delta-seconds (RFC 9111 section 1.2.2); what is too large for them is 2^31.
    pub fn parse(text: &[u8]) -> Self {
        if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
            return Self::Invalid;
        }
        Self::of(text.iter().fold(0_u64, |sum, digit| {
            sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        }))
    }

    fn of(seconds: u64) -> Self {
        Self::Seconds(seconds.min(1 << 31) as u32)
    }

    /// The time it stands for; none when it cannot be read.
    pub const fn duration(self) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds as u64),
            Self::Invalid => Duration::ZERO,
        }
    }

    /// What holds when a directive comes twice.
    fn merge(first: Option<Self>, second: Self) -> Self {
        match first {
            Some(first) if first != second => Self::Invalid,
            Some(_) | None => second,
        }
    }
}

/// A directive that may be restricted to some fields of the response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// It is not there.
    #[default]
    Absent,
    /// It holds for these fields only.
    Fields(Vec<HeaderName>),
    /// It holds for the response.
    Whole,
}

impl Scope {
    /// Joins what a further occurrence says. A list that holds no field name says nothing
    /// readable: it is taken for the whole.
    fn add(&mut self, list: Option<&[u8]>) {
        let names = |list: &[u8]| {
            let names = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            let names = names.filter(|name| !name.is_empty()).take(FIELDS_MAX + 1);
            names.map(HeaderName::from_bytes).collect::<Result<Vec<_>, _>>()
        };
        let listed = list.and_then(|list| names(list).ok());
        let listed = listed.filter(|names| !names.is_empty() && names.len() <= FIELDS_MAX);
        match (listed, &mut *self) {
            (None, _) => *self = Self::Whole,
            (Some(_), Self::Whole) => {}
            (Some(more), Self::Fields(fields)) => fields.extend(more),
            (Some(fields), Self::Absent) => *self = Self::Fields(fields),
        }
    }

    /// The fields it is restricted to.
    pub fn fields(&self) -> &[HeaderName] {
        match self {
            Self::Fields(fields) => fields,
            Self::Absent | Self::Whole => &[],
        }
    }
}

/// More field names than that in one directive mean the whole response.
const FIELDS_MAX: usize = 32;

/// The directives of a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseDirectives {
    /// `max-age`.
    pub max_age: Option<Delta>,
    /// `s-maxage`.
    pub s_maxage: Option<Delta>,
    /// `stale-while-revalidate` (RFC 5861 section 3).
    pub stale_while_revalidate: Option<Delta>,
    /// `stale-if-error` (RFC 5861 section 4).
    pub stale_if_error: Option<Delta>,
    /// `no-cache`.
    pub no_cache: Scope,
    /// `private`.
    pub private: Scope,
    /// `no-store`.
    pub no_store: bool,
    /// `public`.
    pub public: bool,
    /// `must-revalidate`.
    pub must_revalidate: bool,
    /// `proxy-revalidate`.
    pub proxy_revalidate: bool,
    /// `must-understand`.
    pub must_understand: bool,
    /// Whether they come from a targeted field, so that `Expires` does not count.
    pub targeted: bool,
}

impl ResponseDirectives {
    /// The directives that hold for this cache: those of the first targeted field that is there,
    /// not empty and well-formed, otherwise those of `Cache-Control` (RFC 9213 section 2.2).
    pub fn of(headers: &HeaderMap) -> Self {
        for name in [WEIR_CACHE_CONTROL, CDN_CACHE_CONTROL] {
            if !headers.contains_key(&name) {
                continue;
            }
            let lines: Vec<&[u8]> = headers.get_all(name).iter().map(AsRef::as_ref).collect();
            let members = structured::parse_dictionary(&lines.join(&b", "[..]));
            if let Some(members) = members.filter(|members| !members.is_empty()) {
                return Self::targeted(members);
            }
        }
        let mut directives = Self::default();
        for (name, value) in
            headers.get_all(CACHE_CONTROL).iter().flat_map(|v| Directives::of(v.as_ref()))
        {
            directives.add(&name, value.as_deref());
        }
        directives
    }

    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let delta = |slot: &mut Option<Delta>| {
            *slot = Some(Delta::merge(*slot, Delta::parse(value.unwrap_or_default())));
        };
        match name {
            b"max-age" => delta(&mut self.max_age),
            b"s-maxage" => delta(&mut self.s_maxage),
            b"stale-while-revalidate" => delta(&mut self.stale_while_revalidate),
            b"stale-if-error" => delta(&mut self.stale_if_error),
            b"no-cache" => self.no_cache.add(value),
            b"private" => self.private.add(value),
            b"no-store" => self.no_store = true,
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            _ => {}
        }
    }

    /// A member whose value is not of the type of its directive is passed over (RFC 9213 section
    /// 2.1), but for one that restricts: that is taken for the whole.
    fn targeted(members: Vec<(String, Value)>) -> Self {
        let mut directives = Self { targeted: true, ..Self::default() };
        for (name, value) in members {
            match (name.as_str(), value) {
                ("max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error", value) => {
                    if let Value::Integer(seconds) = value {
                        let digits = seconds.to_string();
                        directives.add(name.as_bytes(), Some(digits.as_bytes()));
                    }
                }
                ("no-cache" | "private", Value::String(fields)) => {
                    directives.add(name.as_bytes(), Some(fields.as_bytes()));
                }
                ("no-cache" | "private" | "no-store", _) | (_, Value::True) => {
                    directives.add(name.as_bytes(), None);
                }
                _ => {}
            }
        }
        directives
    }
}

/// The directives of a request (RFC 9111 section 5.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RequestDirectives {
    /// `max-age`.
    pub max_age: Option<Delta>,
    /// `max-stale`; without a value anything goes.
    pub max_stale: Option<Delta>,
    /// `min-fresh`.
    pub min_fresh: Option<Delta>,
    /// `stale-if-error` (RFC 5861 section 4).
    pub stale_if_error: Option<Delta>,
    /// `no-cache`.
    pub no_cache: bool,
    /// `no-store`.
    pub no_store: bool,
    /// `only-if-cached`.
    pub only_if_cached: bool,
}

impl RequestDirectives {
    /// The directives in `Cache-Control`.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut directives = Self::default();
        for value in headers.get_all(CACHE_CONTROL) {
            for (name, value) in Directives::of(value.as_ref()) {
                directives.add(&name, value.as_deref());
            }
        }
        directives
    }

    fn add(&mut self, name: &[u8], value: Option<&[u8]>) {
        let delta = |slot: &mut Option<Delta>| {
            *slot = Some(Delta::merge(*slot, Delta::parse(value.unwrap_or_default())));
        };
        match name {
            b"max-age" => delta(&mut self.max_age),
            b"max-stale" if value.is_none() => self.max_stale = Some(Delta::Seconds(u32::MAX)),
            b"max-stale" => delta(&mut self.max_stale),
            b"min-fresh" => delta(&mut self.min_fresh),
            b"stale-if-error" => delta(&mut self.stale_if_error),
            b"no-cache" => self.no_cache = true,
            b"no-store" => self.no_store = true,
            b"only-if-cached" => self.only_if_cached = true,
            _ => {}
        }
    }
}

/// The directives in one line: names in lower case, values without their quotes. White space
/// around `=` is no part of the grammar: it stays, so that such a value is no number.
#[derive(Debug)]
struct Directives<'a> {
    rest: &'a [u8],
}

impl<'a> Directives<'a> {
    const fn of(line: &'a [u8]) -> Self {
        Self { rest: line }
    }
}

impl Iterator for Directives<'_> {
    type Item = (Vec<u8>, Option<Vec<u8>>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let end = end_of_member(self.rest);
            let member = self.rest[..end].trim_ascii();
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
            if member.is_empty() {
                continue;
            }
            let Some(equals) = member.iter().position(|byte| *byte == b'=') else {
                return Some((member.to_ascii_lowercase(), None));
            };
            let (name, value) = (&member[..equals], &member[equals + 1..]);
            let trimmed = name.trim_ascii_end();
            // A name with a space behind it is that name with a value that is none.
            let value = if trimmed.len() == name.len() { unquote(value) } else { b" ".to_vec() };
            return Some((trimmed.to_ascii_lowercase(), Some(value)));
        }
    }
}

/// Where the next comma stands that is not within quotes, or the end.
fn end_of_member(line: &[u8]) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return at,
            _ => {}
        }
    }
    line.len()
}

fn unquote(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")) else {
        return value.to_vec();
    };
    let mut text = Vec::with_capacity(inner.len());
    let mut escaped = false;
    for byte in inner {
        if *byte == b'\\' && !escaped {
            escaped = true;
            continue;
        }
        escaped = false;
        text.push(*byte);
    }
    text
}

#[cfg(test)]
mod tests;
