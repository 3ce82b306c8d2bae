//! Connection ids that say which worker owns the connection.
//!
//! The kernel spreads datagrams over the workers' sockets by address. A client that changes its
//! address (RFC 9000 section 9) so arrives at some other worker, which reads from the id whose
//! connection it is and hands the datagram over.

use std::time::Duration;

use quinn_proto::{ConnectionId, ConnectionIdGenerator, InvalidCid};
use rustls::crypto::SecureRandom;

/// Bytes of an id: two of the worker, six of chance.
pub(super) const LENGTH: usize = 8;

/// Bytes of the longest id in version 1.
const LONGEST: u8 = 20;

/// Makes ids of one worker.
pub(super) struct Generator {
    worker: u16,
    random: &'static dyn SecureRandom,
}

impl Generator {
    pub(super) const fn new(worker: u16, random: &'static dyn SecureRandom) -> Self {
        Self { worker, random }
    }
}

impl ConnectionIdGenerator for Generator {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; LENGTH];
        id[..2].copy_from_slice(&self.worker.to_be_bytes());
        // Without randomness there is no TLS either; two equal ids are told apart by their table.
        let _ = self.random.fill(&mut id[2..]);
        ConnectionId::new(&id)
    }

    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        if id.len() == LENGTH && id[..2] == self.worker.to_be_bytes() {
            Ok(())
        } else {
            Err(InvalidCid)
        }
    }

    fn cid_len(&self) -> usize {
        LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The worker that a datagram is for, where the datagram bears an id of ours: short headers do, and
/// of the long ones Handshake (RFC 9000 section 17.2); the others bear what the client made up.
pub(super) fn owner(datagram: &[u8]) -> Option<usize> {
    const LONG: u8 = 0x80;
    const TYPE: u8 = 0x30;
    const HANDSHAKE: u8 = 0x20;
    let first = *datagram.first()?;
    let id = match first & LONG == 0 {
        true => datagram.get(1..=LENGTH)?,
        false if first & TYPE == HANDSHAKE && usize::from(*datagram.get(5)?) == LENGTH => {
            datagram.get(6..6 + LENGTH)?
        }
        false => return None,
    };
    Some(usize::from(u16::from_be_bytes([id[0], id[1]])))
}

/// The id that a datagram with a long header is for (RFC 9000 section 17.2).
pub(super) fn of_long_header(datagram: &[u8]) -> Option<ConnectionId> {
    let [0x80..=0xff, _, _, _, _, length @ 0..=LONGEST, rest @ ..] = datagram else { return None };
    rest.get(..usize::from(*length)).map(ConnectionId::new)
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs;

    use super::*;

    fn generator(worker: u16) -> Generator {
        Generator::new(worker, aws_lc_rs::default_provider().secure_random)
    }

    #[test]
    fn an_id_names_its_worker() {
        for worker in [0, 1, 300, u16::MAX] {
            let id = generator(worker).generate_cid();
            let mut short = vec![0x40];
            short.extend_from_slice(&id);
            short.extend_from_slice(&[9; 20]);
            assert_eq!(owner(&short), Some(usize::from(worker)));
            let mut handshake = vec![0xe0, 0, 0, 0, 1, LENGTH as u8];
            handshake.extend_from_slice(&id);
            assert_eq!(owner(&handshake), Some(usize::from(worker)));
            assert!(generator(worker).validate(&id).is_ok());
            assert!(generator(worker ^ 1).validate(&id).is_err());
        }
    }

    #[test]
    fn ids_are_not_repeated() {
        let mut generator = generator(7);
        assert_ne!(generator.generate_cid(), generator.generate_cid());
    }

    #[test]
    fn what_a_client_made_up_names_nobody() {
        let initial = [0xc0, 0, 0, 0, 1, 8, 0, 1, 2, 3, 4, 5, 6, 7];
        assert_eq!(owner(&initial), None);
        assert_eq!(owner(&[]), None);
        assert_eq!(owner(&[0x40, 0, 1]), None);
        assert_eq!(owner(&[0xe0, 0, 0, 0, 1]), None);
        assert_eq!(owner(&[0xe0, 0, 0, 0, 1, 20, 0, 0]), None);
    }
}
