//! What a route does with its traffic: who stays where, who gets copies, what fails on purpose, who
//! is turned away.

mod closed;
mod example;
mod fault;
mod mirror;
mod sticky;

use std::net::SocketAddr;

use crate::support::{
    answer::Answer,
    client::Client,
    gateway::{Gateway, Setup},
    origin::{Next, Origin},
};

/// An origin that answers with its name and the body that it got.
fn named(name: &'static str) -> Origin {
    Origin::start(move |x| {
        x.read_body()?;
        let body = format!("{name} {}", String::from_utf8_lossy(&x.seen.body));
        x.reply(200, "", &body)?;
        Ok(Next::Keep)
    })
}

/// A gateway with these upstreams and these routes, in YAML.
fn gateway(upstreams: &[(&str, SocketAddr)], rest: &str) -> Gateway {
    let upstreams: Vec<_> = upstreams
        .iter()
        .map(|(name, address)| format!("  {name}: {{ endpoints: [\"{address}\"] }}\n"))
        .collect();
    Setup::yaml(&format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         upstreams:\n{}{rest}\n",
        upstreams.concat()
    ))
    .start()
}

/// A request with these field lines, each with its line end, and a body.
fn ask(client: &mut Client, method: &str, target: &str, fields: &str, body: &str) -> Answer {
    let length = match body {
        "" => String::new(),
        body => format!("Content-Length: {}\r\n", body.len()),
    };
    let head = format!("{method} {target} HTTP/1.1\r\nHost: weir.test\r\n{length}{fields}\r\n");
    client.send(format!("{head}{body}").as_bytes());
    client.answer(method).unwrap()
}

fn get(client: &mut Client, target: &str, fields: &str) -> Answer {
    ask(client, "GET", target, fields, "")
}

/// The first sample of a metric whose labels hold all of these.
fn metric(gateway: &Gateway, name: &str, labels: &[&str]) -> f64 {
    let text = gateway.admin("GET", "/metrics").text();
    let line = text
        .lines()
        .find(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
    line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}
