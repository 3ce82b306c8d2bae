#![allow(clippy::unwrap_used, reason = "tests")]

use http::{Request, header};
use proptest::prelude::*;

use super::*;

const BEGAN: Tick = Tick::from_nanos(1_000_000_000);
const UNIX: Duration = Duration::from_millis(1_700_000_000_000);
const MALFORMED: Error = Error::BadRequest(Reason::Deadline);

fn fields(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn limit(list: &[(&'static str, &str)]) -> Result<Option<Limit>, Error> {
    read(&fields(list), BEGAN, || UNIX)
}

/// A call of gRPC with this timeout: how much time it has.
fn call(timeout: &str) -> Result<Duration, Error> {
    let list = [("content-type", "application/grpc"), ("grpc-timeout", timeout)];
    limit(&list).map(|limit| limit.unwrap().at.since(BEGAN))
}

/// Any request with this deadline: how much time it has.
fn request(deadline: &str) -> Result<Duration, Error> {
    limit(&[("x-request-deadline", deadline)]).map(|limit| limit.unwrap().at.since(BEGAN))
}

/// What an upstream is told once `passed` is over.
fn told(list: &[(&'static str, &str)], passed: Duration) -> Result<HeaderMap, Error> {
    let (mut head, ()) = Request::new(()).into_parts();
    head.headers = fields(list);
    if let Some(limit) = limit(list)? {
        head.extensions.insert(limit);
    }
    tell(&mut head, || BEGAN + passed)?;
    Ok(head.headers)
}

#[test]
fn a_request_that_says_nothing_asks_no_clock() {
    let clock = || -> Duration { panic!("nobody needs the time") };
    assert_eq!(read(&fields(&[("content-type", "application/grpc")]), BEGAN, clock), Ok(None));
    let (mut head, ()) = Request::new(()).into_parts();
    tell(&mut head, || panic!("nobody needs the time")).unwrap();
    // Only a call of gRPC has that field.
    let plain = [("content-type", "application/json"), ("grpc-timeout", "nonsense")];
    assert_eq!(limit(&plain), Ok(None));
    assert_eq!(told(&plain, Duration::ZERO).unwrap()["grpc-timeout"], "nonsense");
}

#[test]
fn timeouts_have_a_number_and_a_unit() {
    let seconds = Duration::from_secs;
    assert_eq!(call("1H"), Ok(seconds(3600)));
    assert_eq!(call("2M"), Ok(seconds(120)));
    assert_eq!(call("00000003S"), Ok(seconds(3)));
    assert_eq!(call("250m"), Ok(Duration::from_millis(250)));
    assert_eq!(call("7u"), Ok(Duration::from_micros(7)));
    assert_eq!(call("9n"), Ok(Duration::from_nanos(9)));
    assert!(call("99999999H").unwrap() > seconds(99_999_999 * 60));
    for over in ["0S", "00000000n"] {
        assert_eq!(call(over), Err(Error::DeadlinePassed));
    }
    for wrong in [
        "",
        "S",
        "1",
        "1s",
        "-1S",
        "+1S",
        "1.5S",
        "123456789n",
        "1 S",
        "1SS",
        "0x1S",
        "1m,2m",
        "m1",
    ] {
        assert_eq!(call(wrong), Err(MALFORMED), "{wrong}");
    }
}

#[test]
fn deadlines_are_times_of_the_calendar() {
    assert_eq!(request("1700000000250"), Ok(Duration::from_millis(250)));
    for over in ["1700000000000", "1699999999999", "0", "1700000000"] {
        assert_eq!(request(over), Err(Error::DeadlinePassed), "{over}");
    }
    for wrong in ["", "-1", "1e12", "1700000000250ms", "0x5", "1700000000250.0", "1000000000000000"]
    {
        assert_eq!(request(wrong), Err(MALFORMED), "{wrong}");
    }
    assert!(request("999999999999999").unwrap() > Duration::from_secs(365 * 86_400));
}

#[test]
fn a_repeated_field_says_nothing_for_sure() {
    let twice = [("x-request-deadline", "1700000000250"), ("x-request-deadline", "1700000000250")];
    assert_eq!(limit(&twice), Err(MALFORMED));
    let grpc = ("content-type", "application/grpc+proto");
    assert_eq!(limit(&[grpc, ("grpc-timeout", "1S"), ("grpc-timeout", "1S")]), Err(MALFORMED));
}

#[test]
fn the_upstream_is_told_what_is_left() {
    let grpc = ("content-type", "application/grpc");
    let second = [grpc, ("grpc-timeout", "1S")];
    let timeout = |passed| told(&second, passed).map(|headers| headers["grpc-timeout"].clone());
    assert_eq!(timeout(Duration::ZERO).unwrap(), "1000000u");
    assert_eq!(timeout(Duration::from_millis(400)).unwrap(), "600000u");
    assert_eq!(timeout(Duration::from_millis(950)).unwrap(), "50000000n");
    assert_eq!(timeout(Duration::from_nanos(999_999_999)).unwrap(), "1n");
    assert_eq!(timeout(Duration::from_secs(1)), Err(Error::DeadlinePassed));
    assert_eq!(timeout(Duration::from_secs(5)), Err(Error::DeadlinePassed));

    let both = |timeout, deadline, passed| {
        let list = [grpc, ("grpc-timeout", timeout), ("x-request-deadline", deadline)];
        let headers = told(&list, Duration::from_millis(passed)).unwrap();
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!(headers.get_all("grpc-timeout").iter().count(), 1);
        (text("grpc-timeout"), text("x-request-deadline"))
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(both("1S", "1700000000300", 100), pair("200000u", "1700000000300"));
    assert_eq!(both("1S", "1700000009999", 100), pair("900000u", "1700000001000"));
    // Leading zeros go: there is one spelling further in.
    let spelled = told(&[("x-request-deadline", "001700000000300")], Duration::ZERO).unwrap();
    assert_eq!(spelled["x-request-deadline"], "1700000000300");
}

#[test]
fn a_field_that_the_route_removed_does_not_come_back() {
    let list = [("x-request-deadline", "1700000000300")];
    let headers = told(&list, Duration::ZERO).unwrap();
    assert!(!headers.contains_key("grpc-timeout") && !headers.contains_key(header::TE));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,12}|[0-9]{0,20}[HMSmun]?", bytes in any::<[u8; 6]>()) {
        let _ = (parse_timeout(text.as_bytes()), parse_timeout(&bytes));
        let _ = (parse_unix(text.as_bytes()), parse_unix(&bytes));
    }

    /// Every text of the grammar is read, and nothing else.
    #[test]
    fn the_grammar_is_what_is_read(text in "[0-9]{0,10}[HMSmunsh]{0,2}") {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = &text[digits.len()..];
        let legal = (1..=8).contains(&digits.len())
            && ["H", "M", "S", "m", "u", "n"].contains(&unit);
        prop_assert_eq!(parse_timeout(text.as_bytes()).is_some(), legal);
    }

    /// What is written is read again, is never longer than what it says, and not much shorter.
    #[test]
    fn what_is_written_is_what_is_left(nanos in 1..u64::MAX) {
        let left = Duration::from_nanos(nanos);
        let read = parse_timeout(show_timeout(left).as_bytes()).unwrap();
        prop_assert!(read <= left && !read.is_zero());
        prop_assert!(left - read <= left / 20_000, "{left:?} became {read:?}");
    }

    /// However long, a deadline only ever shortens.
    #[test]
    fn moments_are_where_they_belong(
        unix in 0u64..1_000_000_000_000_000,
        count in 0u32..100_000_000,
    ) {
        let list = [
            ("content-type", "application/grpc".to_owned()),
            ("grpc-timeout", format!("{count}m")),
            ("x-request-deadline", unix.to_string()),
        ];
        let list: Vec<_> = list.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let timeout = Duration::from_millis(count.into());
        let left = timeout.min(Duration::from_millis(unix).saturating_sub(UNIX));
        match limit(&list) {
            Ok(limit) => {
                let limit = limit.unwrap();
                prop_assert_eq!(limit.at, BEGAN + left);
                prop_assert_eq!(limit.unix, Some(millis(UNIX + left)));
            }
            Err(error) => {
                prop_assert_eq!(error, Error::DeadlinePassed);
                prop_assert!(left.is_zero());
            }
        }
    }
}
