//! The clock of one connection.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tokio::time::Sleep;

use crate::clock;

/// The machine's clock, in the form in which it takes it.
pub(super) fn now() -> Instant {
    clock::now().instant().into_std()
}

/// Wakes the driving task when the machine wants the time.
///
/// Its deadline moves with nearly every packet, mostly later: the runtime's timer is moved only
/// when it moves earlier, or has fired.
#[derive(Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Option<Instant>,
}

impl Timer {
    /// Ready when `deadline` has passed; else the task is woken when it has, or before.
    pub(super) fn poll_due(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        loop {
            if self.armed.is_none_or(|armed| deadline < armed) {
                let at = deadline.into();
                match &mut self.sleep {
                    Some(sleep) => sleep.as_mut().reset(at),
                    empty => *empty = Some(Box::pin(tokio::time::sleep_until(at))),
                }
                self.armed = Some(deadline);
            }
            let Some(sleep) = &mut self.sleep else { return Poll::Pending };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let fired = self.armed.take();
            if fired.is_some_and(|fired| fired >= deadline) {
                return Poll::Ready(());
            }
        }
    }
}
