use proptest::prelude::*;

use super::*;

const OUTLIER: Outlier =
    Outlier { consecutive_failures: 5, ejection: Duration::from_secs(30), max_ejected: 0.5 };

fn at(seconds: u64) -> Tick {
    Tick::ZERO + Duration::from_secs(seconds)
}

fn fresh(endpoints: usize) -> Ejections {
    Ejections::new(vec![Record::default(); endpoints], Some(&OUTLIER), Tick::ZERO)
}

#[test]
fn one_of_two_may_be_ejected_whatever_the_share() {
    for share in [0.0, 0.1, 0.5] {
        assert_eq!(most_ejected(2, share), 1, "{share}");
    }
    assert_eq!(most_ejected(2, 1.0), 2);
    assert_eq!((most_ejected(0, 0.5), most_ejected(1, 1.0)), (0, 0));
    assert_eq!((most_ejected(3, 0.5), most_ejected(4, 0.5), most_ejected(5, 0.1)), (1, 2, 1));
    assert_eq!(most_ejected(100, 0.29), 29);
}

#[test]
fn the_second_of_two_stays() {
    let mut two = fresh(2);
    assert_eq!(two.eject(0, &OUTLIER, at(1)), Some(at(31)));
    assert_eq!(two.eject(1, &OUTLIER, at(1)), None);
    assert_eq!(two.eject(0, &OUTLIER, at(2)), None, "it is out already");
    let mut back = Vec::new();
    two.release(|index| back.push(index), at(30));
    assert_eq!(two.next(), Some(at(31)));
    two.release(|index| back.push(index), at(31));
    assert_eq!((back, two.next()), (vec![0], None));
    assert_eq!(two.eject(1, &OUTLIER, at(31)), Some(at(61)));
}

/// Ejects an endpoint `count` times, each time `pause` seconds after it came back.
fn lengths(count: usize, pause: u64) -> Vec<u64> {
    let mut two = fresh(2);
    let mut now = at(1000);
    (0..count)
        .map(|_| {
            let until = two.eject(0, &OUTLIER, now).unwrap();
            let length = until.since(now).as_secs();
            two.release(|_| (), until);
            now = until + Duration::from_secs(pause);
            length
        })
        .collect()
}

#[test]
fn each_ejection_is_longer_up_to_five_minutes() {
    assert_eq!(lengths(12, 1), [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]);
}

#[test]
fn doing_well_is_rewarded() {
    assert_eq!(lengths(3, 30), [30, 30, 30], "each is forgotten before the next");
    let mut two = fresh(2);
    let mut now = at(1000);
    for _ in 0..20 {
        let until = two.eject(0, &OUTLIER, now).unwrap();
        two.release(|_| (), until);
        now = until;
    }
    let until = two.eject(0, &OUTLIER, now + Duration::from_secs(150)).unwrap();
    assert_eq!(until.since(now).as_secs(), 150 + 180, "five of ten forgotten, one on top");
}

#[test]
fn a_long_first_ejection_is_not_cut_short() {
    let outlier = Outlier { ejection: Duration::from_secs(3600), ..OUTLIER };
    let mut two = fresh(2);
    for start in [1, 3602] {
        assert_eq!(two.eject(0, &outlier, at(start)), Some(at(start + 3600)));
        two.release(|_| (), at(start + 3600));
    }
}

#[test]
fn a_smaller_set_keeps_what_it_may() {
    let mut four = fresh(4);
    four.eject(0, &OUTLIER, at(1)).unwrap();
    four.eject(1, &OUTLIER, at(2)).unwrap();
    let records = vec![four.record(0), four.record(1)];
    let two = Ejections::new(records.clone(), Some(&OUTLIER), at(3));
    assert_eq!((two.record(0).until(), two.record(1).until()), (None, Some(at(32))));
    assert_eq!(Ejections::new(records, None, at(3)).ejected(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Fail(usize),
    Wait(u64),
    Reload(usize, f64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..12_usize).prop_map(Step::Fail),
        3 => (0..400_u64).prop_map(Step::Wait),
        1 => (0..12_usize, 0.0..=1.0).prop_map(|(size, share)| Step::Reload(size, share)),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #[test]
    fn ejections_never_exceed_the_cap(size in 0..12_usize, share in 0.0..=1.0, steps in steps()) {
        let mut outlier = Outlier { max_ejected: share, ..OUTLIER };
        let mut set = Ejections::new(vec![Record::default(); size], Some(&outlier), Tick::ZERO);
        let (mut size, mut now) = (size, Tick::ZERO);
        for step in steps {
            match step {
                Step::Fail(index) => {
                    let room = set.ejected() < most_ejected(size, outlier.max_ejected);
                    let there = index < size && set.record(index).until().is_none();
                    let until = set.eject(index, &outlier, now);
                    prop_assert_eq!(until.is_some(), room && there);
                    let long = outlier.ejection..=LONGEST;
                    prop_assert!(until.is_none_or(|until| long.contains(&until.since(now))));
                }
                Step::Wait(seconds) => {
                    now = now + Duration::from_secs(seconds);
                    set.release(|_| (), now);
                    prop_assert!(set.next().is_none_or(|next| next > now));
                }
                Step::Reload(next, share) => {
                    outlier.max_ejected = share;
                    let records = (0..next).map(|index| set.record(index)).collect();
                    (size, set) = (next, Ejections::new(records, Some(&outlier), now));
                }
            }
            prop_assert!(set.ejected() <= most_ejected(size, outlier.max_ejected));
            prop_assert!(set.ejected() < size.max(1) || outlier.max_ejected > 0.5 || size == 0);
        }
    }
}
