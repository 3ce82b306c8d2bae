//! Idempotency keys: an origin that counts, clients that repeat themselves.

mod at_once;
mod bodies;
mod costs;
mod first;
mod keys;
mod outcomes;
mod redis;
mod shared;
mod versions;

use crate::support::{
    answer::Answer,
    client::Client,
    gateway::{Gateway, Setup},
    origin::Origin,
};

/// An origin whose every answer is another one, and a gateway whose one route has these keys.
fn keyed(keys: &str) -> (Origin, Gateway) {
    let origin = counting();
    let gateway = route(&origin, keys);
    (origin, gateway)
}

/// A gateway before `origin` whose one route has these keys of `idempotency`.
fn route(origin: &Origin, keys: &str) -> Gateway {
    let route = format!("name: api, idempotency: {{ {keys} }}");
    Setup::to(&[origin.address]).route(&route).start()
}

/// Says how many requests it has had.
fn counting() -> Origin {
    let count = std::sync::atomic::AtomicUsize::new(0);
    Origin::start(move |x| {
        x.read_body()?;
        let number = count.fetch_add(1, std::sync::atomic::Ordering::AcqRel) + 1;
        let fields = format!(
            "Location: /payments/{number}\r\nETag: \"{number}\"\r\nContent-Type: text/x-count\r\n\
             Set-Cookie: a={number}\r\nX-Internal: {number}\r\n"
        );
        x.reply(201, &fields, &format!("payment {number}"))
    })
}

/// A client's identity.
const ALICE: &str = "Authorization: Bearer alice\r\n";

/// A POST of `body` with these field lines.
fn request(target: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: weir.test\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Alice's POST with this key.
fn post(client: &mut Client, key: &str, body: &str) -> Answer {
    ask(client, "/payments", &format!("{ALICE}Idempotency-Key: {key}\r\n"), body)
}

fn ask(client: &mut Client, target: &str, fields: &str, body: &str) -> Answer {
    client.send(request(target, fields, body).as_bytes());
    client.answer("POST").unwrap()
}

/// The last part of a problem's type.
fn problem(answer: &Answer) -> String {
    assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{}", answer.text());
    let document = answer.json();
    assert_eq!(document["status"], answer.status);
    let kind = document["type"].as_str().unwrap();
    kind.strip_prefix("urn:weir:problem:").unwrap_or_else(|| panic!("{kind}")).to_owned()
}

/// Whether it says that it was given before.
fn is_replayed(answer: &Answer) -> bool {
    answer.field("idempotent-replayed") == Some("true")
}
