//! Members that are cut off, stand still, or half hear.

use super::{Options, Report, SECOND, Swim, World, deaths, quantile, seconds, views};

/// Two halves do not hear each other for ten minutes. Bar: 15 s after they do, all agree.
pub(super) fn partition(options: &Options) -> Report {
    let mut report = Report::default();
    for run in 0..options.runs {
        let mut world = options.settled(run);
        world.run(20 * SECOND);
        for node in world.nodes.iter_mut().step_by(2) {
            node.side = 1;
        }
        world.run(20 * SECOND + options.seconds * SECOND);
        let (least, most) = views(&world);
        report.figure("views while apart", format!("{least} to {most}"));
        let wrong = deaths(&world, |_| true, |_| true);
        let half = (options.nodes / 2) as u64;
        let due = 2 * half * (options.nodes as u64 - half);
        report.figure("deaths seen, and due", format!("{} {due}", wrong.0));
        let healed = world.now_us();
        world.nodes.iter_mut().for_each(|node| node.side = 0);
        let done = world.run_until(healed + 120 * SECOND, SECOND / 10, World::agrees);
        let took = seconds(world.now_us() - healed);
        report.figure("healed after s", format!("{took:.1}"));
        report.bar(done && took <= 15.0, format!("healed after {took:.1} s, at most 15 s"));
        world.run(healed + 150 * SECOND);
        world.must_agree("after healing");
        report.take(&world, options.seed + run);
    }
    report
}

/// One process stands still for 30 s. Bars: no other is ever held for dead, by those that run or by
/// itself, and all agree 10 s after it runs on.
pub(super) fn pause(options: &Options) -> Report {
    still(options, World::pause, World::resume, true)
}

/// One process neither hears nor is heard for 30 s, while its timers run. Bars: those that hear
/// never hold another for dead. What the deaf one may believe of the rest is a figure: to it they
/// look as if all had crashed, and it is only slow to say so.
pub(super) fn starve(options: &Options) -> Report {
    still(options, World::starve, World::feed, false)
}

fn still(
    options: &Options,
    stop: fn(&mut World, usize),
    go: fn(&mut World, usize),
    itself: bool,
) -> Report {
    let mut report = Report::default();
    let (mut wrong, mut own, mut back) = (0, 0, Vec::new());
    for run in 0..options.runs {
        let mut world = options.settled(run);
        let at = (run as usize * 5) % options.nodes;
        world.run(20 * SECOND + run * 77_777);
        stop(&mut world, at);
        world.run(world.now_us() + 30 * SECOND);
        go(&mut world, at);
        let gone = world.now_us();
        let agreed = world.run_until(gone + 60 * SECOND, SECOND / 10, World::agrees);
        back.push(if agreed { seconds(world.now_us() - gone) } else { f64::INFINITY });
        world.run(gone + 60 * SECOND);
        let (all, healthy) = deaths(&world, |subject| subject != at, |judge| judge != at);
        wrong += healthy;
        own += all - healthy;
        world.must_agree("in the end");
        report.take(&world, options.seed + run);
    }
    back.sort_by(f64::total_cmp);
    let most = quantile(&back, 1.0);
    report.figure("false deaths seen by others", wrong);
    report.figure("false deaths seen by itself", own);
    report.figure("agreed after s p50 max", format!("{:.1} {most:.1}", quantile(&back, 0.5)));
    report.bar(wrong == 0, format!("{wrong} healthy members were held for dead"));
    report.bar(own == 0 || !itself, format!("it held {own} healthy members for dead itself"));
    report.bar(most <= 10.0, format!("agreed {most:.1} s after it ran on, at most 10 s"));
    report
}

/// How a member half hears: what part of the packets to it is lost, and of those from it.
const KINDS: [(&str, (f64, f64)); 3] =
    [("80 % deaf", (0.8, 0.0)), ("80 % mute", (0.0, 0.8)), ("half of both", (0.5, 0.5))];

/// One member in a hundred, but at least one, does not hear in every other 20 s; then half hears
/// for two minutes in each of three ways, with five good minutes after each. Bars: each of them is
/// out for nearly all while it does not hear, and at the end of the two minutes unless it only is
/// not heard; nobody else is ever out for those that hear; and all agree on all in the end.
pub(super) fn flipflop(options: &Options) -> Report {
    let mut report = Report::default();
    for run in 0..options.runs {
        let mut world = options.settled(run);
        let faulty = (options.nodes / 100).max(1);
        world.run(20 * SECOND);
        let mut out = 0;
        let rounds = 5;
        for _ in 0..rounds {
            out += disturb(&mut world, faulty, (1.0, 0.0), 20);
            disturb(&mut world, faulty, (0.0, 0.0), 20);
        }
        report.figure("faulty out at the end of each cut", format!("{out}/{}", rounds * faulty));
        report.bar(out == rounds * faulty, format!("{out} of {} were out", rounds * faulty));
        for (what, losses) in KINDS {
            let out = disturb(&mut world, faulty, losses, 120);
            report.figure(format!("{what} out after 120 s"), format!("{out}/{faulty}"));
            let must = out == faulty || losses.0 == 0.0;
            report.bar(must, format!("{out} of {faulty} that are {what} were out"));
            disturb(&mut world, faulty, (0.0, 0.0), 300);
            let aside = world.nodes.iter().filter_map(|node| node.swim.as_ref());
            let aside = aside.filter(|swim| swim.is_aside()).count();
            report.bar(aside == 0, format!("{aside} are not back"));
            world.must_agree("in the end");
        }
        let (all, wrong) = deaths(&world, |subject| subject >= faulty, |judge| judge >= faulty);
        report.figure("false deaths of others, seen by others", wrong);
        report.figure("false deaths of others, seen by the faulty", all - wrong);
        report.figure("times one stepped aside", world.asides);
        report.bar(wrong == 0, format!("{wrong} healthy members were held for dead"));
        report.take(&world, options.seed + run);
    }
    report
}

/// The first members hear less, and are heard less, for so many seconds; how many of them nine in
/// ten of the others hold for gone at the end.
fn disturb(world: &mut World, faulty: usize, losses: (f64, f64), span: u64) -> usize {
    for node in &mut world.nodes[..faulty] {
        (node.loss_in, node.loss_out) = losses;
    }
    world.run(world.now_us() + span * SECOND);
    let now = super::super::Moment::from_micros(world.now_us());
    let others = &world.nodes[faulty..];
    let held = |at: &usize| {
        let id = world.nodes[*at].record.id;
        let swims = others.iter().filter_map(|node| node.swim.as_ref());
        let is_gone =
            |swim: &&Swim| swim.belief(id, now).is_some_and(|belief| !belief.state.is_live());
        swims.filter(is_gone).count() * 10 >= others.len() * 9
    };
    (0..faulty).filter(held).count()
}
