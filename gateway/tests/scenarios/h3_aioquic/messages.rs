//! Requests and responses of every shape.

use std::time::Duration;

use serde_json::json;

use super::{Aioquic, EVERY_PROTOCOL, edge, edge_of, field, pattern};
use crate::support::{
    assert_none,
    gateway::Setup,
    origin::{Exchange, Next, Origin},
};

/// Sends back the body that came.
fn mirror(x: &mut Exchange) -> std::io::Result<Next> {
    x.read_body()?;
    let body = x.seen.body.clone();
    x.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()))?;
    x.send(body)?;
    Ok(Next::Keep)
}

#[test]
fn a_request_is_answered() {
    let origin = Origin::start(|x| x.reply(200, "X-Kept: yes\r\n", "hello"));
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let answer = client.fetch(json!({ "path": "/a?b=c", "headers": [["x-one", "1"]] }));
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!(answer["text"], "hello");
    assert_eq!(field(&answer, "x-kept"), Some("yes"));
    assert_eq!(field(&answer, "content-length"), Some("5"));
    let seen = origin.completed("/a?b=c");
    assert_eq!(seen.field("host"), Some("weir.test"));
    assert_eq!(seen.field("x-one"), Some("1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
    let line = gateway.access_line("/a?b=c");
    assert_eq!(line["status"], 200, "{line}");
}

#[test]
fn settings_offer_websocket_and_no_dynamic_table() {
    let origin = Origin::echo();
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let settings = client.run("settings", json!({}));
    let settings = &settings["settings"];
    assert_eq!(settings["8"], 1, "SETTINGS_ENABLE_CONNECT_PROTOCOL: {settings}");
    let capacity = &settings["1"];
    assert!(capacity.is_null() || capacity == 0, "QPACK table: {settings}");
}

#[test]
fn a_mebibyte_goes_up_and_comes_back() {
    let origin = Origin::start(mirror);
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    for (path, headers) in [("/chunked", json!([])), ("/l", json!([["content-length", "1048576"]]))]
    {
        let request =
            json!({ "path": path, "method": "POST", "size": 1 << 20, "headers": headers });
        let answer = client.fetch(request);
        assert_eq!(answer["status"], 200, "{answer}");
        assert_eq!((&answer["length"], &answer["intact"]), (&json!(1 << 20), &json!(true)));
        assert!(origin.completed(path).body == pattern(1 << 20), "{path}: another body came");
    }
}

#[test]
fn a_hundred_streams_at_once_are_each_answered_right() {
    let origin = Origin::start(|x| {
        std::thread::sleep(Duration::from_millis(50));
        x.echo()
    });
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let many = json!({ "path": "/n/", "count": 100, "method": "POST", "size": 3000 });
    let all = client.run("many", many);
    let mut failures = Vec::new();
    for (n, answer) in all["answers"].as_array().unwrap().iter().enumerate() {
        if answer["status"] != 200 || answer["text"] != format!("POST /n/{n} 3000") {
            failures.push(format!("{n}: {answer}"));
        }
    }
    assert_none(&failures);
}

#[test]
fn eight_mebibytes_come_whole() {
    let origin = Origin::start(|x| {
        x.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 8 << 20))?;
        x.send(pattern(8 << 20))?;
        Ok(Next::Keep)
    });
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let answer = client.fetch(json!({ "path": "/big" }));
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!((&answer["length"], &answer["intact"]), (&json!(8 << 20), &json!(true)));
}

#[test]
fn a_small_window_only_slows_a_response() {
    let origin = Origin::start(|x| {
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n80000\r\n")?;
        x.send(pattern(0x8_0000))?;
        x.send("\r\n0\r\n\r\n")?;
        Ok(Next::Keep)
    });
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::start() else { return };
    client.open(&gateway, json!({ "window": 8192 }));
    let answer = client.fetch(json!({ "path": "/big" }));
    assert_eq!((&answer["length"], &answer["intact"]), (&json!(0x8_0000), &json!(true)));
}

#[test]
fn trailers_go_both_ways() {
    let origin = Origin::start(|x| {
        x.read_body()?;
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n")?;
        x.send("2\r\nhi\r\n0\r\nX-Sum: 42\r\n\r\n")?;
        Ok(Next::Keep)
    });
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let answer = client.fetch(json!({
        "path": "/t", "method": "POST", "size": 1000, "headers": [["te", "trailers"]],
        "trailers": [["x-up", "7"]],
    }));
    assert_eq!((&answer["status"], &answer["text"]), (&json!(200), &json!("hi")), "{answer}");
    assert_eq!(answer["trailers"], json!([["x-sum", "42"]]));
    let seen = origin.completed("/t");
    assert!(seen.body == pattern(1000));
    let sent: Vec<_> = seen.trailers.iter().filter(|(name, _)| name == "x-up").collect();
    assert_eq!(sent.len(), 1, "{:?}", seen.trailers);
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let origin = Origin::start(|x| match x.target() {
        "/304" => {
            x.send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 9\r\n\r\n")?;
            Ok(Next::Keep)
        }
        "/204" => {
            x.send("HTTP/1.1 204 No Content\r\nX-Kept: yes\r\n\r\n")?;
            Ok(Next::Keep)
        }
        _ => x.reply(200, "", "as long as this"),
    });
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let head = client.fetch(json!({ "path": "/x", "method": "HEAD" }));
    assert_eq!((&head["status"], &head["length"]), (&json!(200), &json!(0)), "{head}");
    assert_eq!(field(&head, "content-length"), Some("15"));
    let empty = client.fetch(json!({ "path": "/204" }));
    assert_eq!((&empty["status"], &empty["length"]), (&json!(204), &json!(0)), "{empty}");
    assert_eq!(field(&empty, "content-length"), None);
    let same = client.fetch(json!({ "path": "/304", "bodiless": true }));
    assert_eq!((&same["status"], &same["length"]), (&json!(304), &json!(0)), "{same}");
    assert_eq!(field(&same, "etag"), Some("\"a\""));
    client.assert_serves("/after");
}

#[test]
fn a_response_cut_by_its_origin_is_a_reset_stream() {
    let origin = Origin::start(|x| match x.target() {
        "/cut" => {
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\npart")?;
            // A reset takes back what has not arrived.
            std::thread::sleep(Duration::from_millis(200));
            Ok(Next::Close)
        }
        _ => x.echo(),
    });
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let cut = client.fetch(json!({ "path": "/cut" }));
    assert_eq!((&cut["status"], &cut["ended"]), (&json!(200), &json!(false)), "{cut}");
    assert!(cut["reset"].is_u64() && cut["end"].is_null(), "{cut}");
    client.assert_serves("/after");
}

#[test]
fn a_body_over_the_limit_is_refused_and_the_connection_lives() {
    let origin = Origin::echo();
    let gateway =
        edge_of(Setup::to(&[origin.address]).listener(EVERY_PROTOCOL).limits("body: 64KiB"));
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let answer = client.fetch(json!({ "path": "/l", "method": "POST", "size": 1 << 20 }));
    assert_eq!(answer["status"], 413, "{answer}");
    let answer = client.fetch(json!({
        "path": "/l", "method": "POST", "size": 70_000, "headers": [["content-length", "70000"]],
    }));
    assert_eq!(answer["status"], 413, "{answer}");
    client.assert_serves("/after");
}

#[test]
fn more_requests_than_streams_wait_their_turn() {
    let origin = Origin::start(|x| {
        std::thread::sleep(Duration::from_millis(20));
        x.echo()
    });
    let gateway =
        edge_of(Setup::to(&[origin.address]).listener(EVERY_PROTOCOL).limits("h3: { streams: 8 }"));
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let all = client.run("many", json!({ "path": "/n/", "count": 60 }));
    let answers = all["answers"].as_array().unwrap();
    let right =
        |(n, answer): (usize, &serde_json::Value)| answer["text"] == format!("GET /n/{n} 0");
    assert!(answers.iter().enumerate().all(right), "{all}");
}

#[test]
fn fields_that_are_too_long_are_refused_and_the_connection_lives() {
    let origin = Origin::echo();
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    for count in [10, 50] {
        let fields: Vec<_> = (0..count).map(|n| (format!("x-{n}"), "v".repeat(4000))).collect();
        let answer = client.fetch(json!({ "path": "/x", "headers": fields }));
        assert_eq!(answer["status"], 431, "{count}: {answer}");
    }
    client.assert_serves("/after");
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let origin = Origin::start(|x| {
        x.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n")?;
        std::thread::sleep(Duration::from_millis(100));
        x.echo()
    });
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let stream = client.send(json!({ "path": "/x" }));
    let first = client.run("interim", json!({ "stream": stream, "count": 1 }));
    assert_eq!((&first["interim"], &first["status"]), (&json!([103]), &json!(null)), "{first}");
    let answer = client.answer(stream);
    assert_eq!((&answer["interim"], &answer["status"]), (&json!([103]), &json!(200)), "{answer}");
}

#[test]
fn an_upload_may_wait_for_the_word_to_go_on() {
    let origin = Origin::echo();
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let head = json!({
        "path": "/up", "method": "POST", "open": true,
        "headers": [["expect", "100-continue"], ["content-length", "5000"]],
    });
    let stream = client.send(head);
    let first = client.run("interim", json!({ "stream": stream, "count": 1 }));
    assert_eq!(first["interim"], json!([100]), "{first}");
    client.run("write", json!({ "stream": stream, "size": 5000 }));
    assert_eq!(client.answer(stream)["text"], "POST /up 5000");
}

#[test]
fn crumbs_of_a_cookie_are_joined() {
    let origin = Origin::echo();
    let gateway = edge(origin.address);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let crumbs = json!([["cookie", "a=1"], ["cookie", "b=2"], ["cookie", "c=3"]]);
    let answer = client.fetch(json!({ "path": "/x", "headers": crumbs }));
    assert_eq!(answer["status"], 200, "{answer}");
    assert_eq!(origin.completed("/x").all("cookie"), ["a=1; b=2; c=3"]);
}
