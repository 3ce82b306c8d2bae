use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
    time::Duration,
};

use tokio::task::LocalSet;

use super::*;

const LATE: Duration = Duration::from_millis(6);

async fn expiry(deadline: &Deadline) -> Tick {
    poll_fn(|context| deadline.poll_expired(context)).await;
    clock::now()
}

async fn with_driver<T>(body: impl AsyncFnOnce(Timers) -> T) -> T {
    let set = LocalSet::new();
    let timers = Timers::new();
    #[allow(clippy::disallowed_methods, reason = "a test needs no supervision of its task")]
    let driver = set.spawn_local(timers.driver());
    let result = set.run_until(body(timers)).await;
    driver.abort();
    result
}

fn assert_about(moment: Tick, start: Tick, wanted: Duration) {
    let took = moment.since(start);
    assert!(took >= wanted && took <= wanted + LATE, "{took:?} instead of {wanted:?}");
}

#[tokio::test(start_paused = true)]
async fn expires_in_time() {
    with_driver(async |timers| {
        let start = clock::now();
        let (long, short) = (timers.deadline(), timers.deadline());
        long.set(start + Duration::from_secs(20));
        tokio::task::yield_now().await;
        // The driver sleeps for the long one by now.
        short.set(start + Duration::from_millis(50));
        assert_about(expiry(&short).await, start, Duration::from_millis(50));
        assert!(short.is_expired() && !long.is_expired());
        short.set(start + Duration::from_secs(1));
        assert_about(expiry(&short).await, start, Duration::from_secs(1));
        assert_about(expiry(&long).await, start, Duration::from_secs(20));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn moving_on_puts_it_off() {
    with_driver(async |timers| {
        let start = clock::now();
        let deadline = timers.deadline();
        for _ in 0..100 {
            deadline.set(clock::now() + Duration::from_secs(1));
            tokio::time::sleep(Duration::from_millis(900)).await;
            assert!(!deadline.is_expired());
        }
        assert_about(expiry(&deadline).await, start, Duration::from_millis(99 * 900 + 1000));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn past_deadlines_expire_at_once() {
    with_driver(async |timers| {
        let deadline = timers.deadline();
        let start = clock::now();
        deadline.set(start);
        assert_about(expiry(&deadline).await, start, Duration::ZERO);
    })
    .await;
}

#[test]
fn the_same_task_is_not_stored_twice() {
    struct Bell(AtomicUsize);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let timers = Timers::new();
    let deadline = timers.deadline();
    let bell = Arc::new(Bell(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&bell));
    deadline.set(Tick::from_nanos(1));
    for _ in 0..10 {
        assert!(deadline.poll_expired(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&bell), 3);
    assert_eq!(timers.advance(Tick::from_nanos(1_000_000_000)), None);
    assert_eq!(bell.0.load(Ordering::SeqCst), 1);
    assert!(deadline.poll_expired(&mut Context::from_waker(&waker)).is_ready());
}

/// A waker that owns what it watches: dropping or waking it drops the deadline.
#[test]
fn a_waker_may_own_its_deadline() {
    struct Owner;
    thread_local! {
        static OWNED: RefCell<Vec<Deadline>> = const { RefCell::new(Vec::new()) };
    }
    impl Wake for Owner {
        fn wake(self: Arc<Self>) {
            OWNED.take();
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            OWNED.take();
        }
    }
    for replace in [false, true] {
        let timers = Timers::new();
        let deadline = timers.deadline();
        deadline.set(Tick::from_nanos(1));
        let waker = Waker::from(Arc::new(Owner));
        assert!(deadline.poll_expired(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        OWNED.set(vec![timers.deadline(), timers.deadline()]);
        if replace {
            let other = Waker::noop();
            assert!(deadline.poll_expired(&mut Context::from_waker(other)).is_pending());
        } else {
            timers.advance(Tick::from_nanos(1_000_000_000));
        }
        OWNED.with_borrow(|owned| assert!(owned.is_empty()));
    }
}
