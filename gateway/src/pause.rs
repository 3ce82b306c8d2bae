//! Clocks for bodies and tunnels: how long a peer may pause, and when all must be over.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    clock,
    error::Error,
    timers::{Deadline, Timers},
};

/// How long a peer may pause: runs while it makes us wait, starts anew with each progress, and
/// costs nothing until it has to run for the first time.
#[derive(Debug)]
pub(crate) struct Pause {
    timers: Timers,
    longest: Duration,
    deadline: Option<Deadline>,
    running: bool,
}

impl Pause {
    /// Allows pauses up to `longest`.
    pub(crate) const fn new(timers: Timers, longest: Duration) -> Self {
        Self { timers, longest, deadline: None, running: false }
    }

    /// The peer did something.
    pub(crate) fn progress(&mut self) {
        if self.running {
            self.running = false;
            if let Some(deadline) = &self.deadline {
                deadline.clear();
            }
        }
    }

    /// To be called whenever the peer makes us wait; ready once it has for too long.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.get_or_insert_with(|| self.timers.deadline());
        if !self.running {
            self.running = true;
            deadline.set(clock::now() + self.longest);
        }
        deadline.poll_expired(cx)
    }
}

/// Both clocks of a response's body.
#[derive(Debug)]
pub(crate) struct BodyClocks {
    pause: Pause,
    end: Option<Deadline>,
}

impl BodyClocks {
    /// Allows pauses as `pause` does, and nothing past `end`.
    pub(crate) const fn new(pause: Pause, end: Option<Deadline>) -> Self {
        Self { pause, end }
    }

    /// The endpoint sent something.
    pub(crate) fn progress(&mut self) {
        self.pause.progress();
    }

    /// Whether all must be over by now.
    pub(crate) fn is_over(&self) -> bool {
        self.end.as_ref().is_some_and(Deadline::is_expired)
    }

    /// To be called whenever the endpoint makes us wait; ready with the reason not to any more.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        if let Some(end) = &self.end
            && end.poll_expired(cx).is_ready()
        {
            return Poll::Ready(Error::DeadlinePassed);
        }
        self.pause.poll_over(cx).map(|()| Error::UpstreamBodyTimeout)
    }
}
