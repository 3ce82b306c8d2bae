use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

/// 20 November 2026, noon.
const NOW: Time = Time::from_seconds(1_795_176_000);
const DAY: u64 = 86_400;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn of(lines: &[(&str, &str)], policy: &Policy) -> Freshness {
    of_status(200, lines, policy)
}

fn of_status(status: u16, lines: &[(&str, &str)], policy: &Policy) -> Freshness {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = HeaderName::try_from(*name).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let status = StatusCode::from_u16(status).unwrap();
    let exchange = Exchange { asked: NOW, answered: NOW };
    Freshness::of(status, &headers, &ResponseDirectives::of(&headers), exchange, policy)
}

fn lifetime(lines: &[(&str, &str)]) -> u64 {
    of(lines, &Policy::default()).lifetime().as_secs()
}

#[test]
fn the_most_telling_lifetime_holds() {
    let cc = |value| ("cache-control", value);
    let date = ("date", "Fri, 20 Nov 2026 12:00:00 GMT");
    let expires = ("expires", "Fri, 20 Nov 2026 12:01:40 GMT");
    assert_eq!(lifetime(&[cc("max-age=5, s-maxage=7"), expires]), 7);
    assert_eq!(lifetime(&[cc("max-age=5"), expires]), 5);
    assert_eq!(lifetime(&[cc("public"), expires, date]), 100);
    assert_eq!(lifetime(&[expires, ("date", "nonsense")]), 100);
    assert_eq!(lifetime(&[cc("max-age=x"), expires]), 0);
    assert_eq!(lifetime(&[cc("s-maxage=x, max-age=5")]), 0);
    assert_eq!(lifetime(&[("expires", "0")]), 0);
    assert_eq!(lifetime(&[expires, expires]), 0);
    assert_eq!(lifetime(&[("cdn-cache-control", "public"), expires]), 0);
    assert_eq!(lifetime(&[("cdn-cache-control", "max-age=9"), cc("max-age=1"), expires]), 9);
    // Date counts, not the time of arrival: a clock that is fast on both cancels out.
    let fast = ("date", "Fri, 20 Nov 2026 12:01:00 GMT");
    assert_eq!(lifetime(&[expires, fast]), 40);
    assert_eq!(lifetime(&[expires, ("date", "Sat, 21 Nov 2026 12:00:00 GMT")]), 0);
    assert!(of(&[("expires", "0")], &Policy::default()).is_explicit());
}

#[test]
fn age_counts_from_the_making() {
    let age =
        |lines: &[(&str, &str)]| of(lines, &Policy::default()).age(NOW + seconds(10)).as_secs();
    assert_eq!(age(&[]), 10);
    assert_eq!(age(&[("age", "7200")]), 7_210);
    assert_eq!(age(&[("age", "7200, 0")]), 7_210);
    assert_eq!(age(&[("age", "0, 7200")]), 10);
    assert_eq!(age(&[("age", "7200"), ("age", "0")]), 7_210);
    for bad in ["abc", "-7200", "7200.0", "7200;x", ""] {
        assert_eq!(age(&[("age", bad)]), 10, "{bad}");
    }
    assert_eq!(age(&[("age", "99999999999")]), (1 << 31) + 10);
    // A slow clock of the origin, or time spent in caches that say nothing.
    let early = ("date", "Fri, 20 Nov 2026 11:59:00 GMT");
    assert_eq!(age(&[early]), 70);
    assert_eq!(age(&[early, ("age", "100")]), 110);
    assert_eq!(age(&[("date", "Fri, 20 Nov 2026 12:59:00 GMT")]), 10);
}

#[test]
fn the_way_counts_as_age() {
    let headers = HeaderMap::new();
    let directives = ResponseDirectives::default();
    let exchange = Exchange { asked: NOW, answered: NOW + seconds(3) };
    let policy = Policy::default();
    let freshness = Freshness::of(StatusCode::OK, &headers, &directives, exchange, &policy);
    assert_eq!(freshness.age(NOW + seconds(5)), seconds(5));
}

#[test]
fn fresh_until_the_lifetime_is_over() {
    let freshness = of(&[("cache-control", "max-age=10"), ("age", "4")], &Policy::default());
    assert!(freshness.is_fresh(NOW + Duration::from_millis(5_999)));
    assert!(!freshness.is_fresh(NOW + seconds(6)));
    assert_eq!(freshness.remaining(NOW + seconds(2)), seconds(4));
    assert_eq!(freshness.staleness(NOW + seconds(8)), seconds(2));
}

#[test]
fn defaults_are_for_lasting_statuses_that_say_nothing() {
    let policy = Policy { ttl: Some(seconds(60)), ..Policy::default() };
    let lifetime = |status, lines: &[(&str, &str)], policy: &Policy| {
        of_status(status, lines, policy).lifetime().as_secs()
    };
    assert_eq!(lifetime(200, &[], &policy), 60);
    for status in [302, 400, 403, 404, 410, 431, 500, 501, 503] {
        assert_eq!(lifetime(status, &[], &policy), 0, "{status}");
    }
    assert_eq!(lifetime(200, &[("cache-control", "max-age=0")], &policy), 0);
    assert_eq!(lifetime(200, &[], &Policy::default()), 0);

    let modified = ("last-modified", "Tue, 10 Nov 2026 12:00:00 GMT");
    let heuristic = Policy { heuristics: true, ..policy };
    assert_eq!(lifetime(200, &[modified], &policy), 60);
    assert_eq!(lifetime(200, &[modified], &heuristic), DAY);
    assert_eq!(lifetime(404, &[modified], &heuristic), DAY);
    assert_eq!(lifetime(503, &[modified], &heuristic), 0);
    // RFC 9111 sections 4.2.2 and 5.2.2.9: for any other status only if it says `public`.
    let public = ("cache-control", "public");
    assert_eq!(lifetime(599, &[modified, public], &heuristic), DAY);
    assert_eq!(lifetime(599, &[public], &heuristic), 0, "`ttl` is not for it all the same");
    let yesterday = ("last-modified", "Thu, 19 Nov 2026 12:00:00 GMT");
    assert_eq!(lifetime(200, &[yesterday], &heuristic), DAY / 10);
    assert_eq!(lifetime(200, &[("last-modified", "x")], &heuristic), 60);
}

#[test]
fn stale_windows() {
    let policy = Policy {
        stale_while_revalidate: seconds(5),
        stale_if_error: seconds(50),
        ..Policy::default()
    };
    let windows = |cache_control: &str| {
        let freshness = of(&[("cache-control", cache_control)], &policy);
        let longest =
            |may: &dyn Fn(Time) -> bool| (0..200).filter(|n| may(NOW + seconds(*n))).count();
        (
            longest(&|now| freshness.may_serve_while_revalidating(now)),
            longest(&|now| freshness.may_serve_on_error(None, now)),
        )
    };
    assert_eq!(windows("max-age=10"), (15, 60));
    assert_eq!(windows("max-age=10, stale-while-revalidate=1, stale-if-error=2"), (11, 12));
    assert_eq!(windows("s-maxage=10"), (0, 10));
    assert_eq!(windows("s-maxage=10, stale-while-revalidate=20"), (30, 10));
    for (never, fresh) in [("must-revalidate", 10), ("proxy-revalidate", 10), ("no-cache", 0)] {
        let text = format!("max-age=10, stale-while-revalidate=9, stale-if-error=9, {never}");
        assert_eq!(windows(&text), (0, fresh), "{never}");
    }
}

#[test]
fn clients_may_allow_stale_where_origins_do_not_forbid() {
    let later = NOW + seconds(15);
    let max_age = of(&[("cache-control", "max-age=10")], &Policy::default());
    assert!(max_age.may_serve_stale(Delta::Seconds(5), later));
    assert!(!max_age.may_serve_stale(Delta::Seconds(4), later));
    assert!(max_age.may_serve_on_error(Some(Delta::Seconds(6)), later));
    assert!(!max_age.may_serve_on_error(None, later));
    let shared = of(&[("cache-control", "s-maxage=10")], &Policy::default());
    assert!(!shared.may_serve_stale(Delta::Seconds(u32::MAX), later));
    assert!(!shared.may_serve_on_error(Some(Delta::Seconds(60)), later));
}

#[test]
fn of_use_as_long_as_something_can_be_done_with_it() {
    let policy = Policy { keep: seconds(100), ..Policy::default() };
    let freshness =
        of(&[("cache-control", "max-age=10, stale-if-error=20"), ("age", "3")], &policy);
    assert_eq!(freshness.useless_at(false, &policy), NOW + seconds(27));
    assert_eq!(freshness.useless_at(true, &policy), NOW + seconds(107));
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(32..=255_u8, 0..40)
}

proptest! {
    #[test]
    fn never_panics(
        lines in prop::collection::vec((0..5_usize, line()), 0..6),
        times in any::<[u64; 3]>(),
        status in 200..600_u16,
    ) {
        let names = ["age", "date", "expires", "last-modified", "cache-control"];
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(names[name], value);
            }
        }
        let policy = Policy { heuristics: true, ..Policy::default() };
        let [asked, answered, now] = times.map(Time::from_millis);
        let freshness = Freshness::of(
            StatusCode::from_u16(status).unwrap(),
            &headers,
            &ResponseDirectives::of(&headers),
            Exchange { asked, answered },
            &policy,
        );
        prop_assert_eq!(freshness.is_fresh(now), freshness.remaining(now) > Duration::ZERO);
        freshness.useless_at(true, &policy);
    }
}
