use std::{
    sync::{Condvar, atomic::AtomicUsize},
    task::Wake,
    thread,
    time::Duration,
};

use super::*;

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll(acquire: &mut Acquire, bell: &Arc<Bell>) -> Poll<Result<Permit, QueueFull>> {
    let waker = Waker::from(Arc::clone(bell));
    Pin::new(acquire).poll(&mut Context::from_waker(&waker))
}

fn join(gate: &Arc<Gate>) -> (Acquire, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    let mut acquire = gate.acquire();
    assert!(poll(&mut acquire, &bell).is_pending());
    (acquire, bell)
}

fn granted(waiter: &mut (Acquire, Arc<Bell>)) -> Option<Permit> {
    match poll(&mut waiter.0, &waiter.1) {
        Poll::Ready(result) => Some(result.unwrap()),
        Poll::Pending => None,
    }
}

#[test]
fn permits_up_to_the_bound() {
    let gate = Arc::new(Gate::new(2, 0));
    let first = gate.try_acquire().unwrap();
    let _second = gate.try_acquire().unwrap();
    assert!(gate.try_acquire().is_none());
    assert_eq!((gate.in_use(), gate.waiting()), (2, 0));
    let bell = Arc::new(Bell::default());
    assert!(matches!(poll(&mut gate.acquire(), &bell), Poll::Ready(Err(QueueFull))));
    drop(first);
    assert!(gate.try_acquire().is_some());
    assert_eq!(gate.in_use(), 1);
}

#[test]
fn first_come_first_served_and_nobody_overtakes() {
    let gate = Arc::new(Gate::new(1, 2));
    let held = gate.try_acquire().unwrap();
    let mut first = join(&gate);
    let mut second = join(&gate);
    assert!(matches!(poll(&mut gate.acquire(), &first.1), Poll::Ready(Err(QueueFull))));
    drop(held);
    assert_eq!((first.1.rings(), second.1.rings()), (1, 0));
    assert!(gate.try_acquire().is_none(), "the permit is the first waiter's");
    assert!(granted(&mut second).is_none());
    let held = granted(&mut first).unwrap();
    assert_eq!((gate.in_use(), gate.waiting()), (1, 1));
    drop(held);
    assert_eq!(second.1.rings(), 1);
    drop(granted(&mut second).unwrap());
    assert_eq!((gate.in_use(), gate.waiting()), (0, 0));
}

#[test]
fn who_leaves_the_line_is_skipped() {
    let gate = Arc::new(Gate::new(1, 3));
    let held = gate.try_acquire().unwrap();
    let mut first = join(&gate);
    let middle = join(&gate);
    let mut last = join(&gate);
    drop(middle.0);
    assert_eq!(gate.waiting(), 2);
    drop(held);
    drop(granted(&mut first).unwrap());
    assert_eq!((middle.1.rings(), last.1.rings()), (0, 1));
    assert!(granted(&mut last).is_some());
    assert_eq!(gate.in_use(), 0);
}

#[test]
fn a_granted_waiter_that_leaves_hands_on() {
    let gate = Arc::new(Gate::new(1, 2));
    let held = gate.try_acquire().unwrap();
    let first = join(&gate);
    let mut second = join(&gate);
    drop(held);
    assert_eq!(first.1.rings(), 1);
    drop(first.0);
    assert_eq!(second.1.rings(), 1);
    drop(granted(&mut second).unwrap());
    assert_eq!((gate.in_use(), gate.waiting()), (0, 0));
    assert_eq!(gate.lock().len(), 0);
}

#[test]
fn the_latest_waker_is_woken() {
    let gate = Arc::new(Gate::new(1, 1));
    let held = gate.try_acquire().unwrap();
    let mut waiter = join(&gate);
    let moved = Arc::new(Bell::default());
    assert!(poll(&mut waiter.0, &moved).is_pending());
    drop(held);
    assert_eq!((waiter.1.rings(), moved.rings()), (0, 1));
}

#[test]
fn bounds_change_under_way() {
    let gate = Arc::new(Gate::new(1, 8));
    let mut held = vec![gate.try_acquire().unwrap()];
    let mut waiters: Vec<_> = (0..4).map(|_| join(&gate)).collect();
    gate.set_max(3, 8);
    assert_eq!((gate.in_use(), gate.waiting()), (3, 2));
    held.extend(waiters.iter_mut().filter_map(granted));
    assert_eq!(held.len(), 3);
    gate.set_max(1, 8);
    held.pop();
    held.pop();
    assert_eq!((gate.in_use(), gate.waiting()), (1, 2), "still at the lower bound");
    held.pop();
    assert_eq!((gate.in_use(), gate.waiting()), (1, 1));
    drop(waiters);
    assert_eq!((gate.in_use(), gate.waiting()), (0, 0));
}

#[test]
fn a_permit_that_comes_back_on_the_way_into_the_line_is_taken() {
    let gate = Arc::new(Gate::new(1, 1));
    let mut late = gate.acquire();
    let permit = late.join(Waker::noop());
    assert!(matches!(permit, Poll::Ready(Ok(_))));
    assert_eq!((gate.in_use(), gate.waiting()), (1, 0));
}

#[test]
fn nobody_overtakes_between_release_and_grant() {
    let gate = Arc::new(Gate::new(1, 1));
    let held = gate.try_acquire().unwrap();
    let mut waiter = join(&gate);
    let line = gate.lock();
    thread::scope(|scope| {
        // Gives its permit back and then stands before the lock.
        scope.spawn(|| drop(held));
        while gate.in_use() > 0 {
            thread::yield_now();
        }
        let overtaker = gate.try_acquire();
        drop(line);
        // Not before the lock is free: the other thread must be able to end.
        assert!(overtaker.is_none());
    });
    assert!(granted(&mut waiter).is_some());
}

/// Wakes a thread; panics there when nothing comes for long.
#[derive(Default)]
struct Alarm(Mutex<bool>, Condvar);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }
}

/// Waits for a permit on a thread of its own.
fn block_on(acquire: &mut Acquire) -> Result<Permit, QueueFull> {
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    loop {
        let poll = Pin::new(&mut *acquire).poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(result) = poll {
            return result;
        }
        let asleep = alarm.0.lock().unwrap();
        let (mut rung, wait) =
            alarm.1.wait_timeout_while(asleep, Duration::from_secs(20), |rung| !*rung).unwrap();
        assert!(!wait.timed_out(), "a wake-up was lost");
        *rung = false;
    }
}

#[test]
fn threads_never_exceed_the_bound_nor_get_lost() {
    const MAX: u32 = 3;
    let gate = Arc::new(Gate::new(MAX, 6));
    let inside = AtomicU32::new(0);
    let (served, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for seed in 0..8 {
            let (gate, inside, served, refused) = (&gate, &inside, &served, &refused);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                for _ in 0..4_000 {
                    let mut acquire = gate.acquire();
                    if rng.u8(..4) == 0 {
                        // Joins the line perhaps, and changes its mind.
                        drop(poll(&mut acquire, &Arc::new(Bell::default())));
                        continue;
                    }
                    let Ok(permit) = block_on(&mut acquire) else {
                        refused.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < MAX);
                    if rng.u8(..8) == 0 {
                        thread::yield_now();
                    }
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(served.load(Ordering::Relaxed) > 1_000);
    assert_eq!((gate.in_use(), gate.waiting()), (0, 0));
    assert_eq!(gate.lock().len(), 0);
}

#[test]
fn the_bound_may_change_while_threads_run() {
    let gate = Arc::new(Gate::new(1, 64));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3_000 {
                    drop(block_on(&mut gate.acquire()).unwrap());
                }
            });
        }
        scope.spawn(|| {
            let mut rng = fastrand::Rng::with_seed(9);
            for _ in 0..3_000 {
                gate.set_max(rng.u32(1..4), 64);
            }
        });
    });
    assert_eq!((gate.in_use(), gate.waiting()), (0, 0));
}

#[test]
fn a_permit_that_stepped_aside_makes_room_below_the_bound() {
    let gate = Arc::new(Gate::new(3, 4));
    gate.set_ahead(Some(1));
    let mut first = gate.try_acquire().unwrap();
    assert!(gate.try_acquire().is_none());
    let mut waiter = join(&gate);
    first.step_aside();
    first.step_aside();
    let mut second = granted(&mut waiter).expect("the first makes room");
    assert_eq!((gate.in_use(), gate.in_use_ahead()), (2, 1));
    second.step_aside();
    let mut third = gate.try_acquire().unwrap();
    third.step_aside();
    assert!(gate.try_acquire().is_none(), "the gate's own bound holds for all");
    drop(first);
    assert_eq!((gate.in_use(), gate.in_use_ahead()), (2, 0));
    let fourth = gate.try_acquire().unwrap();
    drop((second, third));
    assert_eq!((gate.in_use(), gate.in_use_ahead()), (1, 1));
    let mut waiter = join(&gate);
    gate.set_ahead(None);
    let fifth = granted(&mut waiter).expect("without the lower bound there is room");
    drop((fourth, fifth));
    assert_eq!((gate.in_use(), gate.in_use_ahead()), (0, 0));
}

#[test]
fn nobody_waits_where_others_step_aside() {
    let gate = Arc::new(Gate::new(1_000, 1_000));
    gate.set_ahead(Some(2));
    let served = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (gate, served) = (Arc::clone(&gate), Arc::clone(&served));
            thread::spawn(move || {
                for _ in 0..2_000 {
                    block_on(&mut gate.acquire()).unwrap().step_aside();
                    served.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(served.load(Ordering::SeqCst), 8_000);
    assert_eq!((gate.in_use(), gate.in_use_ahead(), gate.waiting()), (0, 0, 0));
}

#[test]
fn a_line_that_stands_shortens_the_patience_of_who_joins() {
    const MOST: Duration = Duration::from_secs(1);
    let at = |millis| Tick::ZERO + Duration::from_millis(millis);
    let gate = Arc::new(Gate::new(1, 10));
    assert_eq!(gate.patience(MOST, at(1)), MOST, "nobody waits");
    let permit = gate.try_acquire();
    let mut first = join(&gate);
    assert_eq!(gate.patience(MOST, at(5_000)), MOST, "the first counts from now");
    let second = join(&gate);
    assert_eq!(gate.patience(MOST, at(6_000)), MOST);
    assert_eq!(gate.patience(MOST, at(6_001)), MOST / STANDING);
    drop(permit);
    let permit = granted(&mut first);
    assert_eq!(gate.patience(MOST, at(6_002)), MOST / STANDING, "one still waits");
    drop(second);
    let third = join(&gate);
    assert_eq!(gate.patience(MOST, at(6_003)), MOST, "it was empty in between");
    drop((third, permit));
    let last = gate.try_acquire();
    let fourth = join(&gate);
    assert_eq!(gate.patience(MOST, at(9_000)), MOST);
    drop((fourth, last));
}
