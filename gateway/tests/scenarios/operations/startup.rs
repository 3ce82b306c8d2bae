//! Starting: what is wrong is said at once, all of it, and the exit code tells scripts.

use std::{fs, net::TcpListener, process::Output};

use tempfile::TempDir;

use super::answering;
use crate::support::gateway::{Setup, free_port, weir};

fn run(text: &str, verb: &str) -> Output {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("weir.yaml");
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let arguments = if verb == "run" { vec!["run", "-c", file] } else { vec!["check", file] };
    weir(&arguments).output().unwrap()
}

const BROKEN: &str = "listeners: [\"127.0.0.1:0\"]
timeouts: { header_read: 5sec }
upstreams:
  api: { endpoints: [\"127.0.0.1:9001\"], balanse: p2c }
routes:
  - match: { path: \"/**\" }
    to: apii
";

#[test]
fn a_broken_file_ends_with_2_and_every_error() {
    for verb in ["run", "check"] {
        let output = run(BROKEN, verb);
        assert_eq!(output.status.code(), Some(2), "{verb}");
        let said = String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned();
        for expected in
            ["5sec", "balanse", "balance", "apii", "weir.yaml:2:", "weir.yaml:4:", ":7:"]
        {
            assert!(said.contains(expected), "{verb} does not say {expected}:\n{said}");
        }
    }
}

#[test]
fn a_missing_file_is_an_error_without_a_panic() {
    let output = weir(&["run", "-c", "/nonexistent/weir.yaml"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("/nonexistent/weir.yaml") && !said.contains("panicked"), "{said}");
}

#[test]
fn missing_certificates_are_named() {
    let text = "listeners:\n  - { bind: \"127.0.0.1:0\", tls: { cert: no.pem, key: no.key } }\n\
                routes:\n  - { match: { path: \"/**\" }, respond: { status: 200 } }\n";
    let output = run(text, "run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no.pem"), "{said}");
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = answering("x").replace("$LISTEN", &address);
    let output = run(&text.replace("$ADMIN", &format!("127.0.0.1:{}", free_port())), "run");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code().is_some_and(|c| c != 0), "{said}");
    assert!(said.contains(&address) && !said.contains("panicked"), "{said}");
}

#[test]
fn what_the_gateway_does_not_know_is_an_error() {
    let text = answering("x").replace("$LISTEN", "127.0.0.1:0").replace("$ADMIN", "127.0.0.1:0");
    let output = run(&format!("{text}acme: on\n"), "run");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unknown key `acme`"));
}

#[test]
fn a_gateway_in_one_line_works() {
    let origin = crate::support::origin::Origin::echo();
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (at, to) = (listen.to_string(), origin.address.to_string());
    let mut child = weir(&["run", "--listen", &at, "--to", &to]).spawn().unwrap();
    let served = crate::support::eventually(|| {
        crate::support::client::Client::try_connect(listen)
            .is_ok_and(|mut c| c.get("/x").is_ok_and(|a| a.text() == "GET /x 0"))
    });
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    assert!(served, "not served");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn the_log_says_where_it_listens() {
    let gateway = Setup::yaml(&answering("up")).start();
    assert_eq!(gateway.client().get("/").unwrap().text(), "up");
    assert!(gateway.log().contains(&gateway.listen.port().to_string()), "{}", gateway.log());
}
