//! A worker's own counts.

use std::{mem, sync::Arc, time::Duration};

use super::{Groups, MetricId, Parts, Registry, Sink, TagSet, Tags};

/// One value, for the outputs that want each.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What it is a value of; never a part of a metric.
    pub metric: MetricId,
    /// The value.
    pub value: f64,
    /// When, since 1970.
    pub at_unix: Duration,
    /// Its tags, shared by all samples of one request.
    pub tags: TagSet,
}

/// Whether an output wants each sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streaming {
    /// None does: no sample is kept, no set of tags made.
    Off,
    /// At least one does.
    On,
}

/// What a worker counted since it last said so.
#[derive(Debug, Default)]
pub struct Delta {
    /// A sink for each metric that had values.
    pub sinks: Vec<(MetricId, Sink)>,
    /// Checks and groups.
    pub groups: Groups,
    /// The same and all values by scenario and group, where that is wanted.
    pub parts: Option<Parts>,
    /// Each sample, when streaming, in the order of recording.
    pub samples: Vec<Sample>,
    /// Samples that did not fit into `samples`. They are in the sinks all the same.
    pub samples_lost: u64,
}

/// The counts of one worker. Not shared: no lock, and nothing is allocated per sample unless an
/// output wants each.
#[derive(Debug)]
pub struct Recorder {
    registry: Arc<Registry>,
    streaming: Streaming,
    sinks: Vec<Option<Sink>>,
    delta: Delta,
}

impl Recorder {
    /// How many samples wait for the collector at most.
    pub const SAMPLES_MOST: usize = 1 << 18;

    /// Nothing counted yet. `registry` is complete.
    pub fn new(registry: Arc<Registry>, streaming: Streaming) -> Self {
        let sinks = (0..registry.len()).map(|_| None).collect();
        Self { registry, streaming, sinks, delta: Delta::default() }
    }

    /// Counts by scenario and group as well, if that is wanted.
    pub fn in_parts(mut self, is_wanted: bool) -> Self {
        self.delta.parts = is_wanted.then(Parts::default);
        self
    }

    /// Counts `value` for `metric` and for those of its parts whose tags it has.
    pub fn record(
        &mut self,
        metric: MetricId,
        value: f64,
        tags: &(impl Tags + ?Sized),
        at_unix: Duration,
    ) {
        self.record_all(&[(metric, value)], tags, at_unix);
    }

    /// Counts several values that share their tags, as those of a request do.
    pub fn record_all(
        &mut self,
        values: &[(MetricId, f64)],
        tags: &(impl Tags + ?Sized),
        at_unix: Duration,
    ) {
        for (id, value) in values {
            let metric = self.registry.metric(*id);
            let mut add = |id: MetricId| {
                let sink = self.sinks[id.index()].get_or_insert_with(|| Sink::new(metric.kind));
                sink.add(*value, at_unix);
            };
            add(*id);
            for part in metric.submetrics() {
                if part.holds(tags) {
                    add(part.id);
                }
            }
        }
        if let Some(parts) = &mut self.delta.parts {
            let of = |key| tags.value(key).unwrap_or_default();
            let at = (of("scenario"), of("group"));
            for (id, value) in values {
                parts.add(at, (*id, self.registry.metric(*id).kind), *value, at_unix);
            }
        }
        if self.streaming == Streaming::On {
            self.stream(values, &tags.to_set(), at_unix);
        }
    }

    /// Counts a check made in the group at `path` (`::outer::inner`, empty outside of groups). The
    /// metric `checks` is counted with [`Self::record`].
    pub fn check(&mut self, path: &str, name: &str, passed: bool) {
        self.delta.groups.check(path, name, passed);
    }

    /// Makes the group at `path` known even if it has no checks.
    pub fn enter_group(&mut self, path: &str) {
        self.delta.groups.enter(path);
    }

    /// The counts by scenario and group, where they are wanted.
    pub fn parts(&mut self) -> Option<&mut Parts> {
        self.delta.parts.as_mut()
    }

    /// All that was counted since the last call.
    pub fn take(&mut self) -> Delta {
        let sinks = self.sinks.iter_mut().enumerate();
        let taken = sinks.filter_map(|(i, sink)| Some((MetricId(i as u32), sink.take()?)));
        self.delta.sinks.extend(taken);
        let parts = self.delta.parts.as_ref().map(|_| Parts::default());
        mem::replace(&mut self.delta, Delta { parts, ..Delta::default() })
    }

    fn stream(&mut self, values: &[(MetricId, f64)], tags: &TagSet, at_unix: Duration) {
        for (metric, value) in values {
            if self.delta.samples.len() >= Self::SAMPLES_MOST {
                self.delta.samples_lost += 1;
                continue;
            }
            let sample = Sample { metric: *metric, value: *value, at_unix, tags: tags.clone() };
            self.delta.samples.push(sample);
        }
    }
}
