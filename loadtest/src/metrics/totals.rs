//! All counts of a run, on the collector.

use std::sync::Arc;

use super::{Delta, Groups, MetricId, Parts, Registry, Sink};

/// The counts of all workers since the run began.
#[derive(Debug)]
pub struct Totals {
    registry: Arc<Registry>,
    sinks: Vec<Option<Sink>>,
    groups: Groups,
    parts: Parts,
    samples_lost: u64,
}

impl Totals {
    /// Nothing yet.
    pub fn new(registry: Arc<Registry>) -> Self {
        let sinks = (0..registry.len()).map(|_| None).collect();
        Self { registry, sinks, groups: Groups::new(), parts: Parts::default(), samples_lost: 0 }
    }

    /// Adds what a worker counted.
    pub fn merge(&mut self, delta: &Delta) {
        for (id, from) in &delta.sinks {
            match &mut self.sinks[id.index()] {
                Some(to) => to.merge(from),
                none => *none = Some(from.clone()),
            }
        }
        self.groups.merge(&delta.groups);
        if let Some(parts) = &delta.parts {
            self.parts.merge(parts);
        }
        self.samples_lost += delta.samples_lost;
    }

    /// The metrics of this run.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What was counted for `id`; nothing when it had no values.
    pub fn sink(&self, id: MetricId) -> Option<&Sink> {
        self.sinks[id.index()].as_ref()
    }

    /// Checks and groups.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The same by scenario and group, where workers counted so.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Samples that no output has seen, since they came too fast.
    pub fn samples_lost(&self) -> u64 {
        self.samples_lost
    }
}
