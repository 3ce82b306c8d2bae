//! Restraint towards an address to which a client has moved, until it has proven it.
//!
//! No more than three times what came from there may be sent (RFC 9000 section 9.3). The machine
//! spends that at once on whatever is next; nothing is left then for the acknowledgement that is
//! due a little later, and without it a client whose own window is full may not send its proof.
//! Neither side has anything to wait for then but the give-up of the new address. So no more goes
//! there than came, but for one datagram each time that a timer runs out.

use std::{mem, net::SocketAddr};

use quinn_proto as proto;

/// Where a peer is, as far as is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    /// The latest address that it has proven.
    proven: SocketAddr,
    /// Where it is instead.
    moved: Option<Move>,
    /// A timer has run out since the last datagram.
    due: bool,
}

/// An address that is not proven, and what the connection had seen when the peer went there.
#[derive(Debug, Clone, Copy)]
struct Move {
    to: SocketAddr,
    then: Seen,
}

/// What a connection has seen so far.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// PATH_RESPONSE frames that came.
    proofs: u64,
    /// Bytes.
    received: u64,
    /// Bytes.
    sent: u64,
}

impl Path {
    /// A peer that shakes hands from this address.
    pub(super) const fn new(remote: SocketAddr) -> Self {
        Self { proven: remote, moved: None, due: false }
    }

    /// A timer ran out.
    pub(super) const fn due(self) -> Self {
        Self { due: true, ..self }
    }

    /// How many datagrams may go to the peer for now: any, one or none.
    pub(super) fn room(&mut self, proto: &proto::Connection) -> usize {
        if proto.is_closed() {
            return usize::MAX;
        }
        self.allow(proto.remote_address(), || {
            let stats = proto.stats();
            let proofs = stats.frame_rx.path_response;
            Seen { proofs, received: stats.udp_rx.bytes, sent: stats.udp_tx.bytes }
        })
    }

    fn allow(&mut self, remote: SocketAddr, seen: impl FnOnce() -> Seen) -> usize {
        let due = mem::take(&mut self.due);
        if remote == self.proven {
            self.moved = None;
            return usize::MAX;
        }
        let now = seen();
        // What came with the move proves an address before it, if any.
        let then = match self.moved {
            Some(moved) if moved.to == remote => moved.then,
            _ => now,
        };
        if now.proofs > then.proofs {
            *self = Self::new(remote);
            return usize::MAX;
        }
        self.moved = Some(Move { to: remote, then });
        usize::from(due || now.received - then.received >= now.sent - then.sent)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ANY: usize = usize::MAX;

    fn at(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    fn seen(proofs: u64, received: u64, sent: u64) -> impl FnOnce() -> Seen {
        move || Seen { proofs, received, sent }
    }

    #[test]
    fn a_peer_that_stays_proves_nothing() {
        let mut path = Path::new(at(1));
        assert_eq!(path.allow(at(1), || panic!("nobody asks")), ANY);
    }

    #[test]
    fn a_proof_that_comes_after_the_move_counts() {
        let mut path = Path::new(at(1));
        assert_eq!(path.allow(at(2), seen(7, 0, 0)), 1);
        assert_eq!(path.allow(at(2), seen(8, 0, 1200)), ANY);
        assert_eq!(path.allow(at(2), seen(8, 0, 9000)), ANY);
        assert_eq!(path.allow(at(1), seen(8, 0, 9000)), 1, "the first is as good as any now");
    }

    #[test]
    fn each_move_needs_its_own_proof() {
        let mut path = Path::new(at(1));
        assert_eq!(path.allow(at(2), seen(0, 0, 0)), 1);
        assert_eq!(path.allow(at(3), seen(1, 50, 1200)), 1);
        assert_eq!(path.allow(at(1), seen(1, 50, 2400)), ANY, "given up");
        assert_eq!(path.allow(at(3), seen(2, 90, 2400)), 1, "and come again");
        assert_eq!(path.allow(at(3), seen(3, 90, 3600)), ANY);
    }

    #[test]
    fn no_more_goes_than_came_unless_it_is_due() {
        let mut path = Path::new(at(1));
        assert_eq!(path.allow(at(2), seen(0, 5000, 9000)), 1);
        assert_eq!(path.allow(at(2), seen(0, 5050, 10_200)), 0);
        path = path.due();
        assert_eq!(path.allow(at(2), seen(0, 5050, 10_200)), 1);
        assert_eq!(path.allow(at(2), seen(0, 5100, 11_400)), 0);
        assert_eq!(path.allow(at(2), seen(0, 7500, 11_400)), 1);
    }
}
