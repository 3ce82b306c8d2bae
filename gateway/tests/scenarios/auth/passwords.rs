//! Keys and passwords.

use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::*;
use crate::support::eventually;

/// `secret`, by bcrypt at a low cost.
fn hash() -> String {
    bcrypt::hash_with_salt("secret", 4, *b"0123456789abcdef").unwrap().to_string()
}

fn basic(pair: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(pair))
}

fn sha256(key: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_password_opens_a_route() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("htpasswd"), format!("# users\nann:{}\n", hash())).unwrap();
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address])
        .route("name: api, auth: { basic: { users: htpasswd, realm: the vault } }")
        .within(dir)
        .start();
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(get(&mut client, "/in", &basic("ann:secret")).status, 200);
    }
    for pair in ["ann:Secret", "bob:secret", "ann:", "ann", ":secret", ""] {
        let answer = get(&mut client, "/out", &basic(pair));
        let asked = "Basic realm=\"the vault\", charset=\"UTF-8\"";
        assert_eq!((answer.status, answer.field("www-authenticate")), (401, Some(asked)), "{pair}");
    }
    assert_eq!(get(&mut client, "/out", "Authorization: Basic !!!\r\n").status, 401);
    assert!(origin.seen_at("/out").is_empty());
    assert_eq!(gateway.access_line("/in")["identity"], "ann");
    // A password that is taken away opens nothing any more, remembered or not.
    let other = hash().replace("$04$", "$05$");
    std::fs::write(gateway.dir().join("htpasswd"), format!("ann:{other}\n")).unwrap();
    assert!(eventually(|| once(&gateway, "/", &basic("ann:secret")).status == 401));
}

#[test]
fn a_file_with_a_bad_line_is_not_taken_over() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("keys"), format!("ann {}\n", sha256("key"))).unwrap();
    let origin = Origin::echo();
    let gateway =
        Setup::to(&[origin.address]).route("auth: { api_key: { file: keys } }").within(dir).start();
    assert_eq!(once(&gateway, "/", "X-Api-Key: key\r\n").status, 200);
    std::fs::write(gateway.dir().join("keys"), "ann\nbob hunter2\n").unwrap();
    assert!(eventually(|| gateway.log().contains("line 1, line 2: expected a name")));
    assert!(!gateway.log().contains("hunter2"));
    assert_eq!(once(&gateway, "/", "X-Api-Key: key\r\n").status, 200, "the running one stays");
}

#[test]
fn keys_are_taken_from_headers_and_queries() {
    let (one, two) = (sha256("key one"), sha256("two"));
    let (origin, gateway) = guarded(&format!(
        "auth: {{ api_key: {{ header: x-key, query: key, keys: [{{ name: ann, sha256: {one} }}, \
         {{ name: bob, sha256: {two} }}] }} }}"
    ));
    let of = |target: &str, fields: &str| once(&gateway, target, fields).status;
    assert_eq!(of("/h", "X-Key: key one\r\n"), 200);
    assert_eq!(of("/q?key=key%20one", ""), 200);
    assert_eq!(of("/q?key=two&a=b", ""), 200);
    assert_eq!(of("/out", ""), 401);
    assert_eq!(of("/out", "X-Key: three\r\n"), 401);
    assert_eq!(of("/out", "X-Key: two\r\nX-Key: two\r\n"), 401);
    assert_eq!(of("/out", &format!("X-Key: {two}\r\n")), 401, "the hash is no key");
    assert_eq!(of("/out?key=three", "X-Other: two\r\n"), 401);
    assert!(origin.seen_at("/out").is_empty());
    assert_eq!(gateway.access_line("\"/h\"")["identity"], "ann");
    assert_eq!(once(&gateway, "/", "").field("www-authenticate"), Some("ApiKey"));
}

#[test]
fn any_way_of_several_will_do() {
    let issuer = Issuer::new("k");
    let users = hash().replace('$', "$$");
    let (_origin, gateway) = guarded(&format!(
        "auth: [{{ jwt: {{ keys: {}, algorithms: [ES256] }} }}, {{ basic: {{ users: {{ ann: \
         \"{users}\" }} }} }}, {{ api_key: {{ keys: [{{ name: bob, sha256: {} }}] }} }}]",
        inline(&issuer),
        sha256("key")
    ));
    let of = |fields: &str| once(&gateway, "/", fields);
    assert_eq!(of(&bearer(&issuer.token("cyd"))).status, 200);
    assert_eq!(of(&basic("ann:secret")).status, 200);
    assert_eq!(of("X-Api-Key: key\r\n").status, 200);
    assert_eq!(of("Authorization: Bearer x\r\nX-Api-Key: key\r\n").status, 200);
    let none = of("");
    let asked: Vec<_> = none
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"))
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(asked, ["Bearer", "Basic realm=\"weir\", charset=\"UTF-8\"", "ApiKey"]);
}

#[test]
fn who_guesses_passwords_keeps_nobody_else_out() {
    // Some seconds of work for each two cores, were all of them checked.
    let slow = bcrypt::hash_with_salt("secret", 10, *b"0123456789abcdef").unwrap().to_string();
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address])
        .listener("trusted_hops: 1")
        .route(&format!(
            "name: api, auth: {{ basic: {{ users: {{ ann: \"{}\" }} }} }}",
            slow.replace('$', "$$")
        ))
        .start();
    let from = |address: &str, pair: &str| {
        let fields = format!("X-Forwarded-For: {address}\r\n{}", basic(pair));
        format!("GET / HTTP/1.1\r\nHost: weir.test\r\n{fields}\r\n")
    };
    // As many as may wait, and those that are checked at once.
    let mut flood = Vec::new();
    for n in 0..270 {
        let mut client = gateway.client();
        client.send(from("192.0.2.66", &format!("ann:guess-{n}")).as_bytes());
        flood.push(client);
    }
    let labels = "weir_auth_total{route=\"api\",method=\"basic\",outcome=\"busy\"}";
    let full = || {
        gateway
            .admin("GET", "/metrics")
            .text()
            .lines()
            .any(|line| line.strip_prefix(labels).is_some_and(|count| count.trim() != "0"))
    };
    assert!(eventually(full), "the line is full");
    let mut other = gateway.client();
    other.send(from("192.0.2.7", "ann:secret").as_bytes());
    assert_eq!(other.answer("GET").unwrap().status, 200);
}
