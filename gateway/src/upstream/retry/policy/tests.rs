use std::time::Duration;

use proptest::{
    prelude::{Strategy, any, prop_assert, proptest},
    sample,
};
use weir_config::model::StatusRange;

use super::*;

fn status(code: u16) -> Fault {
    Fault::Status(StatusCode::from_u16(code).unwrap())
}

const fn unsent(error: Error) -> Fault {
    Fault::Error { error, sent: false }
}

const fn sent(error: Error) -> Fault {
    Fault::Error { error, sent: true }
}

const BUDGET: RetryBudget =
    RetryBudget { percent: 0.2, min_per_sec: 3, window: Duration::from_secs(10) };

fn config() -> Config {
    Config {
        attempts: 3,
        on: RetryOn {
            connect: true,
            reset: true,
            timeout: true,
            statuses: vec![StatusRange { first: 502, last: 504 }],
        },
        backoff: Backoff { base: Duration::from_millis(25), max: Duration::from_millis(250) },
        budget: BUDGET,
        attempt_timeout: None,
        buffer: 65536,
        hedge: None,
    }
}

fn compile(config: &Config) -> RetryPolicy {
    RetryPolicy::new(config, Arc::new(Budget::new(config.budget)))
}

/// An idempotent request after its first attempt, and one that is not.
const GET: Case = Case { tries: 1, harmless: true, repeatable: true };
const POST: Case = Case { harmless: false, ..GET };

const RESET: Error = Error::UpstreamReset { reused: false };
const CLOSED: Error = Error::UpstreamReset { reused: true };

#[test]
fn what_may_be_tried_again() {
    let policy = compile(&config());
    let gone = Case { repeatable: false, ..GET };
    let table: &[(Fault, Case, Result<(), Stop>)] = &[
        (status(503), GET, Ok(())),
        (status(502), GET, Ok(())),
        (status(504), GET, Ok(())),
        (status(500), GET, Err(Stop::Final)),
        (status(501), GET, Err(Stop::Final)),
        (status(429), GET, Err(Stop::Final)),
        (status(404), GET, Err(Stop::Final)),
        (status(503), POST, Err(Stop::Unsafe)),
        (status(503), gone, Err(Stop::Body)),
        (status(503), Case { tries: 2, ..GET }, Ok(())),
        (status(503), Case { tries: 3, ..GET }, Err(Stop::Attempts)),
        (status(503), Case { tries: 4, ..POST }, Err(Stop::Attempts)),
        (unsent(Error::ConnectRefused), POST, Ok(())),
        (unsent(Error::ConnectTimeout), POST, Ok(())),
        (unsent(Error::ConnectFailed), POST, Ok(())),
        (unsent(Error::LookupFailed), POST, Ok(())),
        (unsent(Error::UpstreamTls), POST, Ok(())),
        (unsent(Error::UpstreamBusy), POST, Ok(())),
        (unsent(Error::UpstreamCertificate), GET, Err(Stop::Final)),
        (unsent(Error::UpgradeUnsupported), GET, Err(Stop::Final)),
        (unsent(CLOSED), POST, Ok(())),
        (sent(RESET), GET, Ok(())),
        (sent(RESET), POST, Err(Stop::Unsafe)),
        (sent(CLOSED), POST, Err(Stop::Unsafe)),
        (sent(Error::UpstreamGarbage), GET, Ok(())),
        (sent(Error::UpstreamGarbage), POST, Err(Stop::Unsafe)),
        (sent(Error::UpstreamRefused), POST, Ok(())),
        (sent(Error::UpstreamRefused), Case { repeatable: false, ..POST }, Err(Stop::Body)),
        (sent(Error::HeadersTimeout), GET, Ok(())),
        (sent(Error::HeadersTimeout), POST, Err(Stop::Unsafe)),
        (sent(Error::DeadlinePassed), GET, Err(Stop::Final)),
        (sent(Error::UpstreamHeadersTooLarge), GET, Err(Stop::Final)),
        (sent(Error::UpgradeFailed), GET, Err(Stop::Final)),
        (sent(Error::BodyTooLarge), GET, Err(Stop::Final)),
        (sent(Error::RequestTimeout), GET, Err(Stop::Final)),
        (sent(Error::ClientGone), GET, Err(Stop::Final)),
        (unsent(Error::Bug), GET, Err(Stop::Final)),
    ];
    for (fault, case, wanted) in table {
        assert_eq!(policy.allow(*fault, case), *wanted, "{fault:?} {case:?}");
    }
}

#[test]
fn only_the_causes_that_are_written() {
    let none = RetryOn::default();
    let table: &[(RetryOn, [Result<(), Stop>; 4])] = &[
        (none.clone(), [Err(Stop::Final); 4]),
        (
            RetryOn { connect: true, ..none.clone() },
            [Ok(()), Err(Stop::Final), Err(Stop::Final), Err(Stop::Final)],
        ),
        (
            RetryOn { reset: true, ..none.clone() },
            [Err(Stop::Final), Ok(()), Err(Stop::Final), Err(Stop::Final)],
        ),
        (
            RetryOn { timeout: true, ..none.clone() },
            [Err(Stop::Final), Err(Stop::Final), Ok(()), Err(Stop::Final)],
        ),
        (
            RetryOn { statuses: vec![StatusRange { first: 400, last: 599 }], ..none },
            [Err(Stop::Final), Err(Stop::Final), Err(Stop::Final), Ok(())],
        ),
    ];
    for (on, wanted) in table {
        let policy = compile(&Config { on: on.clone(), ..config() });
        let faults =
            [unsent(Error::ConnectRefused), sent(RESET), sent(Error::HeadersTimeout), status(418)];
        assert_eq!(faults.map(|fault| policy.allow(fault, &GET)), *wanted, "{on:?}");
    }
}

#[test]
fn statuses_are_named_one_by_one() {
    let ranges = [(400, 400), (463, 464), (527, 528), (599, 599)];
    let statuses = ranges.map(|(first, last)| StatusRange { first, last }).to_vec();
    let policy = compile(&Config { on: RetryOn { statuses, ..RetryOn::default() }, ..config() });
    let named = |code: &u16| policy.names(StatusCode::from_u16(*code).unwrap());
    let all: Vec<u16> = (100..1000).filter(named).collect();
    assert_eq!(all, [400, 463, 464, 527, 528, 599]);
}

#[test]
fn waits() {
    let policy = compile(&config());
    let mut rng = Rng::with_seed(1);
    let mut wait = |fault, retry, elsewhere, asked: Option<u64>| {
        let asked = asked.map(Duration::from_millis);
        let waits = (0..200).map(|_| policy.wait(fault, retry, elsewhere, asked, &mut rng));
        let waits: Result<Vec<_>, _> = waits.collect();
        waits.map(|waits| waits.iter().max().unwrap().as_millis() as u64)
    };
    let refused = unsent(Error::ConnectRefused);
    assert_eq!(wait(refused, 0, true, None), Ok(0), "another machine, and nothing was sent");
    assert_eq!(wait(sent(Error::UpstreamRefused), 0, true, None), Ok(0), "nothing was seen");
    let between = |wait: Result<u64, Stop>, low, high| {
        let wait = wait.unwrap();
        assert!((low..=high).contains(&wait), "{wait} is not within {low} to {high}");
    };
    between(wait(refused, 0, false, None), 15, 25);
    between(wait(refused, 1, true, None), 35, 50);
    between(wait(status(503), 0, true, None), 15, 25);
    between(wait(status(503), 0, true, Some(100_000)), 15, 25);
    between(wait(status(503), 9, true, None), 200, 250);
    assert_eq!(wait(status(503), 0, false, Some(100)), Ok(100));
    assert_eq!(wait(status(503), 0, false, Some(250)), Ok(250));
    assert_eq!(wait(status(503), 0, false, Some(251)), Err(Stop::RetryAfter));
}

#[test]
fn is_impatient_only_while_another_may_follow() {
    let brief = Some(Duration::from_millis(70));
    let policy = compile(&Config { attempt_timeout: brief, ..config() });
    for (case, wanted) in [
        (GET, brief),
        (Case { tries: 2, ..GET }, brief),
        (Case { tries: 3, ..GET }, None),
        (POST, None),
    ] {
        assert_eq!(policy.patience(|| case), wanted, "{case:?}");
    }
    let on = RetryOn { timeout: false, ..config().on };
    let policy = compile(&Config { attempt_timeout: brief, on, ..config() });
    assert_eq!(policy.patience(|| GET), None, "nothing follows a time-out");
    assert_eq!(compile(&config()).patience(|| GET), None);
}

#[test]
fn reasons_have_their_names() {
    let all = [
        Stop::Off,
        Stop::Final,
        Stop::Attempts,
        Stop::Unsafe,
        Stop::Body,
        Stop::NoEndpoint,
        Stop::RetryAfter,
        Stop::Deadline,
        Stop::Budget,
    ];
    assert_eq!(all.map(Stop::name), Stop::NAMES);
    assert_eq!(Stop::RetryAfter.name(), "retry_after");
    assert_eq!(Stop::Budget.name(), "budget");
}

fn any_fault() -> impl Strategy<Value = Fault> {
    use Error as E;
    let errors = sample::select(vec![
        E::UpstreamBusy,
        E::QueueTimeout,
        E::BreakerOpen,
        E::NoEndpoint,
        E::LookupFailed,
        E::ConnectRefused,
        E::ConnectTimeout,
        E::ConnectFailed,
        E::UpstreamTls,
        E::UpstreamCertificate,
        E::UpstreamRefused,
        RESET,
        CLOSED,
        E::UpstreamGarbage,
        E::UpstreamHeadersTooLarge,
        E::UpgradeUnsupported,
        E::HeadersTimeout,
        E::DeadlinePassed,
        E::UpstreamBodyBroken,
        E::ClientGone,
        E::BodyTooLarge,
        E::RequestTimeout,
        E::Bug,
    ]);
    let error = (errors, any::<bool>()).prop_map(|(error, sent)| Fault::Error { error, sent });
    proptest::prop_oneof![error, (400..600_u16).prop_map(status)]
}

proptest! {
    #[test]
    fn what_might_do_harm_is_never_tried_again(
        fault in any_fault(),
        tries in 1..12_u32, harmless: bool, repeatable: bool,
        attempts in 1..10_u32, causes in any::<[bool; 3]>(),
        first in 400..600_u16, more in 0..99_u16,
    ) {
        let [connect, reset, timeout] = causes;
        let statuses = vec![StatusRange { first, last: (first + more).min(599) }];
        let on = RetryOn { connect, reset, timeout, statuses };
        let policy = compile(&Config { attempts, on, ..config() });
        if policy.allow(fault, &Case { tries, harmless, repeatable }).is_ok() {
            prop_assert!(tries < attempts && repeatable && (harmless || fault.is_unseen()));
            match fault {
                Fault::Status(code) => {
                    prop_assert!((first..=first + more).contains(&code.as_u16()));
                }
                Fault::Error { error, .. } => {
                    prop_assert!(causes.contains(&true));
                    prop_assert!(error.disposition().retry != Retry::Never);
                }
            }
        }
    }

    #[test]
    fn no_wait_is_longer_than_the_longest(
        fault in any_fault(), retry: u32, elsewhere: bool,
        asked in proptest::option::of(0..1000_u64), seed: u64,
    ) {
        let policy = compile(&config());
        let asked = asked.map(Duration::from_millis);
        let mut rng = Rng::with_seed(seed);
        match policy.wait(fault, retry, elsewhere, asked, &mut rng) {
            Ok(wait) => prop_assert!(wait <= config().backoff.max),
            Err(stop) => prop_assert!(stop == Stop::RetryAfter && !elsewhere && asked.is_some()),
        }
    }
}
