//! Maglev's table (Eisenbud and others, NSDI 2016): the most even of them, for a few keys moved
//! without need when the set changes.
//!
//! Each node prefers the table's entries in an order of its own; in turn everybody takes the best
//! that is left. Turns go by name, so that the table is a function of the set.

use crate::hash::{Node, mix, xxh64};

/// Entries unless told otherwise: a prime, as the paper's smaller one.
pub const ENTRIES: u32 = 65_537;
/// Most entries.
pub const ENTRIES_MAX: u32 = 5_000_011;

/// See the module's page.
#[derive(Debug, Clone)]
pub struct Maglev {
    /// An index of a node for each.
    entries: Box<[u16]>,
}

/// Why there is no such table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTable {
    /// The number of entries is no prime, or above [`ENTRIES_MAX`].
    NotPrime,
    /// There are more nodes than entries, or than an entry can name (65,535).
    TooManyNodes,
}

/// A node that takes its turns.
struct Turns {
    of: u16,
    weight: u64,
    /// The entry it looks at next, and the step from one to the next.
    at: u32,
    step: u32,
    /// What it has been given for its weight, in turns of the heaviest.
    earned: u64,
}

impl Maglev {
    /// The table of these nodes.
    ///
    /// # Errors
    /// See [`NoTable`].
    pub fn new(nodes: &[Node<'_>], entries: u32) -> Result<Self, NoTable> {
        if !is_prime(entries) || entries > ENTRIES_MAX {
            return Err(NoTable::NotPrime);
        }
        if nodes.len() > (entries as usize).min(usize::from(u16::MAX)) {
            return Err(NoTable::TooManyNodes);
        }
        let mut order: Vec<(u16, &Node<'_>)> = (0..).zip(nodes).collect();
        order.sort_unstable_by_key(|(_, node)| node.name);
        let mut turns: Vec<Turns> = order
            .into_iter()
            .map(|(of, node)| {
                let hash = xxh64(node.name.as_bytes(), 0);
                Turns {
                    of,
                    weight: u64::from(node.weight.max(1)),
                    at: (hash % u64::from(entries)) as u32,
                    step: (mix(hash) % u64::from(entries - 1)) as u32 + 1,
                    earned: 0,
                }
            })
            .collect();
        Ok(Self { entries: fill(&mut turns, entries) })
    }

    /// Whose a key is, by a hash all bits of which are good: an index; `None` only of an empty
    /// table.
    #[must_use]
    pub fn first(&self, hash: u64) -> Option<usize> {
        // The high half scaled to the table: no division.
        let entry = ((hash >> 32) * self.entries.len() as u64) >> 32;
        self.entries.get(entry as usize).map(|of| usize::from(*of))
    }
}

fn fill(turns: &mut [Turns], entries: u32) -> Box<[u16]> {
    const NOBODY: u16 = u16::MAX;
    let Some(heaviest) = turns.iter().map(|turns| turns.weight).max() else {
        return Box::default();
    };
    let mut table = vec![NOBODY; entries as usize];
    let mut left = entries;
    loop {
        for node in &mut *turns {
            // Who weighs less than the heaviest does not have a turn in each round.
            node.earned += node.weight;
            if node.earned < heaviest {
                continue;
            }
            node.earned -= heaviest;
            while table[node.at as usize] != NOBODY {
                node.advance(entries);
            }
            table[node.at as usize] = node.of;
            node.advance(entries);
            left -= 1;
            if left == 0 {
                return table.into();
            }
        }
    }
}

impl Turns {
    fn advance(&mut self, entries: u32) {
        // Both are below `entries`, which is far below half of what fits.
        self.at += self.step;
        if self.at >= entries {
            self.at -= entries;
        }
    }
}

fn is_prime(number: u32) -> bool {
    let divisors = (2..).take_while(|d| u64::from(*d) * u64::from(*d) <= u64::from(number));
    number > 2 && divisors.into_iter().all(|divisor: u32| !number.is_multiple_of(divisor))
}

#[cfg(test)]
mod tests;
