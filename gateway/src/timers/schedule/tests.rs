use super::*;

const SECOND: u64 = 1_000_000_000;

fn at(nanos: u64) -> Tick {
    Tick::from_nanos(nanos)
}

fn run(schedule: &mut Schedule, now: u64) {
    while schedule.pop_due(at(now)).is_some() {}
}

#[test]
fn a_later_deadline_queues_nothing() {
    let mut schedule = Schedule::default();
    let index = schedule.insert();
    for second in 1..100 {
        schedule.set(index, at(second * SECOND));
    }
    assert_eq!(schedule.places(), 1);
    run(&mut schedule, 98 * SECOND);
    assert!(!schedule.is_expired(index));
    assert_eq!(schedule.next(), Some(round_up(at(99 * SECOND))));
    run(&mut schedule, 100 * SECOND);
    assert!(schedule.is_expired(index));
    assert_eq!(schedule.next(), None);
}

#[test]
fn an_earlier_deadline_expires_first() {
    let mut schedule = Schedule::default();
    let (a, b) = (schedule.insert(), schedule.insert());
    schedule.set(a, at(60 * SECOND));
    schedule.set(b, at(30 * SECOND));
    schedule.set(a, at(SECOND));
    run(&mut schedule, 2 * SECOND);
    assert!(schedule.is_expired(a) && !schedule.is_expired(b));
    schedule.set(a, at(90 * SECOND));
    run(&mut schedule, 61 * SECOND);
    assert!(!schedule.is_expired(a) && schedule.is_expired(b));
    run(&mut schedule, 91 * SECOND);
    assert!(schedule.is_expired(a));
}

#[test]
fn never_early_and_at_most_a_grain_late() {
    let mut rng = fastrand::Rng::with_seed(4);
    for _ in 0..1000 {
        let wanted = rng.u64(..10 * SECOND);
        let rounded = round_up(at(wanted)).nanos();
        assert!(rounded >= wanted && rounded - wanted < GRAIN);
    }
    assert_eq!(round_up(Tick::NEVER), Tick::NEVER);
}

#[test]
fn a_cleared_deadline_does_not_expire() {
    let mut schedule = Schedule::default();
    let index = schedule.insert();
    schedule.set(index, at(SECOND));
    schedule.clear(index);
    run(&mut schedule, 2 * SECOND);
    assert!(!schedule.is_expired(index));
    schedule.set(index, at(3 * SECOND));
    run(&mut schedule, 4 * SECOND);
    assert!(schedule.is_expired(index));
    schedule.clear(index);
    assert!(!schedule.is_expired(index));
}

#[test]
fn the_next_owner_inherits_no_expiry() {
    let mut schedule = Schedule::default();
    let index = schedule.insert();
    schedule.set(index, at(SECOND));
    schedule.remove(index);
    assert_eq!(schedule.insert(), index);
    run(&mut schedule, 2 * SECOND);
    assert!(!schedule.is_expired(index));
}

#[test]
fn a_million_requests_leave_a_small_queue() {
    let mut schedule = Schedule::default();
    let entries: Vec<u32> = (0..10).map(|_| schedule.insert()).collect();
    let mut most = 0;
    for i in 0..1_000_000_u64 {
        let now = i * 10_000;
        let index = entries[(i % 10) as usize];
        // A request's deadline, then the idle connection's, then a short one: up and down.
        schedule.set(index, at(now + 15 * SECOND));
        schedule.clear(index);
        schedule.set(index, at(now + 75 * SECOND));
        schedule.set(index, at(now + SECOND / 100));
        schedule.clear(index);
        run(&mut schedule, now);
        most = most.max(schedule.places());
    }
    assert!(most <= SLACK * 10 + SPARE, "{most}");
}

#[test]
fn a_million_short_lives_leave_a_small_queue() {
    let mut schedule = Schedule::default();
    for i in 0..1_000_000_u64 {
        let index = schedule.insert();
        schedule.set(index, at(i * 1_000 + 60 * SECOND));
        schedule.remove(index);
    }
    assert_eq!((schedule.entries.len(), schedule.places()), (1, 1));
}

#[test]
fn a_swept_queue_still_expires_everything() {
    let mut schedule = Schedule::default();
    let (cleared, waiting, restless) = (schedule.insert(), schedule.insert(), schedule.insert());
    schedule.set(cleared, at(50 * SECOND));
    schedule.clear(cleared);
    schedule.set(waiting, at(55 * SECOND));
    let mut swept = false;
    for step in 0..200 {
        let before = schedule.places();
        schedule.set(restless, at((300 - step) * SECOND));
        swept |= schedule.places() < before;
    }
    assert!(swept);
    schedule.set(cleared, at(60 * SECOND));
    run(&mut schedule, 59 * SECOND);
    assert!(schedule.is_expired(waiting) && !schedule.is_expired(cleared));
    run(&mut schedule, 102 * SECOND);
    assert!(schedule.is_expired(cleared) && schedule.is_expired(restless));
}

/// Random operations against a list of deadlines that is looked through.
#[test]
fn agrees_with_a_plain_list() {
    for seed in 0..20 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut schedule = Schedule::default();
        let mut model: Vec<(u32, Option<Tick>)> = Vec::new();
        let mut now = 0;
        for _ in 0..3_000 {
            match rng.u8(..6) {
                0 if model.len() < 50 => model.push((schedule.insert(), None)),
                1 if !model.is_empty() => {
                    let (index, _) = model.swap_remove(rng.usize(..model.len()));
                    schedule.remove(index);
                }
                2 if !model.is_empty() => {
                    let victim = rng.usize(..model.len());
                    schedule.clear(model[victim].0);
                    model[victim].1 = None;
                }
                3 => {
                    now += rng.u64(..SECOND);
                    run(&mut schedule, now);
                }
                _ if !model.is_empty() => {
                    let chosen = rng.usize(..model.len());
                    let deadline = at(now + 1 + rng.u64(..20 * SECOND));
                    schedule.set(model[chosen].0, deadline);
                    model[chosen].1 = Some(round_up(deadline));
                }
                _ => {}
            }
            for (index, deadline) in &model {
                let due = deadline.is_some_and(|deadline| deadline <= at(now));
                assert_eq!(schedule.is_expired(*index), due, "seed {seed}");
            }
            assert!(schedule.places() <= SLACK * schedule.entries.len() + SPARE);
        }
    }
}
