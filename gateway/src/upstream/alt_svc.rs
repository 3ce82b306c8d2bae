//! Alt-Svc (RFC 7838): an endpoint says that it speaks HTTP/3, and on which port. Pure.

use std::time::Duration;

use http::HeaderValue;

use crate::clock::Tick;

#[cfg(test)]
mod tests;

/// Bytes of all fields that are looked at; with more, nothing is believed.
const MOST_BYTES: usize = 4 * 1024;
/// Lifetime of an entry that does not say (RFC 7838 section 3.1), and the longest that is honoured.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The first pause after HTTP/3 failed, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What a response says of HTTP/3 on its own host. It replaces what was said before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// There is none (any more).
    Absent,
    /// It is served on this UDP port, for so long.
    Port(u16, Duration),
}

/// Reads the Alt-Svc fields of a response of `host` (as in an authority: an IPv6 address in
/// brackets). The first entry for `h3` counts; entries for other hosts are passed over. `None` when
/// there is no such field, or it is malformed.
pub fn parse<'a>(fields: impl IntoIterator<Item = &'a HeaderValue>, host: &str) -> Option<Advice> {
    let mut advice = None;
    let mut left = MOST_BYTES;
    for field in fields {
        left = left.checked_sub(field.len())?;
        let found = parse_field(field.to_str().ok()?, host)?;
        if !matches!(advice, Some(Advice::Port(..))) {
            advice = Some(found);
        }
    }
    advice
}

fn parse_field(field: &str, host: &str) -> Option<Advice> {
    if field == "clear" {
        return Some(Advice::Absent);
    }
    let mut advice = Advice::Absent;
    let mut rest = Cursor(field);
    loop {
        rest.skip_spaces();
        let protocol = rest.token()?;
        rest.expect('=')?;
        let authority = rest.quoted()?;
        let mut age = DAY;
        loop {
            rest.skip_spaces();
            if rest.expect(';').is_none() {
                break;
            }
            rest.skip_spaces();
            let name = rest.token()?;
            rest.expect('=')?;
            let value = match rest.0.starts_with('"') {
                true => rest.quoted()?,
                false => rest.token()?,
            };
            if name.eq_ignore_ascii_case("ma") {
                age = seconds(value)?;
            }
        }
        let (named, port) = authority.rsplit_once(':')?;
        let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())?;
        let here = named.is_empty() || named.eq_ignore_ascii_case(host);
        if let (Advice::Absent, "h3", true, Some(port @ 1..)) = (advice, protocol, here, port)
            && !age.is_zero()
        {
            advice = Advice::Port(port, age);
        }
        if rest.0.is_empty() {
            return Some(advice);
        }
        rest.expect(',')?;
    }
}

/// Seconds, up to a day.
fn seconds(digits: &str) -> Option<Duration> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // What does not fit is longer than a day.
    Some(digits.parse().map_or(DAY, Duration::from_secs).min(DAY))
}

/// What is left of a field.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip_spaces(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn expect(&mut self, sign: char) -> Option<()> {
        self.0 = self.0.strip_prefix(sign)?;
        Some(())
    }

    fn token(&mut self) -> Option<&'a str> {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let end = self.0.bytes().position(|byte| !is_token(byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A quoted string. No authority and no number needs an escape: with one it is malformed.
    fn quoted(&mut self) -> Option<&'a str> {
        self.expect('"')?;
        let (text, rest) = self.0.split_once('"')?;
        self.0 = rest;
        (!text.contains('\\')).then_some(text)
    }
}

/// What is known of an endpoint's HTTP/3, by its word and by trying.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alternative {
    port: Option<u16>,
    until: Tick,
    /// Put aside until then, after so many failures in a row.
    aside: Tick,
    failures: u32,
}

impl Alternative {
    /// The endpoint said something.
    pub fn learn(&mut self, advice: Advice, now: Tick) {
        match advice {
            Advice::Absent => self.port = None,
            Advice::Port(port, age) => {
                self.port = Some(port);
                self.until = now + age;
            }
        }
    }

    /// The port to try now, if any.
    pub fn port(&self, now: Tick) -> Option<u16> {
        self.port.filter(|_| now < self.until && now >= self.aside)
    }

    /// There was no connection within the time, or it broke: HTTP/3 is put aside, each time in a
    /// row for twice as long.
    pub fn fail(&mut self, now: Tick, rng: &mut fastrand::Rng) {
        let doubled = 2_u32.saturating_pow(self.failures);
        let pause = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        // Many gateways and workers shall not come back at once.
        self.aside = now + pause.mul_f64(1.0 + rng.f64() / 4.0);
    }

    /// A connection is over, after it lived for so long.
    pub fn part(&mut self, broken: bool, lived: Duration, now: Tick, rng: &mut fastrand::Rng) {
        if !broken || lived >= FIRST_PAUSE {
            self.failures = 0;
        }
        if broken {
            self.fail(now, rng);
        }
    }
}
