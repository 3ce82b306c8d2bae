//! The grid of anomalies that Lifeguard was measured with.

use super::{Options, Report, SECOND, World, deaths};
use crate::swim::Params;

/// `C` members neither hear nor are heard for `D` ms, then do for `I` ms, in lock-step and again
/// and again for 120 s, while their timers run. Bar: false deaths at most 1.53 %, and at healthy
/// members at most 1.89 %, of those of the same machine with Lifeguard off.
pub(super) fn lifeguard(options: &Options) -> Report {
    let mut report = Report::default();
    let on = options.params.clone();
    let off = Params { lifeguard: false, ..on.clone() };
    let (mut with, mut without) = ((0, 0), (0, 0));
    for run in 0..options.runs {
        for count in [1, 4, 16, 32] {
            for stopped_ms in [128, 512, 2048, 8192, 16_384, 32_768] {
                for between_ms in [1, 16, 256, 4096] {
                    let anomaly = Anomaly { count, stopped_ms, between_ms };
                    let (a, b) = anomaly.run(&on, options, run, &mut report);
                    with = (with.0 + a, with.1 + b);
                    let (a, b) = anomaly.run(&off, options, run, &mut report);
                    without = (without.0 + a, without.1 + b);
                }
            }
        }
    }
    let share = |part: u64, all: u64| 100.0 * part as f64 / (all as f64).max(1.0);
    let (all, healthy) = (share(with.0, without.0), share(with.1, without.1));
    report.figure("false deaths without and with", format!("{} {}", without.0, with.0));
    report.figure("at healthy members without and with", format!("{} {}", without.1, with.1));
    report.figure("% of those without: all, at healthy", format!("{all:.3} {healthy:.3}"));
    report.bar(without.0 > 0, "without Lifeguard there was nothing to avoid");
    report.bar(all <= 1.53, format!("{all:.2} % of the false deaths, at most 1.53 %"));
    report.bar(healthy <= 1.89, format!("{healthy:.2} % at healthy members, at most 1.89 %"));
    report
}

#[derive(Debug, Clone, Copy)]
struct Anomaly {
    count: usize,
    stopped_ms: u64,
    between_ms: u64,
}

impl Anomaly {
    /// How often a healthy member was held for dead, and how often by a healthy one.
    fn run(self, params: &Params, options: &Options, run: u64, report: &mut Report) -> (u64, u64) {
        let seed = options.seed + run;
        let mut world = World::settled(params.clone(), options.network(), options.nodes, seed);
        let count = self.count.min(options.nodes / 4);
        let strange: Vec<usize> = (0..count).map(|at| at * options.nodes / count).collect();
        world.run(20 * SECOND);
        let end = world.now_us() + options.seconds * SECOND;
        while world.now_us() < end {
            strange.iter().for_each(|at| world.starve(*at));
            world.run(world.now_us() + self.stopped_ms * 1000);
            strange.iter().for_each(|at| world.feed(*at));
            world.run(world.now_us() + self.between_ms * 1000);
        }
        report.take(&world, seed);
        let healthy = |at: usize| !strange.contains(&at);
        deaths(&world, healthy, healthy)
    }
}
