use std::{net::SocketAddr, sync::Arc};

use super::*;
use crate::swim::{Chance, Record, State};

fn record(number: u64) -> Arc<Record> {
    let addr = SocketAddr::from(([10, 0, 0, 1], 1));
    Arc::new(Record::new(&format!("n{number}"), 1, addr, &[]).unwrap())
}

/// Whom one watches does not depend on the order in which the others came and went.
#[test]
fn the_living_alone_decide_who_is_watched() {
    let mut rng = Chance::seeded(5);
    let mut table = Table::with_capacity(0);
    let own = table.insert(record(0), 0);
    let mut watch = Watch::new(record(0).id, 3, &table, 1_000_000, 0);
    assert!(watch.edges.is_empty());
    for step in 0..2000 {
        let number = 1 + rng.below(40);
        let id = record(number).id;
        let slot = table.find(id).unwrap_or_else(|| {
            let slot = table.insert(record(number), 0);
            table.set(slot, State::Dead, 0);
            slot
        });
        if table.is_live(slot) {
            table.set(slot, State::Dead, 0);
            watch.went(slot, &table, step);
        } else {
            table.set(slot, State::Alive, 0);
            watch.came(slot, id, &table, step);
        }
        let fresh = Watch::new(record(0).id, 3, &table, 1_000_000, 0);
        let slots = |watch: &Watch| {
            let mut slots: Vec<Slot> = watch.edges.iter().map(|edge| edge.slot).collect();
            slots.sort_unstable();
            slots
        };
        assert_eq!(slots(&watch), slots(&fresh), "step {step}");
        assert_eq!(watch.edges.len(), (table.live() - 1).min(3));
        assert!(watch.edge(own).is_none());
    }
}

#[test]
fn everybody_is_watched_by_about_as_many() {
    let mut table = Table::with_capacity(200);
    let slots: Vec<Slot> = (0..200).map(|number| table.insert(record(number), 0)).collect();
    let mut watched = vec![0; slots.len()];
    for number in 0..200 {
        for edge in Watch::new(record(number).id, 3, &table, 1, 0).edges {
            watched[edge.slot as usize] += 1;
        }
    }
    assert_eq!(watched.iter().sum::<i32>(), 600);
    assert!(watched.iter().all(|observers| (2..=6).contains(observers)), "{watched:?}");
}
