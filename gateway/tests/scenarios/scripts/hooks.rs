//! What hooks see and change.

use super::{ask, get, scripted};
use crate::support::{answer::Answer, origin::Origin};

const NOTHING: &str = "function on_log() end";

fn named(name: &'static str) -> Origin {
    Origin::start(move |x| {
        x.read_body()?;
        x.reply(200, &format!("X-From: {name}\r\nX-Two: a\r\nX-Two: b\r\n"), name)
    })
}

fn both() -> [Origin; 2] {
    [named("origin"), named("other")]
}

fn once(keys: &str, script: &str, method: &str, target: &str, fields: &str) -> (Answer, Origin) {
    let [origin, other] = both();
    let gateway = scripted([&origin, &other], keys, script);
    let answer = ask(&mut gateway.client(), method, target, fields);
    (answer, origin)
}

#[test]
fn a_request_is_read_and_changed() {
    let script = r#"
        function on_request(req)
          req.headers:set("x-seen", table.concat({
            req.method, req.path, req.query, req.host, req.client_ip, req.route,
            tostring(req.identity), req.headers:get("X-A"), #req.headers:get_all("x-a"),
          }, " "))
          req.headers:add("x-a", 3)
          req.headers:remove("x-b")
          req.method = "PUT"
          req.path = "/new/a b%2fc"
          req.query = "q=1"
        end"#;
    let fields = "X-A: 1\r\nX-A: 2\r\nX-B: 1\r\nContent-Length: 2\r\n\r\nhi";
    let [origin, other] = both();
    let gateway = scripted([&origin, &other], "name: api\nstrip_prefix: /old", script);
    let mut client = gateway.client();
    client.send(format!("POST /old/x?y=2 HTTP/1.1\r\nHost: weir.test\r\n{fields}").as_bytes());
    assert_eq!(client.answer("POST").unwrap().status, 200);
    let seen = origin.completed("/new");
    assert_eq!(seen.method, "PUT");
    assert_eq!(seen.target, "/new/a%20b%2Fc?q=1", "neither stripped nor routed again");
    let said = "POST /old/x y=2 weir.test 127.0.0.1 api nil 1 2";
    assert_eq!(seen.field("x-seen"), Some(said));
    assert_eq!(seen.all("x-a"), ["1", "2", "3"]);
    assert_eq!(seen.field("x-b"), None);
    assert_eq!(seen.body, b"hi");
}

#[test]
fn a_script_chooses_the_upstream() {
    let script = r#"
        function on_request(req)
          if req.headers:get("x-canary") then req:upstream("other") end
          if req.path == "/nobody" then req:upstream("nobody") end
        end"#;
    let [origin, other] = both();
    let gateway = scripted([&origin, &other], "name: api\ncache: 60s", script);
    let mut client = gateway.client();
    assert_eq!(ask(&mut client, "GET", "/a", "").text(), "origin");
    assert_eq!(ask(&mut client, "GET", "/a", "X-Canary: 1\r\n").text(), "other", "kept apart");
    assert_eq!(ask(&mut client, "GET", "/a", "").text(), "origin");
    let bad = ask(&mut client, "GET", "/nobody", "");
    assert_eq!(bad.status, 500);
    let told = || gateway.log().contains("there is no upstream `nobody`");
    assert!(crate::support::eventually(told));
    let metrics = gateway.admin("GET", "/metrics").text();
    for line in [
        r#"weir_requests_total{route="api",upstream="other",class="2xx"} 1"#,
        r#"weir_scripts_total{route="api",upstream="other",outcome="ran"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert!(metrics.contains(r#"outcome="error""#), "{metrics}");
}

#[test]
fn a_script_answers() {
    let script = r#"
        function on_request(req)
          if req.path == "/teapot" then
            return { status = 418, headers = { ["x-why"] = "lua", ["set-cookie"] = { "a=1", "b=2" } },
                     body = "teapot" }
          end
          if req.path == "/empty" then return {} end
        end"#;
    let (answer, origin) = once("name: api", script, "GET", "/teapot", "");
    assert_eq!((answer.status, answer.text().as_str()), (418, "teapot"));
    assert_eq!(answer.field("x-why"), Some("lua"));
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
    assert!(answer.field("x-request-id").is_some());
    assert!(origin.seen().is_empty());
    let (answer, _) = once("", script, "HEAD", "/teapot", "");
    assert_eq!((answer.status, answer.text().as_str()), (418, ""));
    let (answer, _) = once("", script, "GET", "/empty", "");
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
}

#[test]
fn a_response_is_read_and_changed() {
    let script = r#"
        function on_request(req) req.context.at = req.path end
        function on_response(req, res)
          res.headers:set("x-by", "weir " .. res.status .. " " .. req.context.at)
          res.headers:remove("x-from")
          res.headers:add("x-two", "c")
          if req.headers:get("x-hide") then res.status = 404 end
        end"#;
    let (answer, origin) = once("", script, "GET", "/a", "X-Hide: 1\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (404, "origin"));
    assert_eq!(answer.field("x-by"), Some("weir 200 /a"));
    assert_eq!(answer.field("x-from"), None);
    let two = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-two"));
    assert_eq!(two.count(), 3);
    assert_eq!(origin.completed("/a").field("x-hide"), Some("1"));
}

#[test]
fn errors_of_the_gateway_are_responses_as_well() {
    let script = "function on_response(req, res) res.headers:set('x-by', res.status) end";
    let (answer, _) = once("rate_limit: { rate: 0/s }", script, "GET", "/a", "");
    assert_eq!(answer.status, 429);
    assert_eq!(answer.field("x-by"), None, "the script was not reached");
    let origin = Origin::start(|_| Ok(crate::support::origin::Next::Reset));
    let gateway = scripted([&origin, &origin], "retry: off", script);
    let answer = get(&gateway, "/a");
    assert_eq!((answer.status, answer.field("x-by")), (502, Some("502")));
}

#[test]
fn the_log_hook_sees_how_it_ended() {
    let script = r#"
        function on_request(req) req.context.mark = "kept" end
        function on_log(req, res)
          weir.log("warn", table.concat({ "ended", req.path, req.headers:get("x-a"), res.status,
            res.upstream, res.bytes, res.headers:get("x-from"), req.context.mark,
            tostring(res.duration > 0) }, " "))
        end"#;
    let [origin, other] = both();
    let gateway = scripted([&origin, &other], "", script);
    let answer = ask(&mut gateway.client(), "GET", "/a", "X-A: 7\r\n");
    assert_eq!(answer.status, 200);
    let line = "ended /a 7 200 origin 6 origin kept true";
    assert!(crate::support::eventually(|| gateway.log().contains(line)));
    let access = gateway.access_line("/a");
    assert_eq!(access["script"], "ran");
}

#[test]
fn a_route_without_request_hook_is_as_before() {
    let (answer, origin) = once("strip_prefix: /a", NOTHING, "GET", "/a/b?c=d", "X-A: 7\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (200, "origin"));
    let seen = origin.completed("/b");
    assert_eq!((seen.target.as_str(), seen.field("x-a")), ("/b?c=d", Some("7")));
}
