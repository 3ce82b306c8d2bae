use http::HeaderValue;
use proptest::prelude::*;

use super::*;

fn read(value: &str) -> Result<String, InvalidKey> {
    parse(value.as_bytes()).map(|key| String::from_utf8(key.into_owned()).unwrap())
}

#[test]
fn quotes_make_no_difference() {
    let key = "8e03978e-40d5-43e8-bc93-6894a57f9324";
    assert_eq!(read(key).unwrap(), key);
    assert_eq!(read(&format!("\"{key}\"")).unwrap(), key);
    assert_eq!(read(&format!(" \"{key}\" ")).unwrap(), key);
    assert_eq!(read(r#""a \"b\" \\ c""#).unwrap(), r#"a "b" \ c"#);
    assert_eq!(read("a;b=c").unwrap(), "a;b=c");
}

#[test]
fn what_is_no_key_is_refused_for_a_reason() {
    use InvalidKey::{Empty, Malformed, Several, TooLong};
    let long = "k".repeat(LENGTH_MAX);
    assert_eq!(read(&long).unwrap(), long);
    assert_eq!(read(&format!("\"{long}\"")).unwrap(), long);
    for (value, why) in [
        ("", Empty),
        ("  ", Empty),
        ("\"\"", Empty),
        (&format!("{long}k"), TooLong),
        (&format!("\"{long}k\""), TooLong),
        ("a b", Malformed),
        ("a\"b", Malformed),
        ("\"", Malformed),
        ("\"a", Malformed),
        ("\"a\\", Malformed),
        ("\"a\\\"", Malformed),
        ("\"a\\b\"", Malformed),
        ("\"a\"b", Malformed),
        ("\"a\";b=c", Malformed),
        ("\"a\tb\"", Malformed),
        ("\"\u{e9}\"", Malformed),
        ("\u{e9}", Malformed),
        ("a\u{7f}", Malformed),
        ("a,b", Several),
        ("a, b", Several),
        ("\"a\", \"b\"", Several),
        ("\"a\\\\\",\"b\"", Several),
    ] {
        assert_eq!(read(value), Err(why), "{value}");
        assert!(!why.reason().is_empty());
    }
}

#[test]
fn a_request_has_one_key_or_none() {
    let name = HeaderName::from_static("idempotency-key");
    let mut headers = HeaderMap::new();
    assert_eq!(find(&headers, &name), Ok(None));
    headers.append(&name, HeaderValue::from_static("\"a\""));
    assert_eq!(find(&headers, &name), Ok(Some(Cow::Borrowed(&b"a"[..]))));
    headers.append(&name, HeaderValue::from_static("\"a\""));
    assert_eq!(find(&headers, &name), Err(InvalidKey::Several));
}

#[test]
fn identities_routes_and_keys_do_not_run_into_each_other() {
    let key = RecordKey::new;
    let keys = [
        key(&[], "r", b"k"),
        key(&[None], "r", b"k"),
        key(&[Some(b"")], "r", b"k"),
        key(&[Some(b"a")], "r", b"k"),
        key(&[Some(b"a"), None], "r", b"k"),
        key(&[None, Some(b"a")], "r", b"k"),
        key(&[Some(b"ar")], "", b"k"),
        key(&[Some(b"a")], "rk", b""),
        key(&[Some(b"a")], "r", b"K"),
    ];
    for (i, key) in keys.iter().enumerate() {
        assert!(!keys[i + 1..].contains(key), "{i}");
        assert_eq!(RecordKey::from_hex(&key.to_string()), Some(*key));
    }
    assert_eq!(keys[0], key(&[], "r", b"k"));
    for digits in ["", "0", &"g".repeat(64), &"0".repeat(63), &"\u{e9}".repeat(32)] {
        assert_eq!(RecordKey::from_hex(digits), None);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(value in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(key) = parse(&value) {
            prop_assert!((1..=LENGTH_MAX).contains(&key.len()));
            prop_assert!(key.iter().all(|byte| matches!(byte, b' '..=b'~')));
        }
    }

    #[test]
    fn what_is_quoted_is_read_back(key in "[ -~]{1,255}") {
        let quoted = key.replace('\\', "\\\\").replace('"', "\\\"");
        prop_assert_eq!(read(&format!("\"{quoted}\"")), Ok(key));
    }
}
