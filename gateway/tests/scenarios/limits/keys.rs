//! Who shares a count with whom.

use super::{get, limited, statuses};
use crate::support::gateway::Setup;
use crate::support::origin::Origin;

#[test]
fn clients_are_told_apart_by_their_address_behind_trusted_hops() {
    let origin = Origin::echo();
    let setup = Setup::to(&[origin.address]).listener("trusted_hops: 1");
    let gateway = setup.route("rate_limit: 2/m").start();
    let from = |address: &str| {
        let field = format!("X-Forwarded-For: 198.51.100.1, {address}\r\n");
        get(&mut gateway.client(), "/", &field).status
    };
    let of = |addresses: [&str; 3]| addresses.map(from);
    assert_eq!(of(["192.0.2.1"; 3]), [200, 200, 429]);
    assert_eq!(of(["192.0.2.2"; 3]), [200, 200, 429]);
    assert_eq!(of(["2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"]), [200, 200, 429]);
    assert_eq!(of(["2001:db8:0:1::1"; 3]), [200, 200, 429]);
}

#[test]
fn without_trusted_hops_nobody_chooses_his_address() {
    let (_origin, gateway) = limited("rate_limit: 2/m");
    let forged = |n: u8| format!("X-Forwarded-For: 192.0.2.{n}\r\n");
    let fields = [forged(1), forged(2), forged(3)];
    let requests: Vec<_> = fields.iter().map(|fields| ("/", fields.as_str())).collect();
    assert_eq!(statuses(&gateway, &requests), [200, 200, 429]);
}

#[test]
fn by_a_header() {
    let (_origin, gateway) = limited("rate_limit: { key: header:x-api-key, rate: 1/m }");
    let a = ("/", "X-Api-Key: a\r\n");
    let b = ("/", "x-api-key: b\r\n");
    let twice = ("/", "x-api-key: a\r\nx-api-key: b\r\n");
    let requests = [a, a, b, b, twice, twice, ("/", ""), ("/", "")];
    assert_eq!(statuses(&gateway, &requests), [200, 429, 200, 429, 200, 429, 200, 429]);
}

#[test]
fn by_a_cookie() {
    let (_origin, gateway) = limited("rate_limit: { key: cookie:session, rate: 1/m }");
    let a = ("/", "Cookie: theme=dark; session=a\r\n");
    let other_theme = ("/", "Cookie: session=a; theme=light\r\n");
    let b = ("/", "Cookie: session=b\r\n");
    assert_eq!(statuses(&gateway, &[a, other_theme, b, b]), [200, 429, 200, 429]);
}

#[test]
fn by_a_query_parameter_however_it_is_written() {
    let (_origin, gateway) = limited("rate_limit: { key: query:user, rate: 1/m }");
    let targets =
        ["/?user=ada+l", "/x?n=1&user=ada%20l", "/?%75ser=ada%20%6c&user=b", "/?user=b", "/?user="];
    let requests = targets.map(|target| (target, ""));
    assert_eq!(statuses(&gateway, &requests), [200, 429, 429, 200, 200]);
}

#[test]
fn by_several_parts_at_once() {
    let (_origin, gateway) = limited("rate_limit: { key: [header:x-user, path], rate: 1/m }");
    let ada = "X-User: ada\r\n";
    let bob = "X-User: bob\r\n";
    let requests =
        [("/a", ada), ("/b", ada), ("/a", bob), ("/a?q", ada), ("/%61", ada), ("/x/../b", ada)];
    assert_eq!(statuses(&gateway, &requests), [200, 200, 200, 429, 429, 429]);
}

#[test]
fn what_is_absent_is_shared_skipped_or_denied() {
    let setup = |absent: &str| {
        limited(&format!("rate_limit: {{ key: header:x-key, absent: {absent}, rate: 1/m }}"))
    };
    let requests = [("/", ""), ("/", ""), ("/", "X-Key: a\r\n")];
    for (absent, expected) in
        [("share", [200, 429, 200]), ("skip", [200, 200, 200]), ("deny", [429, 429, 200])]
    {
        let (_origin, gateway) = setup(absent);
        assert_eq!(statuses(&gateway, &requests), expected, "{absent}");
    }
}

#[test]
fn a_key_of_sixty_thousand_bytes_is_one_too() {
    let origin = Origin::echo();
    let setup = Setup::to(&[origin.address]).limits("headers: { bytes: 128KiB }");
    let gateway = setup.route("rate_limit: { key: header:x-key, rate: 1/m }").start();
    let long = |end: char| format!("X-Key: {}{end}\r\n", "k".repeat(64 << 10));
    let (a, b) = (long('a'), long('b'));
    let requests = [("/", a.as_str()), ("/", a.as_str()), ("/", b.as_str())];
    assert_eq!(statuses(&gateway, &requests), [200, 429, 200]);
}
