use http::Request;

use super::*;

fn cors(text: &str) -> Cors {
    let file = format!("listeners: [\":80\"]\nroutes: [{{ respond: 204, cors: {text} }}]\n");
    let loaded = weir_config::load_str("weir.yaml", &file, &|_| None);
    let loaded = loaded.unwrap_or_else(|wrong| panic!("{wrong}"));
    Cors::new(loaded.config.routes[0].web.cors.as_ref().unwrap(), text.contains("grpc"))
}

fn answer(cors: &Cors, method: &str, fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut request = Request::builder().method(method);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("https://own"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("1"));
    cors.apply(&cors.ask(&head), &mut headers);
    headers
}

fn is_allowed(cors: &Cors, origin: &str) -> bool {
    let headers = answer(cors, "GET", &[("origin", origin)]);
    let allowed = headers.get("access-control-allow-origin");
    assert_eq!(headers["vary"], "origin", "the answer depends on it in any case");
    assert!(allowed.is_none_or(|allowed| allowed == origin), "{allowed:?}");
    allowed.is_some()
}

#[test]
fn origins_are_allowed_by_what_is_written() {
    let cors = cors(
        "[\"https://a.com\", \"https://*.b.com\", \"https://*.c.com:8443\", \
         \"~ http://localhost:[0-9]+\"]",
    );
    for good in [
        "https://a.com",
        "https://x.b.com",
        "https://x.y.b.com",
        "https://x.c.com:8443",
        "http://localhost:3000",
    ] {
        assert!(is_allowed(&cors, good), "{good}");
    }
    for bad in [
        "http://a.com",
        "https://a.com:8443",
        "https://a.com.evil.net",
        "https://A.com",
        "https://b.com",
        "https://.b.com",
        "https://evil.net/.b.com",
        "https://u@x.b.com",
        "https://x.b.com:444",
        "https://evilb.com",
        "https://x.c.com",
        "http://localhost:3000.evil.net",
        "http://localhost:",
        "null",
        "",
    ] {
        assert!(!is_allowed(&cors, bad), "{bad}");
    }
}

#[test]
fn an_answer_replaces_what_the_upstream_says() {
    let own = cors("{ origins: [\"https://a.com\"], credentials: true, expose: [x-a, x-b] }");
    let headers = answer(&own, "GET", &[("origin", "https://a.com")]);
    assert_eq!(headers["access-control-allow-origin"], "https://a.com");
    assert_eq!(headers["access-control-allow-credentials"], "true");
    assert_eq!(headers["access-control-expose-headers"], "x-a, x-b");
    assert!(!headers.contains_key("access-control-max-age"));
    let stranger = answer(&own, "GET", &[("origin", "https://b.com")]);
    assert_eq!(stranger.len(), 1, "{stranger:?}");
    let same = answer(&own, "GET", &[]);
    assert_eq!((same.len(), &same["vary"]), (1, &HeaderValue::from_static("origin")));
    let anybody = answer(&cors("\"*\""), "GET", &[]);
    assert_eq!(anybody["access-control-allow-origin"], "*");
    assert!(!anybody.contains_key("vary"), "it is the same for all");
}

#[test]
fn a_preflight_is_told_what_may_follow() {
    let ask = |cors: &Cors, origin: &str| {
        let fields = [
            ("origin", origin),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "x-one,x-two"),
            ("access-control-request-private-network", "true"),
        ];
        answer(cors, "OPTIONS", &fields)
    };
    let own = cors("{ origins: [\"https://a.com\"], max_age: 1m, private_network: true }");
    let headers = ask(&own, "https://a.com");
    assert_eq!(headers["access-control-allow-methods"], "GET, HEAD, POST, PUT, PATCH, DELETE");
    assert_eq!(headers["access-control-allow-headers"], "authorization, content-type");
    assert_eq!(headers["access-control-max-age"], "60");
    assert_eq!(headers["access-control-allow-private-network"], "true");
    assert!(!headers.contains_key("access-control-expose-headers"));
    let vary: Vec<_> = headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["origin", "access-control-request-method", "access-control-request-headers"]);
    assert!(!ask(&own, "https://b.com").contains_key("access-control-allow-methods"));
    let any = ask(&cors("{ origins: \"*\", headers: \"*\" }"), "https://b.com");
    assert_eq!(any["access-control-allow-headers"], "x-one,x-two");
    assert!(!any.contains_key("access-control-allow-private-network"));
    let grpc = ask(&cors("{ origins: \"*\", headers: [grpc-timeout] }"), "https://b.com");
    let expected = "grpc-timeout, x-grpc-web, x-user-agent";
    assert_eq!(grpc["access-control-allow-headers"], expected);
}

#[test]
fn options_alone_is_no_preflight() {
    let of = |method: &str, fields: &[(&'static str, &str)]| {
        let mut request = Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        preflight_of(&request.body(()).unwrap().into_parts().0)
    };
    let both = [("origin", "https://a"), ("access-control-request-method", "PUT")];
    assert_eq!(of("OPTIONS", &both), Some(Method::PUT));
    assert_eq!(of("OPTIONS", &both[..1]), None);
    assert_eq!(of("OPTIONS", &both[1..]), None);
    assert_eq!(of("GET", &both), None);
    assert_eq!(of("OPTIONS", &[both[0], ("access-control-request-method", "a b")]), None);
}
