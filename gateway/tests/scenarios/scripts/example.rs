//! `examples/script.yaml`, with its upstreams elsewhere.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::ask;
use crate::support::{gateway::Setup, origin::Origin};

#[test]
fn the_example_does_what_it_says() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let dir = TempDir::new().unwrap();
    fs::copy(examples.join("script.lua"), dir.path().join("script.lua")).unwrap();
    let (api, slow) = (Origin::echo(), Origin::echo());
    let users = Origin::start(|x| {
        let alice = x.seen.field("x-token") == Some("t1");
        x.reply(if alice { 200 } else { 404 }, "", "{\"name\":\"alice\"}")
    });
    let text = fs::read_to_string(examples.join("script.yaml")).unwrap();
    let text = text
        .replace(":8080", "$LISTEN")
        .replace("127.0.0.1:9001", &api.address.to_string())
        .replace("127.0.0.1:9002", &slow.address.to_string())
        .replace("127.0.0.1:9003", &users.address.to_string());
    let text = format!("admin: {{ bind: \"$ADMIN\" }}\n{text}");
    let gateway = Setup::yaml(&text).within(dir).start();
    let mut client = gateway.client();

    let teapot = ask(&mut client, "GET", "/teapot", "");
    assert_eq!((teapot.status, teapot.field("x-why")), (418, Some("lua")));
    assert_eq!(teapot.field("x-by"), Some("weir"));
    let signed = ask(&mut client, "GET", "/signed/a?expires=1&signature=00", "");
    assert_eq!(signed.status, 403);
    for token in ["t1", "t2", "t1"] {
        let fields = format!("X-Token: {token}\r\n");
        assert_eq!(ask(&mut client, "GET", &format!("/{token}"), &fields).status, 200);
    }
    assert_eq!(api.completed("/t1").field("x-user"), Some("alice"));
    assert_eq!(api.completed("/t2").field("x-user"), Some(""));
    assert_eq!(users.seen().len(), 2, "what was said is kept");
    assert_eq!(ask(&mut client, "GET", "/b", "User-Agent: SomeBot/1\r\n").status, 200);
    assert_eq!(slow.seen_at("/b").len(), 1);
    let fixed = ask(&mut client, "GET", "/static/a.css", "");
    assert_eq!(fixed.field("cache-control"), Some("public, max-age=3600"));
}
