//! How much one hook may do: calls and turns of loops, and time, in slices that leave the worker
//! to others in between.

use std::cell::Cell;

use crate::clock::Tick;

/// Steps between two looks at the clock. What a single step does is bounded by the memory that a
/// script has, so that these together take far less than a slice.
const STRIDE: u32 = 8;

/// What is left to the hook that runs.
#[derive(Debug, Default)]
pub(super) struct Budget {
    steps: Cell<u32>,
    /// Until when it may run.
    over: Cell<Tick>,
    /// When it lets others run.
    aside: Cell<Tick>,
    exceeded: Cell<Option<Exceeded>>,
}

/// Which bound a hook has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    Steps,
    Time,
}

/// What follows from a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It goes on.
    On,
    /// It goes on after others.
    Aside,
    /// It ends here, and at every step from now on: what it catches, it cannot outlive.
    End(Exceeded),
}

impl Budget {
    /// A hook begins to run, or runs again.
    pub(super) fn begin(&self, steps: u32, over: Tick, aside: Tick) {
        self.steps.set(steps);
        self.over.set(over);
        self.aside.set(aside);
        self.exceeded.set(None);
    }

    /// Steps that are left.
    pub(super) fn steps(&self) -> u32 {
        self.steps.get()
    }

    /// The bound that was passed, if one was.
    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        self.exceeded.get()
    }

    /// A call, or a turn of a loop.
    pub(super) fn step(&self, now: impl FnOnce() -> Tick) -> Step {
        if let Some(exceeded) = self.exceeded.get() {
            return Step::End(exceeded);
        }
        let Some(left) = self.steps.get().checked_sub(1) else {
            return self.end(Exceeded::Steps);
        };
        self.steps.set(left);
        if !left.is_multiple_of(STRIDE) {
            return Step::On;
        }
        let now = now();
        if now >= self.over.get() {
            return self.end(Exceeded::Time);
        }
        if now >= self.aside.get() {
            // Where it cannot be left now, the next look asks again.
            return Step::Aside;
        }
        Step::On
    }

    fn end(&self, exceeded: Exceeded) -> Step {
        self.exceeded.set(Some(exceeded));
        Step::End(exceeded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Tick {
        Tick::from_nanos(nanos)
    }

    #[test]
    fn steps_run_out_and_stay_out() {
        let budget = Budget::default();
        budget.begin(20, Tick::NEVER, Tick::NEVER);
        for _ in 0..20 {
            assert_eq!(budget.step(|| at(0)), Step::On);
        }
        for _ in 0..3 {
            assert_eq!(budget.step(|| at(0)), Step::End(Exceeded::Steps));
        }
        assert_eq!(budget.exceeded(), Some(Exceeded::Steps));
        budget.begin(5, Tick::NEVER, Tick::NEVER);
        assert_eq!((budget.exceeded(), budget.steps()), (None, 5));
    }

    #[test]
    fn time_is_looked_at_every_few_steps() {
        let budget = Budget::default();
        budget.begin(1_000, at(100), at(50));
        let mut looks = 0;
        let run = |now: u64, looks: &mut u32| {
            let steps = (0..STRIDE).map(|_| {
                budget.step(|| {
                    *looks += 1;
                    at(now)
                })
            });
            steps.collect::<Vec<_>>()
        };
        assert!(run(10, &mut looks).iter().all(|step| *step == Step::On));
        assert_eq!(looks, 1);
        assert_eq!(run(60, &mut looks).iter().filter(|step| **step == Step::Aside).count(), 1);
        let last = run(100, &mut looks);
        assert_eq!(last.last(), Some(&Step::End(Exceeded::Time)));
        // Whoever catches that has not a step left.
        assert_eq!(budget.step(|| at(0)), Step::End(Exceeded::Time));
    }
}
