//! From where clients may come.

use tempfile::TempDir;

use super::*;
use crate::support::eventually;

#[test]
fn deny_beats_allow_and_both_look_behind_our_proxies() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address])
        .listener("trusted_hops: 1")
        .route("name: api, allow: [192.0.2.0/24, \"2001:db8::/32\"], deny: [192.0.2.128/25]")
        .start();
    let from = |address: &str| once(&gateway, "/", &format!("X-Forwarded-For: {address}\r\n"));
    for (address, status) in [
        ("192.0.2.1", 200),
        ("192.0.2.129", 403),
        ("198.51.100.1", 403),
        ("2001:db8::1", 200),
        ("2001:db9::1", 403),
        ("::ffff:192.0.2.1", 200),
        ("192.0.2.1, 198.51.100.1", 403),
        ("198.51.100.1, 192.0.2.1", 200),
    ] {
        assert_eq!(from(address).status, status, "{address}");
    }
    let denied = from("192.0.2.129");
    assert_eq!(denied.json()["detail"], "the request is denied");
    assert_eq!(denied.field("www-authenticate"), None);
    assert_eq!(once(&gateway, "/", "").status, 403, "the proxy itself is on no list");
}

#[test]
fn without_proxies_of_ours_nobody_chooses_his_address() {
    let (origin, gateway) = guarded("allow: [192.0.2.1]");
    assert_eq!(once(&gateway, "/", "X-Forwarded-For: 192.0.2.1\r\n").status, 403);
    assert!(origin.seen().is_empty());
}

#[test]
fn a_list_in_a_file_is_followed() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("bad.txt"), "# nobody yet\n").unwrap();
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).route("deny: { file: bad.txt }").within(dir).start();
    assert_eq!(once(&gateway, "/", "").status, 200);
    std::fs::write(gateway.dir().join("bad.txt"), "10.0.0.0/8\n127.0.0.0/8 # us\n").unwrap();
    assert!(eventually(|| once(&gateway, "/", "").status == 403));
    std::fs::write(gateway.dir().join("bad.txt"), "10.0.0.0/8\nlocalhost\n").unwrap();
    assert!(eventually(|| gateway.log().contains("line 2: `localhost` is no address")));
    assert_eq!(once(&gateway, "/", "").status, 403, "the running one stays");
    std::fs::write(gateway.dir().join("bad.txt"), "").unwrap();
    assert!(eventually(|| once(&gateway, "/", "").status == 200));
}
