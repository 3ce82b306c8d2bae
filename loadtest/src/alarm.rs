//! An alarm clock that is right to some tens of microseconds. The runtime's own timers come up to a
//! millisecond late, which a schedule of thousands of requests a second would show as latency of
//! the server.

use std::{
    io,
    time::{Duration, Instant},
};

#[cfg(target_os = "linux")]
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::clock;

/// See the module's page. One per thread: who needs several times sets it to the first.
#[cfg(target_os = "linux")]
#[derive(Debug)]
pub(crate) struct Alarm(tokio::io::unix::AsyncFd<rustix::fd::OwnedFd>);

#[cfg(target_os = "linux")]
impl Alarm {
    /// One that is not set.
    ///
    /// # Errors
    /// The system has no more descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // What is deprecated is handing over a number that nobody owns; this descriptor is owned.
        #[allow(deprecated, reason = "its successor is an unsafe function")]
        let timer = tokio::io::unix::AsyncFd::new(timer)?;
        Ok(Self(timer))
    }

    /// Waits until `at`. To be awaited by one task at a time.
    ///
    /// # Errors
    /// None that a system gives to a timer that it made.
    pub(crate) async fn wait_until(&self, at: Instant) -> io::Result<()> {
        let Some(left) = at.checked_duration_since(clock::now()).filter(|left| !left.is_zero())
        else {
            return Ok(());
        };
        let value = Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval: once, it_value: value };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &spec)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut rings = [0; 8];
            match ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut rings)?)) {
                Ok(result) => return result.map(drop),
                Err(_would_block) => continue,
            }
        }
    }
}

/// Elsewhere the runtime's timers have to do.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub(crate) struct Alarm;

#[cfg(not(target_os = "linux"))]
impl Alarm {
    /// One that is not set.
    ///
    /// # Errors
    /// None here.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits until `at`.
    ///
    /// # Errors
    /// None here.
    pub(crate) async fn wait_until(&self, at: Instant) -> io::Result<()> {
        tokio::time::sleep_until(at.into()).await;
        Ok(())
    }
}

/// Processor time that this process has used, by all of its threads.
pub(crate) fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_rings_neither_early_nor_never() {
        let alarm = Alarm::new().unwrap();
        for ms in [0, 1, 3] {
            let at = clock::now() + Duration::from_millis(ms);
            alarm.wait_until(at).await.unwrap();
            assert!(clock::now() >= at);
        }
        let past = clock::now();
        alarm.wait_until(past).await.unwrap();
    }
}
