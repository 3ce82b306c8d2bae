//! From how a member's silence looks to what part of its share its endpoints keep.
//!
//! A balancer sends less to an endpoint whose member begins to fall silent, before anybody suspects
//! it, and all of it again with the next answer. Nothing is compiled for that: the shares are those
//! of the roster.

use std::{collections::HashMap, sync::Arc};

use weir_config::model::DiscoverySource;
use weir_discovery::{
    phi,
    swim::State,
    udp::{Member, View},
};

use crate::{
    clock::Tick,
    snapshot::Snapshot,
    upstream::{endpoint::Endpoint, load::WHOLE_SHARE},
};

/// The least part that is kept: what a slow start begins with.
const FLOOR: f64 = 0.1;
/// By how much a part must differ for it to be changed: silence is noisy.
const STEP: f64 = 0.125;
/// From here on a member's silence is taken for more than noise.
const DOUBTFUL: f64 = 3.0;

/// The members whose endpoints keep only a part of their share, and what part.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Regards(HashMap<Box<str>, f64>);

impl Regards {
    /// Takes a view in; whether that changed anything.
    pub(super) fn take(&mut self, view: &View, own: &str) -> bool {
        let others = || {
            let live = view.members.iter().filter(|member| member.state.is_live());
            live.filter(|member| *member.record.name != *own)
        };
        let mut next = HashMap::new();
        // Most are silent at once: then it is rather this gateway that does not hear.
        if !most(others().filter_map(|one| one.phi), |phi| phi > DOUBTFUL)
            && !most(others().map(|one| one.state), |state| state == State::Suspect)
        {
            for member in others() {
                let name = &member.record.name;
                let before = self.0.get(name).copied().unwrap_or(1.0);
                let part = settled(before, wanted(member));
                if part < 1.0 {
                    next.insert(name.clone(), part);
                }
            }
        }
        let changed = next != self.0;
        self.0 = next;
        changed
    }

    /// All keep all of it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets them; whether there were any.
    pub(super) fn clear(&mut self) -> bool {
        !std::mem::take(&mut self.0).is_empty()
    }

    /// Sets the shares of the endpoints that were found through members. Those that are chosen by
    /// key keep all of theirs: gateways watch different members, and would send one key to
    /// different endpoints.
    pub(super) fn apply(&self, snapshot: &Snapshot, now: Tick) {
        for upstream in &snapshot.upstreams {
            let source = upstream.config.discovery.as_ref().map(|discovery| &discovery.source);
            if !matches!(source, Some(DiscoverySource::Members(_))) {
                continue;
            }
            let regards =
                if upstream.config.balance.is_by_key() { &HashMap::new() } else { &self.0 };
            let found = upstream.config.endpoints.iter().zip(&upstream.endpoints);
            let lessened = found.filter_map(|(config, endpoint)| {
                let part = regards.get(config.name.as_deref()?)?;
                Some((endpoint.clone(), (f64::from(WHOLE_SHARE) * part) as u32))
            });
            let lessened: Vec<(Arc<Endpoint>, u32)> = lessened.collect();
            upstream.roster.regard(&lessened, now);
        }
    }
}

/// Whether that holds for more than half of them.
fn most<T>(of: impl Iterator<Item = T>, holds: impl Fn(T) -> bool) -> bool {
    let (yes, all) = of.fold((0, 0), |(yes, all), one| (yes + usize::from(holds(one)), all + 1));
    2 * yes > all
}

/// What part it would keep by this view alone. Few members are watched by this gateway itself; of
/// the others it hears when somebody suspects them.
fn wanted(member: &Member) -> f64 {
    match member.state {
        State::Suspect => FLOOR,
        State::Alive | State::Dead | State::Left => {
            member.phi.map_or(1.0, |phi| phi::weight(phi, FLOOR))
        }
    }
}

/// All of it at once when it answers; else only what makes a difference.
fn settled(before: f64, wanted: f64) -> f64 {
    if wanted >= 1.0 || (wanted - before).abs() >= STEP { wanted } else { before }
}

#[cfg(test)]
mod tests;
