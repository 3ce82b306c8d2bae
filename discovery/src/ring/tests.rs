use super::*;
use crate::hash::mix;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("10.0.{}.{}:11211", i / 256, i % 256)).collect()
}

fn nodes(names: &[String]) -> Vec<Node<'_>> {
    names.iter().map(|name| Node { name, weight: 1 }).collect()
}

fn ring(nodes: &[Node<'_>]) -> Ring {
    Ring::new(nodes, DIGESTS).unwrap()
}

fn positions(count: u64) -> impl Iterator<Item = u32> {
    (0..count).map(|key| mix(key) as u32)
}

/// Points and keys where libketama has them: MD5 of "10.0.0.0:11211-0" by another program.
#[test]
fn points_are_where_others_have_them() {
    let names = names(3);
    let ring = ring(&nodes(&names));
    assert_eq!(ring.points.len(), 3 * 160);
    assert_eq!(position(b""), u32::from_le_bytes([0xd4, 0x1d, 0x8c, 0xd9]));
    for digest in 0..40 {
        for at in words(format!("{}-{digest}", names[1]).as_bytes()) {
            assert_eq!(ring.first(at), Some(1));
        }
    }
}

#[test]
fn a_search_finds_the_next_point() {
    let names = names(5);
    let ring = ring(&nodes(&names));
    let slow = |position: u32| {
        let next = ring.points.iter().find(|point| point.at >= position);
        next.or_else(|| ring.points.first()).map(|point| point.of as usize)
    };
    let edges = ring.points.iter().flat_map(|p| [p.at.wrapping_sub(1), p.at, p.at.wrapping_add(1)]);
    for position in edges.chain(positions(10_000)).chain([0, u32::MAX]) {
        assert_eq!(ring.first(position), slow(position));
    }
}

/// The fullest of a ring of 160 points each: DISCOVERY's figures for this layout within 2 %.
#[test]
fn keys_are_as_even_as_a_ring_can() {
    for (count, bar) in [(10, 1.23), (100, 1.30), (1_000, 1.378)] {
        let names = names(count);
        let ring = ring(&nodes(&names));
        let mut counts = vec![0_u32; count];
        for position in positions(1_000_000) {
            counts[ring.first(position).unwrap()] += 1;
        }
        let fullest = f64::from(*counts.iter().max().unwrap()) * count as f64 / 1e6;
        assert!(fullest < bar, "{count}: {fullest}");
    }
}

#[test]
fn only_keys_of_who_leaves_move() {
    let names = names(50);
    let all = ring(&nodes(&names));
    let fewer = ring(&nodes(&names[..49]));
    for position in positions(100_000) {
        let (before, after) = (all.first(position).unwrap(), fewer.first(position).unwrap());
        assert!(before == after || before == 49);
        // What the smaller ring says is what the greater says of those eligible.
        assert_eq!(all.first_of(position, |node| node != 49), Some(after));
    }
}

#[test]
fn the_order_of_nodes_does_not_matter() {
    let names = names(20);
    let mut reversed = nodes(&names);
    reversed.reverse();
    let (one, other) = (ring(&nodes(&names)), ring(&reversed));
    for position in positions(10_000) {
        assert_eq!(one.first(position), other.first(position).map(|node| 19 - node));
    }
}

#[test]
fn weights_are_points() {
    let names = names(2);
    let nodes = [Node { name: &names[0], weight: 1 }, Node { name: &names[1], weight: 3 }];
    let ring = ring(&nodes);
    let heavy = positions(100_000).filter(|p| ring.first(*p) == Some(1)).count();
    assert!((70_000..80_000).contains(&heavy), "{heavy}");
    let huge = [Node { name: "a", weight: u32::MAX }];
    assert_eq!(Ring::new(&huge, DIGESTS).err(), Some(TooManyPoints));
}

#[test]
fn nobody_has_nothing() {
    let empty = ring(&[]);
    assert_eq!(empty.first(7), None);
    assert_eq!(empty.first_of(7, |_| true), None);
    let names = names(3);
    assert_eq!(ring(&nodes(&names)).first_of(7, |_| false), None);
}
