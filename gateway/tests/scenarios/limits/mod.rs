//! Rate limits: who passes, who waits, who is told to come later; and no origin ever sees more.

mod behaviour;
mod bodies;
mod denied;
mod envelope;
mod exact;
mod keys;
mod per_key;
mod redis;
mod versions;
mod watch;

use std::time::Duration;

use crate::support::{
    answer::Answer,
    client::Client,
    gateway::{Gateway, Setup},
    origin::Origin,
};

/// An origin that echoes, and a gateway whose one route has these keys.
fn limited(keys: &str) -> (Origin, Gateway) {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).route(&format!("name: api, {keys}")).start();
    (origin, gateway)
}

/// A GET with these field lines, each with its line end.
fn get(client: &mut Client, target: &str, fields: &str) -> Answer {
    let head = format!("GET {target} HTTP/1.1\r\nHost: weir.test\r\n{fields}\r\n");
    client.send(head.as_bytes());
    client.answer("GET").unwrap()
}

/// Statuses of requests with these field lines, one after the other over one connection.
fn statuses(gateway: &Gateway, requests: &[(&str, &str)]) -> Vec<u16> {
    let mut client = gateway.client();
    requests.iter().map(|(target, fields)| get(&mut client, target, fields).status).collect()
}

/// What a field says, several lines as one list.
fn listed(answer: &Answer, name: &str) -> String {
    let lines = answer.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    lines.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
}

/// What `RateLimit` says of a limit: what remains, and when it is all there again.
fn standing(answer: &Answer, limit: &str) -> (u64, Option<u64>) {
    let all = listed(answer, "ratelimit");
    let quoted = format!("\"{limit}\";");
    let item = all.split(", ").find_map(|item| item.strip_prefix(&quoted));
    let item = item.unwrap_or_else(|| panic!("nothing of {limit} in {all:?}"));
    let parameter = |name: &str| {
        let found = item.split(';').find_map(|part| part.strip_prefix(name));
        found.map(|number| number.parse().unwrap())
    };
    (parameter("r=").unwrap(), parameter("t="))
}

/// Long against everything that a test does.
const SOON: Duration = Duration::from_secs(2);
