use super::*;
use crate::{
    bucket::Bucket,
    rate::Rate,
    remote::{CHECK, GIVE_BACK, LEASE, fake::Server},
};

const SECOND: u64 = 1_000_000;
/// Microseconds since 1970: the autumn of 2026.
const TODAY: u64 = 1_795_000_000_123_456;
const KEYS: [&str; 2] = ["key", "key:b"];

/// A gateway: its lease, how far its clock is off, and what it has asked but not heard yet.
struct Gateway {
    lease: Lease,
    offset: u64,
    asked: Option<Asked>,
}

/// A question on its way: how many are wanted, when it was sent by the clock of the sender and when
/// it was read, the answer, and when that arrives.
struct Asked {
    wanted: u64,
    here: Nanos,
    read: u64,
    reply: Vec<i64>,
    arrives: u64,
}

struct World {
    server: Server,
    terms: Terms,
    burst: u64,
    token: u64,
    gateways: Vec<Gateway>,
    admitted: Vec<u64>,
    calls: usize,
}

impl World {
    fn new(rate: u64, burst: u64, gateways: u64) -> Self {
        let bucket = Bucket::new(Rate::new(rate, Duration::from_secs(1)).unwrap(), burst).unwrap();
        let remote = Remote::new(&Algorithm::TokenBucket(bucket)).unwrap();
        let terms = Terms::new(remote).unwrap();
        let gateway = |i| Gateway { lease: Lease::default(), offset: i * SECOND / 10, asked: None };
        let gateways = (1..=gateways).map(gateway).collect();
        let (admitted, calls) = (Vec::new(), 0);
        let token = terms.token / 1_000;
        Self { server: Server::new(true), terms, burst, token, gateways, admitted, calls }
    }

    fn here(&self, i: usize, now: u64) -> Nanos {
        Nanos::new((now + self.gateways[i].offset - TODAY + SECOND) * 1_000)
    }

    /// A request to gateway `i` at `now`; the server is asked after `there` and the answer is back
    /// after `back`, during which others are turned away. Whether it was admitted at once.
    fn request(&mut self, i: usize, now: u64, there: u64, back: u64) -> bool {
        let here = self.here(i, now);
        self.hear(i, now);
        let members = self.gateways.len() as u32;
        let gateway = &mut self.gateways[i];
        gateway.lease.count(&self.terms, 1, here);
        match gateway.lease.step(&self.terms, 1, members, here) {
            Step::Spent => {
                self.admitted.push(now);
                return true;
            }
            Step::Denied { until } => assert!(until > here.get()),
            Step::Take { wanted } if gateway.asked.is_none() => {
                let read = now + there;
                let reply = self.server.run(LEASE, &KEYS, &self.terms.asks(1, wanted), read);
                gateway.asked = Some(Asked { wanted, here, read, reply, arrives: read + back });
                self.calls += 1;
            }
            Step::Take { .. } => {}
        }
        false
    }

    fn hear(&mut self, i: usize, now: u64) {
        let gateway = &mut self.gateways[i];
        let Some(asked) = gateway.asked.take_if(|asked| asked.arrives <= now) else { return };
        let heard =
            gateway.lease.heard(&self.terms, 1, asked.wanted, &asked.reply, asked.here).unwrap();
        if heard == Step::Spent {
            self.admitted.push(asked.read);
        }
    }

    fn give_up(&mut self, i: usize, all: bool, now: u64, there: u64) {
        let here = self.here(i, now);
        for stretch in self.gateways[i].lease.give_up(&self.terms, all, here) {
            self.server.run(GIVE_BACK, &KEYS, &self.terms.gives(&stretch), now + there);
            self.calls += 1;
        }
    }

    /// By how much what was admitted in some interval exceeds what may be, at worst, in
    /// microseconds of earning.
    fn worst(&mut self) -> i128 {
        self.admitted.sort_unstable();
        let (mut worst, mut best) = (i128::MIN, i128::MIN);
        for (i, at) in self.admitted.iter().enumerate() {
            let (i, at, token) = (i as i128, i128::from(*at), i128::from(self.token));
            best = best.max(at - i * token);
            worst = worst.max((i + 1) * token - at + best - i128::from(self.burst) * token);
        }
        worst
    }
}

/// Random loads on several gateways: steady, on and off, one of them alone, idle.
fn play(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (rate, burst) = (rng.u64(1..2_000), rng.u64(1..300));
    let mut world = World::new(rate, burst, rng.u64(1..5));
    let gateways = world.gateways.len();
    let mut now = TODAY;
    let phases = rng.usize(5..30);
    for _ in 0..phases {
        let length = rng.u64(0..SECOND) << rng.u32(0..2);
        let busy: Vec<bool> = (0..gateways).map(|_| rng.u8(0..3) > 0).collect();
        let pace = SECOND / (rate * rng.u64(1..6) / 2 + 1);
        let end = now + length;
        while now < end {
            now += rng.u64(0..=2 * pace);
            let i = rng.usize(0..gateways);
            let (there, back) = (rng.u64(0..3_000), rng.u64(0..3_000));
            let spent = busy[i] && world.request(i, now, there, back);
            if rng.u8(0..50) == 0 {
                let (i, all) = (rng.usize(0..gateways), rng.u8(0..4) == 0);
                world.give_up(i, all, now, rng.u64(0..3_000));
            }
            if rng.u8(0..20) == 0 {
                let gateway = &mut world.gateways[i];
                // It was this one that admitted it, just now.
                if world.admitted.last() == Some(&now) && spent {
                    gateway.lease.put_back(1);
                    world.admitted.pop();
                }
            }
        }
        if rng.u8(0..3) == 0 {
            now += rng.u64(0..2 * SECOND);
        }
    }
    let worst = world.worst();
    assert!(worst <= 0, "seed {seed}: over by {worst} us of {} a token", world.token);
}

#[test]
fn never_more_than_one_bucket_would_admit() {
    (0..60).for_each(play);
}

#[test]
fn most_of_what_one_bucket_would_admit_for_few_calls() {
    for (gateways, on_off) in [(1, false), (3, false), (3, true)] {
        let mut world = World::new(1_000, 200, gateways);
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut now, mut exact, mut ideal) = (TODAY, 0, 0);
        let one = Server::new(true);
        let asks = world.terms.remote.arguments(1, false);
        // Until when one who asks each time remembers to be denied.
        let mut denied = vec![0; gateways as usize];
        while now < TODAY + 4 * SECOND {
            now += rng.u64(0..667);
            if on_off && (now / (SECOND / 2)).is_multiple_of(2) {
                continue;
            }
            // Seven in ten go to one of them.
            let i = if rng.u8(0..10) < 7 { 0 } else { rng.usize(0..gateways as usize) };
            world.request(i, now, 200, 200);
            if now >= denied[i] {
                exact += 1;
                let reply = one.run(CHECK, &KEYS[..1], &asks, now);
                ideal += reply[0];
                if reply[0] == 0 {
                    denied[i] = now + (reply[1] + asks[0] - asks[1]) as u64;
                }
            }
            for i in 0..gateways as usize {
                world.give_up(i, false, now, 0);
            }
        }
        let (calls, admitted) = (world.calls, world.admitted.len());
        assert!(world.worst() <= 0);
        let saved = f64::from(exact) / calls as f64;
        let share = admitted as f64 / ideal as f64;
        assert!(saved >= 5.0, "{gateways}: {calls} calls instead of {exact}");
        assert!(share > 0.93, "{gateways} {on_off}: {admitted} of {ideal}");
    }
}

#[test]
fn what_is_given_back_can_be_lent_again() {
    let mut world = World::new(1, 100, 2);
    let take = |world: &World, wanted: u64, now| {
        world.server.run(LEASE, &KEYS, &world.terms.asks(1, wanted), now)
    };
    let give = |world: &World, end: i64, left: u64, now| {
        let stretch = Stretch { until: 0, end, left, lent: left };
        world.server.run(GIVE_BACK, &KEYS, &world.terms.gives(&stretch), now)[0]
    };
    let first = take(&world, 40, TODAY);
    let second = take(&world, 40, TODAY);
    assert_eq!((first[0], second[0]), (40, 40));
    // The first is not the last of the row: it is kept beside, and lent from its beginning.
    assert_eq!(give(&world, first[1], 30, TODAY), 30);
    let again = take(&world, 10, TODAY);
    assert_eq!((again[0], again[1]), (10, first[1] - 20 * SECOND as i64));
    assert_eq!(again[3], 80 * SECOND as i64, "the bucket itself has not changed");
    // The last one shortens it, and what lay before it follows.
    assert_eq!(give(&world, second[1], 40, TODAY), 40);
    let rest = take(&world, 100, TODAY);
    assert_eq!(rest[0], 80, "but for the ten and ten that others have");
    assert_eq!(take(&world, 1, TODAY)[0], 0);
    // What would have been earned without it is worth nothing any more.
    assert_eq!(give(&world, rest[1], 80, TODAY + 30 * SECOND), 70);
    assert_eq!(give(&world, rest[1] + 1, 5, TODAY), 0, "nobody was lent that");
    world.calls += 1;
}

#[test]
fn a_lease_is_worth_less_when_the_bucket_would_be_full() {
    let mut world = World::new(1, 10, 1);
    let reply = world.server.run(LEASE, &KEYS, &world.terms.asks(1, 5), TODAY);
    let lease = &mut world.gateways[0].lease;
    let at = |seconds: u64| Nanos::new(seconds * SECOND * 1_000);
    assert_eq!(lease.heard(&world.terms, 1, 5, &reply, at(100)), Some(Step::Spent));
    lease.put_back(1);
    let held = |lease: &Lease, seconds| lease.held(&world.terms, at(seconds).get());
    assert_eq!((held(lease, 100), held(lease, 101), held(lease, 104)), (5, 4, 1));
    assert_eq!(held(lease, 105), 0);
    assert!(lease.spend(&world.terms, 2, at(102).get()));
    assert_eq!(held(lease, 102), 1);
    lease.put_back(2);
    assert_eq!(held(lease, 102), 3, "not what is worthless by now");
    lease.put_back(100);
    assert_eq!(held(lease, 102), 3);
    assert!(!lease.spend(&world.terms, 4, at(102).get()));
    assert!(!lease.is_spent(&world.terms, at(102)));
    assert!(lease.is_spent(&world.terms, at(110)));
}

#[test]
fn replies_that_make_no_sense() {
    let terms = World::new(1, 10, 1).terms;
    for reply in [
        &[][..],
        &[1, 0, 0],
        &[-1, 0, 0, 0],
        &[6, 0, 0, 0],
        &[1, 0, 0, 0],
        &[2, 0, -1, 0],
        &[2, 0, i64::MAX, 0],
        &[2, 0, 0, -5],
    ] {
        assert_eq!(Lease::default().heard(&terms, 2, 5, reply, Nanos::new(1)), None, "{reply:?}");
    }
    let mut rng = fastrand::Rng::with_seed(1);
    let edges = [0, 1, 2, 5, -1, 1_000_000, i64::MAX, i64::MIN, i64::MAX / 1_000, 1 << 52];
    for _ in 0..20_000 {
        let reply: Vec<i64> = (0..4).map(|_| edges[rng.usize(0..edges.len())]).collect();
        let (mut lease, now) = (Lease::default(), Nanos::new(rng.u64(..)));
        let _ = lease.heard(&terms, rng.u64(0..4), rng.u64(0..9), &reply, now);
        let _ = lease.step(&terms, 1, 2, now);
        let _ = lease.full_at(&terms, Some(1), Nanos::ZERO);
        lease.give_up(&terms, true, now);
    }
    let none = Bucket::new(Rate::ZERO, 5).unwrap();
    assert!(Terms::new(Remote::new(&Algorithm::TokenBucket(none)).unwrap()).is_none());
}
