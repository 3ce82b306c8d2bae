//! What a route does with its traffic beside forwarding it: who stays where, who gets a copy, what
//! goes wrong on purpose, who waits outside.

use std::{path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode};

use super::{KeyPart, Network, Rewrite};

/// Traffic policies of a route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traffic {
    /// Who stays with which upstream of a split.
    pub sticky: Option<Sticky>,
    /// Who gets a copy of requests.
    pub mirror: Option<Mirror>,
    /// What goes wrong on purpose.
    pub fault: Fault,
    /// What is answered instead of all else, where the route is closed.
    pub maintenance: Option<Maintenance>,
    /// Bytes of a request's body; `limits.body` where it is `None`.
    pub max_body: Option<u64>,
}

/// What makes requests go to the same upstream of a split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sticky {
    /// The same key; a request that lacks a part of it goes by the shares alone.
    Key(Vec<KeyPart>),
    /// A cookie that the gateway sets.
    Cookie {
        /// Its name.
        name: String,
        /// How long clients keep it.
        age: Duration,
    },
}

/// Copies of requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Index of the upstream that gets them.
    pub to: usize,
    /// Which share of the requests is copied, from 0 to 1.
    pub sample: f64,
    /// Bytes of a body that is copied; a request with more is not.
    pub max_body: u32,
    /// How long a copy may take, from when it is sent to the head of its answer; the route's
    /// time-outs end it sooner.
    pub timeout: Duration,
}

/// Faults that are made on purpose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fault {
    /// Requests that are held back.
    pub delay: Option<FaultDelay>,
    /// Requests that fail.
    pub abort: Option<FaultAbort>,
}

/// Requests that are held back before they are forwarded.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultDelay {
    /// For how long; at most, where the header says it.
    pub time: Duration,
    /// Which share of them, from 0 to 1.
    pub percent: f64,
    /// Only those with this header, whose value may be a shorter time.
    pub header: Option<HeaderName>,
}

/// Requests that are answered with an error instead of being forwarded.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultAbort {
    /// The status, where the header says no other.
    pub status: StatusCode,
    /// Which share of them, from 0 to 1.
    pub percent: f64,
    /// Only those with this header, whose value may be a status from 400 to 599.
    pub header: Option<HeaderName>,
}

/// What is answered while a route is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// Status.
    pub status: StatusCode,
    /// Body.
    pub body: String,
    /// What the body is.
    pub content_type: HeaderValue,
    /// When clients may come again.
    pub retry_after: Option<Duration>,
    /// Who goes through all the same.
    pub allow: Vec<Network>,
}

/// Files of a directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    /// The directory.
    pub root: PathBuf,
    /// What is served of a directory: the first of these that is there.
    pub index: Vec<String>,
    /// Whether a directory without any of them is listed.
    pub listing: bool,
    /// The file that is served where there is none, by its path in the directory.
    pub fallback: Option<String>,
    /// Whether `FILE.br`, `FILE.zst`, `FILE.gz` are served for `FILE` to who takes them.
    pub precompressed: bool,
    /// How a path becomes one in the directory.
    pub rewrite: Rewrite,
}
