//! No request fails while the world changes under it.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;

use super::{load::Load, rewrite};
use crate::support::{frames::Frames, gateway::Setup, origin::Origin, scaled};

#[test]
fn reloads_under_load_fail_no_request() {
    let origins = [Origin::echo(), Origin::echo()];
    let gateway = Setup::to(&[origins[0].address]).start();
    let load = Load::start(gateway.listen, 4, Duration::from_micros(scaled("PAUSE_US", 500)));
    let seconds = scaled("RELOAD_SECONDS", 3);
    let reloads = u32::try_from(scaled("RELOADS", 10)).unwrap();
    let pause = Duration::from_secs(seconds) / reloads;
    let start = Instant::now();
    for n in 0..reloads {
        let here = usize::try_from(n % 2).unwrap();
        let (from, to) = (origins[here].address, origins[1 - here].address);
        rewrite(&gateway, &from.to_string(), &to.to_string());
        if n % 3 == 0 {
            assert_eq!(gateway.admin("POST", "/reload").status, 200);
        } else {
            gateway.signal(Signal::HUP);
        }
        thread::sleep(pause);
    }
    let took = start.elapsed();
    let done = load.finish();
    assert!(done > 100 * seconds, "{done} requests in {took:?}");
    let served: Vec<usize> = origins.iter().map(|o| o.seen_at("/load").len()).collect();
    assert!(served.iter().all(|&n| n > 0), "{served:?}");
}

#[test]
fn reloads_under_h2_load_fail_no_request() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).start();
    let mut frames = Frames::connect(gateway.listen);
    for n in 0..200u32 {
        if n % 20 == 10 {
            let number = n / 20;
            rewrite(&gateway, "workers: 2", &format!("workers: 2 # {number}\n#"));
            gateway.signal(Signal::HUP);
        }
        let outcome = frames.get(n * 2 + 1, "/x");
        assert_eq!(outcome.status(), 200, "request {n}: {outcome:?}");
    }
}

#[test]
fn many_reloads_leak_no_memory_and_no_threads() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).start();
    let threads = || std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap().count();
    let reload = |times: u32| {
        for _ in 0..times {
            assert_eq!(gateway.admin("POST", "/reload").status, 200);
            assert_eq!(gateway.client().get("/x").unwrap().status, 200);
        }
    };
    reload(20);
    let (before, tasks) = (gateway.resident(), threads());
    reload(100);
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < 16 << 20, "memory grew by {} KiB", grown >> 10);
    assert!(threads() <= tasks + 1, "{} threads after {tasks}", threads());
}
