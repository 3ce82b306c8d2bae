//! The other side: origins that are down, slow, lying, encrypted or many.

mod balancing;
mod failures;
mod h2;
mod h3;
mod hashing;
mod limits;
mod reuse;
mod tls;

use std::net::SocketAddr;

use crate::support::{answer::Answer, gateway::Gateway};

/// Asserts what a gateway-made failure tells the client and the log.
fn assert_failure(gateway: &Gateway, answer: &Answer, status: u16, token: &str, flag: &str) {
    let said = answer.field("proxy-status").unwrap_or_default().to_owned();
    assert_eq!(answer.status, status, "{said} {}", answer.text());
    assert!(said.contains(token), "Proxy-Status {said:?} lacks {token}");
    let id = answer.field("x-request-id").expect("x-request-id on a failure");
    let line = gateway.access_line(id);
    assert_eq!((&line["status"], &line["flag"]), (&status.into(), &flag.into()), "{line}");
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], crate::support::gateway::free_port()))
}
