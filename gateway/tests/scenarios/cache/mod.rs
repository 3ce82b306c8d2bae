//! What is kept of responses, who gets it, and who does not.

mod filling;
mod interim;
mod keys;
mod leading;
mod methods;
mod poisoning;
mod purging;
mod rules;
mod stale;
mod vouched;

use std::net::SocketAddr;

use crate::support::{
    answer::Answer,
    gateway::{Gateway, Setup},
    origin::{Exchange, Next, Origin},
};

/// A gateway before one origin whose route has this `cache`.
fn caching(origin: SocketAddr, cache: &str) -> Gateway {
    caching_behind(0, origin, cache)
}

/// One that is reached through so many proxies.
fn caching_behind(hops: u32, origin: SocketAddr, cache: &str) -> Gateway {
    Setup::yaml(&format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\n\
         listeners: [{{ bind: \"$LISTEN\", trusted_hops: {hops} }}]\n\
         upstreams:\n  main: {{ endpoints: [\"{origin}\"], outlier: off }}\n\
         routes:\n  - {{ name: r, match: {{ path: \"/**\" }}, to: main, retry: off, \
         cache: {cache} }}\n"
    ))
    .start()
}

/// Sends a request with these field lines on a connection of its own.
fn ask(gateway: &Gateway, method: &str, target: &str, fields: &str) -> Answer {
    let mut client = gateway.client();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: weir.test\r\n{fields}\r\n");
    client.send(head.as_bytes());
    client.answer(method).unwrap()
}

fn get(gateway: &Gateway, target: &str) -> Answer {
    ask(gateway, "GET", target, "")
}

/// What an answer's `Cache-Status` says.
fn status(answer: &Answer) -> &str {
    answer.field("cache-status").unwrap_or_default()
}

/// Answers with a count of the requests so far, and these field lines.
fn counting(fields: &'static str) -> Origin {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Origin::start(move |x: &mut Exchange| {
        x.read_body()?;
        let n = count.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        x.reply(200, fields, &format!("{n}"))
    })
}

/// Answers with an entity tag, and 304 to who has it.
fn tagged(fields: &'static str) -> Origin {
    Origin::start(move |x: &mut Exchange| -> std::io::Result<Next> {
        let fields = format!("ETag: \"a\"\r\n{fields}");
        if x.seen.field("if-none-match") == Some("\"a\"") {
            x.send(format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n"))?;
            return Ok(Next::Keep);
        }
        x.reply(200, &fields, "0123456789")
    })
}
