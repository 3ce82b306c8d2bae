//! How much may be sent to an address before it has proven to be the client's.

use quinn_proto::ConnectionId;

/// What went between the endpoint and such an address: three times what came from it may go there,
/// to the byte (RFC 9000 section 8.1). The machine itself lets the last datagram go past that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unproven {
    /// The id that the client made up for us.
    original: ConnectionId,
    /// Bytes of the first datagram, which the machine does not count.
    first: u64,
    /// Bytes sent.
    sent: u64,
}

impl Unproven {
    /// Of a client whose first datagram had so many bytes, and this id.
    pub(super) const fn new(original: ConnectionId, first: u64) -> Self {
        Self { original, first, sent: 0 }
    }

    /// Whether a datagram for this id, or with a short header, shows that the client has heard from
    /// us: it bears an id of ours. The machine keeps its own bound until it has proof that no one
    /// could guess.
    pub(super) fn is_proven_by(&self, id: Option<ConnectionId>) -> bool {
        id != Some(self.original)
    }

    /// Datagrams of at most `mtu` bytes that may go now, when `received` bytes came behind the
    /// first datagram. None is made that may not go: it would count as lost.
    pub(super) fn room(&self, mtu: usize, received: u64) -> usize {
        let left = (3 * (self.first + received)).saturating_sub(self.sent);
        usize::try_from(left).unwrap_or(usize::MAX) / mtu.max(1)
    }

    /// So many bytes go.
    pub(super) const fn count(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_times_what_came_and_not_a_byte_more() {
        let mut unproven = Unproven::new(ConnectionId::new(&[1; 8]), 1252);
        assert_eq!(unproven.room(1200, 0), 3);
        unproven.count(1300);
        assert_eq!(unproven.room(1200, 0), 2);
        unproven.count(2400);
        assert_eq!(unproven.room(1200, 0), 0);
        assert_eq!(unproven.room(1200, 400), 1);
        assert_eq!(unproven.room(1200, 1252), 3);
    }

    #[test]
    fn who_uses_our_id_has_heard_from_us() {
        let original = ConnectionId::new(&[1; 8]);
        let unproven = Unproven::new(original, 1200);
        assert!(!unproven.is_proven_by(Some(original)));
        assert!(unproven.is_proven_by(Some(ConnectionId::new(&[2; 8]))));
        assert!(unproven.is_proven_by(None));
    }
}
