use http::{HeaderName, Response};

use super::*;

fn rule(keys: &str) -> Rule {
    let file = format!("listeners: [\":80\"]\nroutes: [{{ respond: 204, compress: {keys} }}]\n");
    let loaded = weir_config::load_str("weir.yaml", &file, &|_| None);
    let loaded = loaded.unwrap_or_else(|wrong| panic!("{wrong}"));
    Rule::new(loaded.config.routes[0].web.compress.as_ref().unwrap())
}

fn wish() -> Wish {
    let accepted = Accepted { coding: Some(Encoding::Gzip), refuses_plain: false };
    Wish { accepted, secret: false, bare: false }
}

fn head(status: u16, fields: &[(&'static str, &'static str)]) -> response::Parts {
    let (mut head, ()) = Response::new(()).into_parts();
    head.status = StatusCode::from_u16(status).unwrap();
    for (name, value) in fields {
        let name = HeaderName::from_static(name);
        head.headers.append(name, HeaderValue::from_static(value));
    }
    head
}

const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
const CODE: Verdict = Verdict::Code(Encoding::Gzip);

#[test]
fn what_becomes_shorter_is_coded() {
    let rule = rule("true");
    let of = |kind, length| rule.judge(&wish(), &head(200, &[("content-type", kind)]), length);
    for kind in [
        "text/html",
        "TEXT/plain;charset=utf-8",
        "text/event-stream",
        "application/json",
        "application/problem+json",
        "image/svg+xml",
        "application/wasm",
    ] {
        assert_eq!(of(kind, Some(5_000)), CODE, "{kind}");
        assert_eq!(of(kind, None), CODE, "{kind}");
        assert_eq!(of(kind, Some(1_023)), Verdict::Vary, "{kind}");
    }
    for kind in ["image/png", "application/json2", "application/+json", "text", "video/mp4", ""] {
        assert_eq!(of(kind, Some(5_000)), Verdict::Leave, "{kind}");
    }
    assert_eq!(rule.judge(&wish(), &head(200, &[]), Some(5_000)), Verdict::Leave, "of no type");
    assert_eq!(rule.judge(&wish(), &head(404, &[HTML]), Some(5_000)), CODE);
}

#[test]
fn what_must_stay_as_it_is_does() {
    let rule = rule("{ min_size: 0B, types: [\"*/*\"] }");
    let of = |status, fields: &[_]| rule.judge(&wish(), &head(status, fields), Some(5_000));
    assert_eq!(of(200, &[HTML]), CODE);
    assert_eq!(of(200, &[HTML, ("content-encoding", "identity")]), CODE);
    for field in [
        ("content-encoding", "br"),
        ("content-encoding", "x-own"),
        ("cache-control", "public, no-transform"),
        ("content-range", "bytes 0-1/2"),
        ("content-digest", "sha-256=:x:"),
        ("content-md5", "x"),
    ] {
        assert_eq!(of(200, &[HTML, field]), Verdict::Leave, "{field:?}");
    }
    for kind in ["application/grpc", "application/grpc+proto"] {
        assert_eq!(of(200, &[("content-type", kind)]), Verdict::Leave, "{kind}");
    }
    for status in [101, 204, 205] {
        assert_eq!(of(status, &[HTML]), Verdict::Leave, "{status}");
    }
    assert_eq!(rule.judge(&wish(), &head(200, &[HTML]), Some(0)), Verdict::Leave, "nothing");
}

#[test]
fn secrets_are_not_given_away_by_lengths() {
    let (rule, told) = (rule("true"), rule("{ secrets: true }"));
    let secret = Wish { secret: true, ..wish() };
    let page = head(200, &[HTML]);
    let cookie = head(200, &[HTML, ("set-cookie", "sid=1")]);
    assert_eq!(rule.judge(&secret, &page, None), Verdict::Vary);
    assert_eq!(rule.judge(&wish(), &cookie, None), Verdict::Vary);
    assert_eq!(rule.judge(&wish(), &page, None), CODE);
    assert_eq!(told.judge(&secret, &cookie, None), CODE);
}

#[test]
fn clients_are_asked() {
    let rule = rule("true");
    let none = Wish::default();
    assert_eq!(rule.judge(&none, &head(200, &[HTML]), None), Verdict::Vary);
    assert_eq!(rule.judge(&none, &head(200, &[]), None), Verdict::Leave);
    let accepted = Accepted { refuses_plain: true, ..wish().accepted };
    let strict = Wish { accepted, ..wish() };
    assert_eq!(rule.judge(&strict, &head(200, &[HTML]), Some(10)), CODE, "nothing else will do");
    let image = head(200, &[("content-type", "image/png")]);
    assert_eq!(rule.judge(&strict, &image, None), Verdict::Leave, "what varies for nobody");
}

#[test]
fn a_part_varies_as_its_whole_does() {
    let rule = rule("true");
    let range = ("content-range", "bytes 0-9/5000");
    let of = |fields: &[_]| rule.judge(&wish(), &head(206, fields), Some(10));
    assert_eq!(of(&[HTML, range]), Verdict::Vary);
    let several = ("content-type", "Multipart/Byteranges; boundary=x");
    assert_eq!(of(&[several]), Verdict::Vary, "of some type");
    assert_eq!(of(&[("content-type", "image/png"), range]), Verdict::Leave);
    assert_eq!(of(&[HTML, range, ("content-encoding", "gzip")]), Verdict::Leave);
    assert_eq!(of(&[HTML, range, ("cache-control", "no-transform")]), Verdict::Leave);
}

#[test]
fn a_304_names_the_tag_that_the_client_has() {
    let rule = rule("true");
    let same = head(304, &[("etag", "\"a\"")]);
    assert_eq!(rule.judge(&wish(), &same, None), Verdict::Weaken);
    assert_eq!(rule.judge(&Wish::default(), &same, None), Verdict::Vary);
}

#[test]
fn the_head_says_what_was_done() {
    let mut headers =
        head(200, &[HTML, ("content-length", "5"), ("accept-ranges", "bytes"), ("etag", "\"a\"")])
            .headers;
    mark(&mut headers, Encoding::Br);
    assert_eq!(headers["content-encoding"], "br");
    assert_eq!(headers["etag"], "W/\"a\"");
    assert_eq!(headers["vary"], "accept-encoding");
    assert!(!headers.contains_key("content-length") && !headers.contains_key("accept-ranges"));
    mark(&mut headers, Encoding::Br);
    assert_eq!(headers["etag"], "W/\"a\"", "weak tags stay");
    assert_eq!(headers.get_all("vary").iter().count(), 1);
}

#[test]
fn weak_tags_are_asked_for_in_both_forms() {
    let of = |lines: &[&'static str]| {
        let fields: Vec<_> = lines.iter().map(|line| ("if-none-match", *line)).collect();
        let mut headers = head(200, &fields).headers;
        strengthen(&mut headers);
        let all = headers.get_all("if-none-match").iter();
        all.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of(&["W/\"a\""]), ["W/\"a\", \"a\""]);
    assert_eq!(of(&["\"a\", W/\"b,c\" , W/\"d\""]), ["\"a\", W/\"b,c\" , W/\"d\", \"b,c\", \"d\""]);
    assert_eq!(of(&["\"a\""]), ["\"a\""]);
    assert_eq!(of(&["*"]), ["*"]);
    assert_eq!(of(&["\"W/\""]), ["\"W/\""], "a tag's own text");
    assert_eq!(of(&["W/\"a\"", "\"b\""]), ["W/\"a\", \"b\", \"a\""]);
    assert_eq!(of(&["W/\"a"]).len(), 1, "what is no tag does no harm");
    assert_eq!(of(&[]), Vec::<String>::new());
}

#[test]
fn a_tunnel_is_never_coded() {
    let rule = rule("true");
    let of = |method: &str| {
        let request = http::Request::builder().method(method);
        let request = request.header("accept-encoding", "gzip, identity;q=0").body(()).unwrap();
        let wish = rule.wish(&request.into_parts().0);
        rule.judge(&wish, &head(200, &[HTML]), None)
    };
    assert_eq!((of("GET"), of("CONNECT")), (CODE, Verdict::Vary));
}
