//! In which order members are probed: each once a round, all in a new order the next round.

use super::{chance::Chance, member::Slot};

/// A permutation of all slots that takes no memory: of the numbers below a power of two, of which
/// those that are no slot are passed over. A slot that is added in the middle of a round is met in
/// it or at the latest in the next: nobody waits for longer than two rounds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    seed: u64,
    bits: u32,
    position: u32,
}

impl Order {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed, bits: 0, position: 0 }
    }

    /// The next slot below `slots` that `fits`; `None` when none does in a whole round.
    pub(super) fn next(
        &mut self,
        slots: u32,
        fits: impl Fn(Slot) -> bool,
        rng: &mut Chance,
    ) -> Option<Slot> {
        let mut tried = 0_u64;
        while tried <= 2 << self.bits {
            if self.position >> self.bits != 0 || self.bits == 0 {
                self.seed = rng.number();
                self.position = 0;
                self.bits = 32 - slots.max(2).saturating_sub(1).leading_zeros();
            }
            let slot = self.image(self.position);
            self.position += 1;
            tried += 1;
            if slot < slots && fits(slot) {
                return Some(slot);
            }
        }
        None
    }

    /// Multiplying by an odd number, adding, and folding the upper half onto the lower are
    /// bijections below a power of two.
    const fn image(&self, position: u32) -> u32 {
        let mask = ((1_u64 << self.bits) - 1) as u32;
        let mut value = position;
        let mut seed = self.seed;
        let mut round = 0;
        while round < 4 {
            value = value.wrapping_mul(seed as u32 | 1).wrapping_add((seed >> 32) as u32) & mask;
            value ^= value >> self.bits.div_ceil(2);
            seed = seed.rotate_left(17) ^ 0x9e37_79b9_7f4a_7c15;
            round += 1;
        }
        value
    }
}

#[cfg(test)]
mod tests;
