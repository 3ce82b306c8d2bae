//! Encoders of one worker that wait for their next body: making one anew costs as much as coding a
//! body of some kilobytes, since what it looks things up in must be empty.

use std::cell::RefCell;

use weir_config::model::{Encoding, Levels};

use super::encoder::{Broken, Encoder};

/// Most that wait.
const IDLE: usize = 8;

/// An encoder, and what it was made for.
struct Idle {
    encoding: Encoding,
    levels: Levels,
    encoder: Encoder,
}

thread_local! {
    static POOL: RefCell<Vec<Idle>> = const { RefCell::new(Vec::new()) };
}

/// An encoder that goes back to the pool.
#[derive(Debug)]
pub(super) struct Lease {
    encoding: Encoding,
    levels: Levels,
    /// `None` once it has gone back.
    encoder: Option<Encoder>,
}

impl Lease {
    /// One for a body of `length` bytes, where that is known.
    pub(super) fn take(
        encoding: Encoding,
        levels: Levels,
        length: Option<u64>,
    ) -> Result<Self, Broken> {
        let waiting = POOL.with_borrow_mut(|pool| {
            let fits = |one: &Idle| one.encoding == encoding && one.levels == levels;
            pool.iter().rposition(fits).map(|index| pool.swap_remove(index).encoder)
        });
        let waiting = waiting.and_then(|mut encoder| encoder.reset(length).then_some(encoder));
        let encoder = match waiting {
            Some(encoder) => encoder,
            None => Encoder::new(encoding, levels, length)?,
        };
        Ok(Self { encoding, levels, encoder: Some(encoder) })
    }

    /// Whether much of its work waits until half a megabyte has come together, unless it is told to
    /// flush; which makes its output hardly longer.
    pub(super) fn gathers(&self) -> bool {
        self.encoding == Encoding::Br
    }

    pub(super) fn encoder(&mut self) -> Result<&mut Encoder, Broken> {
        self.encoder.as_mut().ok_or(Broken)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Brotli's begins anew for each body.
        let Some(encoder) = self.encoder.take().filter(|_| self.encoding != Encoding::Br) else {
            return;
        };
        let (encoding, levels) = (self.encoding, self.levels);
        // While the thread ends there is no pool any more.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < IDLE {
                pool.push(Idle { encoding, levels, encoder });
            }
        });
    }
}
