use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug)]
struct Object {
    id: u32,
    mark: Mark,
}

impl Marked for Object {
    fn mark(&self) -> &Mark {
        &self.mark
    }
}

const fn object(id: u32) -> Object {
    Object { id, mark: Mark(AtomicBool::new(false)) }
}

/// The paper's figure 2 in the plainest words: a row of (id, visited, weight), newest first.
#[derive(Debug, Default)]
struct Model {
    row: Vec<(u32, bool, u64)>,
    /// The id under the hand.
    hand: Option<u32>,
}

impl Model {
    fn position(&self, id: u32) -> Option<usize> {
        self.row.iter().position(|&(other, ..)| other == id)
    }

    fn weight(&self) -> u64 {
        self.row.iter().map(|&(_, _, weight)| weight).sum()
    }

    /// The neighbour nearer to the head.
    fn newer(&self, at: usize) -> Option<u32> {
        at.checked_sub(1).map(|at| self.row[at].0)
    }

    fn evict(&mut self) -> Option<u32> {
        loop {
            let at = match self.hand {
                Some(id) => self.position(id).unwrap(),
                None => self.row.len().checked_sub(1)?,
            };
            self.hand = self.newer(at);
            if !self.row[at].1 {
                return Some(self.row.remove(at).0);
            }
            self.row[at].1 = false;
        }
    }

    fn remove(&mut self, id: u32) {
        let Some(at) = self.position(id) else { return };
        if self.hand == Some(id) {
            self.hand = self.newer(at);
        }
        self.row.remove(at);
    }

    /// A request; whether it hit.
    fn request(&mut self, id: u32, weight: u64, capacity: u64) -> bool {
        if let Some(at) = self.position(id) {
            self.row[at].1 = true;
            return true;
        }
        while self.weight() + weight > capacity {
            self.evict();
        }
        self.row.insert(0, (id, false, weight));
        false
    }
}

/// Ours, behind the same calls.
#[derive(Default)]
struct Subject {
    slots: HashMap<u32, Slot>,
    sieve: Sieve<Object>,
}

impl Subject {
    /// Evicts in bites of `steps`.
    fn evict(&mut self, steps: usize) -> u32 {
        loop {
            if let Some(gone) = self.sieve.evict(&mut { steps }) {
                self.slots.remove(&gone.id);
                return gone.id;
            }
            assert!(!self.sieve.is_empty());
        }
    }

    fn request(&mut self, id: u32, weight: u64, capacity: u64, steps: usize) -> bool {
        if let Some(slot) = self.slots.get(&id) {
            self.sieve.at(*slot).unwrap().mark.set();
            return true;
        }
        while self.sieve.weight() + weight > capacity {
            self.evict(steps);
        }
        self.slots.insert(id, self.sieve.insert(object(id), weight).unwrap());
        false
    }

    fn remove(&mut self, id: u32) {
        if let Some(slot) = self.slots.remove(&id) {
            assert_eq!(self.sieve.remove(slot).unwrap().id, id);
        }
    }

    /// Ids and bits from the newest to the oldest, checking the links on the way.
    fn row(&self) -> Vec<(u32, bool, u64)> {
        let mut row = Vec::new();
        let (mut at, mut newer) = (self.sieve.main.head, NONE);
        while at != NONE {
            let node = self.sieve.node(at);
            assert_eq!(node.newer, newer);
            let object = node.object.as_ref().unwrap();
            row.push((object.id, object.mark.is_set(), node.weight));
            (newer, at) = (at, node.older);
        }
        assert_eq!(self.sieve.main.tail, newer);
        assert_eq!(self.sieve.len(), row.len());
        row
    }

    fn hand(&self) -> Option<u32> {
        let hand = self.sieve.nodes.get(self.sieve.hand as usize)?;
        hand.object.as_ref().map(|object| object.id)
    }

    fn assert_equals(&self, model: &Model) {
        assert_eq!(self.row(), model.row);
        assert_eq!(self.hand(), model.hand);
        assert_eq!(self.sieve.weight(), model.weight());
    }
}

/// The example of the paper's figure 1: seven objects, A, B and G visited.
#[test]
fn probation_is_a_row_of_its_own() {
    let mut sieve = Sieve::new();
    let slots = [1, 2, 3].map(|id| sieve.insert_on_probation(object(id), 10).unwrap());
    sieve.at(slots[0]).unwrap().mark.set();
    assert_eq!((sieve.len(), sieve.main_len(), sieve.probation_weight()), (3, 0, 30));
    assert!(matches!(sieve.judge(), Some(Verdict::Stays)));
    assert_eq!((sieve.main_len(), sieve.probation_weight(), sieve.weight()), (1, 20, 30));
    assert!(!sieve.at(slots[0]).unwrap().mark.is_set(), "it begins anew");
    assert!(matches!(sieve.judge(), Some(Verdict::Leaves(object)) if object.id == 2));
    assert_eq!(sieve.evict(&mut 9).unwrap().id, 1);
    assert_eq!(sieve.evict_at_hand().unwrap().id, 3, "there is no other");
    assert!(sieve.judge().is_none() && sieve.evict_at_hand().is_none());
}

#[test]
fn walks_as_in_the_paper() {
    let mut subject = Subject::default();
    for id in [b'A', b'B', b'C', b'D', b'E', b'F', b'G'] {
        subject.request(id.into(), 1, 7, 99);
    }
    for id in [b'A', b'B', b'G'] {
        subject.request(id.into(), 1, 7, 99);
    }
    // The hand starts at A, the oldest, passes A and B, takes C.
    subject.request(b'H'.into(), 1, 7, 99);
    assert_eq!(subject.hand(), Some(b'D'.into()));
    subject.request(b'A'.into(), 1, 7, 99);
    subject.request(b'D'.into(), 1, 7, 99);
    // It goes on from D, which was visited by now: E goes.
    subject.request(b'I'.into(), 1, 7, 99);
    let row: Vec<_> = subject.row().iter().map(|&(id, visited, _)| (id as u8, visited)).collect();
    let expected = [
        (b'I', false),
        (b'H', false),
        (b'G', true),
        (b'F', false),
        (b'D', false),
        (b'B', false),
        (b'A', true),
    ];
    assert_eq!(row, expected);
}

#[test]
fn an_insertion_is_no_visit_and_a_replacement_is() {
    let mut sieve = Sieve::new();
    let one = sieve.insert(object(1), 10).unwrap();
    let two = sieve.insert(object(2), 10).unwrap();
    assert!(!sieve.at(one).unwrap().mark.is_set());
    assert_eq!(sieve.replace(one, object(1), 30).unwrap().id, 1);
    assert_eq!(sieve.weight(), 40);
    assert_eq!(sieve.evict(&mut 9).unwrap().id, 2);
    assert_eq!(sieve.replace(two, object(3), 1).unwrap_err().id, 3);
    assert_eq!(sieve.weight(), 30);
}

#[test]
fn a_sweep_stops_at_its_bound_and_goes_on_later() {
    let mut sieve = Sieve::new();
    for id in 0..100 {
        let slot = sieve.insert(object(id), 1).unwrap();
        sieve.at(slot).unwrap().mark.set();
    }
    let mut steps = 60;
    assert!(sieve.evict(&mut steps).is_none());
    assert_eq!(steps, 0);
    assert_eq!(sieve.nodes.iter().filter(|node| !is_set(node)).count(), 60);
    let mut steps = 60;
    // Forty more bits, then round to the oldest.
    assert_eq!(sieve.evict(&mut steps).unwrap().id, 0);
    assert_eq!(steps, 60 - 41);
}

fn is_set(node: &Node<Object>) -> bool {
    node.object.as_ref().is_some_and(|object| object.mark.is_set())
}

#[test]
fn an_empty_queue_evicts_nothing() {
    let mut sieve = Sieve::<Object>::new();
    assert!(sieve.evict(&mut 5).is_none());
    assert!(sieve.evict_at_hand().is_none());
    let slot = sieve.insert(object(1), 1).unwrap();
    assert_eq!(sieve.remove(slot).unwrap().id, 1);
    assert!(sieve.remove(slot).is_none());
    assert!(sieve.evict(&mut 5).is_none());
    assert_eq!((sieve.len(), sieve.weight()), (0, 0));
}

/// Requests of a Zipf-like kind, from a seed: a few ids often, many rarely.
fn trace(seed: u64, length: usize, ids: u32) -> Vec<u32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| (f64::from(ids).powf(rng.f64()) - 1.0) as u32).collect()
}

#[test]
fn misses_as_the_model_does_on_long_traces() {
    for (seed, ids, capacity) in [(1, 500, 10), (2, 500, 100), (3, 2_000, 50), (4, 60, 59)] {
        let (mut subject, mut model) = (Subject::default(), Model::default());
        let mut misses = [0_u32; 2];
        for id in trace(seed, 20_000, ids) {
            misses[0] += u32::from(!subject.request(id, 1, capacity, 7));
            misses[1] += u32::from(!model.request(id, 1, capacity));
        }
        assert_eq!(misses[0], misses[1]);
        assert!(misses[0] > ids / 3 && misses[0] < 20_000, "{misses:?}");
        subject.assert_equals(&model);
    }
}

#[test]
fn a_loop_larger_than_the_cache_never_hits() {
    let mut subject = Subject::default();
    let hits = (0..5_000).filter(|i| subject.request(i % 101, 1, 100, 9)).count();
    assert_eq!(hits, 0);
}

#[derive(Debug, Clone)]
enum Step {
    Request(u32, u64),
    Replace(u32, u64),
    Remove(u32),
    Evict,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..40_u32, 1..9_u64).prop_map(|(id, weight)| Step::Request(id, weight)),
        1 => (0..40_u32, 1..9_u64).prop_map(|(id, weight)| Step::Replace(id, weight)),
        2 => (0..40_u32).prop_map(Step::Remove),
        1 => Just(Step::Evict),
    ]
}

proptest! {
    #[test]
    fn does_as_the_model_does(steps in prop::collection::vec(step(), 0..400), bite in 1..50_usize) {
        let (mut subject, mut model) = (Subject::default(), Model::default());
        for step in steps {
            match step {
                Step::Request(id, weight) => {
                    let hit = subject.request(id, weight, 60, bite);
                    prop_assert_eq!(hit, model.request(id, weight, 60));
                }
                Step::Replace(id, weight) => {
                    if let Some(at) = model.position(id) {
                        model.row[at] = (id, true, weight);
                        subject.sieve.replace(subject.slots[&id], object(id), weight).unwrap();
                    }
                }
                Step::Remove(id) => {
                    model.remove(id);
                    subject.remove(id);
                }
                Step::Evict => {
                    if !model.row.is_empty() {
                        prop_assert_eq!(Some(subject.evict(bite)), model.evict());
                    }
                }
            }
            subject.assert_equals(&model);
        }
    }
}
