//! A share of requests, drawn one by one.

/// So many in a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chance(u32);

const WHOLE: u32 = 1_000_000;

impl Chance {
    /// This share, from 0 to 1; exact to a tenth of a thousandth of a percent.
    pub(crate) fn of(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * f64::from(WHOLE)).round() as u32)
    }

    /// Whether this one is among them.
    pub(crate) fn hits(self, rng: &mut fastrand::Rng) -> bool {
        match self.0 {
            0 => false,
            WHOLE => true,
            some => rng.u32(..WHOLE) < some,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_what_they_say() {
        let rng = &mut fastrand::Rng::with_seed(7);
        for share in [0.0, 0.001, 0.125, 0.5, 0.999, 1.0] {
            let (chance, drawn) = (Chance::of(share), 1_000_000);
            assert_eq!(chance.0, (share * 1e6) as u32);
            let hits = (0..drawn).filter(|_| chance.hits(rng)).count() as f64;
            let spread = (f64::from(drawn) * share * (1.0 - share)).sqrt();
            assert!((hits - f64::from(drawn) * share).abs() <= 4.0 * spread, "{share}: {hits}");
        }
        assert!(!(0..1000).any(|_| Chance::of(0.0).hits(rng)), "none is none");
        assert!((0..1000).all(|_| Chance::of(1.0).hits(rng)), "all are all");
        assert_eq!(Chance::of(f64::NAN), Chance(0));
    }
}
