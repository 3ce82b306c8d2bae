//! `--out`: each sample, to a file. Written by a thread of its own behind a bounded channel, so
//! that a slow disk holds up the collector and never a worker.

mod csv;
mod json;
mod time;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use crate::{
    metrics::{Registry, Sample},
    options::{OptionsError, SystemTags},
    threshold::Thresholds,
};

pub use self::{csv::Csv, json::Json};

/// Where samples go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A JSON object per line; without a file, to standard output.
    Json(Option<String>),
    /// A row per sample.
    Csv(String),
}

impl Target {
    /// Parses `json=FILE`, `json` or `csv=FILE`.
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        let (kind, file) = text.split_once('=').unwrap_or((text, ""));
        let file = file.strip_prefix("file://").unwrap_or(file);
        match (kind, file) {
            ("json", "" | "-") => Ok(Self::Json(None)),
            ("json", file) => Ok(Self::Json(Some(file.to_owned()))),
            ("csv", "") => Ok(Self::Csv("file.csv".to_owned())),
            ("csv", file) => Ok(Self::Csv(file.to_owned())),
            _ => Err(OptionsError::new("--out", format!("there is no output '{kind}'"))),
        }
    }

    fn open(&self, tags: SystemTags) -> io::Result<Format> {
        let file = |path: &str| -> io::Result<Sink> {
            let file = File::create(path);
            let named = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
            Ok(BufWriter::new(Box::new(file.map_err(named)?)))
        };
        Ok(match self {
            Self::Json(None) => Format::Json(Json::new(BufWriter::new(Box::new(io::stdout())))),
            Self::Json(Some(path)) => Format::Json(Json::new(file(path)?)),
            Self::Csv(path) => Format::Csv(Csv::new(file(path)?, tags)?),
        })
    }
}

type Sink = BufWriter<Box<dyn Write + Send>>;

enum Format {
    Json(Json<Sink>),
    Csv(Csv<Sink>),
}

/// Outputs that are being written.
#[derive(Debug)]
pub struct Outputs {
    queue: SyncSender<Vec<Sample>>,
    thread: JoinHandle<io::Result<()>>,
}

/// Batches that wait for the disk at most.
const BATCHES_MOST: usize = 16;

impl Outputs {
    /// Opens all `targets` and begins to write; an error names the file.
    pub fn open(
        targets: &[Target],
        tags: SystemTags,
        registry: Arc<Registry>,
        thresholds: Thresholds,
    ) -> io::Result<Self> {
        let formats = targets.iter().map(|target| target.open(tags));
        let mut formats = formats.collect::<io::Result<Vec<_>>>()?;
        let (queue, batches) = sync_channel::<Vec<Sample>>(BATCHES_MOST);
        let thread = thread::Builder::new().name("output".to_owned()).spawn(move || {
            for samples in batches {
                for format in &mut formats {
                    match format {
                        Format::Json(json) => json.write(&registry, &thresholds, &samples)?,
                        Format::Csv(csv) => csv.write(&registry, &samples)?,
                    }
                }
            }
            formats.into_iter().try_for_each(|format| match format {
                Format::Json(json) => json.finish(),
                Format::Csv(csv) => csv.finish(),
            })
        })?;
        Ok(Self { queue, thread })
    }

    /// Hands samples over; waits when the disk is far behind. Says whether they are still wanted:
    /// when not, [`Self::finish`] says why.
    pub fn send(&self, samples: Vec<Sample>) -> bool {
        samples.is_empty() || self.queue.send(samples).is_ok()
    }

    /// Waits until all is written.
    pub fn finish(self) -> io::Result<()> {
        drop(self.queue);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the output's thread panicked")))
    }
}

/// Tags that describe a single sample rather than a kind of samples; k6 writes them apart.
const METADATA: &[&str] = &["iter", "vu"];

#[cfg(test)]
mod tests;
