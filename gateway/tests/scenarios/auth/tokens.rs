//! Tokens that are good, and all that are not.

use super::*;

fn start() -> (Issuer, Origin, Gateway) {
    let issuer = Issuer::new("k1");
    let (origin, gateway) = guarded(&format!(
        "auth: {{ jwt: {{ keys: {}, algorithms: [ES256], issuer: id, audience: api, leeway: 5s, \
         claims: {{ scope: read }}, headers: {{ x-user: sub, x-scope: scope }}, \
         token: [header:authorization, cookie:token, query:token] }} }}",
        inline(&issuer)
    ));
    (issuer, origin, gateway)
}

fn claims() -> Value {
    json!({ "sub": "ann", "iss": "id", "aud": "api", "scope": "read write", "exp": now() + 600 })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

#[test]
fn a_good_token_passes_and_is_told_upstream() {
    let (issuer, origin, gateway) = start();
    let token = issuer.sign(&claims());
    // Twice: the second time it is remembered.
    for target in ["/a", "/b"] {
        let forged = format!("{}X-User: root\r\nx_user: root\r\nX-Scope: all\r\n", bearer(&token));
        assert_eq!(once(&gateway, target, &forged).status, 200);
        let seen = origin.completed(target);
        assert_eq!((seen.all("x-user"), seen.all("x-scope")), (vec!["ann"], vec!["read write"]));
        assert_eq!(seen.all("x_user"), Vec::<&str>::new());
    }
    assert_eq!(once(&gateway, "/c", &format!("Cookie: a=1; token={token}\r\n")).status, 200);
    assert_eq!(once(&gateway, &format!("/d?token={token}"), "").status, 200);
    let line = gateway.access_line("\"/a\"");
    assert_eq!(line["identity"], "ann");
    let metrics = gateway.admin("GET", "/metrics").text();
    let passed = r#"weir_auth_total{route="api",method="jwt",outcome="passed"} 4"#;
    assert!(metrics.contains(passed), "{metrics}");
}

#[test]
fn what_is_no_good_token_is_told_why() {
    let (issuer, origin, gateway) = start();
    let good = issuer.sign(&claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let public = issuer.jwk()["x"].as_str().unwrap().to_owned();
    let hs256 = {
        let key = EncodingKey::from_secret(public.as_bytes());
        encode(&Header::new(Algorithm::HS256), &claims(), &key).unwrap()
    };
    let forger = Issuer::new("k1");
    let rows = [
        ("none", format!("{}.{payload}.", part(r#"{"alg":"none"}"#)), "algorithm"),
        ("None", format!("{}.{payload}.{signature}", part(r#"{"alg":"None"}"#)), "algorithm"),
        ("HMAC by the public key", hs256, "algorithm"),
        ("no signature", format!("{message}."), "signature"),
        ("another signature", forger.sign(&claims()), "signature"),
        ("signature of zeros", format!("{message}.{}", part(&"\0".repeat(64))), "signature"),
        ("another payload", format!("{header}.{}.{signature}", part("{}")), "signature"),
        ("expired", issuer.sign(&with("exp", json!(now() - 10))), "has expired"),
        ("not yet", issuer.sign(&with("nbf", json!(now() + 60))), "not valid yet"),
        ("for ever", issuer.sign(&with("exp", json!(null))), "times"),
        ("another issuer", issuer.sign(&with("iss", json!("evil"))), "issuer"),
        ("another audience", issuer.sign(&with("aud", json!(["web"]))), "audience"),
        ("another key", issuer.sign_as("k2", &claims()), "key is unknown"),
        ("a path", issuer.sign_as("../../../../dev/null", &claims()), "key is unknown"),
        ("SQL", issuer.sign_as("k1' UNION SELECT 'x", &claims()), "key is unknown"),
        ("garbage", "!!!.???.***".to_owned(), "malformed"),
        ("one part", "abc".to_owned(), "malformed"),
        ("four parts", format!("{good}.x"), "malformed"),
        ("padding", format!("{good}=="), "signature"),
        (
            "critical",
            format!("{}.{payload}.{signature}", part(r#"{"alg":"ES256","crit":["x"]}"#)),
            "demands",
        ),
        ("long", "a".repeat(9000), "too long"),
    ];
    let mut failures = Vec::new();
    for (what, token, why) in rows {
        let answer = once(&gateway, "/bad", &bearer(&token));
        let said = answer.field("www-authenticate").unwrap_or_default().to_owned();
        let error = said.starts_with("Bearer error=\"invalid_token\", error_description=\"");
        if answer.status != 401 || !error || !said.contains(why) {
            failures.push(format!("{what}: {} {said}", answer.status));
        }
    }
    crate::support::assert_none(&failures);
    assert!(origin.seen().is_empty(), "nobody was let through");
    let line = gateway.access_line("jwt: the token has expired");
    assert_eq!((line["status"].as_u64(), line["flag"].as_str()), (Some(401), Some("DN")));
}

#[test]
fn without_a_token_one_is_asked_for() {
    let (_issuer, origin, gateway) = start();
    for fields in
        ["", "Authorization: Basic abc\r\n", "Authorization: Bearer\r\n", "Cookie: x=y\r\n"]
    {
        let answer = once(&gateway, "/", fields);
        assert_eq!((answer.status, answer.field("www-authenticate")), (401, Some("Bearer")));
        assert_eq!(answer.field("proxy-status"), Some("weir; error=http_request_denied"));
        assert_eq!(answer.field("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["type"], "urn:weir:problem:unauthenticated");
        let plain = once(&gateway, "/", &format!("{fields}Accept: text/plain\r\n"));
        assert_eq!(plain.text(), "401 this needs a good credential (DN)\n");
    }
    assert!(origin.seen().is_empty());
}

#[test]
fn of_several_tokens_none_counts() {
    let (issuer, origin, gateway) = start();
    let (good, other) = (bearer(&issuer.sign(&claims())), "Authorization: Bearer x\r\n");
    for fields in [format!("{good}{other}"), format!("{other}{good}"), format!("{good}{good}")] {
        let answer = once(&gateway, "/", &fields);
        assert_eq!(answer.status, 401);
        assert!(answer.field("www-authenticate").unwrap().contains("several"));
    }
    assert!(origin.seen().is_empty());
}

#[test]
fn claims_that_are_not_enough_are_forbidden() {
    let (issuer, origin, gateway) = start();
    let token = issuer.sign(&with("scope", json!("write")));
    let answer = once(&gateway, "/", &bearer(&token));
    let why = "the request is denied: the token's claims do not allow this";
    assert_eq!((answer.status, answer.json()["detail"].as_str()), (403, Some(why)));
    let said = answer.field("www-authenticate").unwrap();
    assert!(said.starts_with("Bearer error=\"insufficient_scope\""), "{said}");
    assert!(origin.seen().is_empty());
    assert_eq!(gateway.access_line("`scope`")["status"], 403);
}

#[test]
fn a_body_is_not_asked_for_before_the_token_is_good() {
    let (issuer, _origin, gateway) = start();
    let ask = |fields: &str| {
        let mut client = gateway.client();
        let head = format!(
            "POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n{fields}\r\n"
        );
        client.send(head.as_bytes());
        String::from_utf8(client.line().unwrap().unwrap()).unwrap()
    };
    assert!(ask("").starts_with("HTTP/1.1 401"));
    assert!(ask(&bearer(&issuer.sign(&claims()))).starts_with("HTTP/1.1 100"));
}
