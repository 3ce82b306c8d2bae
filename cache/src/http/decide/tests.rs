use std::time::Duration;

use super::{
    super::fixture::{Asked, NOW, at, entry, stored, stored_for},
    *,
};
use crate::entry::{Fill, Key};

/// What is decided, in short, on a GET with these header lines after so many seconds.
fn decided(answer: &str, asked: &str, after: u64) -> String {
    decided_by(&entry(&[stored(answer)]), asked, after, &Policy::default())
}

fn decided_by(entry: &Entry<Page>, asked: &str, after: u64, policy: &Policy) -> String {
    let asked = Asked::new(&format!("GET\n{asked}"));
    match decide(&asked.request(), Some(entry), at(after), policy) {
        Decision::Hit(_) => "hit".into(),
        Decision::Stale(_, why) => why.as_str().into(),
        Decision::Revalidate(_, why) => format!("revalidate {}", why.as_str()),
        Decision::Miss(why) => format!("miss {}", why.as_str()),
        Decision::Pass => "pass".into(),
        Decision::Bypass(why) => format!("bypass {}", why.as_str()),
        Decision::Unavailable => "unavailable".into(),
    }
}

const PLAIN: &str = "200\ncache-control: max-age=10\netag: \"a\"";

#[test]
fn fresh_hits_and_stale_asks() {
    assert_eq!(decided(PLAIN, "", 9), "hit");
    assert_eq!(decided(PLAIN, "cookie: a=b", 9), "hit");
    assert_eq!(decided(PLAIN, "", 10), "revalidate stale");
    assert_eq!(
        decided("200\ncache-control: no-cache, max-age=10\netag: \"a\"", "", 0),
        "revalidate stale"
    );
    let asked = Asked::new("GET");
    let nothing = decide(&asked.request(), None, NOW, &Policy::default());
    assert!(matches!(nothing, Decision::Miss(Forward::UriMiss)));
}

#[test]
fn clients_have_a_say() {
    let cc = |value: &str, after| decided(PLAIN, &format!("cache-control: {value}"), after);
    assert_eq!(cc("no-cache", 1), "revalidate request");
    assert_eq!(cc("max-age=0", 1), "revalidate request");
    assert_eq!(cc("max-age=5", 5), "hit");
    assert_eq!(cc("max-age=5", 6), "revalidate request");
    assert_eq!(cc("min-fresh=5", 5), "hit");
    assert_eq!(cc("min-fresh=5", 6), "revalidate request");
    assert_eq!(cc("max-stale", 9_999), "max-stale");
    assert_eq!(cc("max-stale=5", 15), "max-stale");
    assert_eq!(cc("max-stale=5", 16), "revalidate stale");
    assert_eq!(cc("max-stale=x", 16), "revalidate stale");
    assert_eq!(cc("nothing-to-see-here, no-store", 1), "hit");
    assert_eq!(cc("only-if-cached", 1), "hit");
    assert_eq!(cc("only-if-cached", 11), "unavailable");
    let asked = Asked::new("GET\ncache-control: only-if-cached");
    let nothing = decide(&asked.request(), None, NOW, &Policy::default());
    assert!(matches!(nothing, Decision::Unavailable));

    let deaf = Policy { client_directives: false, ..Policy::default() };
    for value in ["no-cache", "max-age=0", "min-fresh=99", "only-if-cached"] {
        let line = format!("cache-control: {value}");
        assert_eq!(decided_by(&entry(&[stored(PLAIN)]), &line, 1, &deaf), "hit", "{value}");
    }
    let forbidden = "200\ncache-control: max-age=10, must-revalidate\netag: \"a\"";
    assert_eq!(decided(forbidden, "cache-control: max-stale", 11), "revalidate stale");
}

#[test]
fn stale_is_served_while_it_is_fetched() {
    let answer = "200\ncache-control: max-age=10, stale-while-revalidate=5\netag: \"a\"";
    assert_eq!(decided(answer, "", 9), "hit");
    assert_eq!(decided(answer, "", 10), "stale-while-revalidate");
    assert_eq!(decided(answer, "", 14), "stale-while-revalidate");
    assert_eq!(decided(answer, "", 15), "revalidate stale");
    assert_eq!(decided(answer, "cache-control: min-fresh=1", 12), "revalidate stale");
    assert_eq!(decided(answer, "cache-control: only-if-cached", 12), "stale-while-revalidate");
}

#[test]
fn what_was_purged_softly_is_stale() {
    let page = entry(&[stored("200\ncache-control: max-age=10, stale-while-revalidate=5")]);
    page.outdate();
    assert_eq!(decided_by(&page, "", 1, &Policy::default()), "stale-while-revalidate");
    assert_eq!(
        decided_by(&page, "cache-control: max-stale", 1, &Policy::default()),
        "stale-while-revalidate"
    );
    let page = entry(&[stored(PLAIN)]);
    page.outdate();
    assert_eq!(decided_by(&page, "", 1, &Policy::default()), "revalidate stale");
}

#[test]
fn the_newest_variant_that_fits() {
    let answer = |x: &str| format!("200\ncache-control: max-age=10\nvary: foo\nx: {x}");
    let page = entry(&[
        stored_for("GET\nfoo: 1", &answer("one")),
        stored_for("GET\nfoo: 2", &answer("two")),
        stored_for("GET", &answer("none")),
    ]);
    let selected = |asked: &str| {
        let asked = Asked::new(asked);
        match decide(&asked.request(), Some(&page), NOW, &Policy::default()) {
            Decision::Hit(stored) => stored.head().headers()["x"].to_str().unwrap().to_owned(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(selected("GET\nfoo: 1"), "one");
    assert_eq!(selected("GET\nfoo: 2\nbar: 3"), "two");
    assert_eq!(selected("HEAD"), "none");
    assert_eq!(selected("GET\nfoo: 3"), "Miss(VaryMiss)");
}

#[test]
fn credentials_share_only_what_is_shared() {
    let line = "authorization: Basic x";
    assert_eq!(decided(PLAIN, line, 1), "miss request");
    let shared = "200\ncache-control: max-age=10, public";
    assert_eq!(decided(shared, line, 1), "hit");
}

#[test]
fn a_note_lets_requests_pass() {
    let fill = Page::hit_for_miss(None, NOW, Duration::from_secs(5)).unwrap();
    let note = Entry::new(Key::from(&b"k"[..]), Fill { ..fill }, 1);
    assert_eq!(decided_by(&note, "", 1, &Policy::default()), "pass");
    assert_eq!(
        decided_by(&note, "cache-control: only-if-cached", 1, &Policy::default()),
        "unavailable"
    );
}

#[test]
fn some_requests_are_not_for_caches() {
    let bypassed = |text: &str| bypass(&Asked::new(text).request());
    assert_eq!(bypassed("GET\nrange: bytes=0-1"), None);
    assert_eq!(bypassed("HEAD"), None);
    assert_eq!(bypassed("QUERY"), None);
    assert_eq!(bypassed("POST"), Some(BypassReason::Method));
    assert_eq!(bypassed("GET\nif-match: \"a\""), Some(BypassReason::Condition));
    assert_eq!(bypassed("GET\nif-unmodified-since: x"), Some(BypassReason::Condition));
    assert_eq!(bypassed("GET\nupgrade: websocket"), Some(BypassReason::Upgrade));
}

#[test]
fn an_error_lets_stale_through() {
    let may = |answer: &str, asked: &str, after| {
        let asked = Asked::new(&format!("GET\n{asked}"));
        may_serve_on_error(&asked.request(), &stored(answer), at(after))
    };
    let granted = "200\ncache-control: max-age=10, stale-if-error=5";
    assert!(may(granted, "", 14) && !may(granted, "", 15));
    assert!(may(PLAIN, "", 9) && !may(PLAIN, "", 10));
    assert!(may(PLAIN, "cache-control: stale-if-error=5", 14));
    let strict = "200\ncache-control: max-age=10, stale-if-error=5, must-revalidate";
    assert!(!may(strict, "cache-control: stale-if-error=5", 11));
}
