//! What the gateway writes about its requests and itself.

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// Form of the access log on stdout.
    pub access: AccessLog,
    /// Least level of the gateway's own log on stderr.
    pub level: Level,
}

/// Form of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// One JSON object a line.
    Json,
    /// NCSA common log format.
    Common,
    /// None.
    Off,
}

/// Severity of the gateway's own log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything, for developers.
    Trace,
    /// Details.
    Debug,
    /// Start, stop, reload, state changes.
    Info,
    /// What an operator should look at.
    Warn,
    /// What is broken.
    Error,
}
