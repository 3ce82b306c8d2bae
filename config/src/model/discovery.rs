//! Where endpoints come from that the file does not name.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::At;

/// Who tells the endpoints of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// Where it stands in the file.
    pub at: At,
    /// Who is asked, and for what.
    pub source: DiscoverySource,
}

/// Who is asked, and for what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiscoverySource {
    /// Members that offer the service of this name.
    Members(String),
    /// The addresses of a name of DNS, each with this port.
    Dns(String, u16),
    /// The SRV records of a name of DNS.
    DnsSrv(String),
    /// A list of endpoints in a file, watched.
    File(PathBuf),
}

impl DiscoverySource {
    /// Its word in the file.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Members(_) => "members",
            Self::Dns(..) => "dns",
            Self::DnsSrv(_) => "dns_srv",
            Self::File(_) => "file",
        }
    }

    /// What stands behind that word.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Members(name) | Self::DnsSrv(name) => name.clone(),
            Self::Dns(host, port) => format!("{host}:{port}"),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// The name that a certificate of its endpoints must bear where nothing else is written: the
    /// one that was asked for, since what DNS says of it is not to be trusted (RFC 6125 section
    /// 6.2.1); `None` where each endpoint's own address decides.
    #[must_use]
    pub fn reference_name(&self) -> Option<&str> {
        match self {
            Self::Members(_) | Self::File(_) => None,
            Self::Dns(host, _) => Some(host.trim_end_matches('.')),
            Self::DnsSrv(name) => {
                let mut rest = name.as_str();
                while let Some((label, parent)) = rest.split_once('.') {
                    if !label.starts_with('_') {
                        break;
                    }
                    rest = parent;
                }
                Some(rest.trim_end_matches('.'))
            }
        }
    }
}

/// Who is asked for names of `discovery`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resolver {
    /// DNS servers; the machine's own when there are none.
    pub servers: Vec<SocketAddr>,
    /// How long one server may take to answer.
    pub timeout: Duration,
}
