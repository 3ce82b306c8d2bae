use std::{future::Future, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    runtime::Builder,
};
use weir_config::model::Config;

use super::*;
use crate::{
    clock, discover::Found, error::Error, snapshot::compile, telemetry::registry::Registry,
};

const FILE: &str = r#"
listeners: [":0"]
upstreams:
  users: { endpoints: ["127.0.0.1:1", { address: "127.0.0.1:2", weight: 3, zone: b }] }
routes:
  - name: users
    match: { host: "*.example.com", path: "/users/{id}", methods: [GET] }
    to: users
  - match: { path: "/old/**" }
    redirect: { to: "/new/{**}", status: 301 }
  - match: { path: "/hello" }
    respond: { status: 200, body: hi }
"#;

struct Rig {
    server: Server,
    live: Arc<Live>,
    status: Arc<Status>,
    control: mpsc::Receiver<Control>,
}

impl Rig {
    fn new() -> Self {
        let loaded = weir_config::load_str("weir.yaml", FILE, &|_| None).unwrap();
        let unix_time = Duration::from_secs(1_000);
        let compiled = compile(&loaded, &Found::default(), None, clock::now(), unix_time).unwrap();
        let registry = Registry::new("1.2.3", Error::NAMES, unix_time);
        let live = Arc::new(Live::new(compiled.snapshot, registry));
        let bound = vec![(Bind::Any(0), Bind::Any(4_321))];
        let status = Arc::new(Status::new(&loaded, 2, bound, unix_time));
        let (asks, control) = mpsc::channel(4);
        let server = Server::new(live.clone(), status.clone(), asks);
        Self { server, live, status, control }
    }

    async fn configure(&mut self, bind: &str, token: Option<&str>) -> io::Result<()> {
        self.server.configure(Some(&admin(bind, token))).await
    }

    async fn ask(&self, request: &str) -> String {
        ask(&self.server.address().unwrap(), request).await
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n")).await
    }
}

fn admin(bind: &str, token: Option<&str>) -> Admin {
    let bind = match bind.strip_prefix("unix:") {
        Some(path) => Bind::Unix(path.into()),
        None => bind.strip_prefix(':').map_or_else(
            || Bind::Tcp(bind.parse().unwrap()),
            |port| Bind::Any(port.parse().unwrap()),
        ),
    };
    Admin { bind, token: token.map(|token| Secret(token.to_owned())), written: true }
}

/// Sends a head (without its last lines) and reads to the end.
async fn ask(address: &str, head: &str) -> String {
    let request = format!("{head}Connection: close\r\n\r\n");
    let mut answer = String::new();
    if let Some(path) = address.strip_prefix("unix:") {
        let mut stream = UnixStream::connect(path).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_string(&mut answer).await.unwrap();
    } else {
        let port = address.rsplit(':').next().unwrap();
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_string(&mut answer).await.unwrap();
    }
    answer
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_all().build_local(Default::default());
    runtime.unwrap().block_on(async {
        tokio::time::timeout(Duration::from_secs(30), test).await.unwrap();
    });
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn json(answer: &str) -> serde_json::Value {
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    serde_json::from_str(body(answer)).unwrap()
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "not {status}: {answer}");
}

#[test]
fn shows_how_things_stand() {
    run(async {
        let mut rig = Rig::new();
        rig.configure("127.0.0.1:0", None).await.unwrap();
        assert!(!rig.server.address().unwrap().ends_with(":0"));
        rig.status.refused("weir.yaml:3: no", Duration::from_millis(2_500));
        let status = json(&rig.get("/status").await);
        assert_eq!(status["workers"], 2);
        assert_eq!(status["draining"], false);
        assert_eq!(status["listeners"][0]["bind"], ":0");
        assert_eq!(status["listeners"][0]["address"], ":4321");
        assert_eq!(status["listeners"][0]["protocols"][1], "h2");
        assert_eq!(status["config"]["file"], "weir.yaml");
        assert_eq!(status["config"]["loads"], 1);
        assert_eq!(status["config"]["refused"]["text"], "weir.yaml:3: no");
        assert_eq!(status["config"]["refused"]["at"], 2.5);
        let ready = rig.get("/ready").await;
        assert_status(&ready, 200);
        assert_eq!(body(&ready), "ready\n");
        rig.live.begin_drain();
        assert_status(&rig.get("/ready").await, 503);
        assert_status(&rig.get("/live").await, 200);
        assert_eq!(json(&rig.get("/status").await)["draining"], true);
    });
}

#[test]
fn shows_upstreams_routes_metrics_and_the_file() {
    run(async {
        let mut rig = Rig::new();
        rig.configure("127.0.0.1:0", None).await.unwrap();
        rig.live.registry.endpoint("users", "127.0.0.1:2").open.add(5);
        let upstreams = json(&rig.get("/upstreams").await);
        let users = &upstreams["upstreams"][0];
        assert_eq!(users["name"], "users");
        assert_eq!(users["balance"], "p2c");
        assert_eq!(users["limits"]["requests"]["in_use"], 0);
        let endpoint = &users["endpoints"][1];
        assert_eq!(endpoint["address"], "127.0.0.1:2");
        assert_eq!((&endpoint["weight"], &endpoint["zone"]), (&3.into(), &"b".into()));
        assert_eq!(endpoint["latency_seconds"]["p99"], serde_json::Value::Null);
        assert!(endpoint["ewma_seconds"].as_f64().unwrap() > 0.0);
        let routes = json(&rig.get("/routes").await);
        let routes = routes["routes"].as_array().unwrap();
        let rules = "host *.example.com, path /users/{id}, method GET, HEAD";
        assert_eq!(routes[0]["match"], rules);
        assert_eq!(routes[0]["forward"][0]["upstream"], "users");
        assert_eq!(routes[1]["redirect"]["to"], "/new/{**}");
        assert_eq!(routes[2]["respond"]["status"], 200);
        let metrics = rig.get("/metrics").await;
        assert!(metrics.contains("content-type: application/openmetrics-text"), "{metrics}");
        assert!(metrics.ends_with("# EOF\n"), "{metrics}");
        let config = rig.get("/config").await;
        assert!(config.contains("content-type: application/yaml"), "{config}");
        assert!(weir_config::load_str("x", body(&config), &|_| None).is_ok(), "{config}");
    });
}

#[test]
fn the_token_guards_all_but_what_holds_nothing() {
    run(async {
        let mut rig = Rig::new();
        rig.configure("127.0.0.1:0", Some("s3cret")).await.unwrap();
        for (path, page) in answer::PAGES {
            let open = matches!(path, "/" | "/ready" | "/live");
            assert_status(&rig.get(path).await, if open { 200 } else { 401 });
            let with = format!(
                "GET {path} HTTP/1.1\r\nHost: any.name\r\nAuthorization: Bearer s3cret\r\n"
            );
            let deed = matches!(page, answer::Page::Deed(_));
            assert_status(&rig.ask(&with).await, if deed { 405 } else { 200 });
        }
        let refused = rig.get("/nowhere").await;
        assert_status(&refused, 401);
        assert!(refused.contains("www-authenticate: Bearer"), "{refused}");
        // Another token counts at once, on the same listener.
        let address = rig.server.address();
        rig.configure("127.0.0.1:0", Some("other")).await.unwrap();
        assert_eq!(rig.server.address(), address);
        let old = "GET /status HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer s3cret\r\n";
        assert_status(&rig.ask(old).await, 401);
    });
}

#[test]
fn says_what_would_have_been_right() {
    run(async {
        let mut rig = Rig::new();
        rig.configure("127.0.0.1:0", None).await.unwrap();
        let unknown = rig.get("/nowhere").await;
        assert_status(&unknown, 404);
        for (path, _) in answer::PAGES {
            assert!(unknown.contains(path), "{unknown}");
        }
        let reload = rig.get("/reload").await;
        assert_status(&reload, 405);
        assert!(reload.contains("allow: POST\r\n"), "{reload}");
        let status = rig.ask("POST /status HTTP/1.1\r\nHost: localhost\r\n").await;
        assert_status(&status, 405);
        assert!(status.contains("allow: GET, HEAD\r\n"), "{status}");
        let head = rig.ask("HEAD /status HTTP/1.1\r\nHost: localhost\r\n").await;
        assert_status(&head, 200);
        assert!(head.contains("content-length: ") && body(&head).is_empty(), "{head}");
        let rebound = rig.ask("GET /status HTTP/1.1\r\nHost: evil.example\r\n").await;
        assert_status(&rebound, 403);
        let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n", "x".repeat(20_000));
        assert_status(&rig.ask(&long).await, 431);
        let body = "Host: localhost\r\nContent-Length: 70000\r\n";
        let long = format!(
            "POST /reload HTTP/1.1\r\n{body}Connection: close\r\n\r\n{}",
            "x".repeat(70_000)
        );
        assert_status(&rig.ask(&long).await, 413);
    });
}

#[test]
fn the_dashboard_runs_its_own_script_only() {
    run(async {
        let mut rig = Rig::new();
        rig.configure("127.0.0.1:0", Some("s3cret")).await.unwrap();
        let page = rig.get("/").await;
        assert_status(&page, 200);
        assert!(page.contains("content-security-policy: default-src 'none'; script-src 'sha256-"));
        assert!(page.contains("x-content-type-options: nosniff"), "{page}");
    });
}

#[test]
fn reload_and_drain_ask_the_control_thread() {
    run(async {
        let mut rig = Rig::new();
        rig.configure("127.0.0.1:0", None).await.unwrap();
        let address = rig.server.address().unwrap();
        let post = |path: &str| {
            let (address, head) =
                (address.clone(), format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n"));
            async move { ask(&address, &head).await }
        };
        let changes = || weir_config::diff(&config("15s"), &config("20s"));
        for (result, status, text) in [
            (Ok(changes()), 200, "routes[route-1].timeout.total"),
            (Ok(Vec::new()), 200, "\"changes\": []"),
            (Err("weir.yaml:3: no".to_owned()), 422, "weir.yaml:3: no"),
        ] {
            let (answer, ()) = tokio::join!(post("/reload"), async {
                let Some(Control::Reload(answer)) = rig.control.recv().await else { panic!() };
                answer.send(result).unwrap();
            });
            assert_status(&answer, status);
            assert!(answer.contains(text), "{answer}");
        }
        assert_status(&post("/drain").await, 202);
        assert!(matches!(rig.control.recv().await, Some(Control::Drain)));
        rig.live.begin_drain();
        assert_status(&post("/drain").await, 202);
        assert_status(&post("/reload").await, 503);
        assert!(rig.control.try_recv().is_err());
    });
}

fn config(timeout: &str) -> Config {
    let text = format!(
        "{{ listeners: [\":0\"], upstreams: {{ a: {{ endpoints: [\"127.0.0.1:1\"] }} }}, \
                        routes: [{{ match: {{ path: \"/**\" }}, to: a, timeout: {timeout} }}] }}"
    );
    weir_config::load_str("x", &text, &|_| None).unwrap().config
}

#[test]
fn moves_and_stops() {
    run(async {
        let mut rig = Rig::new();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let unix = format!("unix:{}", path.display());
        rig.configure(&unix, None).await.unwrap();
        assert_eq!(rig.server.address().as_deref(), Some(unix.as_str()));
        assert_status(&rig.ask("GET /status HTTP/1.1\r\nHost: any.name\r\n").await, 200);
        rig.configure("127.0.0.1:0", None).await.unwrap();
        assert!(!path.exists());
        let port = rig.server.address().unwrap().rsplit(':').next().unwrap().to_owned();
        // The same port on every address: the narrower one makes room.
        rig.configure(&format!("127.0.0.1:{port}"), None).await.unwrap();
        rig.configure(&format!(":{port}"), None).await.unwrap();
        assert_status(&rig.get("/status").await, 200);
        // What cannot be had changes nothing.
        assert!(rig.configure("192.0.2.1:1", Some("x")).await.is_err());
        assert_status(&rig.get("/status").await, 200);
        rig.server.configure(None).await.unwrap();
        assert_eq!(rig.server.address(), None);
        assert!(TcpStream::connect(format!("127.0.0.1:{port}")).await.is_err());
    });
}

#[test]
fn a_move_leaves_the_request_under_way_its_answer() {
    run(async {
        let mut rig = Rig::new();
        rig.configure("127.0.0.1:0", None).await.unwrap();
        let address = rig.server.address().unwrap();
        let asked = ask(&address, "POST /reload HTTP/1.1\r\nHost: localhost\r\n");
        let (said, ()) = tokio::join!(asked, async {
            let Some(Control::Reload(answer)) = rig.control.recv().await else { panic!() };
            rig.server.configure(None).await.unwrap();
            answer.send(Ok(Vec::new())).unwrap();
        });
        assert_status(&said, 200);
    });
}

#[test]
fn more_connections_than_slots_wait() {
    run(async {
        let mut rig = Rig::new();
        rig.configure("127.0.0.1:0", None).await.unwrap();
        let address = rig.server.address().unwrap();
        let mut open = Vec::new();
        for _ in 0..serve::CONNECTIONS {
            open.push(TcpStream::connect(&address).await.unwrap());
        }
        let asked = ask(&address, "GET /live HTTP/1.1\r\nHost: localhost\r\n");
        let mut asked = std::pin::pin!(asked);
        assert!(tokio::time::timeout(Duration::from_millis(200), &mut asked).await.is_err());
        drop(open);
        assert_status(&asked.await, 200);
    });
}

#[test]
fn the_docs_name_every_path() {
    let docs = include_str!("../../../docs/admin.md");
    for (path, page) in answer::PAGES {
        let method = if matches!(page, answer::Page::Deed(_)) { "POST" } else { "GET" };
        let heading = format!("## {method} {path}");
        assert!(docs.lines().any(|line| line == heading), "no {heading:?}");
    }
}
