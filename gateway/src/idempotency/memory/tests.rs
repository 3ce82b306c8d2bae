use http::HeaderMap;

use super::*;

const TERMS: Terms = Terms {
    lease: Duration::from_secs(30),
    ttl: Duration::from_secs(3_600),
    redrive: false,
    runs_unclaimed: false,
};
const PRINT: Fingerprint = Fingerprint::new([7; 32]);

fn key(number: u64) -> RecordKey {
    RecordKey::new(&[], "route", &number.to_be_bytes())
}

fn at(seconds: u64) -> Tick {
    Tick::ZERO + Duration::from_secs(seconds)
}

fn recording(bytes: usize) -> Arc<Recording> {
    let body = vec![b'x'; bytes].into();
    Arc::new(Recording::whole(http::StatusCode::CREATED, &HeaderMap::new(), body))
}

fn granted(claimed: Result<Claimed, StoreDown>) -> Fence {
    match claimed {
        Ok(Claimed::Granted(fence)) => fence,
        other => panic!("{other:?}"),
    }
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
}
