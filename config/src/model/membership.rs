//! How gateways and agents find each other.

use std::net::SocketAddr;

use super::{Address, At, Secret};

/// This gateway's part in a membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Where it stands in the file.
    pub at: At,
    /// Where it speaks, over UDP and TCP.
    pub bind: SocketAddr,
    /// Where others reach it, if not there: a certain address with a port.
    pub advertise: Option<SocketAddr>,
    /// What it is called; `None` is after the machine and the port.
    pub name: Option<String>,
    /// Members through whom it joins, none of them twice; never a Unix socket.
    pub seeds: Vec<Address>,
    /// What all members share, the one to seal with first; none only on loopback.
    pub secrets: Vec<Secret>,
    /// What the membership is called.
    pub label: String,
}
