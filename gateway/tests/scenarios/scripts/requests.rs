//! What scripts ask for and keep.

use std::{thread, time::Duration};

use super::{ask, get, scripted};
use crate::support::origin::{Next, Origin};

/// Says who is allowed in.
fn judge() -> Origin {
    Origin::start(|x| {
        x.read_body()?;
        match x.target() {
            "/slow" => {
                thread::sleep(Duration::from_millis(400));
                x.reply(200, "", "slow")
            }
            "/broken" => Ok(Next::Reset),
            "/long" => x.reply(200, "", &"x".repeat(2 << 20)),
            target => {
                let status = if target.ends_with("alice") { 200 } else { 403 };
                x.reply(status, "X-User: alice\r\n", &format!("{{\"asked\":\"{target}\"}}"))
            }
        }
    })
}

const FORWARD_AUTH: &str = r#"
    function on_request(req)
      local answer, why = weir.http({
        upstream = "other", path = "/check?user=" .. (req.headers:get("x-user") or ""),
        headers = { ["x-original"] = req.path }, timeout = 2,
      })
      if not answer then return { status = 503, body = why } end
      if answer.status ~= 200 then
        return { status = 401, body = weir.json.decode(answer.body).asked }
      end
      req.headers:set("x-user", answer.headers["x-user"])
    end"#;

#[test]
fn a_hook_waits_for_another_upstream() {
    let (origin, other) = (Origin::echo(), judge());
    let gateway = scripted([&origin, &other], "", FORWARD_AUTH);
    let mut client = gateway.client();
    let answer = ask(&mut client, "GET", "/a", "X-User: alice\r\n");
    assert_eq!((answer.status, answer.text().contains("/a")), (200, true), "{}", answer.text());
    assert_eq!(origin.completed("/a").field("x-user"), Some("alice"));
    assert_eq!(other.completed("/check").field("x-original"), Some("/a"));
    let answer = ask(&mut client, "GET", "/b", "X-User: eve\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (401, "/check?user=eve"));
    assert!(origin.seen_at("/b").is_empty());
    // Bodies wait for the hook.
    client.send(b"POST /c HTTP/1.1\r\nHost: a\r\nX-User: alice\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.answer("POST").unwrap().status, 200);
    assert_eq!(origin.completed("/c").body, b"hello");
}

#[test]
fn what_cannot_be_had_is_an_error_in_words() {
    let script = r#"
        function on_request(req)
          local answer, why = weir.http({ upstream = req.query, path = req.path,
            timeout = req.path == "/slow" and 0.1 or 5 })
          return { body = answer and answer.body or why }
        end"#;
    let (origin, other) = (Origin::echo(), judge());
    let gateway = scripted([&origin, &other], "", script);
    for (target, what) in [
        ("/slow?other", "the time for this request is over"),
        ("/broken?other", "the upstream closed"),
        ("/long?other", "the answer has more than 1048576 bytes"),
        ("/x?nobody", "there is no upstream `nobody`"),
        ("/alice?other", "{\"asked\":\"/alice\"}"),
    ] {
        let answer = get(&gateway, target);
        assert_eq!(answer.status, 200, "{target}");
        assert!(answer.text().contains(what), "{target}: {}", answer.text());
    }
}

#[test]
fn others_go_on_while_a_hook_waits() {
    let script = r#"
        function on_request(req)
          if req.path == "/slow" then weir.http({ upstream = "other", path = "/slow" }) end
          return { body = "done" }
        end"#;
    let (origin, other) = (Origin::echo(), judge());
    let gateway = scripted([&origin, &other], "", script);
    let mut slow = gateway.client();
    slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(crate::support::eventually(|| !other.seen().is_empty()));
    assert_eq!(get(&gateway, "/fast").text(), "done");
    assert_eq!(slow.answer("GET").unwrap().text(), "done");
}

#[test]
fn responses_wait_as_well() {
    let script = r#"
        function on_response(req, res)
          local answer = weir.http({ upstream = "other", path = "/alice" })
          res.headers:set("x-user", answer.headers["x-user"])
        end"#;
    let (origin, other) = (Origin::echo(), judge());
    let gateway = scripted([&origin, &other], "", script);
    assert_eq!(get(&gateway, "/a").field("x-user"), Some("alice"));
}

#[test]
fn what_is_kept_is_there_for_all_and_for_a_time() {
    let script = r#"
        function on_request(req)
          local count = weir.kv.incr("count", 1, 60)
          weir.kv.set("brief", "x", 0.05)
          if weir.kv.add("first", req.path, 60) then weir.kv.set("flag", true) end
          return { body = count .. " " .. weir.kv.get("first") .. " " .. tostring(weir.kv.get("flag"))
                   .. " " .. tostring(weir.kv.get("none")) }
        end"#;
    let origin = Origin::echo();
    let gateway = scripted([&origin, &origin], "", script);
    assert_eq!(get(&gateway, "/a").text(), "1 /a true nil");
    assert_eq!(get(&gateway, "/b").text(), "2 /a true nil");
}
