//! Where an agent is: which of the machine's addresses others reach, and what the machine is
//! called.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use super::Place;

/// The address that packets to `there` come from. Nothing is sent.
pub(super) fn towards(there: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match there {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(there)?;
    Ok(socket.local_addr()?.ip())
}

/// The name that a machine and a service that runs there come to: the same after every start.
pub(super) fn name(service: &str, port: u16) -> String {
    let system = rustix::system::uname();
    let machine = system.nodename().to_string_lossy();
    // What is left of a member's longest name by a service's longest and a port's.
    let machine: String = machine.chars().filter(char::is_ascii_graphic).take(58).collect();
    format!("{machine}:{service}:{port}")
}

impl Place {
    /// The one address that this is; `here` is the agent's own.
    pub(super) async fn resolve(&self, here: IpAddr) -> io::Result<SocketAddr> {
        match self {
            Self::At(address) => Ok(*address),
            Self::Here(port) => Ok((here, *port).into()),
            Self::Named(text) => tokio::net::lookup_host(text)
                .await?
                .next()
                .ok_or_else(|| io::Error::other("it has no address")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_reached_from_loopback() {
        for there in ["127.0.0.1:7946", "127.1.2.3:1"] {
            assert!(towards(there.parse().unwrap()).unwrap().is_loopback(), "{there}");
        }
    }

    #[test]
    fn a_name_is_the_same_every_time_and_differs_by_service_and_port() {
        assert_eq!(name("api", 9001), name("api", 9001));
        assert_ne!(name("api", 9001), name("api", 9002));
        assert!(name("api", 9001).ends_with(":api:9001"));
        assert!(name(&"x".repeat(63), 65535).len() <= weir_discovery::swim::NAME_BYTES_MAX);
    }
}
