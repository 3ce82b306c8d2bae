//! What it costs to be many, to come all at once, and to come and go.

use super::{Options, Report, SECOND, World, deaths, seconds, views};

/// Nothing happens. What it costs per member does not depend on how many there are; the bar is
/// between `2 + 2 observers` packets a second less and more 10 %.
pub(super) fn steady(options: &Options) -> Report {
    let mut report = Report::default();
    for run in 0..options.runs {
        let mut world = options.settled(run);
        world.run(options.seconds * SECOND);
        let traffic = world.traffic;
        let span = (options.nodes as u64 * options.seconds) as f64;
        let packets = traffic.packets as f64 / span;
        let most = world.nodes.iter().map(|node| node.sent).max().unwrap_or(0);
        report.figure("packets per member and second", format!("{packets:.3}"));
        let most = most as f64 / options.seconds as f64;
        report.figure("packets per second of the busiest", format!("{most:.2}"));
        report.figure("bytes per member and second", format!("{:.1}", traffic.bytes as f64 / span));
        report.figure("streams per member and minute", {
            format!("{:.2}", traffic.streams as f64 / span * 60.0)
        });
        report.figure("events", traffic.events);
        let wrong = deaths(&world, |_| true, |_| true).0;
        report.figure("false deaths", wrong);
        let expected = (2 + 2 * options.params.observers) as f64;
        let flat = (packets / expected - 1.0).abs() <= 0.1;
        let judged = options.loss == 0.0 && options.nodes >= 32;
        report.bar(!judged || flat, format!("{packets:.2} packets, {expected} +-10 % expected"));
        report.bar(wrong == 0 || options.loss > 0.1, format!("{wrong} false deaths"));
        world.must_agree("in the end");
        report.take(&world, options.seed + run);
    }
    report
}

/// All but one join through the one, within a second. Bar: all know all within 10 s.
pub(super) fn bootstrap(options: &Options) -> Report {
    let mut report = Report::default();
    for run in 0..options.runs {
        let mut world = World::new(options.params.clone(), options.network(), options.seed + run);
        world.join(&[]);
        let step = SECOND / options.nodes as u64;
        for at in 1..options.nodes as u64 {
            world.run(at * step);
            world.join(&[0]);
        }
        let done = world.run_until(60 * SECOND, SECOND / 10, World::agrees);
        let took = seconds(world.now_us());
        let (least, most) = views(&world);
        report.figure("all know all after s", format!("{took:.1}"));
        report.figure("views", format!("{least} to {most}"));
        let per_node = world.traffic.stream_bytes / options.nodes as u64;
        report.figure("bytes over streams per member", per_node);
        report.figure("packets per member", world.traffic.packets / options.nodes as u64);
        report.figure("streams per member", world.traffic.streams / options.nodes as u64);
        let wrong = deaths(&world, |_| true, |_| true).0;
        report.figure("false deaths", wrong);
        report.bar(done && took <= 10.0, format!("all know all after {took:.1} s, at most 10 s"));
        report.bar(wrong == 0 || options.loss > 0.1, format!("{wrong} false deaths"));
        report.take(&world, options.seed + run);
    }
    report
}

/// What becomes of whom during churn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Runs,
    Crashed,
    Paused,
    Starved,
    Leaving,
}

/// Every 200 ms something happens to somebody, over a network that also doubles and corrupts.
/// Then it stops: all that run must agree within 30 s.
pub(super) fn churn(options: &Options) -> Report {
    let mut report = Report::default();
    for run in 0..options.runs {
        let mut world = options.settled(run);
        world.network.double = 0.02;
        world.network.corrupt = 0.02;
        world.network.delay_max_us = 50_000;
        let fates = disturb(&mut world, options, run);
        calm(&mut world, &fates);
        let stopped = world.now_us();
        let agreed = world.run_until(stopped + 60 * SECOND, SECOND / 4, World::agrees);
        let took = seconds(world.now_us() - stopped);
        report.figure("agreed after s", format!("{took:.2}"));
        report.figure("members", world.nodes.iter().filter(|node| node.swim.is_some()).count());
        report.bar(agreed && took <= 30.0, format!("agreed after {took:.1} s, at most 30 s"));
        world.must_agree("after the churn");
        report.take(&world, options.seed + run);
    }
    report
}

fn disturb(world: &mut World, options: &Options, run: u64) -> Vec<Fate> {
    let mut rng = crate::swim::Chance::seeded(options.seed + run + 0x5eed);
    let mut fates = vec![Fate::Runs; options.nodes];
    let seeds = [0, 1, 2];
    for step in 1..=options.seconds * 5 {
        world.run(step * SECOND / 5);
        let at = rng.below(fates.len() as u64) as usize;
        if at < seeds.len() {
            continue;
        }
        fates[at] = match (fates[at], rng.below(8)) {
            (Fate::Runs, 0 | 1) => {
                world.crash(at);
                Fate::Crashed
            }
            (Fate::Runs, 2) => {
                world.pause(at);
                Fate::Paused
            }
            (Fate::Runs, 3) => {
                world.starve(at);
                Fate::Starved
            }
            (Fate::Runs, 4) => {
                world.leave(at);
                Fate::Leaving
            }
            (Fate::Runs, 5) => {
                world.restart(at, rng.below(2) == 0, &seeds);
                Fate::Runs
            }
            (Fate::Runs, _) => {
                world.nodes[at].loss_in = rng.unit() * 0.5;
                Fate::Runs
            }
            (Fate::Crashed | Fate::Leaving, _) => {
                world.restart(at, rng.below(2) == 0, &seeds);
                Fate::Runs
            }
            (Fate::Paused, _) => {
                world.resume(at);
                Fate::Runs
            }
            (Fate::Starved, _) => {
                world.feed(at);
                Fate::Runs
            }
        };
    }
    fates
}

fn calm(world: &mut World, fates: &[Fate]) {
    for (at, fate) in fates.iter().enumerate() {
        world.nodes[at].loss_in = 0.0;
        match fate {
            Fate::Paused => world.resume(at),
            Fate::Starved => world.feed(at),
            Fate::Leaving => world.crash(at),
            Fate::Runs | Fate::Crashed => {}
        }
    }
}
