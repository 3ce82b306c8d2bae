//! One line for each request, with everything an operator asks for.

use serde_json::Value;

use crate::support::{
    client::post,
    frames::Frames,
    gateway::Setup,
    origin::{Next, Origin},
};

fn number(line: &Value, name: &str) -> f64 {
    line[name].as_f64().unwrap_or_else(|| panic!("{name} in {line}"))
}

#[test]
fn a_line_has_every_field() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).route("name: all").start();
    let mut client = gateway.client();
    client.send(post("/x?q=1", "hello").as_bytes());
    let length = client.answer("POST").unwrap().body.len();
    let line = gateway.access_line("/x?q=1");
    for (name, value) in [
        ("client", "127.0.0.1"),
        ("method", "POST"),
        ("host", "weir.test"),
        ("path", "/x?q=1"),
        ("protocol", "HTTP/1.1"),
        ("route", "all"),
        ("upstream", "origin"),
        ("endpoint", &origin.address.to_string()),
    ] {
        assert_eq!(line[name], value, "{name} in {line}");
    }
    assert_eq!((&line["status"], &line["attempts"]), (&200.into(), &1.into()), "{line}");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&5.into(), &length.into()), "{line}");
    assert!(number(&line, "duration_ms") >= number(&line, "upstream_ms"), "{line}");
    assert!(line["time"].as_str().unwrap().starts_with("20") && line["id"].is_string(), "{line}");
    assert!(line.get("flag").is_none_or(Value::is_null), "{line}");
}

#[test]
fn every_request_has_exactly_one_line_however_it_ends() {
    let origin = Origin::start(|x| match x.target() {
        "/reset" => Ok(Next::Reset),
        "/cut" => {
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
            Ok(Next::Close)
        }
        _ => x.echo(),
    });
    let gateway = Setup::to(&[origin.address]).limits("body: 1KiB").start();
    for target in ["/fine", "/reset", "/cut"] {
        let _ = gateway.client().get(target);
    }
    let mut over = gateway.client();
    over.send(post("/over", &"b".repeat(1025)).as_bytes());
    assert_eq!(over.answer("POST").unwrap().status, 413);
    let _ = Frames::connect(gateway.listen).get(1, "/h2");
    for (target, status, flag) in [
        ("/fine", 200, None),
        ("/reset", 502, Some("UC")),
        ("/cut", 200, Some("UC")),
        ("/over", 413, Some("DPE")),
        ("/h2", 200, None),
    ] {
        let line = gateway.access_line(&format!("\"{target}\""));
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["flag"].as_str(), flag, "{line}");
        assert_eq!(gateway.access_lines(&format!("\"{target}\"")).len(), 1, "{target}");
    }
    assert_eq!(gateway.access_line("\"/h2\"")["protocol"], "HTTP/2");
}

#[test]
fn malformed_requests_are_logged_too() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    client.send(b"GET /nohost HTTP/1.1\r\n\r\n");
    let answer = client.answer("GET").unwrap();
    assert_eq!(answer.status, 400);
    assert!(answer.field("proxy-status").is_some_and(|v| v.contains("http_request_error")));
    let line = gateway.access_line("/nohost");
    assert_eq!((&line["status"], &line["flag"]), (&400.into(), &"DPE".into()), "{line}");
}

#[test]
fn common_is_the_common_log_format_and_off_is_silence() {
    let origin = Origin::echo();
    let file = |access: &str| {
        format!(
            "admin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\nlog: {{ access: {access} }}\n\
             upstreams:\n  a: {{ endpoints: [\"{}\"] }}\nroutes:\n  \
             - {{ match: {{ path: \"/**\" }}, to: a }}\n",
            origin.address
        )
    };
    let common = Setup::yaml(&file("common")).start();
    common.client().get("/x").unwrap();
    assert!(crate::support::eventually(|| !common.access_lines("/x").is_empty()));
    let line = common.access_lines("/x").pop().unwrap();
    assert!(
        line.starts_with("127.0.0.1 - - [") && line.ends_with("] \"GET /x HTTP/1.1\" 200 8"),
        "{line}"
    );
    let silent = Setup::yaml(&file("off")).start();
    silent.client().get("/x").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(silent.access_lines(""), Vec::<String>::new());
}
