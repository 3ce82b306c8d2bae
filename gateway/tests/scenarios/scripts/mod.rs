//! Lua scripts of routes: hooks between real clients and origins, good ones and bad ones.

mod bad;
mod example;
mod hooks;
mod keys;
mod reload;
mod requests;

use std::fmt::Write as _;

use crate::support::{
    client::Client,
    gateway::{Gateway, Setup},
    origin::Origin,
};

/// A gateway with upstreams `origin` and `other`, and one route with this script, which has more
/// keys.
fn scripted(origins: [&Origin; 2], keys: &str, script: &str) -> Gateway {
    routes(origins, &[("/**", keys, script)])
}

/// The same with several routes, by path.
fn routes([origin, other]: [&Origin; 2], routes: &[(&str, &str, &str)]) -> Gateway {
    let mut text = format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         timeouts: {{ drain: 2s }}\nupstreams:\n  origin: {{ endpoints: [\"{}\"] }}\n  \
         other: {{ endpoints: [\"{}\"] }}\nroutes:\n",
        origin.address, other.address
    );
    for (path, keys, script) in routes {
        let _ = writeln!(text, "  - match: {{ path: \"{path}\" }}\n    to: origin");
        for line in keys.lines() {
            let _ = writeln!(text, "    {line}");
        }
        if !script.is_empty() {
            let _ = writeln!(text, "    script:\n      timeout: 2s\n      inline: |");
            for line in script.lines() {
                let _ = writeln!(text, "        {line}");
            }
        }
    }
    Setup::yaml(&text).start()
}

/// A script of its own for a route, with keys beside its text.
fn with(keys: &str, script: &str) -> String {
    let mut text = "script:\n  inline: |\n".to_owned();
    for line in script.lines() {
        let _ = writeln!(text, "    {line}");
    }
    for line in keys.lines() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// The answer to a GET on a connection of its own.
fn get(gateway: &Gateway, target: &str) -> crate::support::answer::Answer {
    gateway.client().get(target).unwrap()
}

/// The answer to a request of these lines.
fn ask(
    client: &mut Client,
    method: &str,
    target: &str,
    fields: &str,
) -> crate::support::answer::Answer {
    client
        .send(format!("{method} {target} HTTP/1.1\r\nHost: weir.test\r\n{fields}\r\n").as_bytes());
    client.answer(method).unwrap()
}
