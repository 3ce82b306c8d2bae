//! What is measured.

use super::backend::{BODY_BYTES, CACHED_PATH, LARGE_BYTES, LARGE_PATH, TEXT_PATH};

/// One kind of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scenario {
    /// HTTP/1.1 in the clear, at saturation.
    H1,
    /// HTTP/1.1 over TLS 1.3, at saturation.
    H1Tls,
    /// HTTP/2 over TLS 1.3, at saturation.
    H2,
    /// HTTP/2 in the clear with prior knowledge, at saturation.
    H2c,
    /// HTTP/3 with small bodies, at saturation.
    H3,
    /// HTTP/3 with bodies of 1 MiB, at saturation.
    H3Large,
    /// HTTP/3, one request after the other on one connection.
    H3Single,
    /// HTTP/1.1 in the clear at a fixed rate.
    Rate,
    /// HTTP/1.1 over TLS 1.3 at a fixed rate.
    RateTls,
    /// Idle HTTP/1.1 connections in the clear.
    Idle,
    /// Idle HTTP/1.1 connections over TLS 1.3.
    IdleTls,
    /// HTTP/1.1 in the clear at saturation, under a rate limit that lets all pass.
    Limit,
    /// The same, half of it under one that lets nothing pass.
    LimitHalf,
    /// HTTP/1.1 in the clear at saturation, all answered from memory.
    Cache,
    /// HTTP/1.1 in the clear at saturation, each request seen by a script that sets two fields.
    Script,
    /// HTTP/1.1 in the clear at saturation, each response compressed with gzip.
    Compress,
}

/// What a peer has to do for a request beside passing it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// Nothing.
    Forward,
    /// Ask rate limits.
    Limit,
    /// Answer from a cache.
    Cache,
    /// Run a script in Lua.
    Script,
    /// Compress what is sent.
    Compress,
}

/// Which of a peer's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// HTTP/1.1 in the clear.
    H1,
    /// TLS, HTTP/1.1 and HTTP/2 by ALPN.
    Tls,
    /// HTTP/2 in the clear.
    H2c,
    /// QUIC; the number of the TLS port, on UDP.
    H3,
}

/// How an HTTP/3 load is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spread {
    /// Connections.
    pub(super) connections: u32,
    /// Requests at a time on each.
    pub(super) streams: u32,
}

impl Scenario {
    /// In the order of the report.
    pub(super) const ALL: [Self; 16] = [
        Self::H1,
        Self::H1Tls,
        Self::H2,
        Self::H2c,
        Self::H3,
        Self::H3Large,
        Self::H3Single,
        Self::Rate,
        Self::RateTls,
        Self::Idle,
        Self::IdleTls,
        Self::Limit,
        Self::LimitHalf,
        Self::Cache,
        Self::Script,
        Self::Compress,
    ];

    /// The word on the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H1Tls => "h1tls",
            Self::H2 => "h2",
            Self::H2c => "h2c",
            Self::H3 => "h3-1k",
            Self::H3Large => "h3-1m",
            Self::H3Single => "h3-1x1",
            Self::Rate => "rate",
            Self::RateTls => "ratetls",
            Self::Idle => "idle",
            Self::IdleTls => "idletls",
            Self::Limit => "limit-all",
            Self::LimitHalf => "limit-half",
            Self::Cache => "cache",
            Self::Script => "script",
            Self::Compress => "compress",
        }
    }

    /// What peers have to do.
    pub(super) fn duty(self) -> Duty {
        match self {
            Self::Limit | Self::LimitHalf => Duty::Limit,
            Self::Cache => Duty::Cache,
            Self::Script => Duty::Script,
            Self::Compress => Duty::Compress,
            _ => Duty::Forward,
        }
    }

    /// The scenarios that `word` names: one, or with `limit` both that have limits.
    pub(super) fn parse(word: &str) -> Result<Vec<Self>, String> {
        let named = |scenario: &Self| match word {
            "limit" => scenario.duty() == Duty::Limit,
            word => scenario.word() == word,
        };
        let known: Vec<Self> = Self::ALL.into_iter().filter(named).collect();
        if known.is_empty() {
            let words = Self::ALL.map(Self::word).join(" ");
            return Err(format!("no scenario `{word}`; there are {words}"));
        }
        Ok(known)
    }

    /// The port it goes to.
    pub(super) fn port(self) -> Port {
        match self {
            Self::H1 | Self::Rate | Self::Idle => Port::H1,
            Self::Limit | Self::LimitHalf | Self::Cache | Self::Script | Self::Compress => Port::H1,
            Self::H1Tls | Self::H2 | Self::RateTls | Self::IdleTls => Port::Tls,
            Self::H2c => Port::H2c,
            Self::H3 | Self::H3Large | Self::H3Single => Port::H3,
        }
    }

    /// What is asked for.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::H3Large => LARGE_PATH,
            Self::Cache => CACHED_PATH,
            Self::Compress => TEXT_PATH,
            _ => "/",
        }
    }

    /// What the request says beside its host.
    pub(super) fn field(self) -> Option<&'static str> {
        (self == Self::Compress).then_some("Accept-Encoding: gzip")
    }

    /// Bytes of a whole response's body.
    pub(super) fn body(self) -> usize {
        if self == Self::H3Large { LARGE_BYTES } else { BODY_BYTES }
    }

    /// Connections and streams, where it is HTTP/3.
    pub(super) fn spread(self) -> Option<Spread> {
        match self {
            Self::H3 | Self::H3Large => Some(Spread { connections: 10, streams: 10 }),
            Self::H3Single => Some(Spread { connections: 1, streams: 1 }),
            _ => None,
        }
    }

    /// The heading in the report.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::H1 => "HTTP/1.1, 16 connections",
            Self::H1Tls => "HTTP/1.1 over TLS 1.3, 16 connections",
            Self::H2 => "HTTP/2 over TLS 1.3, 8 connections of 16 streams",
            Self::H2c => "HTTP/2 in the clear, 8 connections of 16 streams",
            Self::H3 => "HTTP/3, 10 connections of 10 streams",
            Self::H3Large => "HTTP/3, 1 MiB bodies, 10 connections of 10 streams",
            Self::H3Single => "HTTP/3, one request at a time on one connection",
            Self::Rate => "HTTP/1.1 at a fixed rate, 32 connections",
            Self::RateTls => "HTTP/1.1 over TLS 1.3 at a fixed rate, 32 connections",
            Self::Idle => "Idle HTTP/1.1 connections",
            Self::IdleTls => "Idle HTTP/1.1 connections over TLS 1.3",
            Self::Limit => "HTTP/1.1 under a rate limit by address, all pass, 16 connections",
            Self::LimitHalf => {
                "HTTP/1.1 under rate limits by address, half is denied, 16 connections"
            }
            Self::Cache => "HTTP/1.1 from the cache, hits only, 16 connections",
            Self::Script => "HTTP/1.1 with a Lua hook that sets two fields, 16 connections",
            Self::Compress => "HTTP/1.1 with gzip at level 5 of 16 KiB of JSON, 16 connections",
        }
    }
}
