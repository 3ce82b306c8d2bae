//! Another service decides, or does not answer.

use std::time::Duration;

use super::*;
use crate::support::origin::Next;

/// A gateway of which `decider` lets requests pass.
fn start(decider: &Origin, more: &str) -> (Origin, Gateway) {
    let origin = Origin::echo();
    let text = format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         timeouts: {{ drain: 2s }}\n\
         upstreams:\n  origin: {{ endpoints: [\"{}\"] }}\n  id: {{ endpoints: [\"{}\"] }}\n\
         routes:\n  - name: api\n    to: origin\n    auth: {{ forward: {{ to: id, path: /auth, \
         request_headers: [authorization, x-tenant], response_headers: [x-plan], timeout: 1s, \
         max_body: 64B {more} }} }}\n    rate_limit: {{ key: identity, rate: 1000/s }}\n",
        origin.address, decider.address
    );
    let gateway = Setup::yaml(&text).start();
    (origin, gateway)
}

#[test]
fn a_2xx_lets_pass_and_its_fields_go_upstream() {
    let decider = Origin::start(|exchange| {
        exchange.reply(204, "Remote-User: ann\r\nX-Plan: gold\r\nX-Other: no\r\n", "")
    });
    let (origin, gateway) = start(&decider, "");
    let fields = "Authorization: Bearer x\r\nX-Tenant: t\r\nX-Secret: s\r\nRemote-User: root\r\n\
                  X-Plan: free\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Uri: /public\r\n";
    let head = format!(
        "POST /a/../b?q=1 HTTP/1.1\r\nHost: weir.test\r\nContent-Length: 2\r\n{fields}\r\nhi"
    );
    let mut client = gateway.client();
    client.send(head.as_bytes());
    assert_eq!(client.answer("POST").unwrap().text(), "POST /b?q=1 2");
    let asked = decider.completed("/auth");
    assert_eq!((asked.method.as_str(), asked.body.len()), ("GET", 0));
    assert_eq!(asked.all("x-forwarded-method"), ["POST"]);
    assert_eq!(asked.all("x-forwarded-uri"), ["/b?q=1"], "as the origin sees it");
    assert_eq!(asked.all("x-forwarded-host"), ["weir.test"]);
    assert_eq!(asked.all("x-forwarded-proto"), ["http"]);
    assert_eq!(asked.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!((asked.all("authorization"), asked.all("x-tenant")), (vec!["Bearer x"], vec!["t"]));
    assert_eq!(asked.field("x-secret"), None);
    let seen = origin.completed("/b");
    assert_eq!((seen.all("remote-user"), seen.all("x-plan")), (vec!["ann"], vec!["gold"]));
    assert_eq!((seen.field("x-other"), seen.field("x-secret")), (None, Some("s")));
    assert_eq!(gateway.access_line("/b?q=1")["identity"], "ann");
}

#[test]
fn anything_else_is_the_answer() {
    let decider = Origin::start(|exchange| match exchange.seen.field("x-tenant") {
        Some("login") => {
            let fields =
                "Location: https://id.test/login\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n";
            exchange.reply(302, fields, "log in")
        }
        Some("long") => exchange.reply(403, "Content-Type: text/plain\r\n", &"x".repeat(200)),
        Some("broken") => exchange.reply(500, "", "oops"),
        _ => exchange.reply(
            401,
            "WWW-Authenticate: Custom\r\nConnection: x-hop\r\nX-Hop: 1\r\n",
            "who?",
        ),
    });
    let (origin, gateway) = start(&decider, "");
    let ask = |tenant: &str| once(&gateway, "/", &format!("X-Tenant: {tenant}\r\n"));
    let login = ask("login");
    assert_eq!((login.status, login.text().as_str()), (302, "log in"));
    assert_eq!(login.field("location"), Some("https://id.test/login"));
    let cookies = login.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
    assert_eq!(cookies.count(), 2);
    assert_eq!((ask("long").status, ask("long").body.len()), (403, 0), "longer than max_body");
    assert_eq!((ask("broken").status, ask("broken").text().as_str()), (500, "oops"));
    let who = ask("nobody");
    assert_eq!((who.status, who.field("www-authenticate")), (401, Some("Custom")));
    assert_eq!(who.field("x-hop"), None);
    assert!(origin.seen().is_empty());
    assert!(decider.seen().iter().all(|seen| seen.target == "/auth"), "no redirect is followed");
}

#[test]
fn what_cannot_be_asked_lets_nobody_pass() {
    let decider = Origin::start(|exchange| {
        std::thread::sleep(Duration::from_secs(3));
        exchange.reply(200, "", "").map(|_| Next::Close)
    });
    let (origin, gateway) = start(&decider, "");
    let answer = once(&gateway, "/slow", "");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert_eq!(
        gateway.access_line("/slow")["auth"],
        "forward: no answer from the service that decides"
    );
    let dead = Origin::start(|_| Ok(Next::Reset));
    let (other, reset) = start(&dead, "");
    assert_eq!(once(&reset, "/", "").status, 503);
    assert!(origin.seen().is_empty() && other.seen().is_empty());
}

#[test]
fn where_that_is_asked_for_it_does_no_harm() {
    let dead = Origin::start(|_| Ok(Next::Reset));
    let (origin, gateway) = start(&dead, ", on_failure: allow");
    assert_eq!(once(&gateway, "/x", "Remote-User: root\r\n").status, 200);
    assert_eq!(origin.completed("/x").field("remote-user"), None);
    let broken = Origin::start(|exchange| exchange.reply(500, "", ""));
    let (_origin, gateway) = start(&broken, ", on_failure: allow");
    assert_eq!(once(&gateway, "/y", "").status, 200);
    let refusing = Origin::start(|exchange| exchange.reply(403, "", "no"));
    let (_origin, gateway) = start(&refusing, ", on_failure: allow");
    assert_eq!(once(&gateway, "/z", "").status, 403);
}
