//! What the system tells an agent, and what of it goes on to its child.

use std::io;

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// The end, by this signal.
    Stop(Number),
    /// Something between whoever sent it and the child.
    PassOn(Number),
}

/// The signals an agent hears.
#[derive(Debug)]
pub(super) struct Told {
    terminate: Signal,
    interrupt: Signal,
    /// Only beside a child: they mean nothing to the agent itself.
    passed: Option<[Signal; 4]>,
}

const PASSED: [Number; 4] = [Number::HUP, Number::QUIT, Number::USR1, Number::USR2];

impl Told {
    /// Listens; with `child` also for what is meant for it.
    pub(super) fn register(child: bool) -> io::Result<Self> {
        let passed = || {
            Ok::<_, io::Error>([
                signal(SignalKind::hangup())?,
                signal(SignalKind::quit())?,
                signal(SignalKind::user_defined1())?,
                signal(SignalKind::user_defined2())?,
            ])
        };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            passed: if child { Some(passed()?) } else { None },
        })
    }

    /// The next word.
    pub(super) async fn next(&mut self) -> Word {
        let Self { terminate, interrupt, passed } = self;
        tokio::select! {
            _ = terminate.recv() => Word::Stop(Number::TERM),
            _ = interrupt.recv() => Word::Stop(Number::INT),
            number = passed_on(passed.as_mut()) => Word::PassOn(number),
        }
    }

    /// Waits until it is told to stop.
    pub(super) async fn stop(&mut self) {
        while !matches!(self.next().await, Word::Stop(_)) {}
    }
}

async fn passed_on(passed: Option<&mut [Signal; 4]>) -> Number {
    let Some([hangup, quit, first, second]) = passed else {
        return std::future::pending().await;
    };
    let [a, b, c, d] = PASSED;
    tokio::select! {
        _ = hangup.recv() => a,
        _ = quit.recv() => b,
        _ = first.recv() => c,
        _ = second.recv() => d,
    }
}
