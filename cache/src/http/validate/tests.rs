use proptest::prelude::*;

use super::{
    super::fixture::{Asked, NOW, at, headers, stored},
    *,
};

const DATED: &str = "200
    cache-control: max-age=60
    etag: \"abc\"
    date: Fri, 20 Nov 2026 12:00:00 GMT
    last-modified: Thu, 19 Nov 2026 12:00:00 GMT";

fn is_304(answer: &str, condition: &str) -> bool {
    is_not_modified(&Asked::new(&format!("GET\n{condition}")).request(), &stored(answer), NOW)
}

#[test]
fn a_client_that_names_the_tag_has_it() {
    for line in [
        "if-none-match: \"abc\"",
        "if-none-match: W/\"abc\"",
        "if-none-match: \"x\", \"abc\", \"y\"",
        "if-none-match: \"x\" , , W/\"abc\"",
        "if-none-match: *",
        "if-none-match: \"x\"\nif-none-match: \"abc\"",
        "if-none-match: \"abc\"\nif-modified-since: Wed, 18 Nov 2026 12:00:00 GMT",
    ] {
        assert!(is_304(DATED, line), "{line}");
    }
    for line in [
        "if-none-match: \"x\"",
        "if-none-match: abc",
        "if-none-match: \"abc",
        "if-none-match: \"a,\"abc\"",
        // It comes before the other condition, which would hold.
        "if-none-match: \"x\"\nif-modified-since: Fri, 20 Nov 2026 12:00:00 GMT",
    ] {
        assert!(!is_304(DATED, line), "{line}");
    }
    let weak = DATED.replace("\"abc\"", "W/\"abc\"");
    assert!(is_304(&weak, "if-none-match: \"abc\""));
    assert!(!is_304("200\ncache-control: max-age=60", "if-none-match: \"abc\""));
    assert!(is_304("200\ncache-control: max-age=60", "if-none-match: *"));
}

#[test]
fn who_wants_something_else_is_told() {
    let forbidden = |answer: &str, condition: &str| {
        let asked = Asked::new(&format!("GET\n{condition}"));
        is_forbidden(&asked.request(), stored(answer).head().headers(), NOW)
    };
    for line in [
        "if-match: \"x\"",
        "if-match: \"x\", \"y\"",
        "if-match: W/\"abc\"",
        "if-unmodified-since: Thu, 19 Nov 2026 11:59:59 GMT",
        "if-match: \"x\"\nif-unmodified-since: Fri, 20 Nov 2026 12:00:00 GMT",
    ] {
        assert!(forbidden(DATED, line), "{line}");
    }
    for line in [
        "x: y",
        "if-match: \"abc\"",
        "if-match: \"x\", \"abc\"",
        "if-match: \"x\"\nif-match: \"abc\"",
        "if-match: *",
        "if-unmodified-since: Thu, 19 Nov 2026 12:00:00 GMT",
        "if-unmodified-since: yesterday",
        "if-match: \"abc\"\nif-unmodified-since: Wed, 18 Nov 2026 12:00:00 GMT",
    ] {
        assert!(!forbidden(DATED, line), "{line}");
    }
    let weak = DATED.replace("\"abc\"", "W/\"abc\"");
    assert!(forbidden(&weak, "if-match: \"abc\""), "a strong comparison");
}

#[test]
fn a_client_that_knows_the_date_has_it() {
    let since = |answer: &str, date: &str| is_304(answer, &format!("if-modified-since: {date}"));
    assert!(since(DATED, "Thu, 19 Nov 2026 12:00:00 GMT"));
    assert!(since(DATED, "Thursday, 19-Nov-26 12:00:00 GMT"));
    assert!(since(DATED, "Fri, 20 Nov 2026 11:00:00 GMT"));
    assert!(!since(DATED, "Thu, 19 Nov 2026 11:59:59 GMT"));
    assert!(!since(DATED, "yesterday"));
    // Without a date of its own, the day it was made.
    let silent = "200\ncache-control: max-age=60";
    assert!(since(silent, "Fri, 20 Nov 2026 12:00:00 GMT"));
    assert!(!since(silent, "Fri, 20 Nov 2026 11:00:00 GMT"));
    let twice = "if-modified-since: Fri, 20 Nov 2026 11:00:00 GMT\n".repeat(2);
    assert!(!is_304(DATED, &twice));
}

#[test]
fn conditions_are_for_good_answers_to_reads() {
    let condition = "if-none-match: \"abc\"";
    assert!(!is_304(&DATED.replace("200", "404"), condition));
    let asked = Asked::new(&format!("HEAD\n{condition}"));
    assert!(is_not_modified(&asked.request(), &stored(DATED), NOW));
    let asked = Asked::new(&format!("QUERY\n{condition}"));
    assert!(!is_not_modified(&asked.request(), &stored(DATED), NOW));
}

#[test]
fn a_range_is_of_what_the_client_has() {
    let valid = |answer: &str, condition: &str| {
        let asked = Asked::new(&format!("GET\nif-range: {condition}"));
        is_range_valid(&asked.request(), stored(answer).head().headers(), NOW)
    };
    assert!(valid(DATED, "\"abc\""));
    assert!(!valid(DATED, "\"x\""));
    assert!(!valid(DATED, "W/\"abc\""));
    assert!(!valid(&DATED.replace("\"abc\"", "W/\"abc\""), "\"abc\""));
    assert!(valid(DATED, "Thu, 19 Nov 2026 12:00:00 GMT"));
    assert!(!valid(DATED, "Thu, 19 Nov 2026 12:00:01 GMT"));
    assert!(!valid(DATED, "abc"));
    let young = DATED.replace("Thu, 19", "Fri, 20");
    assert!(!valid(&young, "Fri, 20 Nov 2026 12:00:00 GMT"));
}

#[test]
fn a_validation_asks_by_both_validators_and_for_the_whole() {
    let mut asked = headers("range: bytes=0-1\nif-range: x\nif-none-match: \"client\"\nfoo: 1");
    prepare_validation(&stored(DATED), &mut asked);
    let expected =
        headers("foo: 1\nif-none-match: \"abc\"\nif-modified-since: Thu, 19 Nov 2026 12:00:00 GMT");
    assert_eq!(asked, expected);
    prepare_validation(&stored("200\ncache-control: max-age=60"), &mut asked);
    assert_eq!(asked, headers("foo: 1"));
}

fn freshened(answer: &str, update: &str) -> Validated {
    let exchange = Exchange { asked: at(100), answered: at(100) };
    let policy = Policy::default();
    freshen(&stored(answer), &Asked::new("GET").request(), &headers(update), exchange, &policy)
}

#[test]
fn a_304_freshens_what_it_is_about() {
    for update in
        ["etag: \"abc\"", "etag: W/\"abc\"", "last-modified: Thu, 19 Nov 2026 12:00:00 GMT", "x: y"]
    {
        let Validated::Store(stored) = freshened(DATED, update) else { panic!("{update}") };
        assert!(stored.head().freshness().is_fresh(at(159)), "{update}");
    }
    for update in ["etag: \"other\"", "last-modified: Fri, 20 Nov 2026 12:00:00 GMT"] {
        assert!(matches!(freshened(DATED, update), Validated::Another), "{update}");
    }
    let untagged = "200\ncache-control: max-age=60";
    assert!(matches!(freshened(untagged, "etag: \"abc\""), Validated::Another));
    let forbidden = freshened(DATED, "cache-control: private");
    assert!(matches!(forbidden, Validated::Serve(_, NoStore::Private)));
}

#[test]
fn a_head_freshens_what_it_is_about() {
    let update = |status: u16, lines: &str| {
        let exchange = Exchange { asked: at(100), answered: at(100) };
        let status = StatusCode::from_u16(status).unwrap();
        let asked = Asked::new("HEAD");
        let (headers, policy) = (headers(lines), Policy::default());
        freshen_by_head(&stored(DATED), &asked.request(), status, &headers, exchange, &policy)
    };
    let updated = update(200, "etag: \"abc\"\ncontent-length: 10\nx: 1").unwrap();
    assert_eq!(updated.head().headers()["x"], "1");
    assert!(updated.head().freshness().is_fresh(at(150)));
    assert!(update(200, "etag: \"abc\"\ncontent-length: 11").is_none());
    assert!(update(200, "etag: \"new\"").is_none());
    assert!(update(410, "x: 1").is_none());
}

proptest! {
    #[test]
    fn never_panics(
        lines in prop::collection::vec(prop::collection::vec(32..=255_u8, 0..40), 0..3),
    ) {
        let mut map = HeaderMap::new();
        for value in lines {
            if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, ETAG, LAST_MODIFIED] {
                    map.append(name, value.clone());
                }
            }
        }
        let request = Request::new(&Method::GET, &map);
        is_not_modified(&request, &stored(DATED), NOW);
        is_range_valid(&request, stored(DATED).head().headers(), NOW);
        is_forbidden(&request, stored(DATED).head().headers(), NOW);
        is_about(&stored(DATED), &map, NOW);
    }

    #[test]
    fn a_list_of_tags_names_its_tags(
        tags in prop::collection::vec("[!#-~]{0,5}", 1..5),
        at in 0..5_usize,
    ) {
        let line = tags.iter().map(|tag| format!("\"{tag}\"")).collect::<Vec<_>>().join(", ");
        let tag = format!("W/\"{}\"", tags[at % tags.len()]);
        let tag = EntityTag::parse(tag.as_bytes());
        prop_assert!(names_tag(line.as_bytes(), tag, |a, b| a.is_like(b)));
    }
}
