use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn record(number: u32, generation: u64) -> Arc<Record> {
    let addr = SocketAddr::from(([10, 0, 0, 1], 1));
    Arc::new(Record::new(&format!("n{number}"), generation, addr, &[]).unwrap())
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Insert(u32),
    Remove(u32),
    Set(u32, State, u32),
}

fn acts() -> impl Strategy<Value = Act> {
    let state = prop::sample::select(vec![State::Alive, State::Suspect, State::Dead, State::Left]);
    prop_oneof![
        3 => (0..60_u32).prop_map(Act::Insert),
        1 => (0..60_u32).prop_map(Act::Remove),
        3 => (0..60_u32, state, 0..5_u32).prop_map(|(at, state, inc)| Act::Set(at, state, inc)),
    ]
}

proptest! {
    #[test]
    fn a_table_is_a_map_with_a_digest(script in prop::collection::vec(acts(), 0..300)) {
        let mut table = Table::with_capacity(0);
        let mut model: BTreeMap<u32, (State, u32)> = BTreeMap::new();
        for act in script {
            let id = |number: u32| Id::of(&format!("n{number}"));
            match act {
                Act::Insert(number) => {
                    if model.insert(number, (State::Alive, 0)).is_some() {
                        table.remove(table.find(id(number)).unwrap());
                    }
                    table.insert(record(number, 1), 0);
                }
                Act::Remove(number) => {
                    let slot = table.find(id(number));
                    prop_assert_eq!(slot.is_some(), model.remove(&number).is_some());
                    if let Some(slot) = slot {
                        table.remove(slot);
                    }
                }
                Act::Set(number, state, incarnation) => {
                    if let Some(known) = model.get_mut(&number) {
                        *known = (state, incarnation);
                        let slot = table.find(id(number)).unwrap();
                        table.set(slot, state, incarnation);
                        table.set_position(slot, 12345);
                        prop_assert_eq!(table.position(slot), 12345);
                    }
                }
            }
            prop_assert_eq!(table.known(), model.len());
        }
        let live = model.values().filter(|(state, _)| state.is_live()).count();
        prop_assert_eq!(table.live(), live);
        // Built in another order, only of those that live: the digest is the same.
        let mut other = Table::with_capacity(0);
        for (number, (state, incarnation)) in model.iter().rev() {
            let slot = table.find(Id::of(&format!("n{number}"))).unwrap();
            prop_assert_eq!(table.state(slot), Some(*state));
            prop_assert_eq!(table.incarnation(slot), *incarnation);
            if state.is_live() {
                other.insert(record(*number, 1), *incarnation);
            }
        }
        prop_assert_eq!(table.digest(), other.digest());
        prop_assert_eq!(table.buckets(), other.buckets());
        prop_assert_eq!(table.buckets().iter().fold(0, |all, part| all ^ part), table.digest());
    }
}

#[test]
fn lives_and_incarnations_differ_in_the_digest() {
    let digest = |generation, incarnation| {
        let mut table = Table::with_capacity(1);
        table.insert(record(1, generation), incarnation);
        table.digest()
    };
    assert_ne!(digest(1, 0), digest(2, 0));
    assert_ne!(digest(1, 0), digest(1, 1));
}

#[test]
fn an_entry_is_16_bytes() {
    assert_eq!(size_of::<Entry>(), 16);
}

#[test]
fn names_and_metadata_are_bounded() {
    let addr = SocketAddr::from(([10, 0, 0, 1], 1));
    assert!(Record::new("", 1, addr, &[]).is_none());
    assert!(Record::new(&"n".repeat(NAME_BYTES_MAX + 1), 1, addr, &[]).is_none());
    assert!(Record::new("n", 1, addr, &[0; META_BYTES_MAX + 1]).is_none());
    assert!(Record::new("n", 1, SocketAddr::from(([10, 0, 0, 1], 0)), &[]).is_none());
    assert!(Record::new("n", 1, addr, &[0; META_BYTES_MAX]).is_some());
}
