//! Members that are cut off, stand still, or half hear.

use super::{Options, Report, SECOND, State, World, deaths, quantile, seconds, views};

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

/// One member in a hundred, but at least one, does not hear in every other 20 s; then hears one
/// packet in five. Bars: each of them is held for dead by nearly all while it does not hear, nobody
/// else ever is, and all agree once all hear.
pub(super) fn flipflop(options: &Options) -> Report {
    let mut report = Report::default();
    for run in 0..options.runs {
        let mut world = options.settled(run);
        let faulty = (options.nodes / 100).max(1);
        world.run(20 * SECOND);
        let mut out = 0;
        let rounds = 5;
        for _ in 0..rounds {
            out += deafen(&mut world, faulty, 1.0);
            world.nodes.iter_mut().for_each(|node| node.loss_in = 0.0);
            world.run(world.now_us() + 20 * SECOND);
        }
        report.figure("faulty out at the end of each cut", format!("{out}/{}", rounds * faulty));
        report.bar(out == rounds * faulty, format!("{out} of {} were out", rounds * faulty));
        let out = deafen(&mut world, faulty, 0.8);
        report.figure("80 % deaf out after 20 s", format!("{out}/{faulty}"));
        let wrong = deaths(&world, |subject| subject >= faulty, |_| true);
        report.figure("false deaths of others", wrong.0);
        report.bar(wrong.0 == 0, format!("{} healthy members were held for dead", wrong.0));
        world.nodes.iter_mut().for_each(|node| node.loss_in = 0.0);
        world.run(world.now_us() + 30 * SECOND);
        world.must_agree("in the end");
        report.take(&world, options.seed + run);
    }
    report
}

/// The first members hear less for 20 s; how many of them nine in ten of the others hold for dead
/// at the end.
fn deafen(world: &mut World, faulty: usize, loss: f64) -> usize {
    for node in &mut world.nodes[..faulty] {
        node.loss_in = loss;
    }
    world.run(world.now_us() + 20 * SECOND);
    let now = super::super::Moment::from_micros(world.now_us());
    let others = &world.nodes[faulty..];
    let held = |at: &usize| {
        let id = world.nodes[*at].record.id;
        let dead = others
            .iter()
            .filter_map(|node| node.swim.as_ref())
            .filter(|swim| swim.belief(id, now).is_some_and(|belief| belief.state == State::Dead));
        dead.count() * 10 >= others.len() * 9
    };
    (0..faulty).filter(held).count()
}
