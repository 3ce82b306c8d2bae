//! Endpoints that no file names: they come and go, their sources fail, and requests go on.

mod dns;
mod dns_server;
mod file;
mod members;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use crate::support::{
    eventually,
    gateway::{Gateway, Setup, free_port},
    origin::Origin,
};

/// Origins that answer with their names.
fn named(name: &'static str) -> Origin {
    Origin::start(move |x| x.reply(200, "", name))
}

/// The same at addresses of this machine that differ in their last byte, at one port.
fn named_at<const N: usize>(names: [&'static str; N]) -> (u16, [Origin; N]) {
    let port = free_port();
    let mut last = 10;
    let origins = names.map(|name| {
        last += 1;
        let address = SocketAddr::from(([127, 0, 0, last], port));
        Origin::at(address, move |x| x.reply(200, "", name))
    });
    (port, origins)
}

/// One route to an upstream that finds its endpoints.
fn setup(top: &str, upstream: &str) -> Setup {
    Setup::yaml(&format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         timeouts: {{ drain: 2s }}\n{top}\nupstreams:\n  users: {{ {upstream} }}\nroutes:\n  \
         - {{ match: {{ path: \"/**\" }}, to: users, retry: 3 }}\n"
    ))
}

/// Who answers, of many requests; statuses of those that failed.
fn who(gateway: &Gateway) -> BTreeSet<String> {
    let mut client = gateway.client();
    let mut seen = BTreeSet::new();
    for _ in 0..24 {
        let answer = client.get("/x").unwrap();
        match answer.status {
            200 => seen.insert(answer.text()),
            status => seen.insert(status.to_string()),
        };
    }
    seen
}

/// Waits until exactly these answer.
fn await_who(gateway: &Gateway, names: &[&str]) {
    let wanted: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut last = BTreeSet::new();
    let there = eventually(|| {
        last = who(gateway);
        std::thread::sleep(Duration::from_millis(20));
        last == wanted
    });
    assert!(there, "{last:?} instead of {wanted:?}\n{}", gateway.log());
}

/// What `/upstreams` says of the only upstream's source.
fn source(gateway: &Gateway) -> serde_json::Value {
    gateway.admin("GET", "/upstreams").json()["upstreams"][0]["discovery"].clone()
}

/// Waits until the source is in this state.
fn await_state(gateway: &Gateway, state: &str) {
    let there = eventually(|| source(gateway)["state"] == state);
    assert!(there, "{} instead of {state}\n{}", source(gateway), gateway.log());
}

/// The value of a metric of the upstream.
fn metric(gateway: &Gateway, name: &str) -> f64 {
    let text = gateway.admin("GET", "/metrics").text();
    let row = format!("{name}{{upstream=\"users\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&row));
    value.unwrap_or_else(|| panic!("no {row}in {text}")).parse().unwrap()
}
