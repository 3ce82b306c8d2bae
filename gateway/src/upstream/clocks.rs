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
    /// When the attempt began or, once it has, the endpoint's time to answer; and how long that may
    /// be.
    attempt: (Tick, Duration),
    /// Whether the endpoint's time to answer has begun: it does once the request is sent.
    answering: bool,
}

impl Clocks {
    /// Clocks that stand still until an attempt begins.
    pub(super) fn new(exchange: &Exchange, timeout: RouteTimeout) -> Self {
        let deadline = exchange.connection.worker.timers.deadline();
        let progress = exchange.upload.clone();
        let attempt = (exchange.began, timeout.headers);
        Self { deadline, timeout, progress, attempt, answering: false }
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
        self.total(exchange).min(exchange.deadline)
    }

    fn total(&self, exchange: &Exchange) -> Tick {
        self.timeout.total.map_or(Tick::NEVER, |total| exchange.began + total)
    }

    /// Whether the endpoint had the route's time to answer: nothing of the request was left to send
    /// when it was last waited for, and it was not the client's own deadline that ended the wait.
    pub(super) const fn is_answering(&self) -> bool {
        self.answering
    }

    /// Whether the endpoint has less than the route's time, since another attempt may follow.
    pub(super) fn is_hurried(&self) -> bool {
        self.attempt.1 < self.timeout.headers
    }

    /// How long nothing but the endpoint's answer was waited for; `None` while there was something
    /// left to send. A client that uploads slowly is none of the endpoint's doing.
    pub(super) fn waited(&self, now: Tick) -> Option<Duration> {
        self.answering.then(|| now.since(self.attempt.0))
    }

    /// Starts the endpoint's time to answer, once nothing of the request is left to send.
    fn expect_answer(&mut self, exchange: &Exchange) {
        if self.answering || self.progress.as_ref().is_some_and(|upload| !upload.over.get()) {
            return;
        }
        self.answering = true;
        let (mut from, mut patience) = self.attempt;
        if let Some(upload) = &self.progress {
            from = clock::now();
            // No attempt follows that could not send it.
            if upload.spent.get() {
                patience = self.timeout.headers;
            }
        }
        self.attempt = (from, patience);
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

    fn expired(&mut self, exchange: &Exchange) -> Error {
        let now = clock::now();
        if now >= self.end(exchange) {
            self.answering &= !exchange.is_late(now);
            Error::DeadlinePassed
        } else {
            Error::HeadersTimeout
        }
    }

    /// What is left of the clocks once the response's head is there; streams know no end but the
    /// client's own deadline.
    pub(super) fn into_body_limit(self, exchange: &Exchange, stream: bool) -> Option<Deadline> {
        let end = if stream { exchange.deadline } else { self.end(exchange) };
        self.deadline.set(end);
        Some(self.deadline).filter(|_| end < Tick::NEVER)
    }
}
