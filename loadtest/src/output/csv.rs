//! `--out csv`: a row per sample.

use std::io::{self, Write};

use super::METADATA;
use crate::{
    metrics::{Registry, Sample, Tags},
    options::{SystemTag, SystemTags},
};

/// Writes k6's rows.
#[derive(Debug)]
pub struct Csv<W> {
    to: W,
    /// Tags with a column of their own.
    columns: Vec<&'static str>,
}

impl<W: Write> Csv<W> {
    /// To `to`, with a column for each of `tags`; writes the header.
    pub fn new(mut to: W, tags: SystemTags) -> io::Result<Self> {
        let columns = SystemTag::ALL.iter().filter(|tag| tags.has(**tag)).map(|tag| tag.name());
        let mut columns: Vec<&str> = columns.filter(|name| !METADATA.contains(name)).collect();
        columns.sort_unstable();
        write!(to, "metric_name,timestamp,metric_value")?;
        columns.iter().try_for_each(|column| write!(to, ",{column}"))?;
        writeln!(to, ",extra_tags,metadata")?;
        Ok(Self { to, columns })
    }

    /// Writes `samples`.
    pub fn write(&mut self, registry: &Registry, samples: &[Sample]) -> io::Result<()> {
        for Sample { metric, value, at_unix, tags } in samples {
            let name = &registry.metric(*metric).name;
            write!(self.to, "{name},{},{value:.6}", at_unix.as_secs())?;
            for column in &self.columns {
                write!(self.to, ",{}", quoted(tags.value(column).unwrap_or("")))?;
            }
            let joined = |wanted: &dyn Fn(&str) -> bool| {
                let pairs = tags.iter().filter(|(key, _)| wanted(key));
                let pairs: Vec<String> =
                    pairs.map(|(key, value)| format!("{key}={value}")).collect();
                quoted(&pairs.join("&"))
            };
            let is_metadata = |key: &str| METADATA.contains(&key);
            let is_extra = |key: &str| !is_metadata(key) && !self.columns.contains(&key);
            let (extra, metadata) = (joined(&is_extra), joined(&is_metadata));
            writeln!(self.to, ",{extra},{metadata}")?;
        }
        Ok(())
    }

    /// Writes what is still buffered.
    pub fn finish(mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A field, in quotes where RFC 4180 wants them.
fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) || field.starts_with(' ') {
        return format!("\"{}\"", field.replace('"', "\"\""));
    }
    field.to_owned()
}
