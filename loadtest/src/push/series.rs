//! What was counted, apart for each metric and set of tags.

use std::collections::HashMap;

use crate::metrics::{MetricId, Registry, Sample, Sink, TagSet};

/// Series at most: a script that makes up tags as it goes must not cost the memory of the host.
const SERIES_MOST: usize = 2000;

/// Tags of a single sample rather than of a kind of samples, of which there is no end.
const SINGLE: &[&str] = &["iter", "vu"];

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct AllSeries {
    all: HashMap<(MetricId, TagSet), Sink, foldhash::fast::RandomState>,
    untold: u64,
}

impl AllSeries {
    /// Adds a sample to its series.
    pub(super) fn add(&mut self, registry: &Registry, sample: &Sample) {
        let mut tags = sample.tags.clone();
        for key in SINGLE {
            if crate::metrics::Tags::value(&tags, key).is_some() {
                tags = tags.without(key);
            }
        }
        let key = (sample.metric, tags);
        if !self.all.contains_key(&key) && self.all.len() >= SERIES_MOST {
            self.untold += 1;
            return;
        }
        let kind = registry.metric(sample.metric).kind;
        self.all.entry(key).or_insert_with(|| Sink::new(kind)).add(sample.value, sample.at_unix);
    }

    /// Samples of series for which there was no room.
    pub(super) fn untold(&self) -> u64 {
        self.untold
    }

    /// All of them, by metric and then by tags.
    pub(super) fn sorted(&self) -> Vec<(MetricId, &TagSet, &Sink)> {
        let mut all: Vec<_> = self.all.iter().map(|((id, tags), sink)| (*id, tags, sink)).collect();
        all.sort_by(|(a, a_tags, _), (b, b_tags, _)| {
            a.index().cmp(&b.index()).then_with(|| a_tags.iter().cmp(b_tags.iter()))
        });
        all
    }
}
