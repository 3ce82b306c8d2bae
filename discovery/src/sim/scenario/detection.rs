//! How soon a crash is seen by one and by all, and how often there was none.

use std::collections::BTreeSet;

use super::{Options, Report, SECOND, State, Swim, deaths, quantile, seconds};
use crate::sim::Meter;

/// One process ends at a random moment. Bars, at 128 members and up to 10 % loss: the first sees it
/// within 5 s in half of the runs and 8 s in 99 of 100; all within a second more; and always.
pub(super) fn crash(options: &Options) -> Report {
    let mut report = Report::default();
    let (mut first, mut full, mut spread) = (Vec::new(), Vec::new(), Vec::new());
    let (mut never, mut wrong) = (0, 0);
    for run in 0..options.runs {
        let mut world = options.settled(run);
        let crashed = (run as usize * 7) % options.nodes;
        // Long enough for phi to know what is usual.
        let at = 20 * SECOND + (run * 377_003) % SECOND;
        world.run(at);
        world.crash(crashed);
        let told = world.run_until(at + 40 * SECOND, SECOND / 4, |world| {
            let dead =
                |seen: &&super::super::Seen| seen.subject == crashed && seen.state == State::Dead;
            world.seen.iter().filter(dead).count() >= options.nodes - 1 && world.agrees()
        });
        let mut times: Vec<f64> = (world.seen.iter())
            .filter(|seen| seen.subject == crashed && seen.state == State::Dead)
            .map(|seen| seconds(seen.at_us - at))
            .collect();
        times.sort_by(f64::total_cmp);
        if !told {
            never += 1;
        }
        if let (Some(one), Some(all)) = (times.first(), times.last()) {
            first.push(*one);
            full.push(*all);
            spread.push(all - one);
        }
        wrong += deaths(&world, |subject| subject != crashed, |_| true).0;
        report.take(&world, options.seed + run);
    }
    for (name, values) in [("first", &mut first), ("all", &mut full), ("all-first", &mut spread)] {
        values.sort_by(f64::total_cmp);
        let [p50, p90, p99, max] = [0.5, 0.9, 0.99, 1.0].map(|share| quantile(values, share));
        report.figure(
            format!("{name} s p50 p90 p99 max"),
            format!("{p50:.2} {p90:.2} {p99:.2} {max:.2}"),
        );
    }
    report.figure("not told to all", never);
    report.figure("false deaths", wrong);
    let (half, most) = (quantile(&first, 0.5), quantile(&first, 0.99));
    let apart = quantile(&spread, 0.99);
    if (8..=128).contains(&options.nodes) && options.loss <= 0.1 {
        report.bar(half <= 5.0, format!("first detection p50 {half:.2} s, at most 5 s"));
        report.bar(most <= 8.0, format!("first detection p99 {most:.2} s, at most 8 s"));
        report.bar(apart <= 1.0, format!("all after first p99 {apart:.2} s, at most 1 s"));
        report.bar(wrong == 0, format!("{wrong} false deaths, none are allowed"));
    }
    report.bar(never == 0, format!("{never} crashes were not known to all"));
    report
}

/// Ten processes, or a tenth of few, end at once. Bars, at 1,000 members: every view has at most
/// three sizes, that of before among them; in the half minute after, a member says 1 KB in a mean
/// second, and says or hears 8 KB in the worst second of all.
pub(super) fn crashes(options: &Options) -> Report {
    let mut report = Report::default();
    let ten = (options.nodes / 10).clamp(1, 10);
    let (mut sizes, mut took, mut never, mut wrong) = (Vec::new(), Vec::new(), 0, 0);
    let (mut said, mut told, mut means) = (0, 0, Vec::new());
    for run in 0..options.runs {
        let mut world = options.settled(run);
        let crashed = |at: usize| at < ten;
        world.run(20 * SECOND + (run * 377_003) % SECOND);
        let at = world.now_us();
        (0..ten).for_each(|one| world.crash(one));
        for node in &mut world.nodes {
            (node.said, node.told) = (Meter::default(), Meter::default());
        }
        let mut seen = vec![BTreeSet::new(); options.nodes];
        // As often as a driver tells of changes.
        world.run_until(at + 30 * SECOND, SECOND / 10, |world| {
            for (node, seen) in world.nodes.iter().zip(&mut seen) {
                seen.extend(node.swim.as_ref().map(Swim::live));
            }
            false
        });
        never += usize::from(!world.agrees());
        let last = world.seen.iter().filter(|seen| seen.state == State::Dead);
        took.extend(last.map(|seen| seconds(seen.at_us - at)).reduce(f64::max));
        sizes.extend(seen[ten..].iter().map(|seen| seen.len() as f64));
        let left = &world.nodes[ten..];
        said = left.iter().map(|node| node.said.most).max().unwrap_or(0).max(said);
        told = left.iter().map(|node| node.told.most).max().unwrap_or(0).max(told);
        let all: u64 = left.iter().map(|node| node.said.all).sum();
        means.push(all as f64 / left.len() as f64 / 30.0 / 1000.0);
        wrong += deaths(&world, |subject| !crashed(subject), |_| true).0;
        report.take(&world, options.seed + run);
    }
    for values in [&mut sizes, &mut took, &mut means] {
        values.sort_by(f64::total_cmp);
    }
    let [most, mean] = [&sizes, &means].map(|values| quantile(values, 1.0));
    let [said, told] = [said, told].map(|bytes| bytes as f64 / 1000.0);
    report.figure("all told s p50 max", {
        format!("{:.2} {:.2}", quantile(&took, 0.5), quantile(&took, 1.0))
    });
    let half = quantile(&sizes, 0.5);
    report.figure("sizes of a view p50 max", format!("{half:.0} {most:.0}"));
    report.figure("KB said in a mean second", format!("{mean:.2}"));
    report.figure("KB said and heard in the worst second", format!("{said:.1} {told:.1}"));
    report.figure("false deaths", wrong);
    report.bar(never == 0, format!("{never} times not all knew"));
    report.bar(wrong == 0, format!("{wrong} false deaths, none are allowed"));
    if options.nodes >= 1_000 {
        report.bar(most <= 3.0, format!("a view had {most:.0} sizes, at most 3"));
        report.bar(mean <= 1.0, format!("{mean:.2} KB in a mean second, at most 1"));
        let worst = said.max(told);
        report.bar(worst <= 8.0, format!("{worst:.1} KB in the worst second, at most 8"));
    }
    report
}

/// Nobody crashes. Bars, over 5 x 120 s of 128 members: nobody is held for dead at 10 % loss, at
/// most 50 times at 20 %; nobody steps aside.
pub(super) fn loss(options: &Options) -> Report {
    let mut report = Report::default();
    let (mut wrong, mut suspected, mut asides, mut packets, mut bytes) = (0, 0, 0, 0, 0);
    for run in 0..options.runs {
        let mut world = options.settled(run);
        world.keep_suspicions = true;
        world.run(options.seconds * SECOND);
        wrong += deaths(&world, |_| true, |_| true).0;
        suspected += world.seen.iter().filter(|seen| seen.state == State::Suspect).count();
        asides += world.asides;
        packets += world.traffic.packets;
        bytes += world.traffic.bytes;
        report.take(&world, options.seed + run);
    }
    let span = (options.nodes as u64 * options.runs * options.seconds) as f64;
    report.figure("false deaths", wrong);
    report.figure("times one stepped aside", asides);
    report.figure("beliefs in a suspicion", suspected);
    report.figure("packets per member and second", format!("{:.2}", packets as f64 / span));
    report.figure("bytes per member and second", format!("{:.0}", bytes as f64 / span));
    let most = if options.loss <= 0.1 { 0 } else { 50 };
    let barred = options.loss <= 0.2;
    report.bar(!barred || wrong <= most, format!("{wrong} false deaths, at most {most} allowed"));
    report.bar(asides == 0, format!("{asides} stepped aside, for what is the network's fault"));
    report
}
