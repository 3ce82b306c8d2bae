//! The admin API of a running gateway, over its Unix socket.
#![allow(clippy::unwrap_used, reason = "a test that cannot set its scene has failed")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

const LOOK: Duration = Duration::from_millis(20);
/// Times to look until something must have happened.
const LOOKS: u32 = 500;

/// A gateway, killed when the test is over.
struct Weir {
    child: Child,
    folder: tempfile::TempDir,
}

impl Weir {
    fn start(routes: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), routes);
        let child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["run", "-c"])
            .arg(folder.path().join("weir.yaml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let this = Self { child, folder };
        wait(|| UnixStream::connect(this.socket()).is_ok());
        this
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// Status and body.
    fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        exchange(&mut stream, method, path)
    }

    fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.ask("GET", "/status").1).unwrap()
    }
}

impl Drop for Weir {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write(folder: &Path, routes: &str) {
    let text = format!(
        "workers: 1\nadmin: {{ bind: \"unix:{}/admin.sock\" }}\nlisteners: [\"127.0.0.1:0\"]\n\
         routes:\n{routes}\n",
        folder.display()
    );
    std::fs::write(folder.join("next"), text).unwrap();
    std::fs::rename(folder.join("next"), folder.join("weir.yaml")).unwrap();
}

fn exchange(stream: &mut (impl Read + Write), method: &str, path: &str) -> (u16, String) {
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[track_caller]
fn wait(mut until: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if until() {
            return;
        }
        sleep(LOOK);
    }
    panic!("waited in vain");
}

const HELLO: &str = "  - { name: hello, match: { path: /hello }, respond: { body: hi } }";
const OTHER: &str = "  - { name: other, match: { path: /other }, respond: { body: ho } }";

#[test]
fn a_gateway_tells_of_its_life_and_takes_orders() {
    let mut weir = Weir::start(HELLO);
    assert_eq!(weir.ask("GET", "/ready").0, 200);
    let status = weir.status();
    assert_eq!(status["pid"], weir.child.id());
    assert_eq!(status["workers"], 1);
    let address = status["listeners"][0]["address"].as_str().unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    assert_eq!(exchange(&mut stream, "GET", "/hello"), (200, "hi".to_owned()));
    let counted = r#"weir_requests_total{route="hello",upstream="",class="2xx"} 1"#;
    wait(|| weir.ask("GET", "/metrics").1.contains(counted));

    write(weir.folder.path(), "  - { match: { path: nowhere }, respond: {} }");
    let (code, text) = weir.ask("POST", "/reload");
    assert_eq!(code, 422, "{text}");
    assert!(text.contains("weir.yaml:5"), "{text}");
    assert!(weir.status()["config"]["refused"]["text"].as_str().unwrap().contains("weir.yaml:5"));

    write(weir.folder.path(), &format!("{HELLO}\n{OTHER}"));
    // The watcher may have been faster: then nothing is left to change.
    let (code, text) = weir.ask("POST", "/reload");
    assert_eq!(code, 200, "{text}");
    let status = weir.status();
    assert_eq!(status["config"]["refused"], serde_json::Value::Null);
    assert_eq!(status["listeners"][0]["address"], address.as_str());
    assert!(weir.ask("GET", "/config").1.contains("name: other"));
    assert!(weir.ask("GET", "/routes").1.contains("path /other"));
    assert_eq!(weir.ask("GET", "/upstreams").0, 200);

    assert_eq!(weir.ask("POST", "/drain").0, 202);
    let mut exit = None;
    wait(|| {
        exit = weir.child.try_wait().unwrap();
        exit.is_some()
    });
    assert!(exit.unwrap().success());
    assert!(!weir.socket().exists());
}
