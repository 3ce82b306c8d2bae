use super::*;

#[test]
fn each_once_a_round() {
    for slots in [1, 2, 3, 7, 8, 9, 100, 1000, 1025] {
        let mut rng = Chance::seeded(u64::from(slots));
        let mut order = Order::new(1);
        for round in 0..3 {
            let mut seen = vec![0; slots as usize];
            for _ in 0..slots {
                let slot = order.next(slots, |_| true, &mut rng).unwrap();
                seen[slot as usize] += 1;
            }
            assert!(seen.iter().all(|times| *times == 1), "{slots} slots, round {round}: {seen:?}");
        }
    }
}

#[test]
fn those_that_do_not_fit_are_passed_over_and_none_is_found_when_none_does() {
    let mut rng = Chance::seeded(1);
    let mut order = Order::new(1);
    for _ in 0..20 {
        assert_eq!(order.next(50, |slot| slot == 17, &mut rng), Some(17));
    }
    assert_eq!(order.next(50, |_| false, &mut rng), None);
    assert_eq!(order.next(0, |_| true, &mut rng), None);
}
