//! Who is turned away: closed routes, bodies too long, methods that nobody takes.

use serde_json::json;

use super::{ask, gateway, get, metric, named};
use crate::support::gateway::Setup;

#[test]
fn a_closed_route_says_so() {
    let origin = named("api");
    let gateway = gateway(
        &[("api", origin.address)],
        "routes:\n\
         \x20 - { match: /plain, to: api, maintenance: on }\n\
         \x20 - match: /page\n\
         \x20   to: api\n\
         \x20   maintenance: { status: 502, body: \"<h1>soon</h1>\", content_type: text/html, \
         retry_after: 5m }\n\
         \x20   headers: { response: { set: { x-a: b } } }\n\
         \x20 - { match: /ours, to: api, maintenance: { allow: [127.0.0.0/8] } }\n\
         \x20 - { match: /theirs, to: api, maintenance: { allow: [10.0.0.0/8] } }\n\
         \x20 - { match: /open, to: api }",
    );
    let client = &mut gateway.client();
    let plain = ask(&mut gateway.client(), "POST", "/plain", "", "body");
    assert_eq!((plain.status, plain.field("retry-after")), (503, None));
    assert_eq!(plain.field("content-type"), Some("application/problem+json"));
    let expected = json!({
        "type": "urn:weir:problem:maintenance", "title": "Service Unavailable", "status": 503,
        "detail": "closed for maintenance",
    });
    assert_eq!(plain.json(), expected);
    let text = get(&mut gateway.client(), "/plain", "accept: text/html\r\n");
    assert_eq!(text.text(), "503 closed for maintenance (MT)\n");
    assert_eq!(plain.field("proxy-status"), Some("weir; error=proxy_internal_response"));
    assert!(plain.field("x-request-id").is_some());
    let page = get(client, "/page", "");
    assert_eq!((page.status, page.text().as_str()), (502, "<h1>soon</h1>"));
    assert_eq!(page.field("content-type"), Some("text/html"));
    assert_eq!((page.field("retry-after"), page.field("x-a")), (Some("300"), Some("b")));
    assert_eq!(get(client, "/ours", "").text(), "api ");
    assert_eq!(get(client, "/theirs", "").status, 503);
    assert_eq!(get(client, "/open", "").text(), "api ");
    let call = get(client, "/plain", "content-type: application/grpc\r\n");
    assert_eq!(
        (call.status, call.field("content-type")),
        (503, Some("application/problem+json")),
        "gRPC needs HTTP/2"
    );
    assert_eq!(gateway.access_line("/page")["flag"], "MT");
    assert!(metric(&gateway, "weir_request_errors_total", &["\"maintenance\""]) >= 1.0);
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn all_routes_are_closed_at_once_but_those_that_say_otherwise() {
    let origin = named("api");
    let gateway = gateway(
        &[("api", origin.address)],
        "maintenance: { retry_after: 1m }\n\
         routes:\n\
         \x20 - { match: /a, to: api }\n\
         \x20 - { match: /open, to: api, maintenance: off }\n\
         \x20 - { match: /own, to: api, maintenance: 500 }",
    );
    let client = &mut gateway.client();
    let closed = get(client, "/a", "");
    assert_eq!((closed.status, closed.field("retry-after")), (503, Some("60")));
    assert_eq!(get(client, "/open", "").status, 200);
    assert_eq!(get(client, "/own", "").status, 500);
}

#[test]
fn a_route_bounds_bodies_either_way() {
    let origin = named("api");
    let gateway = Setup::yaml(&format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         limits: {{ body: 100B }}\n\
         upstreams: {{ api: {{ endpoints: [\"{}\"] }} }}\n\
         routes:\n\
         \x20 - {{ match: /less, to: api, max_body: 10B }}\n\
         \x20 - {{ match: /more, to: api, max_body: 1KiB }}\n\
         \x20 - {{ match: /none, to: api, max_body: 0B }}\n\
         \x20 - {{ match: /same, to: api }}\n",
        origin.address
    ))
    .start();
    for (target, most) in [("/less", 10), ("/more", 1024), ("/same", 100), ("/none", 0)] {
        let fits = "x".repeat(most);
        let answer = ask(&mut gateway.client(), "POST", target, "", &fits);
        assert_eq!(answer.text(), format!("api {fits}"), "{target}");
        let answer = ask(&mut gateway.client(), "POST", target, "", &format!("{fits}x"));
        assert_eq!(answer.status, 413, "{target}");
        assert_eq!(answer.json()["type"], "urn:weir:problem:body-too-large");
        // The same without an announced length.
        let mut client = gateway.client();
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        let body = format!("{:x}\r\n{fits}x\r\n0\r\n\r\n", most + 1);
        client.send(head.as_bytes());
        let _ = client.try_send(body.as_bytes());
        let answer = client.answer("POST").unwrap();
        assert_eq!((answer.status, answer.json()["status"].as_u64()), (413, Some(413)), "{target}");
    }
    assert_eq!(gateway.access_line("/less")["route"], "route-1");
}

#[test]
fn a_method_that_no_route_takes_is_told_of_others() {
    let origin = named("api");
    let gateway = gateway(
        &[("api", origin.address)],
        "routes: [{ match: { path: /a, methods: [GET, PUT] }, to: api }]",
    );
    let client = &mut gateway.client();
    assert_eq!(ask(client, "PUT", "/a", "", "x").status, 200);
    let refused = ask(client, "DELETE", "/a", "", "");
    assert_eq!((refused.status, refused.field("allow")), (405, Some("GET, HEAD, PUT")));
}
