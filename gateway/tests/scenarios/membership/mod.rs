//! Gateways that find each other: processes of the binary on loopback that come, are killed, change
//! their secrets and leave.

mod changes;
mod meeting;
mod regard;

use std::{
    fmt, fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::gateway::{Gateway, Setup, free_port};

/// How long members may take to agree on a machine that has other things to do. Undisturbed they
/// take 3 s to hold somebody for dead; a member that itself is not well waits for longer.
const AGREEMENT: Duration = Duration::from_secs(60);

const SECRET: &str = "a secret of sixteen or more";

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// A gateway that is called so, speaks at `bind` and joins through `seed`; `more` keys of its
/// membership.
fn member(name: &str, bind: SocketAddr, seed: impl fmt::Display, more: &str) -> Gateway {
    let membership = format!(
        "membership: {{ bind: \"{bind}\", name: {name}, seeds: [\"{seed}\"]{more} }}\nroutes: [{{ \
         name: hi, respond: 200 }}]"
    );
    let file = format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\ntimeouts: {{ drain: \
         2s }}\n{membership}\n"
    );
    Setup::yaml(&file).start()
}

fn secret(secret: &str) -> String {
    format!(", secret: \"{secret}\"")
}

fn members(gateway: &Gateway) -> Value {
    gateway.admin("GET", "/members").json()
}

/// What `gateway` holds of a member, if it knows it.
fn of(gateway: &Gateway, name: &str) -> Option<Value> {
    let all = members(gateway);
    let list = all["members"].as_array().unwrap();
    list.iter().find(|member| member["name"] == name).cloned()
}

fn state(gateway: &Gateway, name: &str) -> String {
    let member = of(gateway, name).unwrap_or_default();
    member["state"].as_str().unwrap_or("unknown").to_owned()
}

/// Waits until `condition` holds; how long that took.
fn until(gateway: &Gateway, what: &str, condition: impl Fn() -> bool) -> Duration {
    let began = Instant::now();
    while !condition() {
        let (seen, log) = (members(gateway), gateway.log());
        assert!(began.elapsed() < AGREEMENT, "{what}: {seen:#}\n{log}");
        thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

/// Waits until each of them has met so many.
fn meet(gateways: &[&Gateway], count: u64) {
    for gateway in gateways {
        until(gateway, "they meet", || members(gateway)["membership"]["live"] == count);
    }
}

/// Writes the file anew and loads it: status and text of the answer.
fn reload(gateway: &Gateway, from: &str, to: &str) -> (u16, String) {
    let text = fs::read_to_string(&gateway.file).unwrap();
    assert!(text.contains(from), "no {from} in {text}");
    fs::write(&gateway.file, text.replace(from, to)).unwrap();
    let answer = gateway.admin("POST", "/reload");
    (answer.status, answer.text())
}

/// The value of a metric without labels, or with these.
fn metric(gateway: &Gateway, name: &str) -> Option<f64> {
    let text = gateway.admin("GET", "/metrics").text();
    let line =
        text.lines().find(|line| line.strip_prefix(name).is_some_and(|l| l.starts_with(' ')));
    line.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
}
