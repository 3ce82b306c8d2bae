//! A route's bound on its requests under way, over all workers.

use std::sync::Arc;

use crate::upstream::limit::{Gate, Permit};

/// One route's bound. What is beyond it does not wait: that is what a queue before the upstream is
/// for, which knows when there is room.
#[derive(Debug)]
pub struct Bulkhead {
    gate: Arc<Gate>,
    max: u32,
}

impl Bulkhead {
    /// A bound of `max`; what is under way by `before`, of an earlier configuration, counts on.
    pub fn new(max: u32, before: Option<&Self>) -> Self {
        let gate = before.map_or_else(|| Arc::new(Gate::new(max, 0)), |before| before.gate.clone());
        Self { gate, max }
    }

    /// Puts the bound in force. To be called when its configuration takes effect: until then the
    /// running one's holds.
    pub fn adjust(&self) {
        self.gate.set_max(self.max, 0);
    }

    /// A place for one request, if there is one.
    pub fn enter(&self) -> Option<Permit> {
        self.gate.try_acquire()
    }

    /// What it counts with, for those who show it.
    pub const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_changes_the_bound_and_not_the_count() {
        let first = Bulkhead::new(3, None);
        let held: Vec<_> = std::iter::from_fn(|| first.enter()).collect();
        assert_eq!(held.len(), 3);
        let second = Bulkhead::new(4, Some(&first));
        assert!(second.enter().is_none(), "not in force yet");
        second.adjust();
        let fourth = second.enter().unwrap();
        assert!(second.enter().is_none());
        assert_eq!(second.gate().in_use(), 4);
        drop((held, fourth));
        assert_eq!(first.gate().in_use(), 0);
    }
}
