//! The network of the world: what becomes of a packet, and how long a stream takes.

use super::{Happening, SECOND, SocketAddr, World, codec};

/// What the network does to all that is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Network {
    /// The shortest way, in microseconds.
    pub delay_min_us: u64,
    /// The longest way: packets overtake each other.
    pub delay_max_us: u64,
    /// What part of the packets is lost.
    pub loss: f64,
    /// What part arrives twice.
    pub double: f64,
    /// What part arrives with other bytes than were sent, which the seal on packets shows: the
    /// reader sees them, the member does not.
    pub corrupt: f64,
}

impl Default for Network {
    fn default() -> Self {
        Self { delay_min_us: 200, delay_max_us: 1000, loss: 0.0, double: 0.0, corrupt: 0.0 }
    }
}

/// How long a caller waits for a stream.
const STREAM_US: u64 = 10 * SECOND;

impl World {
    fn delay_us(&mut self) -> u64 {
        let spread = self.network.delay_max_us - self.network.delay_min_us;
        self.network.delay_min_us + self.rng.below(spread + 1)
    }

    /// With which probability a packet from `from` does not reach `to`.
    fn loss(&self, from: usize, to: usize) -> f64 {
        let (sender, receiver) = (&self.nodes[from], &self.nodes[to]);
        if sender.side != receiver.side {
            return 1.0;
        }
        1.0 - (1.0 - self.network.loss) * (1.0 - sender.loss_out) * (1.0 - receiver.loss_in)
    }

    pub(super) fn transmit(&mut self, from: usize, to: SocketAddr, bytes: &[u8]) {
        let Some(node) = self.node_at(to) else { return };
        let loss = self.loss(from, node);
        let lost = loss > 0.0 && self.rng.unit() < loss;
        if lost {
            return;
        }
        if self.network.corrupt > 0.0 && self.rng.unit() < self.network.corrupt {
            self.corrupt(bytes);
            return;
        }
        let doubled = self.network.double > 0.0 && self.rng.unit() < self.network.double;
        for _ in 0..=usize::from(doubled) {
            let at = self.now_us + self.delay_us();
            let from = self.nodes[from].record.addr;
            self.push(at, Happening::Packet { from, to, bytes: bytes.into() });
        }
    }

    /// No bytes may make the reader panic.
    fn corrupt(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let at = self.rng.below(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << self.rng.below(8);
        let length = self.rng.below(bytes.len() as u64 + 1) as usize;
        for bytes in [&*bytes, &bytes[..length]] {
            if let Ok((_, updates)) = codec::read_packet(bytes) {
                updates.for_each(drop);
            }
        }
    }

    /// How long so many round trips take when what is lost is sent again, first after `again_us`;
    /// `None` when the caller would not wait that long.
    fn round_trip_us(&mut self, caller: usize, to: usize, again_us: u64) -> Option<u64> {
        let lost = 1.0 - (1.0 - self.loss(caller, to)) * (1.0 - self.loss(to, caller));
        let (mut took, mut again) = (0, again_us);
        while lost > 0.0 && self.rng.unit() < lost {
            took += again;
            again *= 2;
            if took > STREAM_US {
                return None;
            }
        }
        Some(took + self.delay_us() + self.delay_us())
    }

    pub(super) fn open(&mut self, caller: usize, to: SocketAddr, call: u64, body: Vec<u8>) {
        self.traffic.streams += 1;
        self.traffic.stream_bytes += body.len() as u64;
        self.nodes[caller].said.count(self.now_us, body.len());
        let epoch = self.nodes[caller].epoch;
        let node = self.node_at(to);
        // As TCP: a handshake, sent again after a second; then data, after a fifth of one.
        let took = node.and_then(|node| {
            let shake = self.round_trip_us(caller, node, SECOND)?;
            Some(shake + self.round_trip_us(caller, node, SECOND / 5)?)
        });
        let starved = self.nodes[caller].starved;
        if let (Some(to), Some(took), false) = (node, took, starved) {
            let took = took + body.len() as u64 / 125;
            let request = Happening::Request { caller, epoch, call, to, body };
            self.push(self.now_us + took, request);
        }
        self.push(self.now_us + STREAM_US, Happening::Failed { caller, epoch, call });
    }

    pub(super) fn answer(&mut self, from: usize, ticket: u64, body: Vec<u8>) {
        let Some((caller, epoch, call)) = self.tickets.remove(&ticket) else { return };
        self.traffic.stream_bytes += body.len() as u64;
        self.nodes[from].said.count(self.now_us, body.len());
        if self.loss(from, caller) >= 1.0 || self.nodes[from].starved {
            return;
        }
        let took = self.delay_us() + body.len() as u64 / 125;
        self.push(self.now_us + took, Happening::Response { caller, epoch, call, body });
    }
}
