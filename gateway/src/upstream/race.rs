//! Several addresses of one name, tried as Happy Eyeballs does (RFC 8305).
//!
//! A name with an address of each family, one of which leads nowhere, is common. Tried one after
//! the other, the first would take all the time that connecting has.

use std::{net::SocketAddr, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use smallvec::SmallVec;
use tokio::time::sleep;

use crate::error::Error;

/// Addresses of a name that are tried.
pub(super) const MOST_ADDRESSES: usize = 4;

/// What an attempt has before the next one starts beside it, at most (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// The first addresses in the order of the look-up, but with the families in turns, so that a
/// family that leads nowhere costs one head start (RFC 8305, section 4).
pub(super) fn in_turns(
    found: impl Iterator<Item = SocketAddr>,
) -> SmallVec<[SocketAddr; MOST_ADDRESSES]> {
    let mut found = found.peekable();
    let preferred = found.peek().is_some_and(SocketAddr::is_ipv6);
    let (mut these, mut those) = (SmallVec::new(), SmallVec::<[SocketAddr; MOST_ADDRESSES]>::new());
    for address in found {
        let family = if address.is_ipv6() == preferred { &mut these } else { &mut those };
        if family.len() < MOST_ADDRESSES {
            family.push(address);
        }
    }
    for (i, other) in those.into_iter().enumerate() {
        these.insert((2 * i + 1).min(these.len()), other);
    }
    these.truncate(MOST_ADDRESSES);
    these
}

/// What the first attempt that succeeds came to; the last error, when all fail.
///
/// An attempt starts when one before it fails, or when the youngest has had its head start: a
/// quarter of a second, or less where `limit` is to suffice for all. The caller holds `limit`.
///
/// # Errors
///
/// [`Error::LookupFailed`] without an address.
pub(super) async fn first<T>(
    addresses: &[SocketAddr],
    limit: Duration,
    attempt: impl AsyncFn(SocketAddr) -> Result<T, Error>,
) -> Result<T, Error> {
    let count = u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let head_start = HEAD_START.min(limit / count);
    let mut waiting = addresses.iter();
    let mut running = FuturesUnordered::new();
    let mut last = Error::LookupFailed;
    loop {
        running.extend(waiting.next().map(|address| attempt(*address)));
        tokio::select! {
            biased;
            done = running.next() => match done {
                Some(Ok(opened)) => return Ok(opened),
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = sleep(head_start), if !waiting.as_slice().is_empty() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::clock;

    fn address(text: &str) -> SocketAddr {
        format!("{text}:80").parse().unwrap()
    }

    fn turns(found: &[&str]) -> Vec<String> {
        let found = in_turns(found.iter().map(|text| address(text)));
        found.iter().map(|address| address.to_string().replace(":80", "")).collect()
    }

    #[test]
    fn families_take_turns_from_the_first_that_was_found() {
        assert_eq!(
            turns(&["[::1]", "[::2]", "[::3]", "1.1.1.1", "2.2.2.2"]),
            ["[::1]", "1.1.1.1", "[::2]", "2.2.2.2"]
        );
        assert_eq!(turns(&["1.1.1.1", "[::1]", "[::2]"]), ["1.1.1.1", "[::1]", "[::2]"]);
        assert_eq!(
            turns(&["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4", "5.5.5.5", "[::1]"]),
            ["1.1.1.1", "[::1]", "2.2.2.2", "3.3.3.3"]
        );
        assert!(turns(&[]).is_empty());
    }

    /// When each attempt started, and what came of all, where an attempt takes so many
    /// milliseconds and then succeeds or not.
    async fn raced(limit: u64, lengths: &[(u64, bool)]) -> (Vec<u128>, Result<u16, Error>, u128) {
        let start = clock::now();
        let passed = || clock::now().since(start).as_millis();
        let ports = 1..=u16::try_from(lengths.len()).unwrap();
        let addresses: Vec<_> = ports.map(|port| ([127, 0, 0, 1], port).into()).collect();
        let started = RefCell::new(Vec::new());
        let attempt = async |address: SocketAddr| {
            started.borrow_mut().push(passed());
            let (length, good) = lengths[usize::from(address.port()) - 1];
            sleep(Duration::from_millis(length)).await;
            if good { Ok(address.port()) } else { Err(Error::ConnectRefused) }
        };
        let outcome = first(&addresses, Duration::from_millis(limit), attempt).await;
        (started.into_inner(), outcome, passed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_silent_has_a_head_start_and_what_fails_makes_way_at_once() {
        // As soon as may be, nobody else is asked.
        assert_eq!(raced(5_000, &[(20, true), (1, true)]).await, (vec![0], Ok(1), 20));
        assert_eq!(raced(5_000, &[(20, false), (1, true)]).await, (vec![0, 20], Ok(2), 21));
        assert_eq!(raced(5_000, &[(9_000, true), (30, true)]).await, (vec![0, 250], Ok(2), 280));
        // The one that started first may still be the first there.
        assert_eq!(raced(5_000, &[(300, true), (90, true)]).await, (vec![0, 250], Ok(1), 300));
        let all = raced(5_000, &[(700, false), (10, false), (1_000, true)]).await;
        assert_eq!(all, (vec![0, 250, 260], Ok(3), 1_260));
        // Where time is short, all are tried within it.
        let short = raced(100, &[(9_000, true), (9_000, true), (9_000, true), (5, true)]).await;
        assert_eq!(short, (vec![0, 25, 50, 75], Ok(4), 80));
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_the_last_says_why() {
        let none = raced(5_000, &[(400, false), (10, false)]).await;
        assert_eq!(none, (vec![0, 250], Err(Error::ConnectRefused), 400));
        assert_eq!(raced(5_000, &[]).await.1, Err(Error::LookupFailed));
    }
}
