//! What else may look at who a client is.

use super::*;

#[test]
fn limits_count_by_identity_and_by_claim() {
    let issuer = Issuer::new("k");
    let (_origin, gateway) = guarded(&format!(
        "auth: {{ jwt: {{ keys: {}, algorithms: [ES256] }} }}, rate_limit: [{{ name: who, key: \
         identity, rate: 2/m }}, {{ name: org, key: \"claim:org.name\", rate: 3/m }}]",
        inline(&issuer)
    ));
    let of = |sub: &str, org: &str| {
        let claims = json!({ "sub": sub, "exp": now() + 60, "org": { "name": org } });
        once(&gateway, "/", &bearer(&issuer.sign(&claims))).status
    };
    assert_eq!([of("ann", "x"), of("ann", "x"), of("ann", "x")], [200, 200, 429]);
    assert_eq!([of("bob", "x"), of("bob", "x")], [200, 429], "the organisation has had its share");
    assert_eq!(of("cyd", "y"), 200);
    assert_eq!(once(&gateway, "/", "").status, 401, "who is turned away is not counted");
}

#[test]
fn keys_of_idempotency_are_kept_apart_by_identity() {
    let issuer = Issuer::new("k");
    let (origin, gateway) = guarded(&format!(
        "auth: {{ jwt: {{ keys: {}, algorithms: [ES256] }} }}, idempotency: {{ scope: identity }}",
        inline(&issuer)
    ));
    let post = |subject: &str| {
        let mut client = gateway.client();
        let token = bearer(&issuer.token(subject));
        let head = format!(
            "POST /p HTTP/1.1\r\nHost: h\r\nIdempotency-Key: k1\r\n{token}Content-Length: 0\r\n\r\n"
        );
        client.send(head.as_bytes());
        client.answer("POST").unwrap()
    };
    // Each time another token, and the same client.
    assert_eq!(post("ann").field("idempotent-replayed"), None);
    assert_eq!(post("ann").field("idempotent-replayed"), Some("true"));
    assert_eq!(post("bob").field("idempotent-replayed"), None);
    assert_eq!(origin.seen().len(), 2);
}
