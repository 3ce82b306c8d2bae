//! Thresholds: what the metrics of a run must not exceed.
//!
//! `http_req_duration{status:200}: ["p(95)<200"]`: a metric, perhaps only its samples with certain
//! tags, and expressions over what it keeps.

mod expression;

use std::time::Duration;

use crate::{
    metrics::{Kind, MetricError, MetricId, Registry, Totals},
    options::ThresholdOption,
};

pub use self::expression::Expression;

/// Thresholds that make no sense. The run ends with [`crate::exit::Exit::InvalidConfig`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ThresholdError {
    /// The expression is none.
    #[error("threshold '{expression}' on '{metric}': {problem}")]
    Expression {
        /// The metric as written.
        metric: String,
        /// The expression as written.
        expression: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The filter by tags is none.
    #[error("threshold on '{metric}': {problem}")]
    Filter {
        /// The metric as written.
        metric: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no such metric.
    #[error("invalid threshold defined on {0}; reason: no metric name \"{0}\" found")]
    Metric(String),
    /// The kind of metric keeps no such thing.
    #[error(
        "invalid threshold '{expression}' applied on metric {metric}; reason: unsupported \
         aggregation method {method} on metric of type {kind}, which has {supported}"
    )]
    Method {
        /// The metric as written.
        metric: String,
        /// The expression as written.
        expression: String,
        /// What it asks for.
        method: String,
        /// The metric's kind.
        kind: &'static str,
        /// What it has.
        supported: &'static str,
    },
    /// Too many metrics.
    #[error(transparent)]
    TooMany(#[from] MetricError),
}

/// A threshold of one metric.
#[derive(Clone, Debug)]
pub struct Threshold {
    /// As written.
    pub source: String,
    /// Whether it was crossed when last looked at.
    pub crossed: bool,
    expression: Expression,
    abort_on_fail: bool,
    delay_abort_eval: Duration,
}

/// The thresholds of one metric, or of one part of it.
#[derive(Clone, Debug)]
pub struct OfMetric {
    /// As written.
    pub name: String,
    /// Where its values are.
    pub metric: MetricId,
    /// In the order of writing.
    pub thresholds: Vec<Threshold>,
}

/// All thresholds of a run.
#[derive(Clone, Debug, Default)]
pub struct Thresholds(Vec<OfMetric>);

/// What an evaluation came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Metrics with a crossed threshold, by name.
    pub crossed: Vec<String>,
    /// Whether one of them ends the test.
    pub abort: bool,
}

impl Thresholds {
    /// How often they are looked at while the test runs.
    pub const PERIOD: Duration = Duration::from_secs(2);

    /// Parses the option; makes each filter by tags a metric of its own in `registry`. To be called
    /// after the script's own metrics were defined.
    pub fn new(
        options: &[(String, Vec<ThresholdOption>)],
        registry: &mut Registry,
    ) -> Result<Self, ThresholdError> {
        let mut all = Vec::with_capacity(options.len());
        for (name, options) in options {
            let each = options.iter().map(|option| Threshold::new(name, option));
            let thresholds = each.collect::<Result<Vec<_>, _>>()?;
            let metric = locate(name, registry)?;
            let kind = registry.metric(metric).kind;
            for threshold in &thresholds {
                threshold.applies_to(name, kind)?;
            }
            all.push(OfMetric { name: name.clone(), metric, thresholds });
        }
        Ok(Self(all))
    }

    /// No thresholds; but the parts of metrics that some of these `names` ask for are counted.
    pub fn none<'a>(names: impl Iterator<Item = &'a str>, registry: &mut Registry) -> Self {
        // What makes no sense is of no use to anybody.
        names.for_each(|name| drop(locate(name, registry)));
        Self::default()
    }

    /// Looks at all of them, `elapsed` after the test began.
    pub fn evaluate(&mut self, totals: &Totals, elapsed: Duration) -> Verdict {
        let mut verdict = Verdict::default();
        for of_metric in &mut self.0 {
            let kind = totals.registry().metric(of_metric.metric).kind;
            let sink = totals.sink(of_metric.metric);
            let mut crossed = false;
            for threshold in &mut of_metric.thresholds {
                threshold.crossed = !threshold.expression.holds(kind, sink, elapsed);
                let late = elapsed >= threshold.delay_abort_eval;
                verdict.abort |= threshold.crossed && threshold.abort_on_fail && late;
                crossed |= threshold.crossed;
            }
            if crossed {
                verdict.crossed.push(of_metric.name.clone());
            }
        }
        verdict.crossed.sort();
        verdict
    }

    /// All of them, by metric.
    pub fn iter(&self) -> impl Iterator<Item = &OfMetric> {
        self.0.iter()
    }

    /// Those of `metric`.
    pub fn of(&self, metric: MetricId) -> &[Threshold] {
        let of_metric = self.0.iter().find(|of_metric| of_metric.metric == metric);
        of_metric.map_or(&[], |of_metric| &of_metric.thresholds)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Threshold {
    /// What is compared, `p(95)` say, and by how it stands: for the summary.
    pub fn expression(&self) -> &Expression {
        &self.expression
    }

    fn new(metric: &str, option: &ThresholdOption) -> Result<Self, ThresholdError> {
        let source = option.expression.clone();
        let expression = Expression::parse(&source).map_err(|problem| {
            let (metric, expression) = (metric.to_owned(), source.clone());
            ThresholdError::Expression { metric, expression, problem }
        })?;
        let ThresholdOption { abort_on_fail, delay_abort_eval, .. } = *option;
        Ok(Self { source, crossed: false, expression, abort_on_fail, delay_abort_eval })
    }

    fn applies_to(&self, metric: &str, kind: Kind) -> Result<(), ThresholdError> {
        let Err(supported) = self.expression.applies_to(kind) else { return Ok(()) };
        Err(ThresholdError::Method {
            metric: metric.to_owned(),
            expression: self.source.clone(),
            method: self.expression.method(),
            kind: kind.name(),
            supported,
        })
    }
}

/// The metric that `name` names, perhaps with a filter by tags.
fn locate(name: &str, registry: &mut Registry) -> Result<MetricId, ThresholdError> {
    let error = |problem: &str| {
        let (metric, problem) = (name.to_owned(), problem.to_owned());
        ThresholdError::Filter { metric, problem }
    };
    let Some((parent, filter)) = name.split_once('{') else {
        if name.contains('}') {
            return Err(error("unmatched curly brace"));
        }
        return registry.id(name).ok_or_else(|| ThresholdError::Metric(name.to_owned()));
    };
    let filter =
        filter.trim_end().strip_suffix('}').ok_or_else(|| error("unmatched curly brace"))?;
    let malformed = || error("tag expression is malformed, write it like {status:200,method:GET}");
    let tags = filter.split(',').map(|part| match part.split_once(':') {
        Some((key, value)) if !bare(key).is_empty() && !value.trim().is_empty() => {
            Ok((bare(key), bare(value)))
        }
        _ => Err(malformed()),
    });
    let tags = tags.collect::<Result<Vec<(&str, &str)>, _>>()?;
    let parent = parent.trim();
    let id = registry.id(parent).ok_or_else(|| ThresholdError::Metric(parent.to_owned()))?;
    Ok(registry.define_part(name, id, &tags)?)
}

/// A word without the spaces and quotes around it.
fn bare(word: &str) -> &str {
    word.trim().trim_matches(['"', '\''])
}

#[cfg(test)]
mod tests;
