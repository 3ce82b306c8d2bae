use super::*;
use crate::upstream::load::{InFlight, Outcome, WHOLE_SHARE};

const ALL: [Balance; 6] = [
    Balance::P2c,
    Balance::PeakEwma,
    Balance::Prequal,
    Balance::LeastRequest,
    Balance::RoundRobin,
    Balance::Random,
];

fn loads(count: usize) -> Vec<Arc<EndpointLoad>> {
    (0..count).map(|_| Arc::new(EndpointLoad::new(Tick::ZERO))).collect()
}

fn at(millis: u64) -> Tick {
    Tick::from_nanos(millis * 1_000_000)
}

/// Picks `picks` times with nothing in flight and counts who is chosen.
fn idle_counts(balance: Balance, weights: &[u32], picks: usize) -> Vec<u64> {
    let mut rng = Rng::with_seed(7);
    let endpoints = loads(weights.len());
    let mut picker = Picker::new(balance, weights, &mut rng);
    let mut counts = vec![0; weights.len()];
    for _ in 0..picks {
        counts[picker.pick(&endpoints, |_| false, Tick::ZERO, &mut rng).unwrap()] += 1;
    }
    counts
}

fn chi_square(counts: &[u64], weights: &[u32]) -> f64 {
    let picks: u64 = counts.iter().sum();
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let expected = |weight: u32| picks as f64 * f64::from(weight) / total;
    counts
        .iter()
        .zip(weights)
        .map(|(&count, &weight)| (count as f64 - expected(weight)).powi(2) / expected(weight))
        .sum()
}

#[test]
fn an_idle_upstream_is_shared_by_weight() {
    for balance in ALL {
        for weights in [&[1, 1, 1, 1, 1][..], &[5, 1, 1, 2, 7], &[100, 1], &[2, 1, 1_000_000, 3]] {
            let chi = chi_square(&idle_counts(balance, weights, 60_000), weights);
            // The 0.999 quantile for four degrees of freedom is 18.5; fewer have less.
            assert!(chi < 18.5, "{balance:?} {weights:?}: {chi}");
        }
    }
}

#[test]
fn what_is_excluded_is_never_picked() {
    for balance in ALL {
        let weights = [1, 50, 3, 1, 9, 9, 1];
        let endpoints = loads(weights.len());
        let mut rng = Rng::with_seed(3);
        let mut picker = Picker::new(balance, &weights, &mut rng);
        for round in 0..1 << weights.len() {
            let excluded = |index: usize| round >> index & 1 == 1;
            for _ in 0..20 {
                let picked = picker.pick(&endpoints, excluded, Tick::ZERO, &mut rng);
                let all = round == (1 << weights.len()) - 1;
                assert_eq!(picked.is_none(), all, "{balance:?} {round:b}");
                assert!(picked.is_none_or(|index| !excluded(index)), "{balance:?} {round:b}");
            }
        }
    }
}

#[test]
fn one_two_and_no_endpoints() {
    for balance in ALL {
        let mut rng = Rng::with_seed(1);
        let none: [Arc<EndpointLoad>; 0] = [];
        let mut picker = Picker::new(balance, &[], &mut rng);
        assert_eq!(picker.pick(&none, |_| false, Tick::ZERO, &mut rng), None);
        let mut picker = Picker::new(balance, &[9], &mut rng);
        let one = loads(1);
        assert_eq!(picker.pick(&one, |_| false, Tick::ZERO, &mut rng), Some(0));
        assert_eq!(picker.pick(&one, |_| true, Tick::ZERO, &mut rng), None);
        let mut picker = Picker::new(balance, &[1, 1], &mut rng);
        let two = loads(2);
        for _ in 0..50 {
            assert_eq!(picker.pick(&two, |index| index == 0, Tick::ZERO, &mut rng), Some(1));
        }
    }
}

/// Greatest number in flight after `requests` that never end, over 100 equal endpoints.
fn greatest_load(balance: Balance, requests: usize) -> u32 {
    let mut rng = Rng::with_seed(11);
    let endpoints = loads(100);
    let mut picker = Picker::new(balance, &[1; 100], &mut rng);
    let mut held: Vec<InFlight> = Vec::new();
    for _ in 0..requests {
        let index = picker.pick(&endpoints, |_| false, Tick::ZERO, &mut rng).unwrap();
        held.push(EndpointLoad::begin(Arc::clone(&endpoints[index]), Tick::ZERO));
    }
    endpoints.iter().map(|load| load.in_flight()).max().unwrap()
}

#[test]
fn two_choices_beat_one() {
    // Means of 100 each: one choice leaves a maximum near mean + 3 sigma, two within a few.
    let random = greatest_load(Balance::Random, 10_000);
    let p2c = greatest_load(Balance::P2c, 10_000);
    assert!(random >= 118 && p2c <= 104, "random {random}, p2c {p2c}");
    assert_eq!(greatest_load(Balance::LeastRequest, 10_000), 100);
}

#[test]
fn load_follows_weight() {
    for balance in [Balance::P2c, Balance::LeastRequest] {
        let weights = [4, 2, 1, 1];
        let mut rng = Rng::with_seed(5);
        let endpoints = loads(4);
        let mut picker = Picker::new(balance, &weights, &mut rng);
        let mut held: Vec<InFlight> = Vec::new();
        for _ in 0..800 {
            let index = picker.pick(&endpoints, |_| false, Tick::ZERO, &mut rng).unwrap();
            held.push(EndpointLoad::begin(Arc::clone(&endpoints[index]), Tick::ZERO));
        }
        for (load, weight) in endpoints.iter().zip(weights) {
            let per_weight = f64::from(load.in_flight()) / f64::from(weight);
            assert!((95.0..=105.0).contains(&per_weight), "{balance:?} {weight}: {per_weight}");
        }
    }
}

#[test]
fn peak_ewma_leaves_the_slow_one_alone() {
    let mut rng = Rng::with_seed(2);
    let endpoints = loads(4);
    let mut picker = Picker::new(Balance::PeakEwma, &[1; 4], &mut rng);
    let mut counts = [0; 4];
    for round in 0..5_000 {
        let now = at(round * 2);
        let index = picker.pick(&endpoints, |_| false, now, &mut rng).unwrap();
        counts[index] += 1;
        let took = if index == 2 { 400 } else { 4 };
        let mut request = EndpointLoad::begin(Arc::clone(&endpoints[index]), now);
        request.record(Outcome::Success, at(round * 2 + took));
    }
    assert!(counts[2] < 50, "{counts:?}");
    assert!(counts.iter().sum::<u64>() == 5_000);
}

#[test]
fn smooth_round_robin_is_nginxs_sequence() {
    let mut rotation = RoundRobin::from_start(&[5, 1, 1]);
    let sequence: Vec<usize> = (0..14).map(|_| rotation.pick(|_| false).unwrap()).collect();
    assert_eq!(sequence, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    let mut rotation = RoundRobin::from_start(&[1, 1, 1]);
    let sequence: Vec<usize> = (0..6).map(|_| rotation.pick(|_| false).unwrap()).collect();
    assert_eq!(sequence, [0, 1, 2, 0, 1, 2]);
    assert_eq!(rotation.pick(|index| index == 0), Some(1));
    assert_eq!(rotation.pick(|_| false), Some(2));
}

#[test]
fn a_returning_endpoint_gets_no_burst() {
    let mut rotation = RoundRobin::from_start(&[2, 1, 1]);
    for _ in 0..100 {
        assert_ne!(rotation.pick(|index| index == 1), Some(1));
    }
    let back = (0..8).filter(|_| rotation.pick(|_| false) == Some(1)).count();
    assert_eq!(back, 2);
}

#[test]
fn what_is_out_of_use_is_the_last_resort() {
    for balance in ALL {
        let weights = [1, 50, 3, 1];
        let endpoints = loads(weights.len());
        let mut rng = Rng::with_seed(6);
        let mut picker = Picker::new(balance, &weights, &mut rng);
        for round in 0..1 << weights.len() {
            for (index, load) in endpoints.iter().enumerate() {
                load.set_share(if round >> index & 1 == 1 { 0 } else { WHOLE_SHARE });
            }
            for tried in 0..weights.len() {
                for _ in 0..20 {
                    let excluded = |index: usize| index == tried;
                    let picked = picker.pick_in_use(&endpoints, excluded, Tick::ZERO, &mut rng);
                    let picked = picked.unwrap();
                    let left = (0..weights.len()).any(|i| i != tried && round >> i & 1 == 0);
                    assert_ne!(picked, tried, "{balance:?} {round:b}");
                    assert_eq!(round >> picked & 1 == 0, left, "{balance:?} {round:b} {tried}");
                }
            }
        }
        let none = picker.pick_in_use(&endpoints, |_| true, Tick::ZERO, &mut rng);
        assert_eq!(none, None, "{balance:?}");
    }
}

#[test]
fn the_others_keep_their_proportions_beside_one_that_is_out() {
    for balance in ALL {
        let (mut rng, endpoints) = (Rng::with_seed(8), loads(4));
        let mut picker = Picker::new(balance, &[1, 5, 2, 4], &mut rng);
        endpoints[1].set_share(0);
        let mut counts = [0; 4];
        for _ in 0..60_000 {
            counts[picker.pick_in_use(&endpoints, |_| false, Tick::ZERO, &mut rng).unwrap()] += 1;
        }
        assert_eq!(counts[1], 0, "{balance:?}");
        let chi = chi_square(&[counts[0], counts[2], counts[3]], &[1, 2, 4]);
        assert!(chi < 18.5, "{balance:?} {counts:?}: {chi}");
    }
}

#[test]
fn a_small_share_is_that_much_of_the_usual() {
    for balance in ALL {
        for share in [WHOLE_SHARE / 10, WHOLE_SHARE / 2, WHOLE_SHARE / 10 * 9] {
            let (mut rng, endpoints) = (Rng::with_seed(8), loads(3));
            let mut picker = Picker::new(balance, &[1, 2, 1], &mut rng);
            endpoints[1].set_share(share);
            let mut picks = 0;
            for _ in 0..40_000 {
                let picked = picker.pick_in_use(&endpoints, |_| false, Tick::ZERO, &mut rng);
                picks += u32::from(picked == Some(1));
            }
            let wanted = 20_000.0 * f64::from(share) / f64::from(WHOLE_SHARE);
            let off = (f64::from(picks) - wanted).abs() / wanted;
            assert!(off < 0.08, "{balance:?} {share}: {picks} for {wanted}");
        }
    }
}

/// Failures of one endpoint of four that fails within a millisecond, where the others take ten: of
/// 2000 requests, two milliseconds apart.
fn failures_at_a_sinkhole(balance: Balance) -> u64 {
    let mut rng = Rng::with_seed(4);
    let endpoints = loads(4);
    let mut picker = Picker::new(balance, &[1; 4], &mut rng);
    let mut running: std::collections::VecDeque<(u64, InFlight)> = Default::default();
    for round in 0..2_000 {
        let now = at(round * 2);
        while let Some((began, mut request)) =
            running.pop_front_if(|(began, _)| *began + 10 <= round * 2)
        {
            request.record(Outcome::Success, at(began + 10));
        }
        let index = picker.pick(&endpoints, |_| false, now, &mut rng).unwrap();
        let mut request = EndpointLoad::begin(Arc::clone(&endpoints[index]), now);
        if index == 2 {
            request.record(Outcome::Failure, at(round * 2 + 1));
        } else {
            running.push_back((round * 2, request));
        }
    }
    endpoints[2].failures()
}

#[test]
fn who_fails_at_once_does_not_look_idle() {
    assert!(failures_at_a_sinkhole(Balance::Random) > 400);
    for balance in [Balance::P2c, Balance::PeakEwma, Balance::LeastRequest, Balance::Prequal] {
        let failures = failures_at_a_sinkhole(balance);
        assert!(failures < 30, "{balance:?}: {failures}");
    }
}
