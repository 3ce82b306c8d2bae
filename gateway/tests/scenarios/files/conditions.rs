//! Conditions and ranges.

use std::{
    fs::{self, File},
    time::{Duration, SystemTime},
};

use super::{ask, get, simple};
use crate::support::gateway::Gateway;

/// A file of ten bytes, changed long ago.
fn settled() -> Gateway {
    let gateway = simple(&[("a.txt", b"0123456789")]);
    let file = File::options().write(true).open(gateway.dir().join("public/a.txt")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000)).unwrap();
    gateway
}

#[test]
fn a_client_that_has_it_is_told_so() {
    let gateway = settled();
    let client = &mut gateway.client();
    let first = get(client, "/a.txt", "");
    let tag = first.field("etag").unwrap().to_owned();
    let modified = first.field("last-modified").unwrap().to_owned();
    assert!(tag.starts_with('"'), "strong, for nothing changes it unseen: {tag}");
    assert_eq!(modified, "Sun, 13 Sep 2020 12:26:40 GMT");
    for fields in [
        format!("if-none-match: {tag}\r\n"),
        format!("if-none-match: \"x\", W/{tag}\r\n"),
        format!("if-modified-since: {modified}\r\n"),
    ] {
        let known = get(client, "/a.txt", &fields);
        assert_eq!((known.status, known.body.len()), (304, 0), "{fields}");
        assert_eq!(known.field("etag"), Some(tag.as_str()));
        assert_eq!(ask(client, "HEAD", "/a.txt", &fields).status, 304);
    }
    for fields in ["if-match: \"x\"\r\n", "if-unmodified-since: Sat, 12 Sep 2020 12:26:40 GMT\r\n"]
    {
        let refused = get(client, "/a.txt", fields);
        assert_eq!((refused.status, refused.body.len()), (412, 0), "{fields}");
    }
    assert_eq!(get(client, "/a.txt", &format!("if-match: {tag}\r\n")).status, 200);
    fs::write(gateway.dir().join("public/a.txt"), "9876543210").unwrap();
    let changed = get(client, "/a.txt", &format!("if-none-match: {tag}\r\n"));
    assert_eq!((changed.status, changed.text().as_str()), (200, "9876543210"));
    assert!(changed.field("etag").unwrap().starts_with("W/\""), "it may change again unseen");
}

#[test]
fn parts_are_sent() {
    let gateway = settled();
    let client = &mut gateway.client();
    for (range, text, content_range) in [
        ("bytes=0-3", "0123", "bytes 0-3/10"),
        ("bytes=8-", "89", "bytes 8-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=9-20", "9", "bytes 9-9/10"),
    ] {
        let part = get(client, "/a.txt", &format!("range: {range}\r\n"));
        assert_eq!((part.status, part.text().as_str()), (206, text), "{range}");
        assert_eq!(part.field("content-range"), Some(content_range));
        assert_eq!(part.field("content-length"), Some(text.len().to_string().as_str()));
    }
    let none = get(client, "/a.txt", "range: bytes=10-\r\n");
    assert_eq!((none.status, none.field("content-range")), (416, Some("bytes */10")));
    assert_eq!(get(client, "/a.txt", "range: lines=1-\r\n").text(), "0123456789");
    let whole = ask(client, "HEAD", "/a.txt", "range: bytes=0-3\r\n");
    assert_eq!((whole.status, whole.field("content-length")), (200, Some("10")));
}

#[test]
fn several_parts_are_one_body() {
    let gateway = settled();
    let several = get(&mut gateway.client(), "/a.txt", "range: bytes=0-1,4-4,-2\r\n");
    assert_eq!(several.status, 206);
    let kind = several.field("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, text: &str| {
        format!(
            "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Range: bytes {range}/10\r\n\r\n{text}"
        )
    };
    let parts = [part("0-1", "01"), part("4-4", "4"), part("8-9", "89")].concat();
    assert_eq!(several.text(), format!("{parts}\r\n--{boundary}--\r\n"));
}

#[test]
fn a_part_is_of_what_the_client_has() {
    let gateway = settled();
    let client = &mut gateway.client();
    let tag = get(client, "/a.txt", "").field("etag").unwrap().to_owned();
    let part = |client: &mut _, condition: &str| {
        get(client, "/a.txt", &format!("range: bytes=0-3\r\nif-range: {condition}\r\n")).status
    };
    assert_eq!(part(client, &tag), 206);
    assert_eq!(part(client, "Sun, 13 Sep 2020 12:26:40 GMT"), 206);
    assert_eq!(part(client, "\"x\""), 200);
    assert_eq!(part(client, &format!("W/{tag}")), 200);
    assert_eq!(part(client, "Sun, 13 Sep 2020 12:26:41 GMT"), 200);
}
