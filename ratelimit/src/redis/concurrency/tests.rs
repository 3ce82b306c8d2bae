use super::{
    tell::{BEGIN_TEXT, TEND_TEXT},
    *,
};
use crate::remote::fake::Server;

const SECOND: u64 = 1_000_000;
/// Microseconds since 1970: the autumn of 2026.
const TODAY: u64 = 1_795_000_000_123_456;
const LEASE: u64 = 2 * SECOND;
/// The longest that a file may ask for, as the script has it.
const LONGEST: u64 = 3_600 * SECOND;
const KEY: [&str; 1] = ["key"];

/// What is under way: names, and when they count no more.
#[derive(Default)]
struct Model(HashMap<String, u64>);

impl Model {
    fn begin(
        &mut self,
        most: usize,
        lease: u64,
        name: &str,
        ended: &[String],
        now: u64,
    ) -> Vec<i64> {
        self.end(ended);
        self.0.retain(|_, until| *until > now);
        // A clock that was set back.
        self.0.values_mut().for_each(|until| {
            if *until > now + LONGEST + SECOND {
                *until = now + lease;
            }
        });
        let begins = self.0.contains_key(name) || self.0.len() < most;
        if begins {
            self.0.insert(name.to_owned(), now + lease);
        }
        vec![i64::from(begins), self.0.len() as i64]
    }

    fn end(&mut self, ended: &[String]) {
        ended.iter().for_each(|name| _ = self.0.remove(name));
    }
}

/// Begins, renewals, ends and silences of a dozen requests, on both.
fn compare(seed: u64, steps_back: bool) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (server, mut model) = (Server::new(true), Model::default());
    let mut now = TODAY;
    for _ in 0..1_000 {
        now += rng.u64(0..LEASE / 4);
        if steps_back && rng.u8(0..50) == 0 {
            now -= rng.u64(0..10 * SECOND) << (rng.u8(0..2) * 10);
        }
        // Of one gateway it may be shorter already.
        let lease = [LEASE, LEASE / 2, 3 * LEASE][rng.usize(0..3)];
        let mut some = |most: usize| -> Vec<String> {
            (0..rng.usize(0..most)).map(|_| format!("name {}", rng.u8(0..12))).collect()
        };
        let (renewed, ended, one) = (some(4), some(4), some(2));
        let most = rng.usize(0..8);
        let mut arguments = vec![most.to_string(), lease.to_string()];
        if let [name] = &one[..] {
            arguments.push(name.clone());
            arguments.extend(ended.clone());
            let reply = server.run(BEGIN_TEXT, &KEY, &arguments, now);
            assert_eq!(reply, model.begin(most, lease, name, &ended, now), "seed {seed}");
        } else {
            arguments = vec![lease.to_string(), renewed.len().to_string()];
            arguments.extend(renewed.iter().chain(&ended).cloned());
            assert_eq!(server.run(TEND_TEXT, &KEY, &arguments, now), [1]);
            model.end(&ended);
            model.0.extend(renewed.into_iter().map(|name| (name, now + lease)));
        }
    }
    let (sets, last) = (&server.state.borrow().sets, now);
    let kept = |(set, until): &(HashMap<String, f64>, u64)| set.is_empty() || *until > last;
    assert!(steps_back || sets.values().all(kept), "nothing stays for ever");
}

#[test]
fn the_scripts_agree_with_a_list_of_leases() {
    (0..20).for_each(|seed| compare(seed, false));
}

#[test]
fn they_agree_when_the_clock_steps_back() {
    (0..20).for_each(|seed| compare(seed, true));
}
