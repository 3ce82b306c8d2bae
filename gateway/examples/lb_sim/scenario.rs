//! What is simulated: servers, what happens to them, and what is asked of them.

use std::time::Duration;

use fastrand::Rng;

/// Cores that each server is allotted.
pub(crate) const CORES: f64 = 4.0;
/// Mean of the work's normal distribution, and its standard deviation, in nanoseconds; what is
/// drawn below nothing is drawn again.
const WORK_NANOS: f64 = 60e6;
/// Mean work with what is below nothing cut off, over that mean.
const CUT: f64 = 1.2876;

/// What is special about the servers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    /// Each shares its machine with others, who leave it more than its allotment or just that.
    Antagonists,
    /// The first has a fifth of the others' speed.
    OneSlow,
    /// The first answers each request with an error at once.
    OneFailing,
    /// The first is named after a while only, and needs a while to be as fast as the others.
    OneFresh,
}

/// See the module's page.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) servers: usize,
    /// Gateways, which know nothing of each other.
    pub(crate) gateways: usize,
    /// Workers of each: every one has a picker, all share what is known of the endpoints.
    pub(crate) workers: usize,
    /// Work asked for over what the servers are allotted.
    pub(crate) load: f64,
    /// What is measured begins and ends.
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// The steps of the paper's ramp: each a ninth and a bit more than the one before.
pub(crate) const RAMP: [f64; 9] = [0.75, 0.83, 0.93, 1.03, 1.14, 1.27, 1.41, 1.57, 1.74];

/// When the fresh one is there.
pub(crate) const JOINS: Duration = Duration::from_secs(5);
/// How long it takes to be as fast as the others.
const WARMING: Duration = Duration::from_secs(10);

/// All that the table shows.
pub(crate) fn all() -> Vec<Scenario> {
    let ramp = RAMP.iter().map(|&load| ramp(load, 100, 12));
    let apart = Scenario {
        name: "1.27x, 10 gateways".to_owned(),
        gateways: 10,
        workers: 1,
        ..self::ramp(1.27, 100, 12)
    };
    let ten = [ten(Kind::OneSlow), ten(Kind::OneFailing), ten(Kind::OneFresh)];
    ramp.chain([apart]).chain(ten).collect()
}

/// A step of the paper's ramp on so many servers for so many seconds.
pub(crate) fn ramp(load: f64, servers: usize, seconds: u64) -> Scenario {
    Scenario {
        name: format!("ramp {load:.2}x"),
        kind: Kind::Antagonists,
        servers,
        gateways: 1,
        workers: 8,
        load,
        from: Duration::from_secs(2),
        until: Duration::from_secs(seconds),
    }
}

/// Ten servers, of which one is special.
pub(crate) fn ten(kind: Kind) -> Scenario {
    let (name, from) = match kind {
        Kind::Antagonists => ("ten busy machines", Duration::ZERO),
        Kind::OneSlow => ("one of ten slow", Duration::from_secs(5)),
        Kind::OneFailing => ("one of ten failing", Duration::ZERO),
        Kind::OneFresh => ("one of ten fresh", JOINS),
    };
    Scenario {
        name: name.to_owned(),
        kind,
        servers: 10,
        gateways: 1,
        workers: 4,
        load: 0.6,
        from,
        until: from + Duration::from_secs(60),
    }
}

impl Scenario {
    /// Mean time between two requests in nanoseconds.
    pub(crate) fn interval(&self) -> f64 {
        WORK_NANOS * CUT / (self.servers as f64 * CORES * self.load)
    }

    /// Work of a request.
    pub(crate) fn work(&self, rng: &mut Rng) -> f64 {
        loop {
            let work = WORK_NANOS * (1.0 + normal(rng));
            if work > 0.0 {
                return work;
            }
        }
    }

    /// Cores and speed of a server from now on, and for how long.
    pub(crate) fn state(
        &self,
        server: usize,
        now: Duration,
        rng: &mut Rng,
    ) -> (f64, f64, Duration) {
        let first = server == 0;
        match self.kind {
            Kind::Antagonists => {
                let length = Duration::from_secs_f64(2.0 * exponential(rng));
                let spare = rng.f64() * 4.0;
                // Four machines of ten are full: nothing to spare, and the neighbours are felt.
                if rng.f64() < 0.4 {
                    (CORES * 0.95, 0.8, length)
                } else {
                    (CORES * (1.0 + spare), 1.0, length)
                }
            }
            Kind::OneSlow if first => (CORES, 0.2, Duration::MAX),
            Kind::OneFresh if first => {
                let warm = now.saturating_sub(JOINS).div_duration_f64(WARMING).min(1.0);
                (CORES, 0.25 + 0.75 * warm, Duration::from_millis(500))
            }
            Kind::OneSlow | Kind::OneFailing | Kind::OneFresh => (CORES, 1.0, Duration::MAX),
        }
    }
}

/// Exponentially distributed with a mean of 1.
pub(crate) fn exponential(rng: &mut Rng) -> f64 {
    -(1.0 - rng.f64()).ln()
}

/// Normally distributed with a deviation of 1 (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    (2.0 * exponential(rng)).sqrt() * (std::f64::consts::TAU * rng.f64()).cos()
}
