//! The endpoint by a key of the request: the same for the same key, whichever worker or gateway
//! asks, for as long as that endpoint is in use.
//!
//! A [`KeyTable`] is built when a configuration is compiled, and shared by all workers: it knows
//! nothing of who is well. One that is not, that was tried, or that has more than its part under
//! way is passed over for the next in the key's own order; nobody else's keys move for that, and
//! its own come back to it. An endpoint that takes part of its share only (it is new, or just
//! back) takes that part of its keys, always the same ones and ever more.

use std::{collections::HashMap, sync::Arc};

use weir_config::model::{self, Balance, HashBalance, KeyPart};
use weir_discovery::{
    bounded::{Load, LoadBound},
    hash::{Node, mix, xxh64},
    maglev::{Maglev, NoTable},
    rendezvous::{NODES_MAX, Rendezvous, slot},
    ring::{self, Ring},
};

use super::Candidate;
use crate::{
    limit::key::{self, Subject},
    upstream::load::WHOLE_SHARE,
};

#[cfg(test)]
mod tests;

/// Slots looked at in one step of [`KeyTable::prepare`].
pub(crate) const STEP: usize = 1 << 14;

/// Where a request's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u64);

/// See the module's page.
#[derive(Debug)]
pub struct KeyTable {
    config: HashBalance,
    balance: Balance,
    shape: Shape,
    /// Of the endpoints, in their order.
    members: Box<[Member]>,
    weights: u64,
    bound: Option<LoadBound>,
}

#[derive(Debug, PartialEq, Eq)]
struct Member {
    name: Box<str>,
    weight: u32,
    /// Which of its keys it takes first.
    salt: u64,
}

#[derive(Debug)]
enum Shape {
    Rendezvous(Numbered),
    Ring(Ring),
    /// What the table says first, and who is next.
    Maglev(Maglev, Numbered),
}

/// A set whose ids are not the endpoints' numbers.
#[derive(Debug)]
struct Numbered {
    set: Rendezvous,
    /// By id; of ids that nobody has it does not matter.
    indices: Box<[u16]>,
}

/// How endpoints are to be picked this time.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Whether they take part by their shares.
    pub shares: bool,
    /// Requests of the upstream under way, this one not counted.
    pub under_way: u32,
}

impl KeyTable {
    /// The table of an upstream; `None` where no key decides. It is `previous` where that would be
    /// equal; and else from there comes what need not be made anew.
    ///
    /// # Errors
    /// Why there can be none.
    pub fn build(
        upstream: &model::Upstream,
        previous: Option<&Arc<Self>>,
    ) -> Result<Option<Arc<Self>>, String> {
        let Some(config) = &upstream.hash else { return Ok(None) };
        if let Some(same) = previous.filter(|previous| previous.is_of(upstream)) {
            return Ok(Some(same.clone()));
        }
        let members: Box<[Member]> = upstream.endpoints.iter().map(Member::of).collect();
        let nodes: Vec<Node<'_>> = members.iter().map(Member::node).collect();
        if nodes.len() > NODES_MAX {
            return Err(format!("a key decides among at most {NODES_MAX} endpoints"));
        }
        let numbered = |bare| Numbered::of(&nodes, bare).ok_or("there are too many endpoints");
        let shape = match upstream.balance {
            Balance::Ring => {
                let digests = config.points.div_ceil(4);
                let ring = Ring::new(&nodes, digests).map_err(|_| {
                    let most = ring::POINTS_MAX;
                    format!("there would be more than {most} points: lower weights, or `points`")
                })?;
                Shape::Ring(ring)
            }
            Balance::Maglev => {
                let table = Maglev::new(&nodes, config.entries).map_err(|error| match error {
                    NoTable::NotPrime => format!("`entries`: {} is no prime", config.entries),
                    NoTable::TooManyNodes => {
                        format!("`entries`: {} are fewer than endpoints", config.entries)
                    }
                })?;
                Shape::Maglev(table, numbered(true)?)
            }
            _ => match previous.map(|previous| &previous.shape) {
                Some(Shape::Rendezvous(before)) => {
                    Shape::Rendezvous(before.become_of(&nodes).map_or_else(|| numbered(false), Ok)?)
                }
                _ => Shape::Rendezvous(numbered(false)?),
            },
        };
        let weights = members.iter().map(|member| u64::from(member.weight)).sum();
        let bound = config.bounded_load.map(LoadBound::new);
        let (config, balance) = (config.clone(), upstream.balance);
        Ok(Some(Arc::new(Self { config, balance, shape, members, weights, bound })))
    }

    /// Makes a step towards the quickest next change, of some milliseconds among a thousand
    /// endpoints; whether there is more to do. Look-ups do not wait for it.
    pub(crate) fn prepare(&self) -> bool {
        match &self.shape {
            Shape::Rendezvous(numbered) => numbered.set.prepare(STEP) == STEP,
            Shape::Ring(_) | Shape::Maglev(..) => false,
        }
    }

    /// Whether [`Self::prepare`] has anything to do.
    pub(crate) const fn prepares(&self) -> bool {
        match &self.shape {
            Shape::Rendezvous(numbered) => numbered.set.prepares(),
            Shape::Ring(_) | Shape::Maglev(..) => false,
        }
    }

    /// Whether it is what `upstream` asks for.
    fn is_of(&self, upstream: &model::Upstream) -> bool {
        let same =
            |(member, endpoint): (&Member, &model::Endpoint)| *member == Member::of(endpoint);
        upstream.hash.as_ref() == Some(&self.config)
            && upstream.balance == self.balance
            && upstream.endpoints.len() == self.members.len()
            && self.members.iter().zip(&upstream.endpoints).all(same)
    }

    /// Where the key of a request is; `None` when it lacks a part of it.
    pub(crate) fn place(&self, subject: &Subject<'_>) -> Option<Place> {
        // A ring is shared with others, who hash the one value that is the key.
        if let (Shape::Ring(_), [part]) = (&self.shape, &*self.config.key) {
            return key::value(part, subject, |value| Place(ring::position(value).into()));
        }
        let mut hash = 0;
        for part in &self.config.key {
            hash = key::value(part, subject, |value| xxh64(value, hash))?;
        }
        Some(Place(hash))
    }

    /// The parts of its key.
    pub fn key(&self) -> &[KeyPart] {
        &self.config.key
    }

    /// The name of an endpoint.
    pub fn name(&self, index: usize) -> &str {
        self.members.get(index).map_or("", |member| &member.name)
    }

    /// Whose the place is while all are well: an index.
    pub fn owner(&self, place: Place) -> Option<usize> {
        match &self.shape {
            Shape::Rendezvous(numbered) => {
                numbered.set.first(slot(place.0)).map(|id| numbered.index(id))
            }
            Shape::Ring(ring) => ring.first(place.0 as u32),
            Shape::Maglev(table, _) => table.first(place.0),
        }
    }

    /// The endpoint to ask; `None` when all are excluded. `endpoints` are those it was built from,
    /// in their order.
    pub fn pick<C: Candidate>(
        &self,
        endpoints: &[C],
        place: Place,
        terms: Terms,
        excluded: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let first = self.owner(place)?;
        let takes = |index: usize| {
            !excluded(index) && (!terms.shares || self.takes_part(endpoints, place, index))
        };
        // By the weights of all it is no more than by those of whoever is left.
        let admits = |bound| self.admits(bound, endpoints, first, terms.under_way, self.weights);
        if takes(first) && self.bound.is_none_or(admits) {
            return Some(first);
        }
        self.another(endpoints, place, &excluded, takes)
    }

    /// The next in the key's order that takes it: one with room, one in use, anybody.
    #[cold]
    fn another<C: Candidate>(
        &self,
        endpoints: &[C],
        place: Place,
        excluded: impl Fn(usize) -> bool,
        takes: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let bounded = self.bound.and_then(|bound| {
            let (mut under_way, mut weights) = (0_u32, 0);
            for index in (0..self.members.len()).filter(|index| takes(*index)) {
                under_way = under_way.saturating_add(endpoints[index].load().in_flight());
                weights += u64::from(self.members[index].weight);
            }
            let admits = |index| self.admits(bound, endpoints, index, under_way, weights);
            self.first_of(place, |index| takes(index) && admits(index))
        });
        bounded
            .or_else(|| self.first_of(place, &takes))
            .or_else(|| {
                let out = |index: usize| endpoints[index].load().share() == 0;
                self.first_of(place, |index| !excluded(index) && !out(index))
            })
            .or_else(|| self.first_of(place, |index| !excluded(index)))
    }

    fn admits<C: Candidate>(
        &self,
        bound: LoadBound,
        endpoints: &[C],
        index: usize,
        all: u32,
        weights: u64,
    ) -> bool {
        let (here, weight) = (endpoints[index].load().in_flight(), self.members[index].weight);
        bound.admits(Load { here, all: all.into(), weight, weights })
    }

    /// Whether this is one of the keys that an endpoint takes with the share it has.
    fn takes_part<C: Candidate>(&self, endpoints: &[C], place: Place, index: usize) -> bool {
        let share = endpoints[index].load().share();
        let salt = self.members[index].salt;
        share >= WHOLE_SHARE || (mix(place.0 ^ salt) >> 48) < u64::from(share)
    }

    fn first_of(&self, place: Place, mut eligible: impl FnMut(usize) -> bool) -> Option<usize> {
        match &self.shape {
            Shape::Ring(ring) => ring.first_of(place.0 as u32, eligible),
            Shape::Rendezvous(numbered) | Shape::Maglev(_, numbered) => {
                let id = numbered.set.first_of(slot(place.0), |id| eligible(numbered.index(id)));
                id.map(|id| numbered.index(id))
            }
        }
    }
}

impl Member {
    fn of(endpoint: &model::Endpoint) -> Self {
        let name = endpoint.name.clone().unwrap_or_else(|| endpoint.address.to_string());
        Self { salt: xxh64(name.as_bytes(), 1), name: name.into(), weight: endpoint.weight }
    }

    fn node(&self) -> Node<'_> {
        Node { name: &self.name, weight: self.weight }
    }
}

impl Numbered {
    fn of(nodes: &[Node<'_>], bare: bool) -> Option<Self> {
        let set = if bare { Rendezvous::bare(nodes) } else { Rendezvous::new(nodes) };
        Self::number(set.ok()?, nodes)
    }

    /// The set of other nodes, from this one where few of them differ: a table costs more to fill
    /// than to copy and to change here and there.
    fn become_of(&self, nodes: &[Node<'_>]) -> Option<Self> {
        let names: HashMap<&str, u32> = nodes.iter().map(|node| (node.name, node.weight)).collect();
        let gone: Vec<&str> = self
            .set
            .nodes()
            .map(|(name, _)| name)
            .filter(|name| !names.contains_key(name))
            .collect();
        let differs = |node: &&Node<'_>| {
            self.set.find(node.name).is_none_or(|(_, weight)| weight != node.weight.max(1))
        };
        let changed: Vec<&Node<'_>> = nodes.iter().filter(differs).collect();
        if (gone.len() + changed.len()) * 8 > nodes.len() {
            return None;
        }
        let mut set = self.set.succeed();
        for name in gone {
            set.leave(name);
        }
        for node in changed {
            set.join(*node).ok()?;
        }
        Self::number(set, nodes)
    }

    fn number(set: Rendezvous, nodes: &[Node<'_>]) -> Option<Self> {
        let most = set.nodes().map(|(_, id)| usize::from(id)).max().map_or(0, |most| most + 1);
        let mut indices = vec![0; most];
        for (index, node) in (0..).zip(nodes) {
            let (id, _) = set.find(node.name)?;
            indices[usize::from(id)] = index;
        }
        Some(Self { set, indices: indices.into() })
    }

    fn index(&self, id: u16) -> usize {
        self.indices.get(usize::from(id)).copied().unwrap_or_default().into()
    }
}
