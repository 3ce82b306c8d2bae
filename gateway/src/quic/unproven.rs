//! How much may be sent to an address before it has proven to be the client's.

use quinn_proto::Transmit;

/// What went between the endpoint and such an address: three times what came from it may go there,
/// to the byte (RFC 9000 section 8.1). The machine itself lets the last datagram go past that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unproven {
    /// Bytes of the first datagram, which the machine does not count.
    first: u64,
    /// Bytes sent.
    sent: u64,
}

impl Unproven {
    /// Of a client whose first datagram had so many bytes.
    pub(super) const fn new(first: u64) -> Self {
        Self { first, sent: 0 }
    }

    /// How much of a batch may go, in whole datagrams, when `received` bytes came behind the first
    /// datagram. What is held back counts as lost on the way: it is sent again.
    pub(super) fn allow(&mut self, batch: &Transmit, received: u64) -> usize {
        let bound = 3 * (self.first + received);
        let segment = batch.segment_size.unwrap_or(batch.size).max(1);
        let mut length = batch.size;
        while length > 0 && self.sent + length as u64 > bound {
            length = (length - 1) / segment * segment;
        }
        self.sent += length as u64;
        length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(size: usize, segment_size: Option<usize>) -> Transmit {
        let destination = ([127, 0, 0, 1], 1).into();
        Transmit { destination, ecn: None, size, segment_size, src_ip: None }
    }

    #[test]
    fn three_times_what_came_and_not_a_byte_more() {
        let mut unproven = Unproven::new(1200);
        assert_eq!(unproven.allow(&batch(3590, Some(1200)), 0), 3590);
        assert_eq!(unproven.allow(&batch(11, None), 0), 0);
        assert_eq!(unproven.allow(&batch(10, None), 0), 10);
        assert_eq!(unproven.allow(&batch(2500, Some(1200)), 400), 1200);
    }

    #[test]
    fn a_batch_is_cut_between_datagrams() {
        let mut unproven = Unproven::new(1200);
        assert_eq!(unproven.allow(&batch(4 * 1200 + 22, Some(1200)), 0), 3600);
    }
}
