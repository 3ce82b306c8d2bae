//! The other side: an aioquic server as the origin, spoken to over HTTP/3.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Aioquic, EVERY_PROTOCOL, REQUEST_CANCELLED, pattern, python};
use crate::support::{
    answer::End,
    assert_none,
    certificates::Authority,
    client::{get, post},
    eventually,
    gateway::{Gateway, Setup},
};

/// The server's process; `origin.py` says what each path does.
struct Server {
    child: Child,
    address: SocketAddr,
    told: Arc<Mutex<Vec<Value>>>,
    dir: Option<TempDir>,
}

impl Server {
    fn start(retry: bool) -> Option<Self> {
        let mut command = python("origin.py")?;
        let dir = TempDir::new().unwrap();
        let authority = Authority::new();
        authority.write(&dir.path().join("ca.pem"));
        authority.issue(&["weir.test"]).write(dir.path(), "edge");
        command.arg(dir.path().join("edge.pem")).arg(dir.path().join("edge.key"));
        if retry {
            command.arg("retry");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&told);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                list.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Some(Self { child, address, told, dir: Some(dir) })
    }

    /// A gateway before it, which speaks every protocol to clients over TLS.
    fn edge(&mut self, listener: &str) -> Gateway {
        let upstream = "tls: { server_name: weir.test, ca: $DIR/ca.pem }, protocol: h3";
        let setup = Setup::to(&[self.address]).upstream(upstream).listener(listener);
        setup.within(self.dir.take().unwrap()).start()
    }

    /// What it told under this key about this path.
    fn told(&self, key: &str, path: &str) -> Vec<Value> {
        let told = self.told.lock().unwrap();
        told.iter().filter(|line| line[key] == path).cloned().collect()
    }

    fn one(&self, key: &str, path: &str) -> Value {
        assert!(eventually(|| !self.told(key, path).is_empty()), "no {key} of {path}");
        self.told(key, path).remove(0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[test]
fn answers_of_every_shape_come_back() {
    let Some(mut server) = Server::start(false) else { return };
    let gateway = server.edge("");
    let mut client = gateway.client();
    assert_eq!(client.get("/x?q=1").unwrap().text(), "GET /x?q=1 0");
    client.send(post("/y", "hello").as_bytes());
    assert_eq!(client.answer("POST").unwrap().text(), "POST /y 5");
    client.send(b"HEAD /x HTTP/1.1\r\nHost: weir.test\r\n\r\n");
    let head = client.answer("HEAD").unwrap();
    assert_eq!((head.status, head.field("content-length")), (200, Some("12")));
    assert_eq!(client.get("/empty").unwrap().status, 204);
    client.send(b"GET /trailers HTTP/1.1\r\nHost: weir.test\r\nTE: trailers\r\n\r\n");
    let answer = client.answer("GET").unwrap();
    assert_eq!((answer.text(), answer.end), ("hi".to_owned(), End::Complete));
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    let seen = server.one("seen", "/x?q=1");
    let fields = seen["headers"].as_array().unwrap();
    for field in [[":scheme", "https"], [":authority", "weir.test"]] {
        assert!(fields.contains(&json!(field)), "{field:?}: {seen}");
    }
}

#[test]
fn large_bodies_go_both_ways() {
    let Some(mut server) = Server::start(false) else { return };
    let gateway = server.edge("");
    let mut client = gateway.client();
    let answer = client.get("/big").unwrap();
    assert!(answer.body == pattern(8 << 20) && answer.end == End::Complete);
    let body = pattern(2 << 20);
    let length = body.len();
    let head = format!("POST /mirror HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
    client.send(head.as_bytes()).send(&body);
    assert!(client.answer("POST").unwrap().body == body, "another body came back");
    assert_eq!(server.one("seen", "/mirror")["intact"], true);
}

#[test]
fn many_requests_share_few_connections() {
    let Some(mut server) = Server::start(false) else { return };
    let gateway = server.edge("");
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for n in 0..16 {
            let (gateway, failures) = (&gateway, &failures);
            scope.spawn(move || {
                let mut client = gateway.client();
                for m in 0..10 {
                    let answer = client.get(&format!("/{n}/{m}")).unwrap();
                    if answer.text() != format!("GET /{n}/{m} 0") {
                        failures.lock().unwrap().push(format!("{n}/{m}: {answer:?}"));
                    }
                }
            });
        }
    });
    assert_none(&failures.into_inner().unwrap());
    let told = server.told.lock().unwrap();
    let most = told.iter().filter_map(|line| line["connection"].as_u64()).max().unwrap();
    assert!(most < 8, "{most} connections for 16 clients");
}

#[test]
fn a_client_that_leaves_stops_its_stream_and_no_other() {
    let Some(mut server) = Server::start(false) else { return };
    let gateway = server.edge("");
    let mut client = gateway.client();
    client.send(get("/endless").as_bytes());
    client.bytes(200_000).unwrap();
    client.reset();
    let stopped = server.one("stopped", "/endless");
    assert_eq!(stopped["code"], REQUEST_CANCELLED, "{stopped}");
    let mut client = gateway.client();
    client.send(b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nsome");
    thread::sleep(Duration::from_millis(200));
    client.reset();
    let reset = server.one("reset", "/up");
    assert_eq!(reset["code"], REQUEST_CANCELLED, "{reset}");
    assert!(server.told("seen", "/up").is_empty(), "a cut upload looks whole");
    assert_eq!(gateway.client().get("/after").unwrap().text(), "GET /after 0");
}

#[test]
fn a_response_that_the_origin_breaks_off_is_cut() {
    let Some(mut server) = Server::start(false) else { return };
    let gateway = server.edge("");
    let answer = gateway.client().get("/broken").unwrap();
    assert_eq!((answer.status, answer.text(), answer.end), (200, "part".into(), End::Truncated));
    assert_eq!(gateway.client().get("/after").unwrap().text(), "GET /after 0");
}

#[test]
fn an_early_answer_reaches_a_client_that_still_sends() {
    let Some(mut server) = Server::start(false) else { return };
    let gateway = server.edge("");
    let mut client = gateway.client();
    client.send(b"POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\nsome");
    let answer = client.answer("POST").unwrap();
    assert_eq!((answer.status, answer.text()), (403, "no".to_owned()));
}

#[test]
fn an_origin_that_wants_proof_of_our_address_gets_it() {
    let Some(mut server) = Server::start(true) else { return };
    let gateway = server.edge("");
    assert_eq!(gateway.client().get("/x").unwrap().text(), "GET /x 0");
}

#[test]
fn a_connection_that_the_origin_closes_is_replaced() {
    let Some(mut server) = Server::start(false) else { return };
    let gateway = server.edge("");
    for n in 0..3 {
        assert_eq!(gateway.client().get("/last").unwrap().text(), "GET /last 0");
        thread::sleep(Duration::from_millis(200));
        let path = format!("/after/{n}");
        assert_eq!(gateway.client().get(&path).unwrap().text(), format!("GET {path} 0"));
    }
}

#[test]
fn http_3_all_the_way() {
    let Some(mut server) = Server::start(false) else { return };
    let gateway = server.edge(EVERY_PROTOCOL);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let answer = client.fetch(json!({ "path": "/mirror", "method": "POST", "size": 2 << 20 }));
    assert_eq!((&answer["length"], &answer["intact"]), (&json!(2 << 20), &json!(true)));
    let up = json!({
        "path": "/t", "method": "POST", "size": 10, "headers": [["te", "trailers"]],
        "trailers": [["x-up", "7"]],
    });
    assert_eq!(client.fetch(up)["text"], "POST /t 10");
    assert_eq!(server.one("seen", "/t")["trailers"], json!([["x-up", "7"]]));
    let stream = client.send(json!({ "path": "/endless" }));
    client.run("received", json!({ "stream": stream, "bytes": 200_000 }));
    client.cancel(stream);
    assert_eq!(server.one("stopped", "/endless")["code"], REQUEST_CANCELLED);
    let all = client.run("many", json!({ "path": "/n/", "count": 50 }));
    let mut failures = Vec::new();
    for (n, answer) in all["answers"].as_array().unwrap().iter().enumerate() {
        if answer["text"] != format!("GET /n/{n} 0") {
            failures.push(format!("{n}: {answer}"));
        }
    }
    assert_none(&failures);
}

#[test]
fn a_tunnel_is_http_3_all_the_way() {
    let Some(mut server) = Server::start(false) else { return };
    let gateway = server.edge(EVERY_PROTOCOL);
    let Some(mut client) = Aioquic::connect(&gateway) else { return };
    let version = json!([["sec-websocket-version", "13"]]);
    let opened = client.run("socket", json!({ "path": "/chat", "headers": version }));
    assert_eq!(opened["status"], 200, "{opened}");
    let stream = &opened["stream"];
    client.run("say", json!({ "stream": stream, "text": "hello" }));
    assert_eq!(client.run("hear", json!({ "stream": stream }))["text"], "hello");
    client.run("say", json!({ "stream": stream, "size": 256 << 10 }));
    let heard = client.run("hear", json!({ "stream": stream }));
    assert_eq!((&heard["length"], &heard["intact"]), (&json!(256 << 10), &json!(true)));
    client.run("leave", json!({ "stream": stream, "code": 1000 }));
    assert_eq!(client.run("hear", json!({ "stream": stream }))["close"], 1000);
}
