//! Costs that bodies name: here, and with gateways that share a limit.

use std::{thread, time::Duration};

use super::{get, limited, standing};
use crate::support::{
    client::Client,
    gateway::{Gateway, Setup},
    origin::Origin,
    redis::Server,
};

const RULE: &str = "{ name: tokens, rate: 1000/h, cost: { fixed: 10, response_json: \
                    usage.total_tokens } }";

/// Answers with what the target asks for.
fn model() -> Origin {
    Origin::start(|x| {
        let usage = |tokens: u32| format!("{{\"usage\":{{\"total_tokens\":{tokens}}}}}");
        match x.target() {
            "/plain" => x.reply(200, "Content-Type: text/plain\r\n", &usage(500)),
            "/zip" => {
                let fields = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
                x.reply(200, fields, &usage(500))
            }
            "/stream" => {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                            Transfer-Encoding: chunked\r\n\r\n";
                x.send(head)?;
                for tokens in [1, 2, 90] {
                    let event = format!("data: {}\n\n", usage(tokens));
                    // Cut where it hurts.
                    let (one, other) = event.split_at(event.len() - 5);
                    for piece in [one, other] {
                        x.send(format!("{:x}\r\n{piece}\r\n", piece.len()))?;
                    }
                }
                x.send("e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")?;
                Ok(crate::support::origin::Next::Keep)
            }
            target => {
                let tokens = target.trim_start_matches('/').parse().unwrap();
                x.reply(200, "Content-Type: application/json\r\n", &usage(tokens))
            }
        }
    })
}

/// What remains after another request of 10, which names nothing that can be read.
fn remains(client: &mut Client) -> u64 {
    // Over when the body is, and nobody waits for what is settled elsewhere.
    thread::sleep(Duration::from_millis(200));
    standing(&get(client, "/plain", ""), "tokens").0
}

fn spends(gateway: &Gateway) {
    let mut client = gateway.client();
    assert_eq!(get(&mut client, "/110", "").status, 200);
    assert_eq!(remains(&mut client), 1000 - 110 - 10);
    assert_eq!(get(&mut client, "/zip", "").status, 200);
    assert_eq!(get(&mut client, "/3", "").status, 200);
    assert_eq!(remains(&mut client), 880 - 10 - 3 - 10);
    assert!(get(&mut client, "/stream", "").text().ends_with("[DONE]\n\n"));
    assert_eq!(remains(&mut client), 857 - 90 - 10);
    assert_eq!(get(&mut client, "/1500", "").status, 200, "it was not known before");
    thread::sleep(Duration::from_millis(200));
    assert_eq!(get(&mut client, "/1", "").status, 429, "in debt");
}

#[test]
fn what_a_body_names_is_charged_here() {
    let origin = model();
    let gateway = Setup::to(&[origin.address]).route(&format!("rate_limit: {RULE}")).start();
    spends(&gateway);
}

#[test]
fn what_a_body_names_is_charged_where_gateways_share_it() {
    let Some(server) = Server::start(&[]) else { return };
    let origin = model();
    let top = format!("redis: {{ url: \"{}\", timeout: 2s }}", server.url());
    let rule = RULE.replace("rate:", "store: redis, rate:");
    let route = format!("rate_limit: {rule}");
    spends(&Setup::to(&[origin.address]).top(&top).route(&route).start());
}

#[test]
fn who_goes_away_pays_what_was_thought() {
    let (_origin, gateway) = limited(&format!("rate_limit: {RULE}"));
    let mut client = gateway.client();
    assert_eq!(standing(&get(&mut client, "/a", ""), "tokens").0, 990);
    drop(client);
    assert_eq!(standing(&get(&mut gateway.client(), "/a", ""), "tokens").0, 980);
}
