use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn response(cache_control: &str) -> ResponseDirectives {
    ResponseDirectives::of(&headers(&[("cache-control", cache_control)]))
}

fn max_age(cache_control: &str) -> Option<Delta> {
    response(cache_control).max_age
}

#[test]
fn reads_lifetimes() {
    let seconds = |n| Some(Delta::Seconds(n));
    assert_eq!(max_age("max-age=3600"), seconds(3_600));
    assert_eq!(max_age("MaX-AgE=3600"), seconds(3_600));
    assert_eq!(max_age("foo, ,bar=1,  max-age=003600 "), seconds(3_600));
    assert_eq!(max_age("max-age=\"3600\""), seconds(3_600));
    assert_eq!(max_age("max-age=99999999999999999999999"), seconds(1 << 31));
    assert_eq!(max_age("max-age=1, max-age=1"), seconds(1));
    assert_eq!(max_age("x=\"max-age=3600, \\\" max-age=7\", max-age=1"), seconds(1));
    assert_eq!(max_age("x=\"max-age=3600"), None);
    assert_eq!(max_age("public"), None);
}

#[test]
fn what_cannot_be_read_is_stale() {
    for text in [
        "max-age=-3600",
        "max-age='3600'",
        "max-age=a100",
        "max-age=100a",
        "max-age=3600.0",
        "max-age",
        "max-age=",
        "max-age =100",
        "max-age= 100",
        "max-age=1, max-age=3600",
        "max-age=3600, max-age=1",
        "max-age=3600, max-age=x",
    ] {
        assert_eq!(max_age(text), Some(Delta::Invalid), "{text}");
    }
}

#[test]
fn reads_restrictions() {
    assert!(response("No-StOrE").no_store);
    assert_eq!(response("no-cache").no_cache, Scope::Whole);
    let fields = response("no-cache=\"a, B\", no-cache=c").no_cache;
    assert_eq!(fields.fields(), ["a", "b", "c"]);
    assert_eq!(response("private=\"set-cookie\", private").private, Scope::Whole);
    assert_eq!(response("private=\"\"").private, Scope::Whole);
    assert_eq!(response("private=\"a b\"").private, Scope::Whole);
    let many = (0..=FIELDS_MAX).map(|i| format!("x{i},")).collect::<String>();
    assert_eq!(response(&format!("private=\"{many}\"")).private, Scope::Whole);
}

#[test]
fn lines_are_one_list() {
    let lines = [("cache-control", "max-age=1"), ("cache-control", "public, s-maxage=2")];
    let directives = ResponseDirectives::of(&headers(&lines));
    assert_eq!(directives.max_age, Some(Delta::Seconds(1)));
    assert_eq!(directives.s_maxage, Some(Delta::Seconds(2)));
    assert!(directives.public);
}

#[test]
fn the_most_targeted_field_holds() {
    let of = |lines: &[(&'static str, &str)]| ResponseDirectives::of(&headers(lines));
    let all = [
        ("cache-control", "no-store"),
        ("cdn-cache-control", "max-age=5"),
        ("weir-cache-control", "max-age=7;note=1, must-revalidate"),
    ];
    let directives = of(&all);
    assert_eq!(directives.max_age, Some(Delta::Seconds(7)));
    assert!(directives.must_revalidate && directives.targeted && !directives.no_store);
    assert_eq!(of(&all[..2]).max_age, Some(Delta::Seconds(5)));
    assert!(of(&all[..1]).no_store);

    // One that is empty or malformed is not there.
    for broken in ["", "max-age=10000, &&&&&", "MAX-AGE=1"] {
        let lines = [("cache-control", "no-store"), ("cdn-cache-control", broken)];
        assert!(of(&lines).no_store, "{broken}");
    }
    // A value of the wrong type is passed over, unless it restricts.
    let lines = [("cdn-cache-control", "max-age=\"10000\", public=1, no-store=1, no-cache=\"a\"")];
    let directives = of(&lines);
    assert_eq!((directives.max_age, directives.public), (None, false));
    assert!(directives.no_store);
    assert_eq!(directives.no_cache.fields(), ["a"]);
    assert_eq!(of(&[("cdn-cache-control", "max-age=-1")]).max_age, Some(Delta::Invalid));
    assert_eq!(of(&[("cdn-cache-control", "no-cache=?0")]).no_cache, Scope::Whole);
}

#[test]
fn reads_requests() {
    let of = |text: &str| RequestDirectives::of(&headers(&[("cache-control", text)]));
    let directives = of("max-stale, min-fresh=5, max-age=0, no-store, only-if-cached");
    assert_eq!(directives.max_stale, Some(Delta::Seconds(u32::MAX)));
    assert_eq!(directives.min_fresh, Some(Delta::Seconds(5)));
    assert_eq!(directives.max_age, Some(Delta::Seconds(0)));
    assert!(directives.no_store && directives.only_if_cached && !directives.no_cache);
    assert_eq!(of("max-stale=7").max_stale, Some(Delta::Seconds(7)));
    assert_eq!(of("nothing-to-see-here"), RequestDirectives::default());
}

proptest! {
    #[test]
    fn never_panics(
        lines in prop::collection::vec(prop::collection::vec(32..=255_u8, 0..60), 0..4),
    ) {
        let mut headers = HeaderMap::new();
        for line in lines {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                headers.append(CACHE_CONTROL, value.clone());
                headers.append(CDN_CACHE_CONTROL, value);
            }
        }
        ResponseDirectives::of(&headers);
        RequestDirectives::of(&headers);
        headers.remove(CDN_CACHE_CONTROL);
        ResponseDirectives::of(&headers);
    }

    #[test]
    fn never_panics_on_what_looks_like_one(
        line in "((no-cache|private|max-age)[= \"\\\\,a0-9]{0,6},?){0,6}",
    ) {
        if let Ok(value) = HeaderValue::from_str(&line) {
            let mut headers = HeaderMap::new();
            headers.append(CACHE_CONTROL, value);
            ResponseDirectives::of(&headers);
        }
    }
}
