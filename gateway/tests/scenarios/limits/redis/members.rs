//! The share of an outage among gateways that know of each other.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use super::{Server, Siege, metric};
use crate::{
    limits::envelope::within,
    support::{
        gateway::{Gateway, Setup, free_port},
        scaled,
    },
};

const SECOND: Duration = Duration::from_secs(1);
const RATE: f64 = 120.0;
/// How long members may take to agree where the machine has other things to do.
const AGREEMENT: Duration = Duration::from_secs(60);

/// Waits until each of them counts so many.
fn meet(gateways: &[Gateway], count: f64) {
    let began = Instant::now();
    for gateway in gateways {
        while metric(gateway, "weir_member_gateways") != count {
            assert!(began.elapsed() < AGREEMENT, "{}", gateway.log());
            thread::sleep(SECOND / 50);
        }
    }
}

/// Three of them, of which the file says nothing but where one of the others is.
fn gateways(siege: &Siege, url: &str) -> Vec<Gateway> {
    let at = [(); 3].map(|()| SocketAddr::from(([127, 0, 0, 1], free_port())));
    let start = |index: usize| {
        let top = format!(
            "redis: {{ url: \"{url}\", timeout: 100ms, secret: s3 }}\nmembership: {{ bind: \
             \"{}\", name: edge-{index}, seeds: [\"{}\"] }}",
            at[index],
            at[(index + 1) % 3]
        );
        let route = "name: api, rate_limit: { name: all, key: route, rate: 120/s, burst: 12, \
                     store: redis }";
        Setup::to(&[siege.origin.address]).top(&top).route(route).start()
    };
    (0..3).map(start).collect()
}

#[test]
fn those_that_live_share_it() {
    let Some(server) = Server::start(&[]) else { return };
    let siege = Siege::new();
    let mut gateways = gateways(&siege, &server.url());
    meet(&gateways, 3.0);
    let length = Duration::from_secs(scaled("OUTAGE_SECONDS", 4));
    // How much was admitted while `act` waited, as a part of what was due.
    let admitted = |gateways: &[Gateway], act: &mut dyn FnMut() -> (Duration, Duration)| {
        let stage: Vec<_> = gateways.iter().map(|gateway| (gateway, 2)).collect();
        let mut measured = Default::default();
        siege.lay(&stage, SECOND / 250, |_| true, || measured = act());
        let (from, until) = measured;
        within(&siege.passages(), from, until) as f64 / (RATE * (until - from).as_secs_f64())
    };
    let measure = || {
        let from = siege.began.elapsed();
        thread::sleep(length);
        (from, siege.began.elapsed())
    };

    let mut server = Some(server);
    let three = admitted(&gateways, &mut || {
        thread::sleep(SECOND);
        drop(server.take());
        measure()
    });
    println!("three admit {three:.2} of the rate");
    assert!((0.3..=1.1).contains(&three), "{three}");

    drop(gateways.pop());
    meet(&gateways, 2.0);
    // Clients that share a busy machine may not ask for all of it the first time.
    let mut most = 0.0_f64;
    for _ in 0..5 {
        let two = admitted(&gateways, &mut || {
            thread::sleep(SECOND / 2);
            measure()
        });
        println!("two admit {two:.2} of the rate");
        assert!(two <= 1.1, "{two}");
        most = most.max(two);
        // With a third of it each it were two thirds.
        if most > 0.8 {
            break;
        }
    }
    assert!(most > 0.8, "{most}");
}
