use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const KEYS: u64 = 1_000_000;

fn names(count: usize, seed: usize) -> Vec<String> {
    (0..count).map(|i| format!("node-{seed}-{i}")).collect()
}

fn even(names: &[String]) -> Vec<Node<'_>> {
    names.iter().map(|name| Node { name, weight: 1 }).collect()
}

fn set(nodes: &[Node<'_>]) -> Rendezvous {
    Rendezvous::new(nodes).unwrap()
}

/// Keys at the fullest over the mean, by weight.
fn fullest(set: &Rendezvous, weights: &[u32], seed: u64) -> f64 {
    let mut counts = vec![0_u32; weights.len()];
    for key in 0..KEYS {
        let owner = set.first(slot(mix(key ^ (seed << 40)))).unwrap();
        counts[usize::from(owner)] += 1;
    }
    let all: u32 = weights.iter().sum();
    let share = |weight: u32| KEYS as f64 * f64::from(weight) / f64::from(all);
    counts
        .iter()
        .zip(weights)
        .map(|(count, weight)| f64::from(*count) / share(*weight))
        .fold(0.0, f64::max)
}

/// The same where every key is thrown by itself: what nothing can do better than.
fn noise(nodes: u64, seed: u64) -> f64 {
    let mut counts = vec![0_u32; nodes as usize];
    for key in 0..KEYS {
        let thrown = mix(mix(key ^ (seed << 40)) ^ 77);
        counts[((u128::from(thrown) * u128::from(nodes)) >> 64) as usize] += 1;
    }
    f64::from(*counts.iter().max().unwrap()) * nodes as f64 / KEYS as f64
}

fn owners(set: &Rendezvous) -> Vec<String> {
    let names: BTreeMap<u16, &str> = set.nodes().map(|(name, id)| (id, name)).collect();
    // Every slot would take long without optimisation: a stride that meets all residues will do.
    (0..SLOTS).step_by(61).map(|slot| names[&set.first(slot).unwrap()].to_owned()).collect()
}

/// The fullest of so many nodes has at most 2 % more than by the throw of a dice for each key.
fn check_balance(nodes: usize, seeds: u64) {
    let (mut here, mut best) = (0.0, 0.0);
    for seed in 0..seeds {
        let names = names(nodes, seed as usize);
        here += fullest(&set(&even(&names)), &vec![1; nodes], seed);
        best += noise(nodes as u64, seed);
    }
    let (here, best) = (here / seeds as f64, best / seeds as f64);
    assert!(here <= best * 1.02, "{nodes} nodes: {here:.4}, and {best:.4} is possible");
}

#[test]
fn ten_have_as_much() {
    check_balance(10, 3);
}

#[test]
fn a_hundred_have_as_much() {
    check_balance(100, 3);
}

#[test]
fn a_thousand_have_as_much() {
    check_balance(1_000, 3);
}

#[test]
fn keys_go_by_weight() {
    for nodes in [4, 100] {
        let names = names(nodes, 1);
        let weights: Vec<u32> = (0..nodes).map(|i| [1, 1, 2, 4][i % 4]).collect();
        let nodes: Vec<Node<'_>> = names
            .iter()
            .zip(&weights)
            .map(|(name, weight)| Node { name, weight: *weight })
            .collect();
        let fullest = fullest(&set(&nodes), &weights, 1);
        // DISCOVERY of the exact method: 1.006 of ten and 1.036 of a hundred nodes.
        let bar = if nodes.len() < 10 { 1.01 } else { 1.036 * 1.02 };
        assert!(fullest <= bar, "{} nodes: {fullest:.4}", nodes.len());
    }
}

#[test]
fn only_keys_of_who_leaves_or_joins_move() {
    for count in [10, 65, 400] {
        let names = names(count, 2);
        let all = set(&even(&names));
        let mut fewer = all.clone();
        fewer.leave(&names[3]).unwrap();
        let mut heirs = BTreeMap::new();
        for (before, after) in owners(&all).into_iter().zip(owners(&fewer)) {
            assert!(before == after || before == names[3]);
            if before == names[3] {
                *heirs.entry(after).or_insert(0) += 1;
            }
        }
        assert!(!heirs.contains_key(&names[3]));
        let mut again = fewer.clone();
        again.join(Node { name: &names[3], weight: 1 }).unwrap();
        assert_eq!(owners(&all), owners(&again));
        // And one that was never there, by the short way of equal weights, as in a set anew.
        let mut more = names.clone();
        more.push("newcomer".to_owned());
        again.join(Node { name: "newcomer", weight: 1 }).unwrap();
        assert_eq!(owners(&set(&even(&more))), owners(&again));
        check_heirs(&again);
    }
}

/// What a node had is spread over all others, not given to a neighbour.
#[test]
fn heirs_are_many() {
    let names = names(100, 3);
    let all = set(&even(&names));
    let mut counts = [0_u32; 100];
    for slot in (0..SLOTS).filter(|slot| all.first(*slot) == Some(42)) {
        counts[usize::from(all.first_of(slot, |id| id != 42).unwrap())] += 1;
    }
    let sum: u32 = counts.iter().sum();
    let fullest = f64::from(*counts.iter().max().unwrap()) * 99.0 / f64::from(sum);
    assert!(fullest < 1.28 * 1.02, "{fullest}");
    assert_eq!(counts.iter().filter(|count| **count == 0).count(), 1);
}

/// What the table says, each node asked by itself says as well.
#[test]
fn a_table_holds_what_a_search_finds() {
    let names = names(300, 4);
    let weights = |i: usize| [1, 1, 3, 10][i % 4];
    let nodes: Vec<Node<'_>> =
        names.iter().enumerate().map(|(i, name)| Node { name, weight: weights(i) }).collect();
    let mut set = set(&nodes);
    let check = |set: &Rendezvous| {
        for slot in (0..SLOTS).step_by(509) {
            assert_eq!(set.first(slot), set.first_of(slot, |_| true), "{slot}");
        }
        check_heirs(set);
    };
    check(&set);
    set.leave("node-4-7");
    set.join(Node { name: "node-4-8", weight: 20 }).unwrap();
    set.join(Node { name: "node-4-11", weight: 1 }).unwrap();
    set.join(Node { name: "another", weight: 2 }).unwrap();
    check(&set);
}

/// The heirs that a table knows are those that a search finds.
fn check_heirs(set: &Rendezvous) {
    let Some(table) = &set.table else { return };
    for slot in (0..SLOTS).step_by(509) {
        let second = set.first_of(slot, |id| Some(id) != set.first(slot));
        assert!(table.heir(slot).is_none_or(|heir| Some(heir) == second), "{slot}");
    }
}

#[test]
fn heirs_are_known_again() {
    let names = names(200, 9);
    let mut set = set(&even(&names));
    let unknown = |set: &Rendezvous| {
        let table = set.table.as_ref().unwrap();
        (0..SLOTS).filter(|slot| table.heir(*slot).is_none()).count()
    };
    // All but a few: those that nobody else comes to before the horizon.
    while set.prepare(10_000) == 10_000 {}
    assert!(unknown(&set) < 100, "{}", unknown(&set));
    set.leave(&names[0]);
    let left = unknown(&set);
    assert!((15_000..25_000).contains(&left), "{left}");
    assert_eq!(set.prepare(1_000), 1_000);
    assert!(unknown(&set) <= left - 900);
    let before = std::mem::take(&mut set);
    set = before.succeed();
    assert_eq!(before.prepare(1), 0);
    assert_eq!(owners(&before), owners(&set));
    while set.prepare(10_000) == 10_000 {}
    assert!(unknown(&set) < 100, "{}", unknown(&set));
    check_heirs(&set);
}

#[test]
fn a_weight_takes_or_gives() {
    let names = names(80, 5);
    let before = set(&even(&names));
    let mut after = before.clone();
    after.join(Node { name: &names[5], weight: 3 }).unwrap();
    for slot in (0..SLOTS).step_by(61) {
        let (before, after) = (before.first(slot), after.first(slot));
        assert!(before == after || after == Some(5));
    }
    after.join(Node { name: &names[5], weight: 1 }).unwrap();
    assert_eq!(owners(&before), owners(&after));
}

/// The second of a key is the first where the first is not, and so on.
#[test]
fn next_choices_are_those_of_a_smaller_set() {
    let names = names(90, 6);
    let all = set(&even(&names));
    for slot in (0..SLOTS).step_by(8_191) {
        let mut smaller = all.clone();
        let mut tried = Vec::new();
        for _ in 0..3 {
            let next = all.first_of(slot, |id| !tried.contains(&id)).unwrap();
            assert_eq!(smaller.first(slot), Some(next));
            // Below as many as a table is kept for, which must not show.
            smaller.racers.clear(next);
            smaller.racers.compare();
            smaller.table = None;
            tried.push(next);
        }
    }
}

#[test]
fn ranks_can_be_turned_round() {
    let names = names(50, 8);
    let set = set(&even(&names));
    let racers = &set.racers;
    for id in racers.ids() {
        let inverse = racers.inverse(id);
        for slot in (0..SLOTS).step_by(997) {
            let rank = racers.rank(id, slot);
            assert_eq!(racers.slot_at(id, inverse, rank), slot);
            let batch = usize::from(id) / BATCH;
            let (keys, factors) = (racers.keys.as_chunks().0, racers.factors.as_chunks().0);
            let all = keys[batch].iter().zip(&factors[batch]).map(|(key, factor)| {
                let rank = scatter((slot ^ key).wrapping_mul(*factor)) >> (32 - SLOT_BITS);
                (2 * rank + 1) as f32 * 0.5
            });
            let least = soonest(slot, &keys[batch], &factors[batch], &[0.5; BATCH]);
            assert_eq!(least, all.fold(f32::INFINITY, f32::min));
        }
    }
}

#[test]
fn nobody_has_nothing() {
    let mut set = set(&[]);
    assert!(set.is_empty());
    assert_eq!(set.first(0), None);
    assert_eq!(set.leave("a"), None);
    let id = set.join(Node { name: "a", weight: 0 }).unwrap();
    assert_eq!(set.first(SLOTS - 1), Some(id));
    assert_eq!(set.first_of(5, |_| false), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Whatever came and went, and in which order: the set decides.
    #[test]
    fn history_does_not_matter(
        changes in proptest::collection::vec((0..130_u32, 0..4_u32), 1..30),
        begin in 0..130_usize,
        order in any::<u64>(),
    ) {
        let names = names(130, 7);
        let mut set = set(&even(&names[..begin]));
        let mut weights: BTreeMap<usize, u32> = (0..begin).map(|i| (i, 1)).collect();
        for (who, weight) in changes {
            let who = who as usize;
            if weight == 0 {
                set.leave(&names[who]);
                weights.remove(&who);
                set.prepare(who * 10);
            } else {
                set.join(Node { name: &names[who], weight }).unwrap();
                weights.insert(who, weight);
            }
        }
        let mut nodes: Vec<Node<'_>> =
            weights.iter().map(|(i, weight)| Node { name: &names[*i], weight: *weight }).collect();
        fastrand::Rng::with_seed(order).shuffle(&mut nodes);
        prop_assert_eq!(set.len(), nodes.len());
        if !nodes.is_empty() {
            check_heirs(&set);
            prop_assert_eq!(owners(&set), owners(&Rendezvous::new(&nodes).unwrap()));
        }
    }
}
