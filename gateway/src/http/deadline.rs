//! Until when a client waits for its answer, in its own words: `grpc-timeout` (gRPC over HTTP/2,
//! "Requests") of a call of gRPC, and `x-request-deadline`, a time in milliseconds since the Unix
//! epoch, of any request. Both only ever shorten what the route allows.
//!
//! The words are read once, when the request is planned, and written anew for each attempt, so that
//! the upstream knows how much of the time is left.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};

use super::{headers::name, reply::is_grpc};
use crate::{
    clock::Tick,
    error::{Error, Reason},
};

/// Until when a request's client waits. Rides among the extensions of the request's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// When it stops.
    pub(crate) at: Tick,
    /// Whether `grpc-timeout` tells the upstream.
    call: bool,
    /// The same moment in milliseconds since the Unix epoch, if `x-request-deadline` tells it.
    unix: Option<u64>,
}

/// What the fields of a request that began at `began` say; `None` when they say nothing.
///
/// The calendar is asked only where a field needs it; it returns the time since the Unix epoch.
///
/// # Errors
/// [`Error::BadRequest`] for a field that is malformed or repeated, [`Error::DeadlinePassed`] when
/// nobody waits any more.
pub(crate) fn read(
    headers: &HeaderMap,
    began: Tick,
    calendar: impl FnOnce() -> Duration,
) -> Result<Option<Limit>, Error> {
    let timeout = headers.get(&name::GRPC_TIMEOUT).filter(|_| is_grpc(headers));
    let deadline = headers.get(&name::X_REQUEST_DEADLINE);
    if timeout.is_none() && deadline.is_none() {
        return Ok(None);
    }
    let timeout = match timeout {
        Some(value) => Some(once(headers, &name::GRPC_TIMEOUT, value, parse_timeout)?),
        None => None,
    };
    let mut limit = Limit {
        at: timeout.map_or(Tick::NEVER, |timeout| began + timeout),
        call: timeout.is_some(),
        unix: None,
    };
    if let Some(value) = deadline {
        let unix = once(headers, &name::X_REQUEST_DEADLINE, value, parse_unix)?;
        let now = calendar();
        let left = Duration::from_millis(unix).saturating_sub(now);
        limit.at = limit.at.min(began + left);
        let shorter = timeout.map_or(left, |timeout| timeout.min(left));
        limit.unix = Some(unix.min(millis(now.saturating_add(shorter))));
    }
    if limit.at <= began { Err(Error::DeadlinePassed) } else { Ok(Some(limit)) }
}

/// Tells the upstream how much of the time is left, where the client said something.
///
/// # Errors
/// [`Error::DeadlinePassed`] when nothing is.
pub(crate) fn tell(head: &mut Parts, now: impl FnOnce() -> Tick) -> Result<(), Error> {
    let Some(limit) = head.extensions.get::<Limit>().copied() else { return Ok(()) };
    let left = limit.at.since(now());
    if left.is_zero() {
        return Err(Error::DeadlinePassed);
    }
    if limit.call {
        head.headers.insert(&name::GRPC_TIMEOUT, show_timeout(left));
    }
    if let Some(unix) = limit.unix {
        head.headers.insert(&name::X_REQUEST_DEADLINE, HeaderValue::from(unix));
    }
    Ok(())
}

/// The one value of a field: of two nobody knows which one holds.
fn once<T>(
    headers: &HeaderMap,
    name: &HeaderName,
    value: &HeaderValue,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<T, Error> {
    let alone = headers.get_all(name).iter().nth(1).is_none();
    let parsed = if alone { parse(value.as_bytes()) } else { None };
    parsed.ok_or(Error::BadRequest(Reason::Deadline))
}

/// `TimeoutValue TimeoutUnit`: one to eight digits and one of `H M S m u n`. Zero is taken: some
/// clients send it when their own time is over.
fn parse_timeout(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    let count = decimal(digits, 8)?;
    Some(match unit {
        b'H' => Duration::from_secs(count * 3600),
        b'M' => Duration::from_secs(count * 60),
        b'S' => Duration::from_secs(count),
        b'm' => Duration::from_millis(count),
        b'u' => Duration::from_micros(count),
        b'n' => Duration::from_nanos(count),
        _ => return None,
    })
}

/// Milliseconds since the Unix epoch; fifteen digits reach beyond the year 30000.
fn parse_unix(text: &[u8]) -> Option<u64> {
    decimal(text, 15)
}

/// One to `most` digits, of which nobody asks for so many that they would not fit.
fn decimal(digits: &[u8], most: usize) -> Option<u64> {
    if digits.is_empty() || digits.len() > most || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// The finest form that fits eight digits, rounded down: the upstream is not to outlast the client.
fn show_timeout(left: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let units = [(1, "n"), (1_000, "u"), (1_000_000, "m"), (1_000_000_000, "S")];
    let nanos = left.as_nanos().max(1);
    let fits = units.iter().find(|(unit, _)| nanos / unit <= MOST);
    let text = match fits {
        Some((unit, letter)) => format!("{}{letter}", nanos / unit),
        None => format!("{}H", (left.as_secs() / 3600).min(99_999_999)),
    };
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("1n"))
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
