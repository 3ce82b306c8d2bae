//! A ring of points (Karger and others, 1997), laid out as libketama does: what memcached clients
//! and proxies in front of them agree on.
//!
//! A node of weight 1 has 40 digests of four points: the MD5 of `name-0` to `name-39`, read as
//! little-endian words. A key is at the first word of its own MD5, and belongs to the next point at
//! or after it. A weight multiplies a node's digests: by itself, not by what others weigh, so that
//! a newcomer takes keys and gives none.

use crate::hash::{Node, md5};

/// Digests of a node of weight 1, four points each, unless told otherwise.
pub const DIGESTS: u32 = 40;
/// Most points of a ring.
pub const POINTS_MAX: u64 = 1 << 22;

/// See the module's page.
#[derive(Debug, Clone)]
pub struct Ring {
    points: Box<[Point]>,
    /// For each value of the high bits, the first point that has it or more: a search begins there
    /// and ends a step or two on.
    starts: Box<[u32]>,
    shift: u32,
    nodes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    at: u32,
    /// Index of a node.
    of: u32,
}

/// More points than [`POINTS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyPoints;

/// Where a key is.
#[must_use]
pub fn position(key: &[u8]) -> u32 {
    words(key)[0]
}

fn words(text: &[u8]) -> [u32; 4] {
    let digest = md5(text);
    let (words, _) = digest.as_chunks::<4>();
    [words[0], words[1], words[2], words[3]].map(u32::from_le_bytes)
}

impl Ring {
    /// The ring of these nodes, with so many digests for each unit of weight.
    ///
    /// # Errors
    /// There would be more than [`POINTS_MAX`] points.
    pub fn new(nodes: &[Node<'_>], digests: u32) -> Result<Self, TooManyPoints> {
        let digests_of = |node: &Node<'_>| u64::from(node.weight.max(1)) * u64::from(digests);
        let count: u64 = nodes.iter().map(|node| digests_of(node).saturating_mul(4)).sum();
        if count > POINTS_MAX {
            return Err(TooManyPoints);
        }
        let mut points = Vec::with_capacity(count as usize);
        let mut text = Vec::new();
        for (of, node) in (0..).zip(nodes) {
            for digest in 0..digests_of(node) {
                text.clear();
                text.extend_from_slice(node.name.as_bytes());
                text.extend_from_slice(format!("-{digest}").as_bytes());
                points.extend(words(&text).map(|at| Point { at, of }));
            }
        }
        // Of two at one place that of the lesser name counts, whatever the order of the nodes.
        points.sort_unstable_by(|a, b| {
            let name = |point: &Point| nodes[point.of as usize].name;
            a.at.cmp(&b.at).then_with(|| name(a).cmp(name(b)))
        });
        points.dedup_by_key(|point| point.at);
        let bits = (points.len() as u32).next_power_of_two().trailing_zeros().clamp(1, 22);
        let shift = 32 - bits;
        let mut starts = Vec::with_capacity(1 << bits);
        let mut next = 0;
        for high in 0..1_u32 << bits {
            while points.get(next).is_some_and(|point: &Point| point.at >> shift < high) {
                next += 1;
            }
            starts.push(next as u32);
        }
        Ok(Self { points: points.into(), starts: starts.into(), shift, nodes: nodes.len() })
    }

    /// Whose the keys at a position are: an index; `None` only of an empty ring.
    #[must_use]
    pub fn first(&self, position: u32) -> Option<usize> {
        let mut next = self.next(position);
        if next == self.points.len() {
            next = 0;
        }
        self.points.get(next).map(|point| point.of as usize)
    }

    /// Whose they would be if only those that `eligible` says were on the ring. Each node is asked
    /// for at most a few times as many steps as there are nodes; then everybody once, in order.
    #[must_use]
    pub fn first_of(
        &self,
        position: u32,
        mut eligible: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        let next = self.next(position);
        let (before, after) = self.points.split_at(next);
        let mut last = None;
        let steps = after.iter().chain(before).take(8 * self.nodes);
        for node in steps.map(|point| point.of as usize) {
            if last != Some(node) && eligible(node) {
                return Some(node);
            }
            last = Some(node);
        }
        (0..self.nodes).find(|node| eligible(*node))
    }

    /// The index of the first point at or after a position; there may be none.
    fn next(&self, position: u32) -> usize {
        let start = self.starts[(position >> self.shift) as usize] as usize;
        let rest = &self.points[start..];
        start + rest.iter().position(|point| point.at >= position).unwrap_or(rest.len())
    }
}

#[cfg(test)]
mod tests;
