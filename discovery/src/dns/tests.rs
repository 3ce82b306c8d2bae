use hickory_resolver::proto::rr::Name;

use super::*;

fn record(priority: u16, weight: u16, port: u16, target: &str) -> SRV {
    SRV::new(priority, weight, port, target.parse::<Name>().expect("a name"))
}

fn of(records: &[SRV]) -> Vec<(String, u16, u32)> {
    let targets = targets(records.iter());
    targets.into_iter().map(|target| (target.host, target.port, target.weight)).collect()
}

#[test]
fn the_lowest_priority_counts() {
    let records = [
        record(20, 1, 80, "c.test."),
        record(10, 10, 81, "B.test."),
        record(10, 10, 80, "a.test."),
        record(10, 90, 80, "a.test."),
        record(10, 5, 0, "a.test."),
    ];
    let expected = [("a.test.".to_owned(), 80, 1), ("b.test.".to_owned(), 81, 1)];
    assert_eq!(of(&records), expected);
    assert!(of(&[]).is_empty());
    assert!(of(&[record(0, 0, 1, ".")]).is_empty(), "decidedly not available");
}

#[test]
fn weights_keep_their_proportions() {
    let weights = |weights: &[u16]| -> Vec<u32> {
        let records: Vec<SRV> =
            (1..).zip(weights).map(|(port, weight)| record(0, *weight, port, "a.test.")).collect();
        of(&records).into_iter().map(|(_, _, weight)| weight).collect()
    };
    assert_eq!(weights(&[10, 20, 30]), [1, 2, 3]);
    assert_eq!(weights(&[0, 0]), [1, 1]);
    assert_eq!(weights(&[0, 50]), [1, 50]);
    assert_eq!(weights(&[65_535, 65_535]), [1, 1]);
    assert_eq!(weights(&[65_535, 1]), [1_000, 1]);
}

#[test]
fn many_targets_are_bounded() {
    let records: Vec<SRV> = (1..=2_000).map(|port| record(0, 1, port, "a.test.")).collect();
    assert_eq!(of(&records).len(), TARGETS_MAX);
}
