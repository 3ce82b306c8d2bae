use super::*;
use crate::upstream::{
    load::{EndpointLoad, Outcome},
    pick::Picker,
};

/// An upstream of so many endpoints with these further keys.
fn config(endpoints: usize, keys: &str) -> Upstream {
    let list: Vec<_> = (1..=endpoints).map(|n| format!("\"127.0.0.1:{n}\"")).collect();
    let list = list.join(", ");
    let text = format!("upstreams:\n  a: {{ endpoints: [{list}]{keys} }}\nlisteners: [\":1\"]\n");
    let loaded = weir_config::load_str("weir.yaml", &text, &|_| None);
    loaded.unwrap_or_else(|e| panic!("{e}")).config.upstreams.remove(0)
}

fn endpoints(config: &Upstream) -> Vec<Arc<Endpoint>> {
    let one = |one: &weir_config::model::Endpoint| Endpoint::new(one.address.clone(), Tick::ZERO);
    config.endpoints.iter().map(|endpoint| Arc::new(one(endpoint))).collect()
}

fn roster(count: usize, keys: &str) -> (Roster, Vec<Arc<Endpoint>>) {
    let config = config(count, keys);
    let endpoints = endpoints(&config);
    for endpoint in &endpoints {
        answer(endpoint, Outcome::Success, 1);
    }
    let roster = Roster::new("a".into());
    roster.adjust(&config, &endpoints, Tick::ZERO);
    (roster, endpoints)
}

/// A request at an endpoint; failures in a row so far.
fn answer(endpoint: &Arc<Endpoint>, outcome: Outcome, millis: u64) -> u32 {
    EndpointLoad::begin(endpoint.load.clone(), at(millis)).record(outcome, at(millis))
}

/// So many requests at an endpoint, a millisecond apart, all of which fail.
fn fail(roster: &Roster, endpoint: &Arc<Endpoint>, count: u64, from: u64) {
    for millis in from..from + count {
        roster.failed(endpoint, answer(endpoint, Outcome::Failure, millis), at(millis));
    }
}

fn at(millis: u64) -> Tick {
    Tick::ZERO + Duration::from_millis(millis)
}

fn shares(endpoints: &[Arc<Endpoint>]) -> Vec<u32> {
    endpoints.iter().map(|endpoint| endpoint.load.share()).collect()
}

/// A check's results, one after the other, a second apart from `from` on.
fn check(roster: &Roster, endpoint: &Arc<Endpoint>, results: &str, from: u64) {
    let mut rng = Rng::with_seed(1);
    for (second, result) in results.chars().enumerate() {
        let result = if result == '+' { Ok(()) } else { Err("status 503".to_owned()) };
        roster.checked(endpoint, result, &mut rng, at(from + 1000 * second as u64)).unwrap();
    }
}

const W: u32 = WHOLE_SHARE;

#[test]
fn ejected_and_back() {
    let (roster, endpoints) = roster(2, "");
    for run in 1..5 {
        roster.failed(&endpoints[0], run, at(1));
    }
    assert_eq!((roster.mode(), shares(&endpoints)), (Mode::Whole, vec![W, W]));
    roster.failed(&endpoints[0], 5, at(1));
    assert_eq!((roster.mode(), shares(&endpoints)), (Mode::Shares, vec![0, W]));
    let report = roster.report(at(0));
    assert_eq!(report.endpoints[0].state, State::Ejected(at(30_001)));
    assert_eq!(report.endpoints[0].reason.as_deref(), Some("5 failures in a row"));
    assert_eq!(roster.refresh(at(30_000)), at(30_001));
    assert_eq!(roster.refresh(at(30_001)), Tick::NEVER);
    assert_eq!((roster.mode(), shares(&endpoints)), (Mode::Whole, vec![W, W]));
    assert_eq!(roster.report(at(0)).endpoints[0].ejections, 1);
    roster.failed(&endpoints[1], 10, at(30_002));
    assert_eq!(shares(&endpoints), [W, 0], "tried again as it goes on failing");
}

#[test]
fn off_is_off() {
    let (roster, endpoints) = roster(2, ", outlier: off");
    for run in [5, 1000, u32::MAX - 1] {
        roster.failed(&endpoints[0], run, at(1));
    }
    assert_eq!(shares(&endpoints), [W, W]);
}

#[test]
fn checks_turn_an_endpoint_off_and_on() {
    let (roster, endpoints) = roster(2, ", health: /ok");
    check(&roster, &endpoints[1], "--", 0);
    assert_eq!(shares(&endpoints), [W, W]);
    check(&roster, &endpoints[1], "-", 2000);
    assert_eq!((roster.mode(), shares(&endpoints)), (Mode::Shares, vec![W, 0]));
    let report = &roster.report(at(0)).endpoints[1];
    assert_eq!((report.state, report.since), (State::Unhealthy, at(2000)));
    assert_eq!(report.reason.as_deref(), Some("status 503"));
    assert_eq!(report.checks, Some((0, 3)));
    roster.failed(&endpoints[1], 5, at(2500));
    assert_eq!(roster.report(at(0)).endpoints[1].ejections, 0, "it is out already");
    check(&roster, &endpoints[1], "++", 3000);
    assert_eq!((roster.mode(), shares(&endpoints)), (Mode::Whole, vec![W, W]));
}

#[test]
fn too_few_left_is_panic() {
    let (roster, endpoints) = roster(4, ", health: /ok");
    check(&roster, &endpoints[0], "---", 0);
    check(&roster, &endpoints[1], "---", 0);
    assert_eq!(roster.mode(), Mode::Shares, "half of them are enough");
    check(&roster, &endpoints[2], "---", 0);
    assert_eq!(roster.mode(), Mode::Panic);
    assert!(roster.report(at(0)).panic);
    check(&roster, &endpoints[0], "++", 9000);
    assert_eq!(roster.mode(), Mode::Shares);
    assert!(!roster.report(at(0)).panic);
}

#[test]
fn an_only_endpoint_is_never_ejected_but_may_be_unhealthy() {
    let (roster, endpoints) = roster(1, ", health: /ok");
    roster.failed(&endpoints[0], 5, at(1));
    assert_eq!(roster.mode(), Mode::Whole);
    check(&roster, &endpoints[0], "---", 0);
    assert_eq!(roster.mode(), Mode::Panic);
}

#[test]
fn a_reload_keeps_what_is_known() {
    let (roster, before) = roster(4, ", health: /ok");
    roster.failed(&before[0], 5, at(1));
    check(&roster, &before[1], "---", 0);
    let next = config(3, ", health: /ok");
    let mut kept = endpoints(&next);
    (kept[0], kept[2]) = (before[1].clone(), before[0].clone());
    roster.adjust(&next, &kept, at(9000));
    assert_eq!(shares(&kept), [0, W, 0]);
    assert_eq!(roster.mode(), Mode::Panic, "one of three is left");
    assert_eq!(roster.report(at(0)).endpoints[2].state, State::Ejected(at(30_001)));
    let (of_before, of_now) = (&before[3], &kept[1]);
    let mut rng = Rng::with_seed(1);
    assert!(roster.checked(of_before, Ok(()), &mut rng, at(9001)).is_none(), "it is gone");
    assert!(roster.checked(of_now, Ok(()), &mut rng, at(9001)).is_some());
    roster.adjust(&config(3, ", outlier: off"), &kept, at(9002));
    assert_eq!((roster.mode(), shares(&kept)), (Mode::Whole, vec![W, W, W]));
}

#[test]
fn shares_grow_in_a_line() {
    let (roster, endpoints) = roster(2, ", slow_start: 10s");
    assert_eq!(shares(&endpoints), [W, W], "whoever was there first has the whole");
    roster.failed(&endpoints[0], 5, at(0));
    let step = roster.refresh(at(30_000));
    assert_eq!(shares(&endpoints), [FIRST_SHARE, W]);
    assert_eq!((roster.mode(), step), (Mode::Shares, at(30_200)));
    roster.refresh(at(35_000));
    assert_eq!(shares(&endpoints), [FIRST_SHARE + (W - FIRST_SHARE) / 2, W]);
    assert_eq!(roster.refresh(at(39_999)), at(40_199));
    roster.refresh(at(40_000));
    assert_eq!((roster.mode(), shares(&endpoints)), (Mode::Whole, vec![W, W]));
    assert_eq!(roster.refresh(at(40_001)), Tick::NEVER);
}

#[test]
fn newcomers_begin_small() {
    let (roster, mut endpoints) = roster(2, ", slow_start: 10s");
    let next = config(3, ", slow_start: 10s");
    endpoints.push(Arc::new(Endpoint::new(next.endpoints[2].address.clone(), at(5))));
    roster.adjust(&next, &endpoints, at(5));
    assert_eq!(shares(&endpoints), [W, W, FIRST_SHARE]);
    let loads: Vec<_> = endpoints.iter().map(|endpoint| endpoint.load.clone()).collect();
    let mut rng = Rng::with_seed(9);
    let mut picker = Picker::new(next.balance, &[1, 1, 1], &mut rng);
    let picks = (0..30_000)
        .filter(|_| picker.pick_in_use(&loads, |_| false, at(5), &mut rng) == Some(2))
        .count();
    assert!((800..=1200).contains(&picks), "{picks} of 30000, a tenth of a third is 1000");
}

#[test]
fn an_endpoint_may_be_out_for_both_reasons() {
    let (roster, endpoints) = roster(4, ", health: /ok, slow_start: 1s");
    roster.failed(&endpoints[0], 5, at(1));
    check(&roster, &endpoints[0], "---", 1000);
    let state = || {
        let one = roster.report(at(0)).endpoints.remove(0);
        (one.state, one.since, one.reason.unwrap_or_default().into_string())
    };
    assert_eq!(state(), (State::Unhealthy, at(3000), "status 503".to_owned()));
    check(&roster, &endpoints[0], "++", 5000);
    let failures = "5 failures in a row".to_owned();
    assert_eq!(state(), (State::Ejected(at(30_001)), at(1), failures));
    assert_eq!(shares(&endpoints), [0, W, W, W]);
    check(&roster, &endpoints[0], "---", 7000);
    assert_eq!(roster.refresh(at(30_001)), Tick::NEVER);
    assert_eq!(state(), (State::Unhealthy, at(9000), "status 503".to_owned()));
    assert_eq!(shares(&endpoints), [0, W, W, W]);
    check(&roster, &endpoints[0], "++", 40_000);
    assert_eq!(shares(&endpoints), [FIRST_SHARE, W, W, W]);
    check(&roster, &endpoints[0], "---", 41_100);
    assert_eq!(roster.refresh(at(43_200)), Tick::NEVER, "nothing grows while it is out");
}

#[test]
fn while_every_endpoint_fails_none_is_left_out() {
    let (roster, endpoints) = roster(4, "");
    for (nth, endpoint) in endpoints.iter().enumerate() {
        fail(&roster, endpoint, 50, 100 + 50 * nth as u64);
    }
    assert_eq!(shares(&endpoints), [W; 4]);
    // Only where another has answered since is there a better place.
    fail(&roster, &endpoints[0], 10, 1000);
    assert_eq!(shares(&endpoints), [W; 4]);
    answer(&endpoints[3], Outcome::Success, 2000);
    fail(&roster, &endpoints[0], 5, 2001);
    assert_eq!(shares(&endpoints), [0, W, W, W]);
}

#[test]
fn when_the_others_fail_too_the_ejected_come_back() {
    let (roster, endpoints) = roster(4, "");
    fail(&roster, &endpoints[0], 3, 100);
    answer(&endpoints[1], Outcome::Success, 110);
    answer(&endpoints[2], Outcome::Success, 110);
    fail(&roster, &endpoints[0], 2, 120);
    fail(&roster, &endpoints[1], 3, 130);
    answer(&endpoints[2], Outcome::Success, 140);
    fail(&roster, &endpoints[1], 2, 150);
    assert_eq!(shares(&endpoints), [0, 0, W, W]);
    fail(&roster, &endpoints[2], 5, 200);
    assert_eq!(shares(&endpoints), [W; 4], "nobody has answered since");
}

#[test]
fn after_an_outage_ejections_are_short_at_first() {
    let (roster, endpoints) = roster(2, "");
    let length = |from: u64| {
        answer(&endpoints[1], Outcome::Success, from);
        fail(&roster, &endpoints[0], 5, from);
        match roster.report(at(from + 4)).endpoints[0].state {
            State::Ejected(until) => until.since(at(from + 4)).as_millis(),
            other => panic!("{other:?}"),
        }
    };
    for endpoint in &endpoints {
        fail(&roster, endpoint, 5, 100);
    }
    assert_eq!(length(10_000), 1000);
    roster.refresh(at(11_004));
    assert_eq!(length(11_100), 2000, "longer each time");
    roster.refresh(at(13_104));
    assert_eq!(length(120_000), 30_000, "as usual, when the outage is long over");
}

/// Endpoints go down, and come back, one shortly after the other: what one did in between is no
/// reason to leave another out.
#[test]
fn an_outage_is_one_however_it_begins() {
    let (roster, endpoints) = roster(4, "");
    for (nth, endpoint) in endpoints.iter().enumerate() {
        answer(endpoint, Outcome::Success, 100 + nth as u64);
        fail(&roster, endpoint, 1, 101 + nth as u64);
    }
    for millis in (200..5000).step_by(4) {
        for (nth, endpoint) in endpoints.iter().enumerate() {
            fail(&roster, endpoint, 1, millis + nth as u64);
        }
    }
    assert_eq!(shares(&endpoints), [W; 4]);
    let ejections = roster.report(at(5000)).endpoints.iter().map(|one| one.ejections).sum::<u64>();
    assert!(ejections <= 2, "{ejections}");
    answer(&endpoints[0], Outcome::Success, 5000);
    fail(&roster, &endpoints[1], 5, 5001);
    match roster.report(at(5010)).endpoints[1].state {
        State::Ejected(until) => assert!(until.since(at(5010)) <= AFTERMATH),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_heard_of_an_endpoint_takes_of_its_share() {
    let (roster, endpoints) = roster(4, ", slow_start: 10s");
    roster.regard(&[(endpoints[0].clone(), W / 4)], at(1));
    assert_eq!((roster.mode(), shares(&endpoints)), (Mode::Shares, vec![W / 4, W, W, W]));
    roster.failed(&endpoints[0], 5, at(2));
    assert_eq!(shares(&endpoints), [0, W, W, W], "out of use is out of use");
    roster.refresh(at(31_000));
    let first = u64::from(FIRST_SHARE) * u64::from(W / 4) / u64::from(W);
    assert_eq!(u64::from(shares(&endpoints)[0]), first, "of what a slow start gives it");
    roster.regard(&[(endpoints[1].clone(), 0)], at(31_000));
    assert_eq!(shares(&endpoints), [FIRST_SHARE, 1, W, W], "never nothing");
    roster.regard(&[], at(31_000));
    roster.refresh(at(41_000));
    assert_eq!((roster.mode(), shares(&endpoints)), (Mode::Whole, vec![W; 4]));
}
