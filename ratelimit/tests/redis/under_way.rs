//! Requests under way, counted for several gateways.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::join};
use weir_ratelimit::{
    Busy, Concurrency, Key, KeyHasher, Nanos, Secret,
    redis::{OnFailure, Refused, Room, Servers, SharedConcurrency, SharedPermit},
};

use crate::{
    SECOND, patient, run,
    server::{Server, free_port},
};

struct Worker {
    all: Rc<SharedConcurrency>,
    lease: Duration,
    now: Cell<Duration>,
}

impl Worker {
    fn new(url: &str, lease: Duration, seed: u64) -> Self {
        let servers = Arc::new(Servers::new(patient(&[url.to_owned()])).unwrap());
        let rng = fastrand::Rng::with_seed(seed);
        let all = SharedConcurrency::new(servers, Arc::new(Concurrency::new(1_000)), rng);
        Self { all, lease, now: Cell::new(SECOND) }
    }

    fn now(&self) -> Nanos {
        // Breakers and renewals go by this; servers by their own clock.
        self.now.set(self.now.get() + Duration::from_millis(1));
        Nanos::from(self.now.get())
    }

    async fn begin(&self, max: u32, on_failure: OnFailure) -> Result<SharedPermit, Refused> {
        let room = Room { max, lease: self.lease, on_failure, members: 2 };
        self.all.acquire(key(), room, self.now()).await
    }

    async fn renew(&self, lease: Duration) {
        self.now.set(self.now.get() + lease);
        self.all.tend(self.now()).await;
    }
}

fn key() -> Key {
    KeyHasher::new(&Secret::new([7; 16]), "under way").part(b"a").finish()
}

fn counted(server: &Server) -> u64 {
    let digits = key().to_string();
    let said = server.ask(&format!("ZCARD weir:rl1:{{{}}}{}:c", &digits[..16], &digits[16..]));
    said.trim_start_matches(':').trim().parse().unwrap()
}

#[test]
fn so_many_at_all_gateways_together() {
    let Some(server) = Server::start(&[]) else { return };
    let lease = 20 * SECOND;
    let (one, other) = (Worker::new(&server.url(), lease, 1), Worker::new(&server.url(), lease, 2));
    run(async {
        let first = one.begin(3, OnFailure::Deny).await.unwrap();
        let second = other.begin(3, OnFailure::Deny).await.unwrap();
        let third = one.begin(3, OnFailure::Deny).await.unwrap();
        for worker in [&one, &other] {
            let refused = worker.begin(3, OnFailure::Allow).await.unwrap_err();
            assert_eq!(refused, Refused::Busy(Busy::Key { under_way: 3 }));
        }
        assert_eq!((one.all.under_way(key()), other.all.under_way(key())), (2, 1));
        // The next call of the same worker says that it has ended.
        drop(first);
        let fourth = one.begin(3, OnFailure::Deny).await.unwrap();
        assert!(other.begin(3, OnFailure::Deny).await.is_err());
        drop(third);
        one.all.tend(one.now()).await;
        let fifth = other.begin(3, OnFailure::Deny).await.unwrap();
        assert_eq!(counted(&server), 3);
        drop((second, fourth, fifth));
        one.all.tend(one.now()).await;
        other.all.tend(other.now()).await;
        assert_eq!(server.ask("DBSIZE").trim(), ":0", "nothing is left behind");
    });
}

#[test]
fn what_died_is_forgotten_and_what_lives_is_not() {
    let Some(server) = Server::start(&[]) else { return };
    let lease = SECOND * 3 / 2;
    let (dead, alive) =
        (Worker::new(&server.url(), lease, 1), Worker::new(&server.url(), lease, 2));
    run(async {
        let lost = [dead.begin(3, OnFailure::Deny).await, dead.begin(3, OnFailure::Deny).await];
        let kept = alive.begin(3, OnFailure::Deny).await.unwrap();
        assert!(alive.begin(3, OnFailure::Deny).await.is_err());
        // One of them says nothing any more.
        for _ in 0..10 {
            tokio::time::sleep(lease / 5).await;
            alive.renew(lease).await;
        }
        assert!(lost.iter().all(Result::is_ok));
        let more = alive.begin(3, OnFailure::Deny).await.unwrap();
        assert_eq!(counted(&server), 2);
        // It was only asleep: what it has under way is counted again.
        dead.renew(lease).await;
        assert_eq!(counted(&server), 4);
        assert!(alive.begin(3, OnFailure::Deny).await.is_err());
        // A server that has lost all is told again.
        server.ask("FLUSHALL");
        alive.renew(lease).await;
        dead.renew(lease).await;
        assert_eq!(counted(&server), 4);
        drop((kept, more, lost));
        alive.renew(lease).await;
        dead.renew(lease).await;
        assert_eq!(counted(&server), 0);
    });
}

#[test]
fn a_shorter_lease_of_one_gateway_forgets_nothing_of_another() {
    let Some(server) = Server::start(&[]) else { return };
    let (long, short) =
        (Worker::new(&server.url(), 20 * SECOND, 1), Worker::new(&server.url(), SECOND, 2));
    run(async {
        let kept = [long.begin(3, OnFailure::Deny).await, long.begin(3, OnFailure::Deny).await];
        assert!(kept.iter().all(Result::is_ok));
        // It begins, it is renewed, and it ends: none of that cuts short what is not its own.
        let one = short.begin(3, OnFailure::Deny).await.unwrap();
        short.renew(SECOND).await;
        drop(one);
        short.all.tend(short.now()).await;
        tokio::time::sleep(SECOND * 5 / 2).await;
        assert_eq!(counted(&server), 2);
        let one = short.begin(3, OnFailure::Deny).await.unwrap();
        assert!(short.begin(3, OnFailure::Deny).await.is_err());
        assert!(long.begin(3, OnFailure::Deny).await.is_err());
        drop(one);
    });
}

#[test]
fn who_leaves_before_the_answer_is_not_counted() {
    let Some(server) = Server::start(&[]) else { return };
    let worker = Worker::new(&server.url(), 20 * SECOND, 1);
    run(async {
        drop(worker.begin(3, OnFailure::Deny).await.unwrap());
        // Polled once, which sends the question, and dropped.
        let gone = worker.begin(3, OnFailure::Deny).now_or_never();
        assert!(gone.is_none());
        tokio::time::sleep(SECOND / 10).await;
        worker.all.tend(worker.now()).await;
        assert_eq!(counted(&server), 0);
        assert_eq!(worker.all.under_way(key()), 0);
    });
}

#[test]
fn what_ended_during_a_renewal_does_not_come_back() {
    let Some(server) = Server::start(&[]) else { return };
    let lease = 20 * SECOND;
    let worker = Worker::new(&server.url(), lease, 1);
    run(async {
        // More than are renewed with one call.
        let mut all = Vec::new();
        for _ in 0..300 {
            all.push(worker.begin(1_000, OnFailure::Deny).await.unwrap());
        }
        worker.renew(lease / 2).await;
        worker.now.set(worker.now.get() + lease / 2);
        let mut tending = Box::pin(worker.all.tend(worker.now()));
        assert!((&mut tending).now_or_never().is_none());
        drop(all.pop());
        // This tells that it has ended, before the second call of the renewal is made.
        let (one, ()) = join(worker.begin(1_000, OnFailure::Deny), tending).await;
        assert_eq!((one.is_ok(), counted(&server)), (true, 300));
    });
}

#[test]
fn what_ended_is_told_though_whoever_was_to_tell_it_was_not_heard() {
    let Some(server) = Server::start(&[]) else { return };
    let lease = 20 * SECOND;
    let worker = Worker::new(&server.url(), lease, 1);
    run(async {
        for policy in [OnFailure::Allow, OnFailure::Local, OnFailure::Deny] {
            let first = worker.begin(3, OnFailure::Deny).await.unwrap();
            server.ask("CONFIG SET min-replicas-to-write 1");
            drop(first);
            let second = worker.begin(3, policy).await;
            assert_eq!(second.is_ok(), policy != OnFailure::Deny);
            server.ask("CONFIG SET min-replicas-to-write 0");
            worker.renew(lease / 2).await;
            assert_eq!(counted(&server), u64::from(second.is_ok()), "{policy:?}");
            drop(second);
            worker.renew(lease / 2).await;
            assert_eq!(counted(&server), 0, "{policy:?}");
        }
    });
}

#[test]
fn policies_without_a_server() {
    let Some(server) = Server::start(&[]) else { return };
    let worker = Worker::new(&server.url(), 20 * SECOND, 1);
    run(async {
        let mut permits = vec![worker.begin(8, OnFailure::Local).await.unwrap()];
        let port = server.port();
        drop(server);
        for _ in 0..3 {
            permits.push(worker.begin(8, OnFailure::Local).await.unwrap());
        }
        // Half of eight: this gateway is one of two, and what it began before counts.
        let refused = worker.begin(8, OnFailure::Local).await.unwrap_err();
        assert_eq!(refused, Refused::Busy(Busy::Key { under_way: 4 }));
        assert_eq!(worker.begin(8, OnFailure::Deny).await.unwrap_err(), Refused::Unknown);
        permits.push(worker.begin(8, OnFailure::Allow).await.unwrap());
        // When it is back it is told of all of them.
        let server = Server::start_on(port, &[]).unwrap().unwrap();
        worker.renew(20 * SECOND).await;
        assert_eq!(counted(&server), 5);
        drop(permits);
        assert!(worker.begin(1, OnFailure::Deny).await.is_ok());
    });
    let nowhere = format!("redis://127.0.0.1:{}", free_port());
    let worker = Worker::new(&nowhere, SECOND, 1);
    run(async {
        let permit = worker.begin(1, OnFailure::Local).await.unwrap();
        assert!(worker.begin(1, OnFailure::Local).await.is_err());
        drop(permit);
        assert!(worker.begin(1, OnFailure::Local).await.is_ok());
    });
}

#[test]
fn what_ends_is_told_at_once_and_little_is_kept() {
    let Some(server) = Server::start(&[]) else { return };
    let lease = 20 * SECOND;
    let worker = Worker::new(&server.url(), lease, 1);
    run(async {
        let permits = [
            worker.begin(3, OnFailure::Deny).await.unwrap(),
            worker.begin(3, OnFailure::Deny).await.unwrap(),
        ];
        assert!(worker.all.ended().now_or_never().is_none(), "nothing has");
        drop(permits);
        worker.all.ended().now_or_never().unwrap();
        worker.all.tend(worker.now()).await;
        assert_eq!(counted(&server), 0);
        assert!(worker.all.is_idle());
        // The end of a worker: what is under way has a place no more.
        let cut = worker.begin(3, OnFailure::Deny).await.unwrap();
        assert_eq!(counted(&server), 1);
        worker.all.end_all(worker.now()).await;
        assert_eq!(counted(&server), 0);
        drop(cut);
        // Keys that the servers are to be told of, but cannot.
        drop(server);
        let room = Room { max: 1, lease, on_failure: OnFailure::Allow, members: 1 };
        for client in 0..20_000_u32 {
            let hasher = KeyHasher::new(&Secret::new([7; 16]), "many");
            let key = hasher.part(&client.to_le_bytes()).finish();
            drop(worker.all.acquire(key, room, worker.now()).await.unwrap());
        }
        let said = format!("{:?}", worker.all);
        assert!(said.contains("untold: 16384"), "{said}");
        for _ in 0..3 {
            worker.all.tend(worker.now()).await;
        }
        assert!(!worker.all.is_idle(), "they are told again");
        worker.renew(lease * 2).await;
        assert!(worker.all.is_idle(), "until the lease is over");
    });
}
