#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{Diagnostics, Loaded, load_str};

fn load(path: &str, key: &str) -> Result<Loaded, Diagnostics> {
    let file = format!(
        "listeners: [\":80\"]\n\
         routes: [{{ match: {path}, respond: 200, rate_limit: {{ rate: 1/s, key: {key} }} }}]"
    );
    load_str("weir.yaml", &file, &|_| None)
}

fn key(text: &str) -> Vec<KeyPart> {
    let loaded = load("/**", text).unwrap_or_else(|wrong| panic!("{text}: {wrong}"));
    loaded.config.routes.into_iter().next().unwrap().rate_limits.remove(0).key
}

fn refused(text: &str) -> String {
    load("/**", text).unwrap_err().render()
}

fn warned(path: &str, text: &str) -> String {
    load(path, text).unwrap().warnings.render()
}

#[test]
fn a_key_has_parts() {
    let shown = |text: &str| -> Vec<String> { key(text).iter().map(KeyPart::to_string).collect() };
    for one in ["client_ip", "path", "route", "header:x-key", "cookie:Sid", "query:a.b"] {
        assert_eq!(shown(one), [one]);
        assert_eq!(shown(&format!("[{one}]")), [one]);
    }
    assert_eq!(shown("[client_ip, route]"), ["client_ip", "route"]);
    let lua = "lua:req.headers['x-tenant']:lower() or 'none'";
    assert_eq!(shown(&format!("\"{lua}\"")), [lua]);
    // Names of header fields have no case, others do.
    assert_eq!(shown("header:X-Key"), ["header:x-key"]);
    // A parameter may have any name.
    assert_eq!(
        shown("[\"query:a:b c\", \"query:A\", query:a]"),
        ["query:a:b c", "query:A", "query:a"]
    );
}

#[test]
fn what_is_no_key_is_refused() {
    for (text, expected) in [
        ("[]", "`key` is empty"),
        ("ip", "did you mean `client_ip`?"),
        ("clientip", "did you mean `client_ip`?"),
        ("Route", "did you mean `route`?"),
        ("header", "a name belongs to it: `header:name`"),
        ("headers:x-a", "did you mean `header:x-a`?"),
        ("cokie:sid", "did you mean `cookie:sid`?"),
        ("param:q", "did you mean `query:q`?"),
        ("x-api-key", "did you mean `header:x-api-key`?"),
        ("\"header:\"", "a name is missing after `header:`"),
        ("\"cookie:\"", "a name is missing after `cookie:`"),
        ("\"query:\"", "a name is missing after `query:`"),
        ("\"header:a b\"", "`a b` is no header name"),
        ("header::path", "`:path` is no header name"),
        ("\"cookie:a=b\"", "`a=b` is no name of a cookie"),
        ("\"query:a\\nb\"", "holds no control characters"),
        ("{ header: x-a }", "name and kind are one word: `header:x-api-key`"),
        ("[route, path, route]", "`route` stands in the key twice"),
        ("[header:a, header:A]", "`header:a` stands in the key twice"),
        ("\"lua: \"", "an expression is missing"),
        ("\"req.path\"", "did you mean `lua:req.path`?"),
        ("nonsense", "expected `client_ip`, `identity`, `header:N`"),
        ("on", "expected `client_ip`, `identity`, `header:N`"),
    ] {
        let said = refused(text);
        assert!(said.contains(expected), "{text}: {said}");
    }
    for kind in ["cookie", "query"] {
        assert!(refused(&format!("{kind}:{}", "n".repeat(257))).contains("from 1 to 256 bytes"));
    }
    let parts: Vec<_> = (0..9).map(|n| format!("query:{n}")).collect();
    assert!(refused(&format!("[{}]", parts.join(", "))).contains("at most 8"));
}

#[test]
fn the_caret_stands_below_what_is_wrong() {
    let said = refused("\"cookie:a=b\"");
    let lines: Vec<&str> = said.lines().collect();
    let caret = lines.iter().position(|line| line.trim_end().ends_with('^')).unwrap();
    let column = lines[caret].find('^').unwrap();
    assert!(lines[caret - 1][column..].starts_with("=b\""), "{said}");
}

#[test]
fn a_client_may_have_many_keys() {
    for key in ["path", "[client_ip, path]"] {
        assert!(warned("/**", key).contains("there is a count for each `path`"));
        assert!(warned("\"/users/{id}\"", key).contains("there is a count for each `path`"));
        assert_eq!(warned("/one", key), "");
    }
    for name in ["X-Forwarded-For", "forwarded", "x-real-ip"] {
        let said = warned("/**", &format!("header:{name}"));
        assert!(said.contains("clients can write what they like"), "{said}");
    }
    assert_eq!(warned("/**", "[client_ip, header:x-api-key, route]"), "");
}
