//! `--out`: each sample, to a file; or what was counted, to a server. Written by a thread of its
//! own behind a bounded channel, so that a slow disk holds up the collector and never a worker.

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
    clock,
    metrics::{Registry, Sample},
    options::{OptionsError, SystemTags},
    push::{Push, PushOptions},
    threshold::Thresholds,
};

pub use self::{csv::Csv, json::Json};

/// Where samples go.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// A JSON object per line; without a file, to standard output.
    Json(Option<String>),
    /// A row per sample.
    Csv(String),
    /// What was counted so far, to a server.
    Push(PushOptions),
}

impl Target {
    /// Parses `json=FILE`, `json`, `csv=FILE`, `prometheus-rw=URL` or `opentelemetry=URL`; for the
    /// last two, k6's variables say the rest.
    pub fn parse(
        text: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, OptionsError> {
        let (kind, file) = text.split_once('=').unwrap_or((text, ""));
        let file = file.strip_prefix("file://").unwrap_or(file);
        match (kind, file) {
            ("json", "" | "-") => Ok(Self::Json(None)),
            ("json", file) => Ok(Self::Json(Some(file.to_owned()))),
            ("csv", "") => Ok(Self::Csv("file.csv".to_owned())),
            ("csv", file) => Ok(Self::Csv(file.to_owned())),
            ("experimental-prometheus-rw" | "prometheus-rw", url) => {
                PushOptions::remote_write(url, variable).map(Self::Push)
            }
            ("experimental-opentelemetry" | "opentelemetry", url) => {
                PushOptions::otlp(url, variable).map(Self::Push)
            }
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
            Self::Push(options) => Format::Push(Box::new(Push::open(options.clone())?)),
        })
    }
}

type Sink = BufWriter<Box<dyn Write + Send>>;

enum Format {
    Json(Json<Sink>),
    Csv(Csv<Sink>),
    Push(Box<Push>),
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
                        Format::Push(push) => push.write(&registry, &samples),
                    }
                }
            }
            // One that failed must not keep the others from their end.
            let ended = formats.into_iter().map(|format| match format {
                Format::Json(json) => json.finish(),
                Format::Csv(csv) => csv.finish(),
                Format::Push(push) => push.finish(&registry, clock::unix()),
            });
            ended.fold(Ok(()), io::Result::and)
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
