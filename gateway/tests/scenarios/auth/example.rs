//! `examples/authentication.yaml` does what it says.

use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::support::eventually;

const EXAMPLE: &str = include_str!("../../../../examples/authentication.yaml");

#[test]
fn the_example_of_authentication_works() {
    let issuer = Issuer::new("k1");
    let (app, keys) = (Origin::echo(), set(&[&issuer]));
    let identity = Origin::start(move |exchange| match exchange.target() {
        "/keys.json" => exchange.reply(200, "", &keys),
        _ if exchange.seen.field("cookie") == Some("session=good") => {
            exchange.reply(200, "Remote-User: cyd\r\nX-Plan: gold\r\n", "")
        }
        _ => exchange.reply(302, "Location: https://id.example.com/login\r\n", ""),
    });
    let text = EXAMPLE
        .replace("127.0.0.1:8080", "$LISTEN")
        .replace("127.0.0.1:9001", &app.address.to_string())
        .replace("127.0.0.1:9100", &identity.address.to_string());
    let gateway = Setup::yaml(&format!("admin: {{ bind: \"$ADMIN\" }}\n{text}")).start();
    let of = |target: &str, fields: &str| once(&gateway, target, fields).status;

    let claims = json!({
        "sub": "ann", "iss": "https://id.example.com", "aud": "api", "scope": "read",
        "exp": now() + 600,
    });
    let token = bearer(&issuer.sign(&claims));
    assert!(eventually(|| of("/api/t", &token) == 200));
    assert_eq!(app.completed("/api/t").field("x-user"), Some("ann"));
    assert_eq!(of("/api/k", "X-Api-Key: demo-key\r\n"), 200);
    assert_eq!(of("/api/none", "X-Api-Key: another\r\n"), 401);
    assert_eq!(of("/api/none", ""), 401);

    let login = |pair: &str| format!("Authorization: Basic {}\r\n", STANDARD.encode(pair));
    assert_eq!(of("/reports/r", &login("ann:demo-password")), 200);
    assert_eq!(of("/reports/none", &login("ann:password")), 401);

    assert_eq!(of("/shop/s", "Cookie: session=good\r\n"), 200);
    assert_eq!(app.completed("/shop/s").field("x-plan"), Some("gold"));
    assert_eq!(of("/shop/none", ""), 302);

    assert_eq!(of("/office/o", ""), 200);
    for prefix in ["/api/none", "/reports/none", "/shop/none"] {
        assert!(app.seen_at(prefix).is_empty(), "{prefix}");
    }
}
