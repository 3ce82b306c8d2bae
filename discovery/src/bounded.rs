//! Bounded load (Mirrokni, Thorup and Zadimoghaddam, 2016): nobody has more under way than a factor
//! of what is fair; what is too much for one goes to the next in its key's own order.

/// How far above its fair share of what is under way anybody may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadBound(f64);

/// What is under way, at one node and at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Under way at the node.
    pub here: u32,
    /// Under way at all nodes.
    pub all: u64,
    /// Its weight.
    pub weight: u32,
    /// All weights, its own among them.
    pub weights: u64,
}

impl LoadBound {
    /// A factor below 1 would leave some requests without a place; it counts as 1.
    #[must_use]
    pub fn new(factor: f64) -> Self {
        Self(factor.max(1.0))
    }

    /// Whether a node may take one more: if with it, it has at most the factor times its share of
    /// everything under way, that one included, rounded up.
    ///
    /// Among nodes whose loads and weights add up to `all` and `weights` there always is one.
    #[must_use]
    pub fn admits(self, load: Load) -> bool {
        let share = f64::from(load.weight) / load.weights.max(1) as f64;
        let capacity = (self.0 * (load.all as f64 + 1.0) * share).ceil();
        f64::from(load.here) < capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(factor: f64, here: u32, all: u64, weight: u32, weights: u64) -> bool {
        LoadBound::new(factor).admits(Load { here, all, weight, weights })
    }

    #[test]
    fn the_first_request_finds_a_place() {
        assert!(admits(1.0, 0, 0, 1, 1_000));
        assert!(!admits(1.0, 1, 1, 1, 1_000));
    }

    #[test]
    fn a_factor_is_of_the_fair_share() {
        // Ten nodes and 99 under way: with one more the fair share is 10, and a quarter more 12.5.
        assert!(admits(1.25, 12, 99, 1, 10));
        assert!(!admits(1.25, 13, 99, 1, 10));
        // One of twice the weight takes twice as much.
        assert!(admits(1.25, 22, 99, 2, 11));
        assert!(!admits(1.25, 23, 99, 2, 11));
        assert!(admits(0.5, 9, 99, 1, 10) && !admits(0.5, 10, 99, 1, 10), "as 1");
    }

    #[test]
    fn somebody_always_has_a_place() {
        let mut rng = fastrand::Rng::with_seed(5);
        for _ in 0..2_000 {
            let nodes: Vec<(u32, u32)> =
                (0..rng.usize(1..20)).map(|_| (rng.u32(..50), rng.u32(1..9))).collect();
            let all = nodes.iter().map(|(here, _)| u64::from(*here)).sum();
            let weights = nodes.iter().map(|(_, weight)| u64::from(*weight)).sum();
            let free = |&(here, weight): &(u32, u32)| admits(1.0, here, all, weight, weights);
            assert!(nodes.iter().any(free), "{nodes:?}");
        }
    }
}
