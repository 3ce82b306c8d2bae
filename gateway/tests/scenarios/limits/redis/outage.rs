//! A server that is killed while requests come in.

use std::{thread, time::Duration};

use super::{Server, Siege, lines, metric, with};
use crate::{
    limits::envelope::within,
    support::{eventually, scaled},
};

const SECOND: Duration = Duration::from_secs(1);
const RATE: usize = 100;
const BURST: usize = 10;

/// The time that all but one in a hundred took no longer than.
fn p99(seen: &[super::Seen]) -> Duration {
    let mut times: Vec<_> = seen.iter().map(|(_, took, _)| *took).collect();
    times.sort();
    times[times.len() * 99 / 100]
}

/// Two gateways, their server killed under load for so long, and what the origin and the clients
/// saw meanwhile.
fn outage(on_failure: &str, length: Duration, judge: impl FnOnce(usize, Duration, &[super::Seen])) {
    let Some(server) = Server::start(&[]) else { return };
    let (port, siege) = (server.port(), Siege::new());
    let route = format!(
        "rate_limit: {{ name: all, key: route, rate: {RATE}/s, burst: {BURST}, store: redis, \
         on_store_failure: {on_failure} }}"
    );
    let redis = format!("url: \"{}\", timeout: 100ms, gateways: 2", server.url());
    let gateways = [(); 2].map(|()| with(&siege.origin, &redis, &route));
    let (mut from, mut until) = (Duration::ZERO, Duration::ZERO);
    let stage = [(&gateways[0], 3), (&gateways[1], 2)];
    siege.lay(
        &stage,
        Duration::from_millis(4),
        |_| true,
        || {
            thread::sleep(SECOND + SECOND / 2);
            drop(server);
            from = siege.began.elapsed();
            thread::sleep(length);
            until = siege.began.elapsed();
        },
    );
    let (well, dead) = (siege.seen(SECOND / 2, from - SECOND / 10), siege.seen(from, until));
    let (before, during) = (p99(&well), p99(&dead));
    println!("{on_failure}: p99 {before:?} before, {during:?} while dead");
    // Nothing waits for a server that is gone, but for those that find out.
    assert!(during < before + SECOND / 2, "{before:?} {during:?}");
    let failed = dead.iter().filter(|(.., status)| !matches!(status, 200 | 429)).count();
    assert_eq!(failed, 0);
    // A busy machine may have it count as down for a moment before it is.
    let turns =
        |gateway| (lines(gateway, "Redis counts as down"), lines(gateway, "Redis is up again"));
    for gateway in &gateways {
        let once = || turns(gateway).0 == turns(gateway).1 + 1;
        assert!(eventually(once), "once for each time: {}", gateway.log());
        assert!(metric(gateway, "weir_redis_up{") < 0.5);
        assert!(metric(gateway, "weir_redis_skipped_total") > 0.5);
        let status = gateway.admin("GET", "/status").json();
        assert_eq!(status["redis"]["servers"][0]["up"], false);
    }
    judge(within(&siege.passages(), from, until), until - from, &dead);

    let Some(_server) = Server::start_on(port, &[]) else { return };
    for gateway in &gateways {
        let asked = || {
            let _ = gateway.client().get("/0");
            metric(gateway, "weir_redis_up{") > 0.5
        };
        assert!(eventually(asked), "{}", gateway.log());
        let once = || turns(gateway).0 == turns(gateway).1;
        assert!(eventually(once), "once for each time: {}", gateway.log());
    }
}

#[test]
fn each_gateway_admits_its_share() {
    let length = Duration::from_secs(scaled("OUTAGE_SECONDS", 5));
    outage("local", length, |admitted, length, dead| {
        let due = RATE as f64 * length.as_secs_f64();
        println!("{admitted} admitted of {} in {length:?}; {due} are due", dead.len());
        assert!((admitted as f64) <= 1.1 * due, "{admitted} of {due}");
        // Clients that share a busy machine may not ask for all of it.
        assert!(admitted as f64 >= 0.3 * due, "{admitted} of {due}");
    });
}

#[test]
fn everything_passes() {
    outage("allow", SECOND, |_, _, dead| {
        // What had been denied before is still known to be.
        let denied = dead.iter().filter(|(.., status)| *status == 429).count();
        assert!(denied * 4 < dead.len(), "{denied} of {}", dead.len());
    });
}

#[test]
fn nothing_passes() {
    outage("deny", SECOND, |admitted, _, dead| {
        // Those on their way when the server died.
        assert!(admitted <= 8, "{admitted}");
        assert!(dead.iter().filter(|(.., status)| *status == 200).count() <= 8);
    });
}
