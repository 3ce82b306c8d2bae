//! `--out prometheus-rw` and `--out opentelemetry`: what was counted so far, by metric and tags,
//! pushed to a server every few seconds.
//!
//! A server that is slow or gone costs the run nothing: what cannot be sent is dropped and counted,
//! and since all values are of the whole run, the next push says what the lost one did.

mod options;
mod otlp;
mod protobuf;
mod remote_write;
mod sender;
mod series;

use std::{io, time::Duration};

use self::{sender::Sender, series::AllSeries};
use crate::metrics::{Registry, Sample};

pub use self::options::{Protocol, PushOptions};

/// An output that pushes.
#[derive(Debug)]
pub struct Push {
    options: PushOptions,
    series: AllSeries,
    sender: Sender,
    /// When the run's first sample was made, and when the last push was, since 1970.
    begun: Option<Duration>,
    pushed: Duration,
}

impl Push {
    /// Begins to push; the server is first asked when there is something to say.
    ///
    /// # Errors
    /// There can be no further thread.
    pub fn open(options: PushOptions) -> io::Result<Self> {
        let sender = Sender::start(&options)?;
        let (series, begun, pushed) = (AllSeries::default(), None, Duration::ZERO);
        Ok(Self { options, series, sender, begun, pushed })
    }

    /// Adds `samples`, and pushes when it is time to.
    pub fn write(&mut self, registry: &Registry, samples: &[Sample]) {
        for sample in samples {
            let begun = *self.begun.get_or_insert(sample.at_unix);
            self.pushed = self.pushed.max(begun);
            self.series.add(registry, sample);
        }
        let Some(now) = samples.iter().map(|sample| sample.at_unix).max() else { return };
        if now >= self.pushed + self.options.interval {
            self.push(registry, now);
        }
    }

    /// Pushes what is new and waits until all is sent or given up.
    ///
    /// # Errors
    /// Something was dropped: how much and why.
    pub fn finish(mut self, registry: &Registry, now: Duration) -> io::Result<()> {
        if self.begun.is_some() {
            self.push(registry, now);
        }
        let told = self.sender.finish();
        let untold = self.series.untold();
        let problem = match (told.dropped, untold) {
            (0, 0) => return Ok(()),
            (0, untold) => format!("{untold} samples were of too many series"),
            (dropped, _) => {
                let all = told.sent + dropped;
                format!(
                    "{dropped} of {all} pushes were lost, {} tried again: {}",
                    told.retried, told.why
                )
            }
        };
        Err(io::Error::other(format!("{}: {problem}", self.options.url)))
    }

    fn push(&mut self, registry: &Registry, now: Duration) {
        self.pushed = now;
        let begun = self.begun.unwrap_or(now);
        let body = match &self.options.protocol {
            Protocol::RemoteWrite { stats } => {
                remote_write::encode(registry, &self.series, stats, now)
            }
            Protocol::Otlp { prefix } => otlp::encode(registry, &self.series, prefix, begun, now),
        };
        self.sender.send(body);
    }
}

#[cfg(test)]
mod tests;
