#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{load_str, model::Upstream};

fn text(discovery: &str, more: &str) -> String {
    format!(
        "listeners: [\":80\"]\n{more}upstreams:\n  a: {{ discovery: {discovery} }}\n\
         routes: [{{ to: a }}]\n"
    )
}

fn read(discovery: &str) -> Upstream {
    let loaded = load_str("weir.yaml", &text(discovery, ""), &|_| None);
    loaded.unwrap_or_else(|wrong| panic!("{wrong}")).config.upstreams.remove(0)
}

fn wrong(text: &str) -> String {
    load_str("weir.yaml", text, &|_| None).unwrap_err().to_string()
}

#[test]
fn sources_are_read() {
    let of = |discovery: &str| read(discovery).discovery.unwrap().source;
    let dns = of("{ dns: \"Users.internal:8080\" }");
    assert_eq!(dns, DiscoverySource::Dns("users.internal".to_owned(), 8080));
    let srv = of("{ dns_srv: _http._tcp.users.internal. }");
    assert_eq!(srv, DiscoverySource::DnsSrv("_http._tcp.users.internal.".to_owned()));
    assert_eq!(srv.reference_name(), Some("users.internal"));
    assert_eq!(of("{ file: users.yaml }"), DiscoverySource::File("users.yaml".into()));
    assert!(read("{ file: users.yaml }").endpoints.is_empty());
}

#[test]
fn there_is_one_source_and_it_is_one() {
    for (discovery, says) in [
        ("{}", "`members` is missing"),
        ("{ dns: \"a:1\", file: b }", "there is one source"),
        ("{ dns: \"a\" }", "the port is missing"),
        ("{ dns: \"127.0.0.1:80\" }", "write `endpoints: [\"127.0.0.1:80\"]`"),
        ("{ dns: \"unix:/a\" }", "no name to look up"),
        ("{ dns_srv: \"a.b:80\" }", "the records say the ports: write `a.b`"),
        ("{ dns_srv: \"a b\" }", "expected a name such as `_http._tcp.users.internal`"),
        ("{ file: \"\" }", "an empty text"),
        ("{ members: \"a/b\" }", "expected the name of a service"),
        ("{ members: \"\" }", "expected the name of a service"),
        ("{ members: a }", "`members` needs a `membership`"),
        ("{ consul: a }", "unknown key `consul`"),
        ("dns", "expected a mapping"),
    ] {
        let said = wrong(&text(discovery, ""));
        assert!(said.contains(says), "{discovery}: {said}");
        assert!(said.contains("weir.yaml:3:"), "{discovery}: {said}");
    }
}

#[test]
fn endpoints_are_written_or_found() {
    let said = wrong("listeners: [\":80\"]\nupstreams:\n  a: {}\nroutes: [{ to: a }]\n");
    assert!(said.contains("`endpoints` is missing"), "{said}");
    let said = wrong(
        "listeners: [\":80\"]\nupstreams:\n  a:\n    endpoints: [\"127.0.0.1:1\"]\n    \
         discovery: { dns: \"a:1\" }\nroutes: [{ to: a }]\n",
    );
    assert!(said.contains("weir.yaml:5:5"), "{said}");
    assert!(said.contains("either written in `endpoints` or found by `discovery`"), "{said}");
}

#[test]
fn servers_are_addresses() {
    let resolver = |keys: &str| {
        let text = text("{ dns: \"a:1\" }", &format!("resolver: {keys}\n"));
        load_str("weir.yaml", &text, &|_| None).map(|loaded| loaded.config.resolver)
    };
    let read = resolver("{ servers: [10.0.0.2, \"[::1]:5353\"], timeout: 1s }").unwrap();
    let servers: Vec<String> = read.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.0.0.2:53", "[::1]:5353"]);
    assert_eq!(read.timeout.as_secs(), 1);
    assert!(resolver("{}").unwrap().servers.is_empty());
    for keys in ["{ servers: [] }", "{ servers: [dns.internal] }", "{ servers: [\"1.1.1.1:0\"] }"] {
        assert!(resolver(keys).is_err(), "{keys}");
    }
}
