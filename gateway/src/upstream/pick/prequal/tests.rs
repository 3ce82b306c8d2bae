use std::{sync::Arc, time::Duration};

use super::*;
use crate::upstream::load::{EndpointLoad, InFlight, Outcome};

fn at(millis: u64) -> Tick {
    Tick::from_nanos(millis * 1_000_000)
}

fn view(endpoint: u32, in_flight: f32, latency: f32) -> View {
    View { endpoint, in_flight, latency, uses: 2 }
}

fn views(of: &[(f32, f32)]) -> Views {
    let mut views = Views::new();
    for (endpoint, &(in_flight, latency)) in (0..).zip(of) {
        views.put(view(endpoint, in_flight, latency), at(u64::from(endpoint)));
    }
    views
}

/// The endpoint chosen when nothing speaks for the one that was drawn.
fn chosen(views: &Views, drawn: usize, limit: f32) -> usize {
    views.endpoint(views.choose(drawn, limit, |_| 1.0))
}

#[test]
fn the_fastest_of_the_cold_is_chosen() {
    // By load the last, by latency the second, which is hot.
    let pool = views(&[(4.0, 30.0), (9.0, 1.0), (5.0, 10.0), (1.0, 90.0)]);
    assert_eq!(chosen(&pool, 0, 6.0), 2);
    assert_eq!(chosen(&pool, 2, 6.0), 2);
    assert_eq!(chosen(&pool, 0, 9.0), 1);
    assert_eq!(chosen(&pool, 1, 3.0), 3);
    assert_eq!(chosen(&pool, 1, 0.5), 3, "all are hot: the one with the fewest in flight");
}

#[test]
fn of_equally_fast_ones_the_less_loaded_or_else_the_drawn_is_chosen() {
    let pool = views(&[(4.0, 10.0), (3.0, 12.0), (3.5, 11.0), (0.0, 40.0)]);
    assert_eq!(chosen(&pool, 0, 6.0), 1);
    assert_eq!(chosen(&pool, 2, 6.0), 2, "half a request less is no relief");
    let idle = views(&[(0.0, 0.0), (0.0, 0.0), (0.0, 0.0)]);
    for drawn in 0..3 {
        assert_eq!(chosen(&idle, drawn, 0.0), drawn);
    }
}

#[test]
fn views_are_used_up_and_grow_old() {
    let mut pool = views(&[(0.0, 5.0), (0.0, 50.0)]);
    pool.spend(0, 1.0);
    assert_eq!(chosen(&pool, 0, 1.0), 0);
    pool.spend(0, 1.0);
    assert_eq!(chosen(&pool, 1, 1.0), 1, "the first served two requests");
    pool.expire(at(700));
    pool.put(view(7, 0.0, 5.0), at(900));
    pool.expire(at(1_500));
    assert_eq!(chosen(&pool, 0, 1.0), 7, "in the place of the first");
    pool.put(view(8, 0.0, 50.0), at(1_500));
    pool.expire(at(90_000_000));
    assert_eq!(pool.put(view(9, 0.0, 5.0), at(90_000_000)), 0, "nothing is left");
}

#[test]
fn the_worst_and_the_oldest_go() {
    let of = [(1.0, 20.0), (5.0, 1.0), (8.0, 1.0), (2.0, 90.0), (0.0, 10.0)];
    let left = |pool: &Views| -> Vec<usize> {
        (0..POOL).map(|place| pool.endpoint(place)).filter(|&endpoint| endpoint < 9).collect()
    };
    let mut pool = views(&of);
    pool.drop_worst(4.0);
    assert_eq!(left(&pool), [0, 1, 3, 4], "the busiest of the hot");
    pool.drop_worst(4.0);
    pool.drop_worst(4.0);
    assert_eq!(left(&pool), [0, 4], "the slowest of the cold");
    pool.put(view(0, 1.0, 20.0), at(90));
    pool.expire(at(400));
    pool.drop_oldest();
    assert_eq!(left(&pool), [0]);
    pool.drop_worst(4.0);
    pool.drop_worst(4.0);
    pool.drop_oldest();
    assert_eq!(left(&pool), [0_usize; 0]);
}

#[test]
fn a_full_pool_gives_up_its_oldest() {
    let mut pool = views(&[(1.0, 1.0); POOL]);
    pool.put(view(3, 1.0, 1.0), at(40));
    assert_eq!(pool.put(view(50, 0.0, 1.0), at(41)), 0);
    assert_eq!(pool.put(view(51, 0.0, 1.0), at(41)), 1);
    assert_eq!(pool.put(view(52, 0.0, 1.0), at(41)), 2);
    assert_eq!(pool.put(view(53, 0.0, 1.0), at(41)), 4, "the fourth was seen again");
}

#[test]
fn the_limit_is_the_quantile_of_late() {
    let mut recent = Recent::default();
    (0..RECENT).for_each(|i| recent.add(i as f32));
    assert_eq!(recent.limit, 53.0);
    (0..RECENT).for_each(|_| recent.add(2.0));
    assert_eq!(recent.limit, 2.0);
}

#[test]
fn reuse_follows_the_papers_formula() {
    assert!((reuse(100) - 2.0 / 1.52).abs() < 1e-9, "{}", reuse(100));
    assert_eq!(reuse(1_000_000).floor(), 1.0);
    assert_eq!((reuse(32), reuse(10), reuse(2)), (4.0, 4.0, 4.0));
    assert!(reuse(1) >= 1.0 && reuse(0) >= 1.0);
}

#[test]
fn a_second_attempt_goes_elsewhere() {
    let endpoints: Vec<_> = (0..3).map(|_| Arc::new(EndpointLoad::new(at(0)))).collect();
    let mut rng = Rng::with_seed(8);
    let mut prequal = Prequal::new(&[1; 3]);
    for round in 0..1_000 {
        let first = prequal.pick(&endpoints, |_| false, at(round), &mut rng).unwrap();
        let second = prequal.pick(&endpoints, |index| index == first, at(round), &mut rng);
        assert!(second.is_some_and(|second| second != first), "{first} {second:?}");
    }
}

#[test]
fn the_faster_half_takes_what_it_can() {
    let endpoints: Vec<_> = (0..40).map(|_| Arc::new(EndpointLoad::new(at(0)))).collect();
    let mut rng = Rng::with_seed(6);
    let mut prequal = Prequal::new(&[1; 40]);
    let mut running: Vec<(Tick, InFlight)> = Vec::new();
    let mut counts = [0; 2];
    for round in 0..8_000 {
        let now = at(round);
        for (_, mut request) in running.extract_if(.., |(end, _)| *end <= now) {
            request.record(Outcome::Success, now);
        }
        let index = prequal.pick(&endpoints, |_| false, now, &mut rng).unwrap();
        counts[index % 2] += 1;
        let took = Duration::from_millis(if index.is_multiple_of(2) { 10 } else { 40 });
        let request = EndpointLoad::begin(Arc::clone(&endpoints[index]), now);
        running.push((now + took, request));
    }
    assert!(counts[0] > counts[1] * 9, "{counts:?}");
}
