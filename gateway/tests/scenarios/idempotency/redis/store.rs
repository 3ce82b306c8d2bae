//! The store by itself, on a real server: what it says when that is in trouble, and what becomes of
//! claims whose answers are lost.

use std::{future::Future, rc::Rc, sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode};
use rustix::process::Signal;
use tokio::time::{sleep, timeout};
use weir_gateway::{
    clock,
    idempotency::{
        fingerprint::Fingerprint,
        key::RecordKey,
        record::Recording,
        redis::RedisStore,
        state::{Claimed, Fence, Terms},
        store::{Deleted, Standing, StoreDown},
    },
};
use weir_ratelimit::redis::{Options, Runner, Servers};

use crate::support::{gateway::free_port, redis::Server};

const PRINT: Fingerprint = Fingerprint::new([7; 32]);
const TERMS: Terms = Terms {
    lease: Duration::from_secs(30),
    ttl: Duration::from_secs(3_600),
    redrive: false,
    runs_unclaimed: false,
};
const SHORT: Terms = Terms { lease: Duration::from_millis(400), ..TERMS };

fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build_local(Default::default()).unwrap().block_on(test);
}

/// The store as a gateway's worker has it.
fn store(url: &str, name: u64, patience: Duration) -> Rc<RedisStore> {
    let options = Options { urls: vec![url.to_owned()], ..Options::default() };
    let servers = Arc::new(Servers::new(options).unwrap());
    let runner = Rc::new(Runner::new(servers, fastrand::Rng::with_seed(name)));
    Rc::new(RedisStore::new(runner, patience, name))
}

fn patient(server: &Server, name: u64) -> Rc<RedisStore> {
    store(&server.url(), name, Duration::from_secs(5))
}

fn key(number: u8) -> RecordKey {
    RecordKey::new(&[], "route", &[number])
}

fn recording(text: &str) -> Recording {
    let mut headers = HeaderMap::new();
    headers.insert("location", "/orders/1".parse().unwrap());
    Recording::whole(StatusCode::CREATED, &headers, text.to_owned().into())
}

async fn claim(store: &Rc<RedisStore>, number: u8, terms: &Terms) -> Result<Claimed, StoreDown> {
    store.claim(&key(number), &PRINT, terms, clock::now()).await
}

async fn granted(store: &Rc<RedisStore>, number: u8, terms: &Terms) -> Fence {
    match claim(store, number, terms).await {
        Ok(Claimed::Granted(fence)) => fence,
        other => panic!("{other:?}"),
    }
}

/// Claims until that says so; before, the server is thought to be in trouble still.
async fn until(
    store: &Rc<RedisStore>,
    number: u8,
    wanted: impl Fn(&Result<Claimed, StoreDown>) -> bool,
) {
    for _ in 0..200 {
        let said = claim(store, number, &TERMS).await;
        if wanted(&said) {
            return;
        }
        // What it said, or that it is not asked before its pause is over.
        let paused = Err(StoreDown::Down) == said;
        assert!(paused || matches!(said, Err(StoreDown::Full | StoreDown::ReadOnly)), "{said:?}");
        sleep(Duration::from_millis(50)).await;
    }
    panic!("never");
}

#[test]
fn a_key_lives_as_the_machine_has_it() {
    let Some(server) = Server::start(&[]) else { return };
    run(async {
        let (one, other) = (patient(&server, 1), patient(&server, 2));
        let now = clock::now();
        let fence = granted(&one, 1, &TERMS).await;
        assert!(matches!(claim(&other, 1, &TERMS).await, Ok(Claimed::InFlight { .. })));
        let seen = other.look(&key(1), now).await.unwrap().unwrap();
        assert!(matches!(seen.standing, Standing::InFlight { .. }));
        assert_eq!(other.delete(&key(1), now).await, Ok(Deleted::InFlight));
        assert_eq!(one.renew(&key(1), fence, &TERMS, now).await, Ok(true));
        let said = one.complete(&key(1), fence, &recording("paid"), &TERMS, now).await;
        assert_eq!(said, Ok(true));
        let Ok(Claimed::Done(kept)) = claim(&other, 1, &TERMS).await else { panic!() };
        assert_eq!(*kept, recording("paid"));
        let strange = Fingerprint::new([8; 32]);
        let said = other.claim(&key(1), &strange, &TERMS, now).await;
        assert_eq!(said, Ok(Claimed::Mismatch));
        let seen = other.look(&key(1), now).await.unwrap().unwrap();
        let status = StatusCode::CREATED;
        assert_eq!(seen.standing, Standing::Done { status, replayable: true });
        assert!(seen.expires_in <= TERMS.ttl && seen.expires_in > TERMS.ttl / 2);
        assert_eq!(other.delete(&key(1), now).await, Ok(Deleted::Forgotten));
        assert_eq!(other.look(&key(1), now).await, Ok(None));
        let later = granted(&other, 1, &TERMS).await;
        assert!(later.number() > fence.number());
        assert_eq!(one.complete(&key(1), fence, &recording("x"), &TERMS, now).await, Ok(false));
        assert_eq!(other.release(&key(1), later, &TERMS, now).await, Ok(true));
        let lost = granted(&one, 1, &TERMS).await;
        assert_eq!(one.forsake(&key(1), lost, &TERMS, now).await, Ok(true));
        assert_eq!(claim(&other, 1, &TERMS).await, Ok(Claimed::Unknown));
        let redrive = Terms { redrive: true, ..TERMS };
        let again = granted(&other, 1, &redrive).await;
        assert!(again.number() > lost.number());
        assert_eq!(one.complete(&key(1), lost, &recording("x"), &TERMS, now).await, Ok(false));
        assert_eq!(other.release(&key(1), again, &TERMS, now).await, Ok(true));
        assert_eq!(claim(&one, 1, &TERMS).await, Ok(Claimed::Unknown));
    });
    let names = server.keys();
    assert_eq!(names, [format!("weir:ik1:{}", key(1))]);
    let left: i64 = server.ask(&format!("PTTL {}", names[0])).trim()[1..].parse().unwrap();
    assert!((1..=3_600_000).contains(&left), "{left}");
}

#[test]
fn a_lease_that_is_over_is_kept_for_the_ttl() {
    let Some(server) = Server::start(&[]) else { return };
    run(async {
        let (one, other) = (patient(&server, 1), patient(&server, 2));
        let terms = Terms { ttl: Duration::from_secs(2), ..SHORT };
        let fence = granted(&one, 1, &terms).await;
        // Until then, or when the lease is over.
        other.settled(&key(1), clock::now() + Duration::from_secs(20), clock::now()).await;
        assert_eq!(claim(&other, 1, &terms).await, Ok(Claimed::Unknown));
        let now = clock::now();
        assert_eq!(one.complete(&key(1), fence, &recording("x"), &terms, now).await, Ok(false));
        assert_eq!(one.renew(&key(1), fence, &terms, now).await, Ok(false));
        assert_eq!(one.release(&key(1), fence, &terms, now).await, Ok(false));
        sleep(Duration::from_millis(2_100)).await;
        granted(&other, 1, &terms).await;
    });
}

#[test]
fn whoever_waits_hears_of_the_end() {
    let Some(server) = Server::start(&[]) else { return };
    run(async {
        let (one, other) = (patient(&server, 1), patient(&server, 2));
        let fence = granted(&one, 1, &TERMS).await;
        let now = clock::now();
        let (key, outcome) = (key(1), recording("x"));
        let wait = other.settled(&key, now + Duration::from_secs(20), now);
        let end = async {
            sleep(Duration::from_millis(150)).await;
            one.complete(&key, fence, &outcome, &TERMS, now).await
        };
        let (said, ()) = tokio::join!(end, wait);
        assert_eq!(said, Ok(true));
        assert!(clock::now().since(now) < Duration::from_secs(10));
    });
}

#[test]
fn a_server_in_trouble_is_no_answer() {
    let Some(server) = Server::start(&[]) else { return };
    run(async {
        let now = clock::now();
        let other = patient(&server, 1);
        server.ask(&format!("SET weir:ik1:{} x", key(1)));
        assert_eq!(claim(&other, 1, &TERMS).await, Err(StoreDown::Foreign));
        server.ask(&format!("HSET weir:ik1:{} x 1", key(2)));
        assert_eq!(claim(&other, 2, &TERMS).await, Err(StoreDown::Foreign));
        assert_eq!(other.look(&key(2), now).await, Err(StoreDown::Foreign));
        let fence = granted(&other, 3, &TERMS).await;
        server.ask(&format!("HSET weir:ik1:{} s d d nonsense", key(3)));
        assert_eq!(claim(&other, 3, &TERMS).await, Err(StoreDown::Foreign));
        assert_eq!(other.look(&key(3), now).await, Err(StoreDown::Other));
        assert_eq!(other.forsake(&key(3), fence, &TERMS, now).await, Ok(false));

        server.ask("CONFIG SET maxmemory 1");
        assert_eq!(claim(&other, 4, &TERMS).await, Err(StoreDown::Full));
        server.ask("CONFIG SET maxmemory 0");
        server.ask("REPLICAOF 127.0.0.1 1");
        // A server that said that it cannot write is believed, and asked again after a pause.
        until(&other, 4, |said| *said == Err(StoreDown::ReadOnly)).await;
        server.ask("REPLICAOF NO ONE");
        server.ask("SCRIPT FLUSH");
        until(&other, 4, |said| matches!(said, Ok(Claimed::Granted(_)))).await;
        server.ask("CONFIG SET requirepass s3");
        let stranger = patient(&server, 2);
        assert_eq!(claim(&stranger, 5, &TERMS).await, Err(StoreDown::Refused));
        let nobody = format!("redis://127.0.0.1:{}", free_port());
        let alone = store(&nobody, 3, Duration::from_secs(5));
        assert_eq!(claim(&alone, 5, &TERMS).await, Err(StoreDown::Down));
    });
}

/// Waits until a claim whose answer was lost has been taken back.
async fn taken_back(other: &Rc<RedisStore>, number: u8) {
    for tries in 0.. {
        // It may not have arrived yet, nor been taken back yet.
        if tries > 5 && other.look(&key(number), clock::now()).await.unwrap().is_none() {
            break;
        }
        assert!(tries < 200, "it is still in flight");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Claims that a server reads when their askers have long given up.
fn overtaken(terms: Terms, then: impl AsyncFnOnce(&Rc<RedisStore>)) {
    let Some(server) = Server::start(&[]) else { return };
    run(async {
        let one = store(&server.url(), 1, Duration::from_secs(2));
        let other = patient(&server, 2);
        granted(&one, 9, &TERMS).await;
        server.pause();
        assert_eq!(claim(&one, 1, &terms).await, Err(StoreDown::Slow));
        let dropped = claim(&one, 2, &terms);
        assert!(timeout(Duration::from_millis(20), dropped).await.is_err());
        server.signal(Signal::CONT);
        // Whoever claims next looks after what was lost.
        granted(&one, 8, &TERMS).await;
        then(&other).await;
    });
}

#[test]
fn a_claim_whose_answer_is_lost_is_taken_back() {
    overtaken(TERMS, async |other| {
        for number in [1, 2] {
            taken_back(other, number).await;
            granted(other, number, &TERMS).await;
        }
    });
}

#[test]
fn a_claim_of_a_request_that_ran_all_the_same_stays() {
    let terms = Terms { runs_unclaimed: true, ..TERMS };
    overtaken(terms, async |other| {
        // The second one's asker went away, so that nothing ran.
        taken_back(other, 2).await;
        granted(other, 2, &TERMS).await;
        assert!(matches!(claim(other, 1, &TERMS).await, Ok(Claimed::InFlight { .. })));
    });
}
