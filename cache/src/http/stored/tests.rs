use std::sync::Arc;

use proptest::prelude::*;

use super::{
    super::fixture::{NOW, at, entry, head, headers, stored, stored_for},
    *,
};
use crate::{entry::Entry, http::page::Page};

fn refused(asked: &str, answer: &str) -> Option<NoStore> {
    head(asked, answer, &Policy::default()).err()
}

const FRESH: &str = "cache-control: max-age=60";

#[test]
fn stores_what_says_how_long() {
    for status in [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 503, 599] {
        assert_eq!(refused("GET", &format!("{status}\n{FRESH}")), None, "{status}");
        let silent = refused("GET", &format!("{status}"));
        assert!(matches!(silent, Some(NoStore::Status | NoStore::Useless)), "{status}");
    }
    for status in [206, 304] {
        assert_eq!(refused("GET", &format!("{status}\n{FRESH}")), Some(NoStore::Status));
    }
    assert_eq!(refused("GET", "200\nexpires: Fri, 20 Nov 2026 12:01:00 GMT"), None);
    assert_eq!(refused("GET", "200\ncdn-cache-control: max-age=9\ncache-control: no-store"), None);
    assert_eq!(refused("GET", "200\ncache-control: no-cache\netag: \"a\""), None);
    assert_eq!(refused("GET", "200\nlast-modified: Thu, 19 Nov 2026 12:00:00 GMT"), None);
    assert_eq!(refused("GET", "302\netag: \"a\""), Some(NoStore::Status));
    assert_eq!(refused("GET", "302\netag: \"a\"\ncache-control: public"), None);
    assert_eq!(refused("GET", "200\ncache-control: max-age=0"), Some(NoStore::Useless));
    assert_eq!(refused("GET", "200\ncache-control: max-age=9\nage: 9"), Some(NoStore::Useless));
}

#[test]
fn stores_no_more_than_allowed() {
    let with = |line: &str| refused("GET", &format!("200\n{FRESH}\n{line}"));
    assert_eq!(with("cache-control: no-store"), Some(NoStore::ForbiddenByResponse));
    assert_eq!(with("cache-control: private"), Some(NoStore::Private));
    assert_eq!(with("cache-control: private=\"x\""), None);
    assert_eq!(with("cdn-cache-control: private"), Some(NoStore::Private));
    assert_eq!(with("cdn-cache-control: no-store"), Some(NoStore::ForbiddenByResponse));
    assert_eq!(with("vary: *"), Some(NoStore::Vary));
    assert_eq!(with("set-cookie: a=b"), Some(NoStore::SetCookie));
    assert_eq!(with("set-cookie: a=b\ncache-control: no-cache=\"Set-Cookie\""), None);
    let asked = |asked: &str| refused(asked, &format!("200\n{FRESH}"));
    assert_eq!(asked("GET\ncache-control: no-store"), Some(NoStore::ForbiddenByRequest));
    for method in ["HEAD", "POST", "PUT", "DELETE", "M-SEARCH", "OPTIONS"] {
        assert_eq!(asked(method), Some(NoStore::Method), "{method}");
    }
    assert_eq!(asked("QUERY"), None);
}

#[test]
fn a_post_is_stored_if_its_answer_is_the_resource() {
    let fresh = format!("200\n{FRESH}\ncontent-location: /same");
    assert_eq!(refused("POST", &fresh), None);
    assert_eq!(refused("POST", "200\ncontent-location: /same\netag: \"a\""), Some(NoStore::Status));
    assert_eq!(
        refused("POST", "200\ncontent-location: /same\netag: \"a\"\ncache-control: public"),
        Some(NoStore::Status),
        "RFC 9110 section 9.3.3: only with an explicit lifetime"
    );
    for status in [201, 204, 303, 400] {
        let created = format!("{status}\n{FRESH}\ncontent-location: /same");
        assert_eq!(refused("POST", &created), Some(NoStore::Method), "{status}");
    }
    assert_eq!(refused("PUT", &fresh), Some(NoStore::Method));
}

#[test]
fn must_understand_lifts_no_store_where_the_status_is_understood() {
    let lines = "cache-control: max-age=60, no-store, must-understand";
    assert_eq!(refused("GET", &format!("200\n{lines}")), None);
    assert_eq!(refused("GET", &format!("599\n{lines}")), Some(NoStore::Status));
}

#[test]
fn answers_to_authorized_requests_need_leave() {
    let asked = "GET\nauthorization: Basic x";
    let with =
        |cache_control: &str| refused(asked, &format!("200\ncache-control: {cache_control}"));
    assert_eq!(with("max-age=60"), Some(NoStore::Authorization));
    assert_eq!(with("max-age=60, proxy-revalidate"), Some(NoStore::Authorization));
    for leave in ["public, max-age=60", "max-age=60, must-revalidate", "s-maxage=60"] {
        assert_eq!(with(leave), None, "{leave}");
    }
}

#[test]
fn fields_of_the_connection_are_not_kept() {
    let stored = stored(
        "200
        cache-control: max-age=60, no-cache=\"d\"
        connection: a, B
        a: 1
        b: 2
        c: 3
        d: 4
        keep-alive: timeout=5
        proxy-connection: x
        proxy-authenticate: x
        proxy-authentication-info: x
        transfer-encoding: chunked
        te: x
        upgrade: x
        age: 5
        content-foo: bar",
    );
    let mut names: Vec<_> = stored.head().headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["c", "cache-control", "content-foo", "date"]);
    assert_eq!(stored.head().headers()[DATE], "Fri, 20 Nov 2026 12:00:00 GMT");
    assert_eq!(stored.head().freshness().age(NOW).as_secs(), 5);
}

#[test]
fn all_lines_of_a_field_are_kept() {
    let policy = Policy { store_cookies: true, ..Policy::default() };
    let text = format!(
        "200\n{FRESH}\nset-cookie: a=1\nset-cookie: b=2\ndate: Thu, 19 Nov 2026 12:00:00 GMT"
    );
    let text = text.replace("max-age=60", "max-age=600000");
    let head = head("GET", &text, &policy).unwrap();
    assert_eq!(head.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(head.headers()[DATE], "Thu, 19 Nov 2026 12:00:00 GMT");
}

#[test]
fn tags_are_read_and_counted() {
    let text = format!("200\n{FRESH}\nsurrogate-key: a  b\ncache-tag: c d, a,\ncache-tag: e");
    let head = head("GET", &text, &Policy::default()).unwrap();
    let tags: Vec<&[u8]> = head.tags().iter().map(AsRef::as_ref).collect();
    assert_eq!(tags, [&b"a"[..], b"b", b"c d", b"e"]);
    let many = "x ".repeat(65) + &(0..65).map(|i| format!("{i} ")).collect::<String>();
    assert_eq!(
        refused("GET", &format!("200\n{FRESH}\nsurrogate-key: {many}")),
        Some(NoStore::Tags)
    );
    let long = "x".repeat(1_025);
    assert_eq!(refused("GET", &format!("200\n{FRESH}\ncache-tag: {long}")), Some(NoStore::Tags));
}

#[test]
fn size_is_bounded() {
    let policy = Policy { object_max: 2_000, ..Policy::default() };
    let text = format!("200\n{FRESH}");
    let head = |policy: &Policy| head("GET", &text, policy);
    let small = head(&policy).unwrap();
    let room = (2_000 - small.weight()) as usize;
    assert!(small.clone().with_body(vec![0; room].into(), &policy).is_ok());
    let refused = small.with_body(vec![0; room + 1].into(), &policy).unwrap_err();
    assert_eq!(refused, NoStore::TooLarge);
    let tiny = Policy { object_max: 100, ..policy };
    assert_eq!(head(&tiny).unwrap_err(), NoStore::TooLarge);
}

#[test]
fn an_update_replaces_what_it_names() {
    let before = stored(
        "200
        cache-control: max-age=1
        etag: \"a\"
        content-length: 10
        content-encoding: br
        x: 1
        x: 2
        y: 1
        date: Fri, 20 Nov 2026 12:00:00 GMT",
    );
    let asked = super::super::fixture::Asked::new("GET");
    let update = headers(
        "cache-control: max-age=60
        connection: z
        x: 3
        z: 1
        content-length: 0
        content-encoding: gzip
        keep-alive: 1",
    );
    let exchange = Exchange { asked: at(100), answered: at(100) };
    let policy = Policy::default();
    let (after, forbidden) = before.freshened(&asked.request(), &update, exchange, &policy);
    assert_eq!(forbidden, None);
    let all = after.head().headers();
    assert_eq!(all.get_all("x").iter().collect::<Vec<_>>(), ["3"]);
    assert_eq!(
        (&all["y"], &all["content-length"], &all["content-encoding"]),
        (
            &HeaderValue::from_static("1"),
            &HeaderValue::from_static("10"),
            &HeaderValue::from_static("br"),
        )
    );
    assert!(!all.contains_key("z") && !all.contains_key("keep-alive"));
    assert_eq!(all[DATE], "Fri, 20 Nov 2026 12:01:40 GMT");
    assert!(
        after.head().freshness().is_fresh(at(159)) && !after.head().freshness().is_fresh(at(160))
    );
    assert_eq!(after.body(), before.body());

    let forbidden = headers("cache-control: no-store");
    let (served, why) = before.freshened(&asked.request(), &forbidden, exchange, &policy);
    assert_eq!(why, Some(NoStore::ForbiddenByResponse));
    assert_eq!(served.head().headers()["cache-control"], "no-store");
}

#[test]
fn a_page_holds_one_response_for_each_selection() {
    let variant = |foo: &str, x: &str| {
        let answer = format!("200\n{FRESH}\nvary: foo\nx: {x}\ncache-tag: t{x}");
        stored_for(&format!("GET\nfoo: {foo}"), &answer)
    };
    let page = entry(&[variant("1", "new"), variant("2", "b"), variant("1", "old")]);
    let all = |page: &Entry<Page>| {
        let of = |stored: &Arc<Stored>| stored.head().headers()["x"].to_str().unwrap().to_owned();
        page.value().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(all(&page), ["new", "b"]);
    assert_eq!(page.tags().collect::<Vec<_>>(), [b"tb".as_slice(), b"tnew"]);

    let policy = Policy { variants_max: 2, ..Policy::default() };
    let fill = Page::with(Some(&page), variant("3", "c"), &policy);
    let page = Entry::new(page.key().clone(), fill, 1);
    assert_eq!(all(&page), ["c", "new"]);
    page.outdate();
    let fill = Page::with(Some(&page), variant("4", "d"), &policy);
    assert_eq!(fill.value.iter().count(), 1);
}

#[test]
fn a_note_replaces_nothing_better() {
    let page = entry(&[stored(&format!("200\n{FRESH}"))]);
    let length = std::time::Duration::from_secs(5);
    assert!(Page::hit_for_miss(Some(&page), NOW, length).is_none());
    let fill = Page::hit_for_miss(None, NOW, length).unwrap();
    assert_eq!(fill.expires, at(5));
    let note = Entry::new(page.key().clone(), fill, 1);
    assert!(note.value().is_hit_for_miss());
    assert!(Page::hit_for_miss(Some(&note), NOW, length).is_some());
    let fill = Page::with(Some(&note), stored(&format!("200\n{FRESH}")), &Policy::default());
    assert!(!fill.value.is_hit_for_miss());
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(32..=255_u8, 0..30)
}

proptest! {
    #[test]
    fn never_panics(
        lines in prop::collection::vec((0..9_usize, line()), 0..8),
        status in 100..=999_u16,
    ) {
        let names = [
            "cache-control", "vary", "connection", "surrogate-key", "cache-tag", "age", "date",
            "expires", "cdn-cache-control",
        ];
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                map.append(names[name], value);
            }
        }
        let request = Request::new(&Method::GET, &map);
        let exchange = Exchange { asked: NOW, answered: NOW };
        let status = StatusCode::from_u16(status).unwrap();
        let response = Response { status, headers: &map, exchange, is_content_location: false };
        if let Ok(head) = Head::of(&request, &response, &Policy::default()) {
            prop_assert!(head.useless_at() > NOW);
            prop_assert!(head.selection().matches(&map));
            prop_assert!(!head.headers().contains_key(AGE));
        }
    }
}
