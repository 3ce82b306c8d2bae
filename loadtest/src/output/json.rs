//! `--out json`: a line per sample, and one per metric before its first.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::{METADATA, time};
use crate::{
    metrics::{Metric, Registry, Sample},
    threshold::Thresholds,
};

/// Writes k6's lines.
#[derive(Debug)]
pub struct Json<W> {
    to: W,
    announced: Vec<bool>,
}

impl<W: Write> Json<W> {
    /// To `to`.
    pub fn new(to: W) -> Self {
        Self { to, announced: Vec::new() }
    }

    /// Writes `samples`.
    pub fn write(
        &mut self,
        registry: &Registry,
        thresholds: &Thresholds,
        samples: &[Sample],
    ) -> io::Result<()> {
        self.announced.resize(registry.len(), false);
        for sample in samples {
            let metric = registry.metric(sample.metric);
            if !std::mem::replace(&mut self.announced[sample.metric.index()], true) {
                let of_metric = thresholds.of(sample.metric);
                let sources: Vec<&str> =
                    of_metric.iter().map(|threshold| &*threshold.source).collect();
                self.line(&announcement(registry, metric, &sources))?;
            }
            self.line(&point(metric, sample))?;
        }
        Ok(())
    }

    /// Writes what is still buffered.
    pub fn finish(mut self) -> io::Result<()> {
        self.to.flush()
    }

    fn line(&mut self, value: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.to, value)?;
        self.to.write_all(b"\n")
    }
}

fn announcement(registry: &Registry, metric: &Metric, thresholds: &[&str]) -> Value {
    let parts = metric.submetrics().iter().map(|part| {
        let name = &*registry.metric(part.id).name;
        let suffix = name.split_once('{').map_or("", |(_, rest)| rest.trim_end_matches('}'));
        let tags = part.tags().map(|(key, value)| (key.to_owned(), json!(value)));
        json!({ "name": name, "suffix": suffix, "tags": tags.collect::<Map<_, _>>() })
    });
    let parts: Vec<Value> = parts.collect();
    json!({
        "type": "Metric",
        "data": {
            "name": &*metric.name,
            "type": metric.kind.name(),
            "contains": metric.contains.name(),
            "thresholds": thresholds,
            "submetrics": if parts.is_empty() { Value::Null } else { Value::Array(parts) },
        },
        "metric": &*metric.name,
    })
}

fn point(metric: &Metric, sample: &Sample) -> Value {
    let pairs = |metadata: bool| {
        let tags = sample.tags.iter().filter(move |(key, _)| METADATA.contains(key) == metadata);
        tags.map(|(key, value)| (key.to_owned(), json!(value))).collect::<Map<_, _>>()
    };
    let mut data = json!({
        "time": time::rfc3339(sample.at_unix),
        "value": crate::summary::number(sample.value),
        "tags": pairs(false),
    });
    let metadata = pairs(true);
    if !metadata.is_empty() {
        data["metadata"] = Value::Object(metadata);
    }
    json!({ "metric": &*metric.name, "type": "Point", "data": data })
}
