//! What is counted: the names and kinds of metrics, and the sinks that hold their values in
//! constant memory.
//!
//! The path of a sample: a worker's [`Recorder`] adds it to its own sinks, without a lock; every
//! 100 ms the worker hands the [`Delta`] to the collector, which merges it into [`Totals`]. Tags
//! are looked at only where a threshold filters on one, or where an output wants each sample.

pub mod builtin;
mod checks;
mod parts;
mod recorder;
mod registry;
mod sink;
mod tags;
mod totals;
mod trend;

pub use self::{
    checks::{Check, Group, Groups},
    parts::{Parts, ScenarioPart},
    recorder::{Delta, Recorder, Sample, Streaming},
    registry::{Contains, Kind, Metric, MetricError, MetricId, Registry, Submetric},
    sink::{Counter, Gauge, Rate, Sink},
    tags::{TagSet, Tags},
    totals::Totals,
    trend::Trend,
};

#[cfg(test)]
mod tests;
