use proptest::prelude::*;

use super::*;

mod search;

const PRINT: Fingerprint = Fingerprint::new([1; 32]);
const OTHER: Fingerprint = Fingerprint::new([2; 32]);
const SECOND: Duration = Duration::from_secs(1);
const TERMS: Terms =
    Terms { lease: SECOND, ttl: Duration::from_secs(10), redrive: false, runs_unclaimed: false };
const REDRIVE: Terms = Terms { redrive: true, ..TERMS };

type Kept = Option<Slot<u8>>;

fn at(millis: u64) -> Tick {
    Tick::ZERO + Duration::from_millis(millis)
}

fn bid(owner: u128) -> Bid<'static> {
    Bid { print: &PRINT, owner: Owner::new(owner), floor: 1 }
}

fn claim(slot: &mut Kept, owner: u128, terms: &Terms, millis: u64) -> Claimed<u8> {
    Slot::claim(slot, bid(owner), terms, at(millis))
}

fn granted(claimed: &Claimed<u8>) -> Fence {
    let Claimed::Granted(fence) = claimed else { panic!("{claimed:?}") };
    *fence
}

#[test]
fn one_runs_and_the_others_hear_of_it() {
    let mut slot = None;
    let fence = granted(&claim(&mut slot, 1, &TERMS, 0));
    let left = Duration::from_millis(400);
    assert_eq!(claim(&mut slot, 2, &TERMS, 600), Claimed::InFlight { left });
    assert!(Slot::renew(&mut slot, fence, &TERMS, at(700)));
    assert!(Slot::complete(&mut slot, fence, 7, &TERMS, at(1_600)));
    assert_eq!(claim(&mut slot, 2, &TERMS, 11_599), Claimed::Done(7));
    let later = granted(&claim(&mut slot, 2, &TERMS, 11_600));
    assert!(later.number() > fence.number());
}

#[test]
fn another_request_is_refused_whatever_became_of_the_first() {
    let mut slot = None;
    let fence = granted(&claim(&mut slot, 1, &REDRIVE, 0));
    let other = Bid { print: &OTHER, ..bid(1) };
    let refused = |slot: &mut Kept, millis| {
        let before = slot.clone();
        assert_eq!(Slot::claim(slot, other, &REDRIVE, at(millis)), Claimed::Mismatch);
        assert_eq!(*slot, before);
    };
    refused(&mut slot, 0);
    refused(&mut slot, 5_000);
    let mut done = slot.clone();
    assert!(Slot::complete(&mut done, fence, 7, &TERMS, at(500)));
    refused(&mut done, 10_000);
    assert!(Slot::release(&mut slot, fence, &TERMS, at(500)));
    granted(&Slot::claim(&mut slot, other, &TERMS, at(500)));
}

#[test]
fn a_lease_that_is_over_leaves_it_unknown() {
    let mut slot = None;
    let fence = granted(&claim(&mut slot, 1, &TERMS, 0));
    for millis in [1_000, 10_999] {
        assert_eq!(claim(&mut slot, 2, &TERMS, millis), Claimed::Unknown);
        assert_eq!(claim(&mut slot, 1, &TERMS, millis), Claimed::Unknown);
        assert!(!Slot::renew(&mut slot, fence, &TERMS, at(millis)));
        assert!(!Slot::release(&mut slot, fence, &TERMS, at(millis)));
        assert!(!Slot::complete(&mut slot, fence, 7, &TERMS, at(millis)));
        assert!(Slot::forsake(&mut slot, fence, &TERMS, at(millis)));
    }
    granted(&claim(&mut slot, 2, &TERMS, 11_000));
    assert!(!Slot::forsake(&mut slot, fence, &TERMS, at(11_000)));
}

#[test]
fn a_stale_holder_is_refused() {
    let mut slot = None;
    let stale = granted(&claim(&mut slot, 1, &REDRIVE, 0));
    let fence = granted(&claim(&mut slot, 2, &REDRIVE, 1_000));
    assert!(fence.number() > stale.number());
    let before = slot.clone();
    assert!(!Slot::complete(&mut slot, stale, 6, &REDRIVE, at(1_100)));
    assert!(!Slot::renew(&mut slot, stale, &REDRIVE, at(1_100)));
    assert!(!Slot::release(&mut slot, stale, &REDRIVE, at(1_100)));
    assert!(!Slot::forsake(&mut slot, stale, &REDRIVE, at(1_100)));
    assert!(!Slot::withdraw(&mut slot, stale.owner, &REDRIVE, at(1_100)));
    assert_eq!(slot, before);
    assert!(Slot::complete(&mut slot, fence, 7, &REDRIVE, at(1_200)));
    assert!(!Slot::complete(&mut slot, stale, 6, &REDRIVE, at(1_300)));
    assert_eq!(claim(&mut slot, 3, &REDRIVE, 1_300), Claimed::Done(7));
}

#[test]
fn what_was_forsaken_is_unknown_for_the_ttl() {
    let mut slot = None;
    let fence = granted(&claim(&mut slot, 1, &TERMS, 0));
    assert!(Slot::forsake(&mut slot, fence, &TERMS, at(500)));
    assert!(!Slot::complete(&mut slot, fence, 7, &TERMS, at(600)));
    assert_eq!(claim(&mut slot, 2, &TERMS, 10_499), Claimed::Unknown);
    granted(&claim(&mut slot, 2, &TERMS, 10_500));
}

#[test]
fn a_redriven_run_that_was_never_sent_leaves_it_unknown() {
    let mut slot = None;
    granted(&claim(&mut slot, 1, &REDRIVE, 0));
    let fence = granted(&claim(&mut slot, 2, &REDRIVE, 1_000));
    let mut withdrawn = slot.clone();
    assert!(Slot::release(&mut slot, fence, &REDRIVE, at(1_100)));
    assert!(Slot::withdraw(&mut withdrawn, fence.owner, &REDRIVE, at(1_100)));
    assert_eq!(slot, withdrawn);
    assert_eq!(claim(&mut slot, 3, &TERMS, 1_200), Claimed::Unknown);
}

#[test]
fn a_claim_asked_for_twice_is_one() {
    let mut slot = None;
    let fence = granted(&claim(&mut slot, 1, &TERMS, 0));
    assert_eq!(granted(&claim(&mut slot, 1, &TERMS, 900)), fence);
    assert!(matches!(claim(&mut slot, 2, &TERMS, 1_100), Claimed::InFlight { .. }));
    assert!(Slot::complete(&mut slot, fence, 7, &TERMS, at(1_200)));
    assert!(Slot::complete(&mut slot, fence, 8, &TERMS, at(1_300)), "said again");
    assert_eq!(claim(&mut slot, 1, &TERMS, 1_400), Claimed::Done(7));
    assert!(!Slot::withdraw(&mut slot, fence.owner, &TERMS, at(1_400)));
}

#[test]
fn a_claim_that_nobody_heard_of_is_taken_back_even_late() {
    let mut slot = None;
    let fence = granted(&claim(&mut slot, 1, &TERMS, 0));
    assert!(!Slot::withdraw(&mut slot, Owner::new(2), &TERMS, at(2_000)));
    assert!(Slot::withdraw(&mut slot, fence.owner, &TERMS, at(2_000)));
    assert!(!Slot::withdraw(&mut slot, fence.owner, &TERMS, at(2_000)));
    granted(&claim(&mut slot, 2, &TERMS, 2_000));
}

#[test]
fn the_end_of_time_is_no_end() {
    let mut slot = None;
    let forever = Terms { lease: Duration::MAX, ttl: Duration::MAX, ..TERMS };
    let fence = granted(&Slot::claim(&mut slot, bid(1), &forever, at(5)));
    assert!(Slot::complete(&mut slot, fence, 7, &forever, Tick::from_nanos(u64::MAX - 1)));
    let highest = Bid { floor: u64::MAX, ..bid(2) };
    let mut slot = None;
    granted(&Slot::claim(&mut slot, highest, &REDRIVE, at(0)));
    granted(&claim(&mut slot, 3, &REDRIVE, 1_000));
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Claim { owner: u128, other: bool, redrive: bool },
    Renew(usize),
    Complete(usize),
    Release(usize),
    Forsake(usize),
    Withdraw(u128),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..6_u128, prop::bool::weighted(0.2), any::<bool>())
            .prop_map(|(owner, other, redrive)| Op::Claim { owner, other, redrive }),
        1 => (0..4_usize).prop_map(Op::Renew),
        1 => (0..4_usize).prop_map(Op::Complete),
        1 => (0..4_usize).prop_map(Op::Release),
        1 => (0..4_usize).prop_map(Op::Forsake),
        1 => (0..6_u128).prop_map(Op::Withdraw),
    ]
}

proptest! {
    /// Numbers grow while a key is remembered; who is refused changes nothing; an outcome stays as
    /// it is for the ttl; and what expires does so no sooner than the ttl after the last change.
    #[test]
    fn holds_whatever_happens(steps in prop::collection::vec((op(), 0..900_u64), 1..60)) {
        let mut slot: Kept = None;
        let (mut fences, mut now): (Vec<Fence>, u64) = (Vec::new(), 0);
        for (i, (op, pause)) in steps.into_iter().enumerate() {
            now += pause;
            let before = slot.clone().filter(|slot| slot.expires() > at(now));
            let nth = |back: usize| fences.len().checked_sub(back + 1).map(|i| fences[i]);
            let changes = match op {
                Op::Claim { owner, other, redrive } => {
                    let print = if other { &OTHER } else { &PRINT };
                    let bid = Bid { print, ..bid(owner) };
                    let terms = Terms { redrive, ..TERMS };
                    match Slot::claim(&mut slot, bid, &terms, at(now)) {
                        Claimed::Granted(fence) => {
                            let phase = before.as_ref().map(|slot| slot.phase(at(now)));
                            if let Some(before) = &before {
                                prop_assert_eq!(before.print, *print);
                                let again = before.fence == fence;
                                prop_assert!(again || fence.number > before.fence.number);
                                prop_assert!(again || phase == Some(Phase::Unknown) && redrive);
                            }
                            fences.push(fence);
                            true
                        }
                        _ => false,
                    }
                }
                Op::Renew(back) => nth(back)
                    .is_some_and(|fence| Slot::renew(&mut slot, fence, &TERMS, at(now))),
                Op::Complete(back) => nth(back).is_some_and(|fence| {
                    Slot::complete(&mut slot, fence, i as u8, &TERMS, at(now))
                }),
                Op::Release(back) => nth(back)
                    .is_some_and(|fence| Slot::release(&mut slot, fence, &TERMS, at(now))),
                Op::Forsake(back) => nth(back)
                    .is_some_and(|fence| Slot::forsake(&mut slot, fence, &TERMS, at(now))),
                Op::Withdraw(owner) =>
                    Slot::withdraw(&mut slot, Owner::new(owner), &TERMS, at(now)),
            };
            let live = slot.clone().filter(|slot| slot.expires() > at(now));
            if !changes {
                prop_assert_eq!(&live, &before);
            }
            if let Some(outcome) = before.as_ref().and_then(Slot::outcome) {
                prop_assert_eq!(live.as_ref().and_then(Slot::outcome), Some(outcome));
            }
            if let (true, Some(live)) = (live != before, live) {
                prop_assert!(live.expires() >= at(now) + TERMS.ttl);
            }
        }
    }
}
