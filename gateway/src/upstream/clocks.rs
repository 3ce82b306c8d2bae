//! The time-outs of one request, on one coarse deadline that moves with what is waited for.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use weir_config::model::RouteTimeout;

use crate::{
    clock::{self, Tick},
    error::Error,
    http::{exchange::Exchange, upload::Progress},
    timers::Deadline,
};

/// Clocks of one request, on one coarse deadline.
#[derive(Debug)]
pub(super) struct Clocks {
    deadline: Deadline,
    pub(super) timeout: RouteTimeout,
    progress: Option<Rc<Progress>>,
    /// When the attempt began, and how long it may take to answer.
    attempt: (Tick, Duration),
    /// Whether the endpoint's time to answer has begun: it does once the request is sent.
    answering: bool,
    /// When that was.
    waiting_since: Tick,
}

impl Clocks {
    /// Clocks that stand still until an attempt begins.
    pub(super) fn new(exchange: &Exchange, timeout: RouteTimeout) -> Self {
        let deadline = exchange.connection.worker.timers.deadline();
        let progress = exchange.upload.clone();
        let attempt = (exchange.began, timeout.headers);
        Self { deadline, timeout, progress, attempt, answering: false, waiting_since: Tick::ZERO }
    }

    /// An attempt begins, to be answered within `patience` where that is shorter.
    pub(super) fn begin(&mut self, exchange: &Exchange, patience: Option<Duration>, now: Tick) {
        let headers = self.timeout.headers;
        self.attempt = (now, patience.map_or(headers, |patience| patience.min(headers)));
        self.answering = false;
        self.expect_answer(exchange);
        if !self.answering {
            self.deadline.set(self.end(exchange));
        }
    }

    /// When all of it must be over.
    pub(super) fn end(&self, exchange: &Exchange) -> Tick {
        self.timeout.total.map_or(Tick::NEVER, |total| exchange.began + total)
    }

    /// Whether nothing of the request was left to send when it was last waited for.
    pub(super) const fn is_answering(&self) -> bool {
        self.answering
    }

    /// Since when nothing but the endpoint's answer was waited for; `None` while there was something
    /// left to send. A client that uploads slowly is none of the endpoint's doing.
    pub(super) fn waiting_since(&self) -> Option<Tick> {
        self.answering.then_some(self.waiting_since)
    }

    /// Starts the endpoint's time to answer, once nothing of the request is left to send.
    fn expect_answer(&mut self, exchange: &Exchange) {
        if self.answering || self.progress.as_ref().is_some_and(|upload| !upload.over.get()) {
            return;
        }
        self.answering = true;
        let (began, patience) = self.attempt;
        let from = if self.progress.is_some() { clock::now() } else { began };
        self.waiting_since = from;
        self.deadline.set((from + patience).min(self.end(exchange)));
    }

    /// Runs `work` inside of the time that is left.
    ///
    /// It takes the work where it lies: a future handed over by value is copied whole.
    pub(super) async fn limit<T>(
        &mut self,
        exchange: &Exchange,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Error> {
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            self.expect_answer(exchange);
            self.deadline.poll_expired(cx).map(|()| Err(self.expired(exchange)))
        })
        .await
    }

    fn expired(&self, exchange: &Exchange) -> Error {
        if clock::now() >= self.end(exchange) {
            Error::DeadlinePassed
        } else {
            Error::HeadersTimeout
        }
    }

    /// What is left of the clocks once the response's head is there; streams know no end.
    pub(super) fn into_body_limit(self, exchange: &Exchange, stream: bool) -> Option<Deadline> {
        self.timeout.total.filter(|_| !stream)?;
        self.deadline.set(self.end(exchange));
        Some(self.deadline)
    }
}
