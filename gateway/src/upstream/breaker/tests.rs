use std::{sync::Barrier, thread};

use proptest::prelude::*;
use weir_config::model::SlowCalls;

use super::*;

const POLICY: model::Breaker = model::Breaker {
    failure_rate: 0.5,
    window: Duration::from_secs(10),
    min_requests: 20,
    open: Duration::from_secs(5),
    probes: 3,
    slow: None,
};
const SLOW: Option<SlowCalls> = Some(SlowCalls { over: Duration::from_secs(1), rate: 0.8 });
const QUICK: Duration = Duration::from_millis(1);

fn at(millis: u64) -> Tick {
    Tick::ZERO + Duration::from_millis(millis)
}

fn breaker(policy: model::Breaker) -> Breaker {
    let breaker = Breaker::new();
    assert_eq!(breaker.adjust(Some(policy), Tick::ZERO), None);
    breaker
}

/// One request, let through and ended at once.
fn request(breaker: &Breaker, verdict: Verdict, now: Tick) -> Option<Change> {
    let pass = breaker.admit(now).expect("let through");
    breaker.record(pass, verdict, QUICK, None, now)
}

fn requests(breaker: &Breaker, count: usize, verdict: Verdict, now: Tick) -> Option<Change> {
    (0..count).filter_map(|_| request(breaker, verdict, now)).last()
}

/// Opens it by failures.
fn open(breaker: &Breaker, now: Tick) -> Tick {
    assert!(matches!(requests(breaker, 20, Verdict::Failure, now), Some(Change::Opened { .. })));
    breaker.opens_until(now).expect("open")
}

#[test]
fn off_lets_everything_through() {
    let off = Breaker::new();
    for now in [at(0), at(1), Tick::NEVER] {
        let pass = off.admit(now).unwrap();
        assert!(!off.refuses(now) && !pass.is_watched() && !pass.is_probe());
        assert_eq!(off.record(pass, Verdict::Failure, QUICK, None, now), None);
        assert_eq!((off.state(now), off.report(now)), (State::Off, None));
    }
}

#[test]
fn opens_at_the_rate_and_not_before() {
    let one = breaker(POLICY);
    assert_eq!(requests(&one, 10, Verdict::Success, at(0)), None);
    assert_eq!(requests(&one, 9, Verdict::Failure, at(0)), None);
    assert_eq!(one.state(at(0)), State::Closed);
    let change = request(&one, Verdict::Failure, at(0)).unwrap();
    let counts = Counts { requests: 20, failures: 10, slow: 0 };
    let Change::Opened { reason: Reason::Failures(seen), length } = change else {
        panic!("{change:?}")
    };
    assert_eq!(seen, counts);
    assert_eq!(Reason::Failures(seen).to_string(), "10 of 20 requests failed (50 %)");
    assert!((POLICY.open..=POLICY.open.mul_f64(1.1)).contains(&length), "{length:?}");
    assert!(one.refuses(at(4_999)) && one.admit(at(4_999)).is_none());
    assert!(!one.refuses(at(5_500)));
}

/// A success may be what makes the window full enough.
#[test]
fn few_requests_conclude_nothing() {
    let one = breaker(POLICY);
    assert_eq!(requests(&one, 19, Verdict::Failure, at(0)), None);
    let change = request(&one, Verdict::Success, at(0));
    assert!(matches!(change, Some(Change::Opened { .. })), "{change:?}");
}

#[test]
fn what_is_older_than_the_window_is_forgotten() {
    let one = breaker(POLICY);
    assert_eq!(requests(&one, 19, Verdict::Failure, at(999)), None);
    assert_eq!(one.report(at(9_999)).unwrap().counts.requests, 19);
    assert_eq!(one.report(at(10_000)).unwrap().counts.requests, 0);
    assert_eq!(requests(&one, 19, Verdict::Failure, at(10_000)), None);
}

#[test]
fn decimal_shares_are_met_exactly() {
    let one = breaker(model::Breaker { failure_rate: 0.07, min_requests: 100, ..POLICY });
    assert_eq!(requests(&one, 93, Verdict::Success, at(0)), None);
    assert_eq!(requests(&one, 6, Verdict::Failure, at(0)), None);
    assert!(request(&one, Verdict::Failure, at(0)).is_some(), "7 of 100 are 7 %");
}

#[test]
fn what_nobody_knows_counts_for_nothing() {
    let one = breaker(POLICY);
    assert_eq!(requests(&one, 100, Verdict::Unknown, at(0)), None);
    assert_eq!(one.report(at(0)).unwrap().counts, Counts::default());
}

#[test]
fn all_probes_must_succeed() {
    let one = breaker(POLICY);
    let until = open(&one, at(0));
    assert_eq!(one.state(until), State::HalfOpen);
    let passes: Vec<Pass> = (0..5).filter_map(|_| one.admit(until)).collect();
    assert_eq!(passes.len(), 3);
    assert_eq!(passes[0].change(), Some(Change::HalfOpen));
    assert!(passes[1..].iter().all(|pass| pass.change().is_none()));
    assert!(one.refuses(until));
    for pass in &passes[..2] {
        assert_eq!(one.record(*pass, Verdict::Success, QUICK, None, until), None);
        assert!(one.refuses(until), "a place is had once");
    }
    let change = one.record(passes[2], Verdict::Success, QUICK, None, until);
    assert_eq!(change, Some(Change::Closed { probes: 3 }));
    assert_eq!(one.report(until).unwrap().counts, Counts::default(), "it begins anew");
    assert_eq!(requests(&one, 19, Verdict::Failure, until), None);
}

#[test]
fn the_first_failing_probe_opens_it_again_for_longer() {
    let one = breaker(POLICY);
    let mut until = open(&one, at(0));
    for times in [2, 4, 8, 10, 10, 10, 10] {
        let pass = one.admit(until).unwrap();
        let change = one.record(pass, Verdict::Failure, QUICK, None, until).unwrap();
        let Change::Opened { reason: Reason::ProbeFailed, length } = change else {
            panic!("{change:?}")
        };
        let base = POLICY.open * times;
        assert!((base..=base.mul_f64(1.1)).contains(&length), "{length:?}, not {base:?}");
        until = one.opens_until(until).unwrap();
    }
    requests(&one, 3, Verdict::Success, until);
    assert_eq!(one.state(until), State::Closed);
    assert!(open(&one, until).since(until) < POLICY.open * 2, "closed, it begins anew");
}

#[test]
fn a_probe_given_up_gives_its_place_back() {
    let one = breaker(POLICY);
    let until = open(&one, at(0));
    let passes = [(); 3].map(|()| one.admit(until).unwrap());
    assert!(one.refuses(until));
    assert_eq!(one.record(passes[1], Verdict::Unknown, QUICK, None, until), None);
    assert!(!one.refuses(until) && one.admit(until).is_some() && one.admit(until).is_none());
}

#[test]
fn a_lost_probe_gives_its_place_back_in_time() {
    let one = breaker(POLICY);
    let until = open(&one, at(0));
    let lost = [(); 3].map(|()| one.admit(until).unwrap());
    let later = until + POLICY.open;
    assert!(one.refuses(until + POLICY.open.mul_f64(0.999)));
    assert!(!one.refuses(later));
    requests(&one, 2, Verdict::Success, later);
    assert_eq!(one.state(later), State::HalfOpen);
    // It was just slow: what it says is as good as anything.
    let change = one.record(lost[0], Verdict::Success, QUICK, None, later);
    assert_eq!(change, Some(Change::Closed { probes: 3 }));
    assert_eq!(one.record(lost[1], Verdict::Failure, QUICK, None, later), None, "too late");
}

#[test]
fn passes_of_an_earlier_state_count_for_nothing() {
    let one = breaker(POLICY);
    let early: Vec<Pass> = (0..100).map(|_| one.admit(at(0)).unwrap()).collect();
    let until = open(&one, at(0));
    for pass in &early[..50] {
        assert_eq!(one.record(*pass, Verdict::Failure, QUICK, None, until), None);
    }
    requests(&one, 3, Verdict::Success, until);
    assert_eq!(one.state(until), State::Closed);
    for pass in &early[50..] {
        assert_eq!(one.record(*pass, Verdict::Failure, QUICK, None, until), None);
    }
    assert_eq!(one.report(until).unwrap().counts, Counts::default());
}

#[test]
fn a_failing_answer_may_ask_for_more_time() {
    let ask = |seconds: u64, verdict| {
        let one = breaker(POLICY);
        requests(&one, 18, Verdict::Failure, at(0));
        let pass = one.admit(at(0)).unwrap();
        one.record(pass, verdict, QUICK, Some(Duration::from_secs(seconds)), at(0));
        request(&one, Verdict::Failure, at(0));
        let first = one.opens_until(at(0)).unwrap();
        let pass = one.admit(first).unwrap();
        one.record(pass, Verdict::Failure, QUICK, None, first);
        (first.since(at(0)).as_secs(), one.opens_until(first).unwrap().since(first).as_secs())
    };
    assert_eq!(ask(1, Verdict::Failure).0, 5, "never less than its own time");
    assert_eq!(ask(20, Verdict::Failure), (20, 10), "once is enough");
    assert_eq!(ask(20, Verdict::Success).0, 5);
    assert_eq!(ask(86_400, Verdict::Failure).0, 300);
}

#[test]
fn slow_requests_open_it() {
    let one = breaker(model::Breaker { slow: SLOW, ..POLICY });
    let slow = |count: usize, took: u64, now: Tick| {
        let took = Duration::from_millis(took);
        (0..count)
            .filter_map(|_| {
                let pass = one.admit(now).unwrap();
                one.record(pass, Verdict::Success, took, None, now)
            })
            .last()
    };
    assert_eq!(slow(4, 1_000, at(0)), None, "not longer than that");
    assert_eq!(slow(15, 1_001, at(0)), None);
    let counts = Counts { requests: 20, failures: 0, slow: 16 };
    let Some(Change::Opened { reason, .. }) = slow(1, 1_001, at(0)) else { panic!() };
    assert_eq!(reason, Reason::Slow(counts));
    let until = one.opens_until(at(0)).unwrap();
    assert_eq!(slow(2, 1_001, until), None, "two of three are not yet 80 %");
    let Some(Change::Opened { reason, .. }) = slow(1, 1_001, until) else { panic!() };
    assert_eq!(reason.to_string(), "3 of 3 probes were slow");
    let until = one.opens_until(until).unwrap();
    assert_eq!(slow(1, 1_001, until), None);
    assert!(matches!(slow(2, 1, until), Some(Change::Closed { .. })), "some always are");
}

#[test]
fn a_new_policy_keeps_the_state() {
    let one = breaker(POLICY);
    requests(&one, 19, Verdict::Failure, at(0));
    assert_eq!(one.adjust(Some(POLICY), at(0)), None);
    assert_eq!(one.report(at(0)).unwrap().counts.failures, 19);
    let stricter = model::Breaker { min_requests: 10, ..POLICY };
    assert_eq!(one.adjust(Some(stricter), at(0)), None);
    assert!(request(&one, Verdict::Failure, at(0)).is_some());
    let until = one.opens_until(at(0)).unwrap();
    one.adjust(Some(model::Breaker { window: Duration::from_secs(1), ..POLICY }), at(1));
    assert_eq!(one.opens_until(at(1)), Some(until));
    requests(&one, 2, Verdict::Success, until);
    let fewer = model::Breaker { probes: 2, ..POLICY };
    assert_eq!(one.adjust(Some(fewer), until), Some(Change::Closed { probes: 2 }));
    requests(&one, 19, Verdict::Failure, until);
    one.adjust(Some(model::Breaker { window: Duration::from_secs(1), ..POLICY }), until);
    assert_eq!(one.report(until).unwrap().counts.requests, 0, "another window is another count");
}

#[test]
fn turned_off_it_lets_everything_through() {
    let one = breaker(POLICY);
    let until = open(&one, at(0));
    assert_eq!(one.adjust(None, at(1)), Some(Change::TurnedOff));
    assert!(!one.refuses(at(1)) && one.admit(at(1)).is_some());
    assert_eq!(one.adjust(Some(POLICY), at(2)), None);
    assert_eq!(one.state(at(2)), State::Closed);
    assert_eq!(one.report(until).unwrap().opened, 1, "what was counted stays");
}

/// Gateways that see the same at about the same time do not come back at the same time.
#[test]
fn times_differ() {
    let lengths: Vec<u64> = (0..100)
        .map(|n| {
            let now = Tick::from_nanos(1_000_003 * n);
            let one = breaker(POLICY);
            open(&one, now).since(now).as_millis() as u64
        })
        .collect();
    let spread = lengths.iter().max().unwrap() - lengths.iter().min().unwrap();
    assert!((400..=500).contains(&spread), "{spread} ms");
}

#[test]
fn counts_are_halved_before_they_overflow() {
    let one = breaker(model::Breaker { failure_rate: 0.6, min_requests: u32::MAX, ..POLICY });
    for _ in 0..40_000 {
        assert_eq!(request(&one, Verdict::Success, at(0)), None);
        assert_eq!(request(&one, Verdict::Failure, at(0)), None);
    }
    let counts = one.report(at(0)).unwrap().counts;
    assert!(counts.requests >= window::SURE && counts.requests < 1 << 14, "{counts:?}");
    let share = f64::from(counts.failures) / f64::from(counts.requests);
    assert!((0.49..0.51).contains(&share), "{share}");
    let change = requests(&one, 40_000, Verdict::Success, at(0));
    assert_eq!(change, None);
    assert!(
        (0..40_000).any(|_| request(&one, Verdict::Failure, at(0)).is_some()),
        "however many it is to wait for"
    );
}

/// A slot that nobody touched for long is an old one, however long.
#[test]
fn a_long_rest_leaves_nothing() {
    let one = breaker(POLICY);
    for days in [0, 1, 14, 20, 40, 400] {
        let now = at(days * 86_400_000 + 5_000);
        assert_eq!(requests(&one, 12, Verdict::Success, now), None);
        assert_eq!(one.report(now).unwrap().counts.requests, 12, "after {days} days");
    }
}

#[test]
fn threads_share_the_probes() {
    const THREADS: usize = 8;
    let one = breaker(POLICY);
    let mut now = at(0);
    for round in 0..200 {
        let until = if one.state(now) == State::Closed {
            open(&one, now)
        } else {
            one.opens_until(now).unwrap()
        };
        let barrier = Barrier::new(THREADS);
        let passes: Vec<Pass> = thread::scope(|scope| {
            let ask = || {
                barrier.wait();
                (0..4).filter_map(|_| one.admit(until)).collect::<Vec<Pass>>()
            };
            let threads = [(); THREADS].map(|()| scope.spawn(ask));
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(passes.len(), 3, "round {round}");
        assert_eq!(passes.iter().filter(|pass| pass.change().is_some()).count(), 1);
        let verdict = if round % 3 == 0 { Verdict::Success } else { Verdict::Failure };
        let changes = thread::scope(|scope| {
            let tell = |pass| one.record(pass, verdict, QUICK, None, until);
            let threads: Vec<_> =
                passes.into_iter().map(|pass| scope.spawn(move || tell(pass))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).count()
        });
        assert_eq!(changes, 1, "one change, once");
        now = until;
    }
}

#[test]
fn threads_lose_no_count() {
    let one = breaker(model::Breaker { min_requests: 100_000, ..POLICY });
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..2_000 {
                    let verdict = if n % 4 == 0 { Verdict::Failure } else { Verdict::Success };
                    request(&one, verdict, at(n));
                }
            });
        }
    });
    let counts = one.report(at(2_000)).unwrap().counts;
    assert_eq!(counts, Counts { requests: 8_000, failures: 2_000, slow: 0 });
}

/// What a client of the breaker may do.
#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    Ask,
    Tell { which: usize, verdict: Verdict, took: u64, retry_after: Option<u64> },
    Lose(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let verdict = prop_oneof![
        3 => Just(Verdict::Success),
        3 => Just(Verdict::Failure),
        1 => Just(Verdict::Unknown),
    ];
    let wait = prop_oneof![4 => 0_u64..300, 2 => 300_u64..3_000, 1 => 3_000_u64..60_000];
    let took = prop_oneof![2 => Just(1_u64), 1 => Just(1_001_u64)];
    let tell = (any::<usize>(), verdict, took, proptest::option::weighted(0.1, 1_u64..600));
    let step = prop_oneof![
        3 => wait.prop_map(Step::Wait),
        8 => Just(Step::Ask),
        8 => tell.prop_map(|(which, verdict, took, retry_after)| Step::Tell {
            which,
            verdict,
            took,
            retry_after,
        }),
        1 => any::<usize>().prop_map(Step::Lose),
    ];
    prop::collection::vec(step, 1..300)
}

/// The same, the obvious way.
#[derive(Debug)]
struct Model {
    policy: model::Breaker,
    /// How often it changed.
    era: u32,
    mode: Mode,
    row: u32,
    wanted: Tick,
}

#[derive(Debug)]
enum Mode {
    /// Time, failed, slow.
    Closed(Vec<(Tick, bool, bool)>),
    Open(Tick),
    /// Places taken by whom and since when; those that succeeded, and that were slow.
    HalfOpen {
        out: Vec<(u32, Tick)>,
        next: u32,
        passed: u32,
        slow: u32,
    },
}

impl Model {
    /// The era of the pass and which probe it is.
    fn ask(&mut self, now: Tick) -> Option<(u32, u32)> {
        if let Mode::Open(until) = self.mode
            && now >= until
        {
            self.era += 1;
            self.mode = Mode::HalfOpen { out: Vec::new(), next: 0, passed: 0, slow: 0 };
        }
        match &mut self.mode {
            Mode::Closed(_) => Some((self.era, 0)),
            Mode::Open(_) => None,
            Mode::HalfOpen { out, next, passed, .. } => {
                out.retain(|(_, since)| now < *since + self.policy.open);
                if *passed + out.len() as u32 >= self.policy.probes {
                    return None;
                }
                out.push((*next, now));
                *next += 1;
                Some((self.era, *next - 1))
            }
        }
    }

    /// Whether it opens.
    fn tell(
        &mut self,
        (era, probe): (u32, u32),
        (verdict, took, retry_after): (Verdict, u64, Option<u64>),
        now: Tick,
    ) -> bool {
        if era != self.era {
            return false;
        }
        let failed = verdict == Verdict::Failure;
        let is_slow = took > 1_000 && verdict != Verdict::Unknown;
        if let Some(seconds) = retry_after.filter(|_| failed) {
            self.wanted = now + Duration::from_secs(seconds.min(300));
        }
        let slow_rate = self.policy.slow.map_or(f64::INFINITY, |slow| slow.rate);
        let opens = match &mut self.mode {
            Mode::Open(_) => unreachable!("nobody is let through"),
            Mode::Closed(_) if verdict == Verdict::Unknown => false,
            Mode::Closed(samples) => {
                samples.push((now, failed, is_slow));
                let period =
                    |time: Tick| time.nanos() / (self.policy.window.as_nanos() as u64 / 10);
                let oldest = period(now).saturating_sub(9);
                let recent = samples.iter().filter(|(time, ..)| period(*time) >= oldest);
                let of = |yes: fn(&(Tick, bool, bool)) -> bool| {
                    recent.clone().filter(|sample| yes(sample)).count() as f64
                };
                let total = of(|_| true);
                total >= self.policy.min_requests.into()
                    && (of(|sample| sample.1) / total >= self.policy.failure_rate
                        || of(|sample| sample.2) / total >= slow_rate)
            }
            Mode::HalfOpen { out, passed, slow, .. } => {
                out.retain(|(number, _)| *number != probe);
                *passed += u32::from(verdict == Verdict::Success);
                *slow += u32::from(is_slow);
                failed || f64::from(*slow) / f64::from(self.policy.probes) >= slow_rate
            }
        };
        if let Mode::HalfOpen { passed, .. } = self.mode
            && passed >= self.policy.probes
            && !opens
        {
            self.era += 1;
            self.mode = Mode::Closed(Vec::new());
            (self.row, self.wanted) = (0, Tick::ZERO);
        }
        opens
    }

    /// It opens until then: is that right?
    fn open(&mut self, until: Tick, now: Tick) {
        let base = self.policy.open * [1, 2, 4, 8, 10][self.row.min(4) as usize];
        let latest = (now + base.mul_f64(1.1)).max(self.wanted);
        assert!(until >= (now + base).max(self.wanted) && until <= latest, "{until:?}");
        self.era += 1;
        self.row += 1;
        self.wanted = Tick::ZERO;
        self.mode = Mode::Open(until);
    }
}

fn policies() -> impl Strategy<Value = model::Breaker> {
    let rates = prop_oneof![Just(0.25), Just(0.5), Just(1.0)];
    let slow =
        prop_oneof![Just(None), Just(SLOW), Just(SLOW.map(|s| SlowCalls { rate: 0.5, ..s }))];
    (rates, 1_u32..12, 1_u32..5, 100_u64..4_000, 1_u64..20, slow).prop_map(
        |(failure_rate, min_requests, probes, open, window, slow)| model::Breaker {
            failure_rate,
            window: Duration::from_secs(window),
            min_requests,
            open: Duration::from_millis(open),
            probes,
            slow,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn does_what_the_model_does(policy in policies(), steps in steps()) {
        let one = breaker(policy);
        let closed = Mode::Closed(Vec::new());
        let mut model = Model { policy, era: 0, mode: closed, row: 0, wanted: Tick::ZERO };
        let mut passes = Vec::new();
        let mut now = at(0);
        for step in steps {
            match step {
                Step::Wait(millis) => now = now + Duration::from_millis(millis),
                Step::Ask => {
                    let refuses = one.refuses(now);
                    let pass = one.admit(now);
                    let expected = model.ask(now);
                    prop_assert_eq!(pass.is_some(), expected.is_some());
                    prop_assert_eq!(refuses, pass.is_none());
                    prop_assert!(pass.is_some() || one.state(now) != State::Closed);
                    passes.extend(pass.zip(expected));
                }
                Step::Tell { which, verdict, took, retry_after } if !passes.is_empty() => {
                    let (pass, expected) = passes.swap_remove(which % passes.len());
                    let answer = (verdict, took, retry_after);
                    let opens = model.tell(expected, answer, now);
                    let took = Duration::from_millis(took);
                    let change =
                        one.record(pass, verdict, took, retry_after.map(Duration::from_secs), now);
                    prop_assert_eq!(matches!(change, Some(Change::Opened { .. })), opens);
                    if opens {
                        model.open(one.opens_until(now).unwrap(), now);
                    }
                }
                Step::Lose(which) if !passes.is_empty() => {
                    let _lost = passes.swap_remove(which % passes.len());
                }
                Step::Tell { .. } | Step::Lose(_) => {}
            }
            let state = match model.mode {
                Mode::Closed(_) => State::Closed,
                Mode::Open(until) if now < until => State::Open,
                Mode::Open(_) | Mode::HalfOpen { .. } => State::HalfOpen,
            };
            prop_assert_eq!(one.state(now), state);
        }
        // Whatever came before, it lets somebody through in the end.
        let longest = (policy.open * LONGEST_OPEN).mul_f64(1.1).max(LONGEST_RETRY_AFTER);
        prop_assert!(one.admit(now + longest).is_some());
    }

    /// However many ask, and however they leave: never more at a time than there are probes, and
    /// never more answers.
    #[test]
    fn no_more_than_the_probes(
        probes in 1_u32..6,
        asks in prop::collection::vec(any::<bool>(), 1..60),
    ) {
        let one = breaker(model::Breaker { probes, ..POLICY });
        let until = open(&one, at(0));
        let (mut let_through, mut given_up) = (0, 0);
        for gives_up in asks {
            let Some(pass) = one.admit(until) else { continue };
            let_through += 1;
            if gives_up {
                given_up += 1;
                prop_assert_eq!(one.record(pass, Verdict::Unknown, QUICK, None, until), None);
            }
        }
        prop_assert!(let_through - given_up <= probes);
    }
}
