#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn durations() {
    for (text, millis) in [("250ms", 250), ("5s", 5_000), ("1m", 60_000), ("1h", 3_600_000)] {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    assert_eq!(duration("2d"), Ok(Duration::from_secs(172_800)));
    for bad in ["", "s", "5", "5 s", "-5s", "5sec", "1.5s", "5S", "99999999999999999999s", "1e3s"] {
        assert_eq!(duration(bad).unwrap_err().expected, DURATION, "{bad}");
    }
    let hint = |text| duration(text).unwrap_err().hint.unwrap_or_default();
    assert_eq!(hint("15"), "a unit is missing: did you mean `15s`?");
    assert_eq!(hint("5sec"), "write `5s`");
    assert_eq!(hint("999999999999999999d"), "the number is too large");
}

#[test]
fn sizes() {
    for (text, bytes) in
        [("512B", 512), ("64KiB", 65_536), ("1MiB", 1 << 20), ("10MB", 10_000_000), ("0B", 0)]
    {
        assert_eq!(size(text), Ok(bytes), "{text}");
    }
    for bad in ["", "B", "64", "64 KiB", "64kib", "64K", "99999999999TiB"] {
        assert_eq!(size(bad).unwrap_err().expected, SIZE, "{bad}");
    }
    let hint = |text| size(text).unwrap_err().hint.unwrap_or_default();
    assert_eq!(hint("64kib"), "did you mean `64KiB`?");
    assert_eq!(hint("64k"), "did you mean `64KiB`?");
}

#[test]
fn rates_and_percents() {
    assert_eq!(rate("100/s"), Ok(Rate { count: 100, per: Duration::from_secs(1) }));
    assert_eq!(rate("5/m"), Ok(Rate { count: 5, per: Duration::from_secs(60) }));
    assert_eq!(rate("0/s"), Ok(Rate { count: 0, per: Duration::from_secs(1) }));
    assert_eq!(rate("90/15m"), Ok(Rate { count: 90, per: Duration::from_secs(900) }));
    for (bad, hint) in [
        ("", ""),
        ("/s", ""),
        ("100", "did you mean `100/s`?"),
        ("100/", "after the `/` comes a time"),
        ("100/x", "after the `/` comes a time"),
        ("100/s/s", "after the `/` comes a time"),
        ("100/sec", "write `100/s`"),
        ("100/15min", "write `100/15m`"),
        ("100/ms", "whole seconds, from `1s`"),
        ("100/1500ms", "whole seconds, from `1s`"),
        ("100/0s", "whole seconds, from `1s`"),
        ("100/367d", "up to `366d`"),
        ("-1/s", "a rate is not negative"),
        ("1.5/s", "only whole numbers"),
        ("1e3/s", "only whole numbers"),
        ("NaN/s", ""),
        ("inf/s", ""),
        ("99999999999/s", "at most 4294967295"),
    ] {
        let said = rate(bad).unwrap_err().hint.unwrap_or_default();
        assert!(said.contains(hint) && said.is_empty() == hint.is_empty(), "{bad}: {said}");
    }
    for text in ["100/s", "5/m", "1000/h", "10/d", "90/15m", "0/s", "7/366d"] {
        let Rate { count, per } = rate(text).unwrap();
        assert_eq!(show_rate(count.into(), per), text);
    }
    assert_eq!(percent("20%"), Ok(0.2));
    assert_eq!(percent("0.5%"), Ok(0.005));
    for bad in ["", "%", "20", "101%", "-1%", ".5%", "1.2.3%", "inf%", "nan%"] {
        assert!(percent(bad).is_err(), "{bad}");
    }
    for text in ["0%", "0.5%", "7%", "12.5%", "50%", "100%"] {
        assert_eq!(show_percent(percent(text).unwrap()), text);
    }
    assert_eq!(percent("20").unwrap_err().hint.unwrap(), "did you mean `20%`?");
}

#[test]
fn written_as_people_write_them() {
    for text in ["250ms", "15s", "60s", "75s", "10m", "1h", "2d", "24h", "1500ms"] {
        let shown = show_duration(duration(text).unwrap());
        assert_eq!(duration(&shown), duration(text));
        if text != "24h" {
            assert_eq!(shown, text);
        }
    }
    assert_eq!(show_size(10 << 20), "10MiB");
    assert_eq!(show_size(10_000_000), "10000000B");
}

proptest! {
    #[test]
    fn what_is_written_reads_back(millis in 0u64..1 << 50, bytes: u64) {
        let value = Duration::from_millis(millis);
        prop_assert_eq!(duration(&show_duration(value)), Ok(value));
        prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,12}") {
        let _ = (duration(&text), size(&text), rate(&text), percent(&text));
    }
}
