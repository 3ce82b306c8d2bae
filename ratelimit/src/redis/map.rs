//! Which servers there are, and which of them keeps what.

use std::sync::Arc;

use redis::ConnectionAddr;

use super::{
    cluster::{NODES, Range, SLOTS},
    servers::Server,
};

/// Nobody owns this slot.
const NOBODY: u16 = u16::MAX;

/// One state of affairs. Never changed: another takes its place.
#[derive(Debug, Clone)]
pub(super) struct Map {
    /// Those of the configuration first; of a cluster, then those that it named.
    pub(super) nodes: Vec<Arc<Server>>,
    seeds: usize,
    /// Who owns each slot, by its place above. Empty while that is not known, and where the servers
    /// are no cluster.
    owners: Arc<[u16]>,
}

impl Map {
    pub(super) fn new(seeds: Vec<Arc<Server>>) -> Self {
        Self { seeds: seeds.len(), nodes: seeds, owners: Arc::default() }
    }

    /// The node that owns `slot`, by its place in the list.
    pub(super) fn owner(&self, slot: usize) -> Option<usize> {
        let owner = *self.owners.get(slot)?;
        (owner != NOBODY).then_some(owner.into())
    }

    /// The nodes that matter: the owners of slots, or all while there are none.
    pub(super) fn standing(&self) -> Vec<(Arc<str>, bool)> {
        let owns = |i: usize| self.owners.is_empty() || self.owners.contains(&(i as u16));
        let nodes = self.nodes.iter().enumerate().filter(|(i, _)| owns(*i));
        nodes.map(|(_, node)| (Arc::clone(&node.name), node.health.is_up())).collect()
    }

    /// The node at `host` (of `teller`, if there is none) and `port`, with room made for it if it
    /// is new; `None` when there is none left.
    pub(super) fn find(&mut self, host: Option<&str>, port: u16, teller: &Server) -> Option<usize> {
        // As the teller is spoken to: in the clear, or by its certificate's rules.
        let addr = match (host, teller.info.addr().clone()) {
            (Some(host), ConnectionAddr::TcpTls { insecure, tls_params, .. }) => {
                ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure, tls_params }
            }
            (None, ConnectionAddr::TcpTls { host, insecure, tls_params, .. }) => {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            (Some(host), _) => ConnectionAddr::Tcp(host.to_owned(), port),
            (None, ConnectionAddr::Tcp(host, _)) => ConnectionAddr::Tcp(host, port),
            (None, _) => return None,
        };
        let info = teller.info.clone().set_addr(addr);
        let name = Server::name_of(&info);
        if let Some(found) = self.nodes.iter().position(|node| *node.name == *name) {
            return Some(found);
        }
        (self.nodes.len() < NODES).then_some(())?;
        let node = Server::at(info, Arc::clone(&teller.counters)).ok()?;
        self.nodes.push(Arc::new(node));
        Some(self.nodes.len() - 1)
    }

    /// What `teller` says of its cluster. Nodes that are known already stay the same.
    pub(super) fn told(&self, ranges: &[Range], teller: &Server) -> Self {
        let mut next = self.clone();
        let mut owners = vec![NOBODY; SLOTS];
        for Range { first, last, host, port } in ranges {
            if let Some(node) = next.find(host.as_deref(), *port, teller) {
                // At most NODES, and the ends are those of slots.
                owners[usize::from(*first)..=usize::from(*last)].fill(node as u16);
            }
        }
        // Those that own nothing any more are forgotten.
        let seeds = self.seeds;
        let mut places = vec![NOBODY; next.nodes.len()];
        let mut kept = Vec::new();
        for (i, node) in next.nodes.into_iter().enumerate() {
            if i < seeds || owners.contains(&(i as u16)) {
                places[i] = kept.len() as u16;
                kept.push(node);
            }
        }
        let place = |owner: u16| places.get(usize::from(owner)).copied().unwrap_or(NOBODY);
        Self { nodes: kept, seeds, owners: owners.into_iter().map(place).collect() }
    }

    /// Whether it is the same as `other`.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same = |(a, b): (&Arc<Server>, &Arc<Server>)| Arc::ptr_eq(a, b);
        self.owners == other.owners
            && self.nodes.len() == other.nodes.len()
            && self.nodes.iter().zip(&other.nodes).all(same)
    }
}
