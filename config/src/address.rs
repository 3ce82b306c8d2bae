//! Addresses to listen on and addresses to connect to.

use std::{net::SocketAddr, path::PathBuf};

use crate::{
    decode::Complaint,
    defaults::{ADDRESS, BIND},
    model::{Address, Bind},
    yaml::shorten,
};

/// Longest path of a Unix socket, in bytes: `sun_path` holds 108 with its NUL.
const SOCKET_PATH_MAX: usize = 107;

/// Reads `:8080`, `127.0.0.1:8080`, `[::1]:8080` or `unix:/run/weir.sock`.
pub(crate) fn bind(text: &str) -> Result<Bind, Complaint> {
    if let Some(path) = text.strip_prefix("unix:") {
        return socket(path).map(Bind::Unix);
    }
    if let Some(port) = text.strip_prefix(':') {
        return port_of(port).map(Bind::Any);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Bind::Tcp(address));
    }
    let complaint = Complaint::new(format!("expected {BIND}, found `{}`", shorten(text)));
    let port = text.rsplit_once(':').map(|(_, port)| port).filter(|port| port_of(port).is_ok());
    Err(match port {
        _ if port_of(text).is_ok() => complaint.hint(format!("did you mean `:{text}`?")),
        Some(port) if text.starts_with("*:") => complaint.hint(format!("did you mean `:{port}`?")),
        Some(port) if text.starts_with("localhost:") => {
            complaint.hint(format!("did you mean `127.0.0.1:{port}`?"))
        }
        Some(_) if text.contains("://") => complaint.hint("an address has no scheme"),
        Some(_) => complaint.hint("names are not looked up here: write the IP address"),
        None if text.parse::<std::net::IpAddr>().is_ok() => complaint.hint("the port is missing"),
        None => complaint,
    })
}

/// Reads `127.0.0.1:9001`, `users.internal:8080`, `[::1]:9001` or `unix:/run/app.sock`.
pub(crate) fn endpoint(text: &str) -> Result<Address, Complaint> {
    if let Some(path) = text.strip_prefix("unix:") {
        return socket(path).map(Address::Unix);
    }
    let complaint = || Complaint::new(format!("expected {ADDRESS}, found `{}`", shorten(text)));
    if let Ok(address) = text.parse::<SocketAddr>() {
        return match address.port() {
            0 => Err(complaint().hint("port 0 is no port to connect to")),
            _ => Ok(Address::Tcp(address)),
        };
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let rest = rest.split('/').next().unwrap_or_default();
        let more = if scheme == "https" { " and `tls: on` in the upstream" } else { "" };
        return Err(complaint().hint(format!("an endpoint has no scheme: write `{rest}`{more}")));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(complaint().hint("the port is missing"));
    };
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !is_host_name(host) || numeric {
        let hint = if host.contains(':') {
            "an IPv6 address needs brackets: `[::1]:80`"
        } else {
            "this is no host name and no IP address"
        };
        return Err(complaint().hint(hint).part(0, host.len()));
    }
    match port_of(port)? {
        0 => Err(complaint().hint("port 0 is no port to connect to")),
        port => Ok(Address::Name(host.to_ascii_lowercase(), port)),
    }
}

/// Whether a text is a DNS name: labels of letters, digits, `-` and `_`, 253 bytes in all.
pub(crate) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

fn port_of(text: &str) -> Result<u16, Complaint> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| {
        Complaint::new(format!("expected a port from 0 to 65535, found `{}`", shorten(text)))
    })
}

fn socket(path: &str) -> Result<PathBuf, Complaint> {
    if path.is_empty() || path.contains('\0') {
        return Err(Complaint::new("expected the path of a socket after `unix:`"));
    }
    if path.len() > SOCKET_PATH_MAX {
        let what = format!("the path of a socket has at most {SOCKET_PATH_MAX} bytes");
        return Err(Complaint::new(what));
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests;
