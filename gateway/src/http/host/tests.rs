use proptest::prelude::*;

use super::*;

#[test]
fn valid_hosts() {
    for host in [
        "a",
        "example.com",
        "EXAMPLE.com.",
        "a_b.internal",
        "a:80",
        "a:",
        "a:65535",
        "10.0.0.1",
        "10.0.0.1:8080",
        "[::1]",
        "[::1]:443",
        "[2001:db8::1]:",
        "xn--bcher-kva.example",
    ] {
        assert!(is_valid(host.as_bytes()), "{host}");
    }
}

#[test]
fn invalid_hosts() {
    for host in [
        "",
        ":80",
        "u@h",
        "u:p@h",
        "a b",
        " a",
        "a ",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "a,b",
        "a%20b",
        "a:b",
        "a:80:80",
        "a:65536",
        "a:+80",
        "a:000080",
        "::1",
        "[::1",
        "::1]",
        "[::1]x",
        "[::1]80",
        "[]",
        "[a]",
        "[1.2.3.4]",
        "[::1%25eth0]",
        "[v1.a]",
        "a\0",
        "a\tb",
        "a\"b",
        "<a>",
        "{a}",
        "a|b",
        "a^b",
        "a`b",
        "\u{e9}.example",
        "http://a",
    ] {
        assert!(!is_valid(host.as_bytes()), "{host:?}");
    }
}

#[test]
fn ports_come_off() {
    for (host, name) in
        [("a", "a"), ("a:80", "a"), ("a:", "a"), ("[::1]", "[::1]"), ("[::1]:80", "[::1]")]
    {
        assert_eq!(without_port(host), name);
    }
}

proptest! {
    #[test]
    fn whatever_is_valid_is_an_authority(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        if is_valid(&bytes) {
            let authority = http::uri::Authority::try_from(&bytes[..]).unwrap();
            prop_assert_eq!(authority.host(), without_port(str::from_utf8(&bytes).unwrap()));
        }
    }

    #[test]
    fn generated_names_are_authorities(host in "[a-zA-Z0-9._~!$&'()*+;=-]{1,12}(:[0-9]{0,5})?") {
        if is_valid(host.as_bytes()) {
            let authority = http::uri::Authority::try_from(&host[..]);
            prop_assert!(authority.is_ok());
        }
    }
}
