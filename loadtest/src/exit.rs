//! The exit codes of a run: k6's, so that a pipeline that reads them need not change.

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All thresholds held.
    Passed,
    /// A threshold was crossed, or a comparison found a regression.
    ThresholdsCrossed,
    /// `setup()` took longer than `setupTimeout`.
    SetupTimeout,
    /// `teardown()` took longer than `teardownTimeout`.
    TeardownTimeout,
    /// Something else took too long, `handleSummary()` say.
    Timeout,
    /// Options, thresholds or the command line make no sense.
    InvalidConfig,
    /// Stopped by SIGINT or SIGTERM.
    Interrupted,
    /// The script threw while it was loaded or set up.
    ScriptException,
    /// The script called `exec.test.abort()`.
    ScriptAborted,
    /// The program itself failed.
    Panicked,
    /// The script called `exec.test.fail()`.
    MarkedAsFailed,
    /// The command line makes no sense, or there is nothing to run: k6 has no code for it.
    BadUsage,
}

impl Exit {
    /// The code that the process exits with.
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::ThresholdsCrossed => 99,
            Self::SetupTimeout => 100,
            Self::TeardownTimeout => 101,
            Self::Timeout => 102,
            Self::InvalidConfig => 104,
            Self::Interrupted => 105,
            Self::ScriptException => 107,
            Self::ScriptAborted => 108,
            Self::Panicked => 109,
            Self::MarkedAsFailed => 110,
            Self::BadUsage => 255,
        }
    }
}
