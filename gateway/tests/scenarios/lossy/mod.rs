//! HTTP/3 over a path that is long and loses datagrams: no worse through the gateway than without.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rustls::ClientConfig;
use tempfile::TempDir;
use tokio::{task::JoinSet, time::Instant};

use crate::support::{
    certificates::Authority,
    gateway::Setup,
    h3_client,
    h3_origin::H3Origin,
    lossy::{Path, Relay},
    origin::Origin,
};

const BODY: usize = 1 << 20;
/// Each way.
const DELAY: Duration = Duration::from_millis(25);
const TRANSFERS: u64 = 7;
/// What the gateway's own hop may cost, in a build that is not optimised, on a loaded machine.
const SLACK: Duration = Duration::from_millis(150);

/// The median time of some transfers at once, each over a path and a connection of its own. The
/// handshake is left out: a datagram that is lost there costs up to a second.
async fn median(server: SocketAddr, tls: Arc<ClientConfig>, one_lost_in: u64) -> Duration {
    let mut under_way = JoinSet::new();
    for seed in 0..TRANSFERS {
        let tls = Arc::clone(&tls);
        under_way.spawn(async move {
            let relay = Relay::start(server, Path { delay: DELAY, one_lost_in, seed }).await;
            let client = h3_client::connect(relay.address, tls, "edge.test").await.unwrap();
            let start = Instant::now();
            let answer = client.get(&format!("/give/{BODY}/known")).await.unwrap();
            let took = start.elapsed();
            assert_eq!((answer.status(), answer.body.len()), (200, BODY));
            took
        });
    }
    let mut times = under_way.join_all().await;
    times.sort_unstable();
    times[times.len() / 2]
}

/// What went slower through the gateway than it may.
async fn losses(gateway: SocketAddr, direct: SocketAddr, tls: &Arc<ClientConfig>) -> Vec<String> {
    let both = |one_lost_in| {
        let tls = || Arc::clone(tls);
        async move {
            let (through, without) = tokio::join!(
                median(gateway, tls(), one_lost_in),
                median(direct, tls(), one_lost_in)
            );
            let line =
                format!("one lost in {one_lost_in}: {through:?} through, {without:?} without");
            println!("{line}");
            (through > without.mul_f64(1.2) + SLACK).then_some(line)
        }
    };
    let (one_percent, five_percent) = tokio::join!(both(100), both(20));
    one_percent.into_iter().chain(five_percent).collect()
}

#[tokio::test]
async fn a_mebibyte_takes_no_longer_than_without_the_gateway() {
    let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
    let certificate = authority.issue(&["edge.test"]);
    certificate.write(dir.path(), "edge");
    let body = "x".repeat(BODY);
    let origin = Origin::start(move |exchange| exchange.reply(200, "", &body));
    let gateway = Setup::to(&[origin.address])
        .listener("tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }, protocols: [h1, h2, h3]")
        .within(dir)
        .start();
    let direct = H3Origin::start(certificate.server(&[b"h3"]));
    let tls = authority.client(&[b"h3"]);
    let mut failures = losses(gateway.listen, direct.address, &tls).await;
    // Chance has its say: what is lost early costs most.
    if !failures.is_empty() {
        failures = losses(gateway.listen, direct.address, &tls).await;
    }
    crate::support::assert_none(&failures);
}
