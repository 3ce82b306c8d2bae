#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

#[test]
fn binds() {
    for text in
        [":8080", "127.0.0.1:8080", "0.0.0.0:80", "[::1]:8080", "[::]:0", "unix:/run/weir.sock"]
    {
        assert_eq!(bind(text).unwrap().to_string(), text);
    }
    for (text, hint) in [
        ("8080", "did you mean `:8080`?"),
        ("*:8080", "did you mean `:8080`?"),
        ("localhost:8080", "did you mean `127.0.0.1:8080`?"),
        ("example.com:80", "names are not looked up here: write the IP address"),
        ("127.0.0.1", "the port is missing"),
    ] {
        assert_eq!(bind(text).unwrap_err().hint.unwrap(), hint, "{text}");
    }
    for bad in ["", ":", ":x", ":65536", ":-1", ":+1", "unix:", "127.0.0.1:", "1.2.3:80"] {
        assert!(bind(bad).is_err(), "{bad}");
    }
    assert!(bind(&format!("unix:/{}", "a".repeat(107))).is_err());
}

#[test]
fn endpoints() {
    for text in ["127.0.0.1:9001", "[::1]:9001", "users.internal:8080", "a_b:1", "unix:/run/a.s"] {
        assert_eq!(endpoint(text).unwrap().to_string(), text);
    }
    assert_eq!(endpoint("API.Internal:80").unwrap().to_string(), "api.internal:80");
    for bad in [
        "",
        "a",
        "a:",
        ":80",
        "a:0",
        "127.0.0.1:0",
        "::1:80",
        "http://a:80",
        "a b:80",
        "-a:80",
        "a..b:80",
        "1.2.3:80",
        "300.1.1.1:80",
        "a:99999",
        "unix:",
    ] {
        assert!(endpoint(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,20}|[0-9a-f:.\\[\\]]{0,16}") {
        let _ = (bind(&text), endpoint(&text));
    }
}
