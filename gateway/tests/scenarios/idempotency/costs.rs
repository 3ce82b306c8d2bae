//! What keyed requests cost, by what their responses say: whether their clients stay or not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{ALICE, ask, request};
use crate::support::{
    answer::Answer,
    client::Client,
    eventually,
    gateway::{Gateway, Setup},
    origin::{Next, Origin},
};

const ROUTE: &str = "name: api, idempotency: { max_response: 1KiB }, rate_limit: { name: tokens, \
                     rate: 1000/h, cost: { fixed: 10, response_json: usage.total_tokens } }";

/// Answers that cost 100; what is not `/now` begins or goes on once the flag is up.
fn model() -> (Origin, Arc<AtomicBool>) {
    let flag = Arc::new(AtomicBool::new(false));
    let open = flag.clone();
    let origin = Origin::start(move |x| {
        x.read_body()?;
        let json = "Content-Type: application/json\r\n";
        let usage = "{\"usage\":{\"total_tokens\":100}}";
        let wait = || {
            while !open.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(5));
            }
        };
        match x.target() {
            "/plain" => x.reply(200, "", "x"),
            "/late" => {
                wait();
                x.reply(200, json, usage)
            }
            "/begun" => {
                let length = usage.len();
                x.send(format!("HTTP/1.1 200 OK\r\n{json}Content-Length: {length}\r\n\r\n{{"))?;
                wait();
                x.send(&usage[1..])?;
                Ok(Next::Keep)
            }
            // More than is stored.
            "/long" => {
                let usage = format!("{{\"pad\":\"{}\",{}", "x".repeat(9_000), &usage[1..]);
                x.reply(200, json, &usage)
            }
            _ => x.reply(200, json, usage),
        }
    });
    (origin, flag)
}

/// What remains of the limit after another request of 10.
fn remains(gateway: &Gateway) -> u64 {
    let answer: Answer = gateway.client().get("/plain").unwrap();
    let told = answer.field("ratelimit").unwrap().to_owned();
    let (_, rest) = told.split_once(";r=").unwrap();
    rest.split([';', ',']).next().unwrap().parse().unwrap()
}

/// Waits until so much has been spent in all, but for the 10 of each look.
fn spent(gateway: &Gateway, looks: &mut u64, wanted: u64) {
    let mut left = 0;
    let there = eventually(|| {
        thread::sleep(Duration::from_millis(50));
        left = remains(gateway);
        *looks += 1;
        left == 1_000 - wanted - *looks * 10
    });
    assert!(there, "{left} after {looks} looks, not {wanted} spent");
}

#[test]
fn who_leaves_pays_what_the_request_did_cost() {
    let (origin, flag) = model();
    let gateway = Setup::to(&[origin.address]).route(ROUTE).start();
    let key = |target: &str| format!("{ALICE}Idempotency-Key: {target}\r\n");
    let (mut client, mut looks) = (gateway.client(), 0);
    // Who stays pays once, and what is replayed costs what is thought.
    let answer = ask(&mut client, "/now", &key("/now"), "x");
    assert_eq!(answer.status, 200);
    spent(&gateway, &mut looks, 100);
    assert_eq!(ask(&mut client, "/now", &key("/now"), "x").status, 200);
    spent(&gateway, &mut looks, 110);
    assert_eq!(ask(&mut client, "/long", &key("/long"), "x").text().len(), 9_039);
    spent(&gateway, &mut looks, 210);
    for (number, target) in ["/late", "/begun"].into_iter().enumerate() {
        flag.store(false, Ordering::Release);
        let mut gone = Client::connect(gateway.listen);
        gone.send(request(target, &key(target), "x").as_bytes());
        assert!(eventually(|| origin.seen_at(target).len() == 1), "{target}");
        drop(gone);
        gateway.access_line(&format!("\"{target}\""));
        let before = 210 + 100 * number as u64;
        spent(&gateway, &mut looks, before + 10);
        flag.store(true, Ordering::Release);
        spent(&gateway, &mut looks, before + 100);
    }
}
