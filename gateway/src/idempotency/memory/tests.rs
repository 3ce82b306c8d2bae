use std::{collections::HashMap as Map, future::Future, time::Duration};

use http::{HeaderMap, StatusCode};

use super::*;
use crate::{clock, idempotency::store::Standing};

const TERMS: Terms = Terms {
    lease: Duration::from_secs(30),
    ttl: Duration::from_secs(3_600),
    redrive: false,
    runs_unclaimed: false,
};
const REDRIVE: Terms = Terms { redrive: true, ..TERMS };
const PRINT: Fingerprint = Fingerprint::new([7; 32]);

fn key(number: u64) -> RecordKey {
    RecordKey::new(&[], "route", &number.to_be_bytes())
}

fn at(seconds: u64) -> Tick {
    Tick::ZERO + Duration::from_secs(seconds)
}

fn recording(bytes: usize) -> Arc<Recording> {
    let body = vec![b'x'; bytes].into();
    Arc::new(Recording::whole(StatusCode::CREATED, &HeaderMap::new(), body))
}

fn granted(claimed: Result<Claimed, StoreDown>) -> Fence {
    match claimed {
        Ok(Claimed::Granted(fence)) => fence,
        other => panic!("{other:?}"),
    }
}

/// What is held, counted from what is there.
fn check_account(memory: &Memory) {
    let (mut keys, mut held) = (0, 0);
    for shard in &memory.shards {
        let shard = lock(shard);
        assert_eq!(shard.slots.len(), shard.ends.len());
        for (key, slot) in &shard.slots {
            assert!(shard.ends.contains(&(slot.expires(), *key)));
            keys += 1;
            held += KEY_BYTES + slot.outcome().map_or(0, |outcome| bytes(outcome));
        }
    }
    let count = memory.count();
    assert_eq!((count.keys, count.bytes), (keys, held));
    assert!(count.keys <= count.keys_max && count.bytes <= count.bytes_max, "{count:?}");
}

#[test]
fn a_request_runs_once() {
    let memory = Memory::new(1 << 20, 1_000);
    let fence = granted(memory.claim(&key(1), &PRINT, &TERMS, at(0)));
    let left = Duration::from_secs(29);
    assert_eq!(memory.claim(&key(1), &PRINT, &TERMS, at(1)), Ok(Claimed::InFlight { left }));
    assert!(memory.complete(&key(1), fence, recording(5), &TERMS, at(2)));
    let done = memory.claim(&key(1), &PRINT, &TERMS, at(3));
    assert_eq!(done, Ok(Claimed::Done(recording(5))));
    let other = Fingerprint::new([8; 32]);
    assert_eq!(memory.claim(&key(1), &other, &TERMS, at(3)), Ok(Claimed::Mismatch));
    granted(memory.claim(&key(2), &other, &TERMS, at(3)));
    check_account(&memory);
}

#[test]
fn a_full_store_takes_no_more_and_forgets_nothing() {
    let memory = Memory::new(1 << 30, 3);
    let in_flight = granted(memory.claim(&key(0), &PRINT, &TERMS, at(0)));
    let done = granted(memory.claim(&key(1), &PRINT, &TERMS, at(0)));
    memory.complete(&key(1), done, recording(9), &TERMS, at(0));
    let lost = granted(memory.claim(&key(2), &PRINT, &TERMS, at(0)));
    memory.forsake(&key(2), lost, &TERMS, at(0));
    assert_eq!(memory.claim(&key(3), &PRINT, &TERMS, at(3_599)), Err(StoreDown::Full));
    assert_eq!(memory.claim(&key(0), &PRINT, &TERMS, at(3_599)), Ok(Claimed::Unknown));
    assert_eq!(memory.claim(&key(2), &PRINT, &TERMS, at(3_599)), Ok(Claimed::Unknown));
    assert!(matches!(memory.claim(&key(1), &PRINT, &TERMS, at(3_599)), Ok(Claimed::Done(_))));
    assert!(!memory.complete(&key(0), in_flight, recording(9), &TERMS, at(3_599)));
    // Room is made by what has expired, and by nothing else.
    granted(memory.claim(&key(3), &PRINT, &TERMS, at(3_600)));
    granted(memory.claim(&key(4), &PRINT, &TERMS, at(3_600)));
    assert_eq!(memory.claim(&key(5), &PRINT, &TERMS, at(3_600)), Err(StoreDown::Full));
    check_account(&memory);
}

#[test]
fn an_outcome_without_room_leaves_a_tombstone() {
    let memory = Memory::new(2 * KEY_BYTES + 2_000, 10);
    let first = granted(memory.claim(&key(1), &PRINT, &TERMS, at(0)));
    let second = granted(memory.claim(&key(2), &PRINT, &TERMS, at(0)));
    granted(memory.claim(&key(3), &PRINT, &TERMS, at(0)));
    assert!(memory.complete(&key(1), first, recording(900), &TERMS, at(1)));
    assert!(memory.complete(&key(2), second, recording(900), &TERMS, at(1)));
    let Ok(Claimed::Done(tombstone)) = memory.claim(&key(2), &PRINT, &TERMS, at(2)) else {
        panic!()
    };
    assert_eq!(*tombstone, Recording::gone(StatusCode::CREATED, Gone::NoRoom));
    check_account(&memory);
    assert!(memory.complete(&key(2), second, recording(900), &TERMS, at(2)), "said again");
    check_account(&memory);
}

#[test]
fn numbers_grow_even_where_a_key_was_forgotten() {
    let memory = Memory::new(1 << 20, 100);
    let first = granted(memory.claim(&key(1), &PRINT, &TERMS, at(0)));
    assert!(memory.release(&key(1), first, &TERMS, at(0)));
    let second = granted(memory.claim(&key(1), &PRINT, &TERMS, at(0)));
    assert!(second.number() > first.number());
    assert!(!memory.complete(&key(1), first, recording(1), &TERMS, at(0)));
    memory.sweep(at(10_000));
    assert_eq!(memory.count().keys, 0);
    let third = granted(memory.claim(&key(1), &PRINT, &TERMS, at(10_000)));
    assert!(third.number() > second.number());
    check_account(&memory);
}

#[test]
fn an_operator_sees_and_forgets() {
    let memory = Memory::new(1 << 20, 100);
    assert_eq!(memory.look(&key(1), at(0)), None);
    assert_eq!(memory.delete(&key(1), at(0)), Deleted::Absent);
    let fence = granted(memory.claim(&key(1), &PRINT, &TERMS, at(0)));
    assert_eq!(memory.delete(&key(1), at(1)), Deleted::InFlight);
    let seen = memory.look(&key(1), at(10)).unwrap();
    assert_eq!(seen.standing, Standing::InFlight { left: Duration::from_secs(20) });
    assert_eq!(memory.look(&key(1), at(30)).unwrap().standing, Standing::Unknown);
    assert!(memory.complete(&key(1), fence, recording(1), &TERMS, at(20)));
    let done = Standing::Done { status: StatusCode::CREATED, replayable: true };
    let seen = memory.look(&key(1), at(20)).unwrap();
    assert_eq!((seen.standing, seen.expires_in), (done, TERMS.ttl));
    assert_eq!(memory.delete(&key(1), at(21)), Deleted::Forgotten);
    granted(memory.claim(&key(1), &PRINT, &TERMS, at(21)));
    check_account(&memory);
}

/// What is kept of an outcome is that, or a tombstone where there was no room; from then on that is
/// what `slot` has as well.
fn check_outcome(memory: &Memory, number: u64, slot: &mut Kept, now: Tick) {
    let Phase::Done(outcome) = slot.phase(now) else { return };
    let claimed = memory.claim(&key(number), &PRINT, &TERMS, now);
    let Ok(Claimed::Done(said)) = claimed else { panic!("{claimed:?}") };
    if said != outcome {
        assert_eq!(*said, Recording::gone(StatusCode::CREATED, Gone::NoRoom));
        let kept = memory.shard(&key(number)).slots[&key(number)].clone();
        assert_eq!(kept.expires(), slot.expires());
        *slot = kept;
    }
}

/// Against one slot per key and no bounds.
#[test]
fn agrees_with_the_machine() {
    for seed in 0..20 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let memory = Memory::new(40 * 1_024, 12);
        let mut slots: Map<u64, Kept> = Map::new();
        let mut fences: Vec<(u64, Fence)> = Vec::new();
        let mut now = 0;
        for _ in 0..3_000 {
            now += [0, 1, 20, 400][rng.usize(0..4)];
            slots.retain(|_, slot| slot.expires() > at(now));
            let number = rng.u64(0..16);
            let terms = if rng.bool() { TERMS } else { REDRIVE };
            let recent = fences.len().saturating_sub(6);
            let held = (rng.u8(0..3) > 0 && !fences.is_empty())
                .then(|| fences[rng.usize(recent..fences.len())]);
            let Some((number, fence)) = held else {
                let mut slot = slots.remove(&number);
                let claimed = memory.claim(&key(number), &PRINT, &terms, at(now));
                if claimed == Err(StoreDown::Full) {
                    assert!(slot.is_none() && (slots.len() == 12 || memory.count().bytes > 30_000));
                    continue;
                }
                let fence = match &claimed {
                    Ok(Claimed::Granted(fence)) => *fence,
                    _ => Fence::new(0, Owner::new(0)),
                };
                let bid = Bid { print: &PRINT, owner: fence.owner(), floor: fence.number() };
                let expected = Slot::claim(&mut slot, bid, &terms, at(now));
                assert_eq!(claimed, Ok(expected), "seed {seed}");
                fences.push((number, fence));
                slots.insert(number, slot.unwrap());
                continue;
            };
            let mut slot = slots.remove(&number);
            let (said, expected) = match rng.u8(0..5) {
                0 | 1 => {
                    let outcome = recording(rng.usize(0..3_000));
                    let said =
                        memory.complete(&key(number), fence, outcome.clone(), &terms, at(now));
                    (said, Slot::complete(&mut slot, fence, outcome, &terms, at(now)))
                }
                2 => (
                    memory.release(&key(number), fence, &terms, at(now)),
                    Slot::release(&mut slot, fence, &terms, at(now)),
                ),
                3 => (
                    memory.forsake(&key(number), fence, &terms, at(now)),
                    Slot::forsake(&mut slot, fence, &terms, at(now)),
                ),
                _ => (
                    memory.renew(&key(number), fence, &terms, at(now)),
                    Slot::renew(&mut slot, fence, &terms, at(now)),
                ),
            };
            assert_eq!(said, expected, "seed {seed}");
            if let Some(slot) = &mut slot {
                check_outcome(&memory, number, slot, at(now));
            }
            if let Some(slot) = slot {
                slots.insert(number, slot);
            }
            check_account(&memory);
        }
    }
}

#[test]
fn threads_do_not_run_a_request_twice() {
    let memory = Memory::new(1 << 20, 1_000);
    let runs = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..500 {
                    let claimed = memory.claim(&key(number), &PRINT, &TERMS, at(0));
                    if let Ok(Claimed::Granted(fence)) = claimed {
                        runs.fetch_add(1, Relaxed);
                        assert!(memory.complete(&key(number), fence, recording(8), &TERMS, at(0)));
                    }
                }
            });
        }
    });
    assert_eq!(runs.into_inner(), 500);
    check_account(&memory);
}

/// Whether `wait` is over by now.
async fn is_over(wait: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
    tokio::time::timeout(Duration::ZERO, wait).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_hears_of_the_end() {
    let memory = Memory::new(1 << 20, 100);
    let now = clock::now();
    let never = Tick::NEVER;
    memory.settled(&key(1), never, now).await;
    for end in 0..3 {
        let key = key(end);
        let fence = granted(memory.claim(&key, &PRINT, &TERMS, now));
        let mut waits: Vec<_> =
            (0..3).map(|_| Box::pin(memory.settled(&key, never, now))).collect();
        for wait in &mut waits {
            assert!(!is_over(wait.as_mut()).await);
        }
        // One goes away.
        waits.pop();
        match end {
            0 => assert!(memory.complete(&key, fence, recording(1), &TERMS, now)),
            1 => assert!(memory.release(&key, fence, &TERMS, now)),
            _ => assert!(memory.forsake(&key, fence, &TERMS, now)),
        }
        for wait in &mut waits {
            assert!(is_over(wait.as_mut()).await);
        }
    }
    assert!(memory.shards.iter().all(|shard| lock(shard).waiting.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_does_so_no_longer_than_the_lease_or_the_patience() {
    let memory = Memory::new(1 << 20, 100);
    let now = clock::now();
    granted(memory.claim(&key(1), &PRINT, &TERMS, now));
    memory.settled(&key(1), now + Duration::from_secs(5), now).await;
    assert_eq!(clock::now().since(now).as_secs(), 5);
    memory.settled(&key(1), Tick::NEVER, clock::now()).await;
    assert_eq!(clock::now().since(now).as_secs(), 30);
    assert!(memory.shards.iter().all(|shard| lock(shard).waiting.is_empty()));
}
