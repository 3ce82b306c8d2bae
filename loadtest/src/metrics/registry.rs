//! Which metrics there are.

use std::collections::HashMap;

use super::{Tags, builtin};

/// A metric, or a part of one that a threshold named by its tags. Numbers count up from 0 in the
/// order of definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MetricId(pub(super) u32);

impl MetricId {
    /// Its place in a table of all of them.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a metric does with the values it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Adds them up.
    Counter,
    /// Keeps the last, the least and the greatest.
    Gauge,
    /// Counts how many are not zero.
    Rate,
    /// Keeps their distribution.
    Trend,
}

impl Kind {
    /// k6's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Rate => "rate",
            Self::Trend => "trend",
        }
    }
}

/// What the values of a metric mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contains {
    /// Plain numbers.
    Default,
    /// Milliseconds.
    Time,
    /// Bytes.
    Data,
}

impl Contains {
    /// k6's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Time => "time",
            Self::Data => "data",
        }
    }
}

/// A metric by name.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its name; a part's is written as in a threshold, `http_reqs{status:200}`.
    pub name: Box<str>,
    /// What it does with values.
    pub kind: Kind,
    /// What they mean.
    pub contains: Contains,
    /// The metric of which it is a part.
    pub parent: Option<MetricId>,
    submetrics: Vec<Submetric>,
}

impl Metric {
    /// Whether it is of that kind and holds such values.
    pub fn is(&self, kind: Kind, contains: Contains) -> bool {
        self.kind == kind && self.contains == contains
    }

    /// The parts that thresholds look at.
    pub fn submetrics(&self) -> &[Submetric] {
        &self.submetrics
    }
}

/// The samples of a metric that have certain tags.
#[derive(Clone, Debug)]
pub struct Submetric {
    /// What they are counted as.
    pub id: MetricId,
    tags: Box<[(Box<str>, Box<str>)]>,
}

impl Submetric {
    /// The tags that its samples have.
    pub fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tags.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether a sample with `tags` belongs to it. A tag that is not there equals the empty text.
    pub fn holds(&self, tags: &(impl Tags + ?Sized)) -> bool {
        self.tags.iter().all(|(key, value)| tags.value(key).unwrap_or("") == &**value)
    }
}

/// Why a metric cannot be defined. The texts end in an exception of the script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// k6's rule for names.
    #[error(
        "invalid metric name '{0}': names must be 2 to 128 ASCII letters, digits or underscores \
         and begin with a letter or an underscore"
    )]
    Name(String),
    /// The name is taken by another kind of metric.
    #[error("metric '{name}' already exists but with type {kind}, instead of {wanted}")]
    Kind {
        /// The metric.
        name: String,
        /// What it is.
        kind: &'static str,
        /// What was wanted.
        wanted: &'static str,
    },
    /// The name is taken by a metric whose values mean something else.
    #[error("metric '{name}' already exists but with a value type {contains}, instead of {wanted}")]
    Contains {
        /// The metric.
        name: String,
        /// What its values are.
        contains: &'static str,
        /// What was wanted.
        wanted: &'static str,
    },
    /// A script that makes up names as it goes.
    #[error("more than {} metrics", Registry::MOST)]
    TooMany,
}

/// All metrics of a run. Complete before the workers start, then shared and unchanged.
#[derive(Clone, Debug)]
pub struct Registry {
    metrics: Vec<Metric>,
    by_name: HashMap<Box<str>, MetricId>,
}

impl Registry {
    /// How many metrics and parts of metrics there may be.
    pub const MOST: usize = 10_000;

    /// The built-in metrics, with the ids that [`builtin`] gives them.
    pub fn new() -> Self {
        let mut registry = Self { metrics: Vec::new(), by_name: HashMap::new() };
        for (name, kind, contains) in builtin::TABLE {
            registry.add(name, *kind, *contains, None);
        }
        let tags = [("expected_response", "true")];
        registry.add_part(
            "http_req_duration{expected_response:true}",
            builtin::HTTP_REQ_DURATION,
            &tags,
        );
        registry
    }

    /// Defines a metric of the script. Defining it again is no error as long as it stays the same.
    pub fn define(
        &mut self,
        name: &str,
        kind: Kind,
        contains: Contains,
    ) -> Result<MetricId, MetricError> {
        if let Some(id) = self.id(name) {
            let metric = self.metric(id);
            let name = name.to_owned();
            if metric.kind != kind {
                let (kind, wanted) = (metric.kind.name(), kind.name());
                return Err(MetricError::Kind { name, kind, wanted });
            }
            if metric.contains != contains {
                let (contains, wanted) = (metric.contains.name(), contains.name());
                return Err(MetricError::Contains { name, contains, wanted });
            }
            return Ok(id);
        }
        if !is_name(name) {
            return Err(MetricError::Name(name.to_owned()));
        }
        if self.metrics.len() >= Self::MOST {
            return Err(MetricError::TooMany);
        }
        Ok(self.add(name, kind, contains, None))
    }

    /// Counts the samples of `parent` that have `tags` apart, under `name`.
    pub fn define_part(
        &mut self,
        name: &str,
        parent: MetricId,
        tags: &[(&str, &str)],
    ) -> Result<MetricId, MetricError> {
        if let Some(id) = self.id(name) {
            return Ok(id);
        }
        if self.metrics.len() >= Self::MOST {
            return Err(MetricError::TooMany);
        }
        Ok(self.add_part(name, parent, tags))
    }

    /// The metric of that name.
    pub fn id(&self, name: &str) -> Option<MetricId> {
        self.by_name.get(name).copied()
    }

    /// What is known of `id`, which this registry has given out.
    pub fn metric(&self, id: MetricId) -> &Metric {
        &self.metrics[id.index()]
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (MetricId, &Metric)> {
        (0u32..).map(MetricId).zip(&self.metrics)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.metrics.len()
    }

    /// Whether there are none; never, since some are built in.
    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty()
    }

    fn add_part(&mut self, name: &str, parent: MetricId, tags: &[(&str, &str)]) -> MetricId {
        let Metric { kind, contains, .. } = *self.metric(parent);
        let id = self.add(name, kind, contains, Some(parent));
        let tags = tags.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        self.metrics[parent.index()].submetrics.push(Submetric { id, tags });
        id
    }

    fn add(
        &mut self,
        name: &str,
        kind: Kind,
        contains: Contains,
        parent: Option<MetricId>,
    ) -> MetricId {
        let id = MetricId(u32::try_from(self.metrics.len()).unwrap_or(u32::MAX));
        self.metrics.push(Metric { name: name.into(), kind, contains, parent, submetrics: vec![] });
        self.by_name.insert(name.into(), id);
        id
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

/// k6's rule for the names of metrics: `^[a-zA-Z_][a-zA-Z0-9_]{1,128}$`.
fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    first && rest && (2..=129).contains(&name.len())
}
