//! What is found where.

use super::{ask, get, serving, simple};
use crate::support::gateway::weir;

#[test]
fn a_file_is_served_with_what_is_known_of_it() {
    let gateway = simple(&[("a.css", b"body {}"), ("empty.txt", b"")]);
    let client = &mut gateway.client();
    let file = get(client, "/a.css?v=1", "");
    assert_eq!((file.status, file.text().as_str()), (200, "body {}"));
    for (name, value) in [
        ("content-type", "text/css; charset=utf-8"),
        ("content-length", "7"),
        ("accept-ranges", "bytes"),
        ("vary", "accept-encoding"),
    ] {
        assert_eq!(file.field(name), Some(value), "{name}");
    }
    for name in ["etag", "last-modified", "date", "x-request-id"] {
        assert!(file.field(name).is_some(), "{name}");
    }
    let head = ask(client, "HEAD", "/a.css", "");
    assert_eq!((head.status, head.body.len(), head.field("content-length")), (200, 0, Some("7")));
    let empty = get(client, "/empty.txt", "");
    assert_eq!((empty.status, empty.field("content-length")), (200, Some("0")));
    let missing = get(client, "/b.css", "");
    assert_eq!(missing.status, 404);
    assert_eq!(missing.text(), "404 there is no such file (NF)\n");
    assert_eq!(gateway.access_line("/b.css")["flag"], "NF");
    let line = gateway.access_line("/a.css?v=1");
    assert_eq!((&line["route"], &line["status"]), (&"site".into(), &200.into()));
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let refused = ask(client, method, "/a.css", "Content-Length: 0\r\n");
        assert_eq!((refused.status, refused.field("allow")), (405, Some("GET, HEAD")), "{method}");
    }
}

#[test]
fn directories_have_a_slash_and_an_index() {
    let gateway = simple(&[("index.html", b"home"), ("sub/index.html", b"sub"), ("bare/x", b"")]);
    let client = &mut gateway.client();
    assert_eq!(get(client, "/", "").text(), "home");
    assert_eq!(get(client, "/sub/", "").text(), "sub");
    let moved = get(client, "/sub?a=b", "");
    assert_eq!((moved.status, moved.field("location")), (308, Some("/sub/?a=b")));
    assert_eq!(get(client, "//sub", "").field("location"), Some("/sub/"));
    assert_eq!(get(client, "/bare/", "").status, 403, "no listing unless it is asked for");
    assert_eq!(get(client, "/index.html/", "").status, 404);
}

#[test]
fn a_redirect_to_a_directory_leads_there() {
    let gateway = serving(
        &[("docs/index.html", b"docs")],
        "  - { match: /manual/, rewrite: /docs, files: $DIR/public }\n\
         \x20 - { match: /manual, rewrite: /docs, files: $DIR/public }\n\
         \x20 - { match: /assets/**, strip_prefix: /assets, files: $DIR/public }\n\
         \x20 - { match: /**, files: $DIR/public }",
    );
    let client = &mut gateway.client();
    let moved = get(client, "/manual", "");
    assert_eq!((moved.status, moved.field("location")), (308, Some("/manual/")));
    let page = get(client, "/manual/", "");
    assert_eq!((page.status, page.text().as_str()), (200, "docs"), "not sent there for ever");
    let moved = get(client, "/assets?a=b", "");
    assert_eq!((moved.status, moved.field("location")), (308, Some("/assets/?a=b")));
    assert_eq!(get(client, "/assets/", "").status, 403, "no index");
    assert_eq!(get(client, "/assets/docs/", "").text(), "docs");
    let elsewhere = get(client, "/\\evil.test/%2e%2e/docs", "");
    assert_eq!(elsewhere.field("location"), Some("/docs/"), "a backslash is a slash to browsers");
}

#[test]
fn a_directory_may_be_listed() {
    let gateway = serving(
        &[("a/b.txt", b"b"), ("a/<i>.txt", b"i"), ("a/.hidden", b"h"), ("a/c/d", b"d")],
        "  - { files: { root: $DIR/public, listing: true } }",
    );
    let client = &mut gateway.client();
    let page = get(client, "/a/", "");
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    let text = page.text();
    for part in ["./b.txt\">b.txt<", "%3Ci%3E.txt\">&lt;i&gt;.txt<", "./c/\">c/<"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("hidden") && !text.contains("<i>"));
    assert_eq!(ask(client, "HEAD", "/a/", "").body.len(), 0);
}

#[test]
fn an_application_routes_by_itself() {
    let gateway = serving(
        &[("index.html", b"app"), ("a.js", b"js")],
        "  - { files: { root: $DIR/public, fallback: index.html } }",
    );
    let client = &mut gateway.client();
    for target in ["/", "/users/7", "/x/y/z.png"] {
        let answer = get(client, target, "");
        assert_eq!((answer.status, answer.text().as_str()), (200, "app"), "{target}");
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
    }
    assert_eq!(get(client, "/a.js", "").text(), "js");
    assert_eq!(get(client, "/.env", "").status, 404);
}

#[test]
fn paths_are_stripped_and_rewritten() {
    let gateway = serving(
        &[("a.txt", b"a"), ("sub/index.html", b"sub"), ("img/7.png", b"png")],
        "  - { match: \"/static/**\", strip_prefix: /static, files: $DIR/public }\n\
         \x20 - { match: \"/pictures/{id}\", rewrite: \"/img/{id}.png\", files: $DIR/public }",
    );
    let client = &mut gateway.client();
    assert_eq!(get(client, "/static/a.txt", "").text(), "a");
    assert_eq!(get(client, "/static/sub", "").field("location"), Some("/static/sub/"));
    assert_eq!(get(client, "/static/sub/", "").text(), "sub");
    let picture = get(client, "/pictures/7", "");
    assert_eq!(
        (picture.text().as_str(), picture.field("content-type")),
        ("png", Some("image/png"))
    );
    assert_eq!(get(client, "/a.txt", "").status, 404);
}

#[test]
fn compressed_ones_stand_in() {
    let gateway = simple(&[
        ("a.js", b"plain"),
        ("a.js.gz", b"gz"),
        ("a.js.br", b"br"),
        ("b.js", b"alone"),
        ("c.png", b"png"),
    ]);
    let client = &mut gateway.client();
    for (accepted, text, coding) in [
        ("", "plain", None),
        ("gzip", "gz", Some("gzip")),
        ("gzip, br", "br", Some("br")),
        ("gzip;q=1, br;q=0.1", "gz", Some("gzip")),
        ("zstd", "plain", None),
        ("br;q=0", "plain", None),
    ] {
        let answer = get(client, "/a.js", &format!("accept-encoding: {accepted}\r\n"));
        assert_eq!((answer.text().as_str(), answer.field("content-encoding")), (text, coding));
        assert_eq!(answer.field("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.field("vary"), Some("accept-encoding"));
    }
    let tags: Vec<_> = ["gzip", "br", "x"]
        .map(|coding| get(client, "/a.js", &format!("accept-encoding: {coding}\r\n")))
        .iter()
        .map(|answer| answer.field("etag").unwrap().to_owned())
        .collect();
    assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[0] != tags[2]);
    assert_eq!(get(client, "/b.js", "accept-encoding: br\r\n").text(), "alone");
    assert_eq!(get(client, "/c.png", "accept-encoding: br\r\n").field("vary"), None);
}

#[test]
fn other_policies_and_edits_hold() {
    let gateway = serving(
        &[("a.txt", b"a")],
        "  - name: site\n\
         \x20   files: $DIR/public\n\
         \x20   rate_limit: 2/d\n\
         \x20   headers: { response: { set: { cache-control: \"max-age=60\" }, remove: [etag] } }\n",
    );
    let client = &mut gateway.client();
    let file = get(client, "/a.txt", "");
    assert_eq!((file.field("cache-control"), file.field("etag")), (Some("max-age=60"), None));
    assert!(file.field("ratelimit").is_some());
    assert_eq!(get(client, "/none", "").status, 404);
    assert_eq!(get(client, "/a.txt", "").status, 429);
}

#[test]
fn a_directory_that_is_not_there_is_an_error_of_the_file() {
    let file = "listeners: [\"$LISTEN\"]\nroutes: [{ files: ./nowhere }]\n";
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("weir.yaml");
    std::fs::write(&path, file.replace("$LISTEN", "127.0.0.1:0")).unwrap();
    let output = weir(&["check", path.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("nowhere` is no directory"), "{text}");
}
