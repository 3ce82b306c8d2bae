//! What no schedule may break, checked after every step.

use std::collections::HashMap;

use crate::swim::{Change, Params, State, Swim};

/// The checks, and what they found.
#[derive(Debug, Default)]
pub(super) struct Invariants {
    broken: Vec<String>,
    /// In which life and incarnation somebody held somebody for dead.
    dead: HashMap<(usize, u32, usize), (u64, u32)>,
}

/// Enough to see what is wrong.
const BROKEN_MAX: usize = 20;

impl Invariants {
    pub(super) fn broken(&self) -> &[String] {
        &self.broken
    }

    pub(super) fn add(&mut self, what: String) {
        if self.broken.len() < BROKEN_MAX {
            self.broken.push(what);
        }
    }

    /// The own incarnation never falls, and all that is kept is bounded.
    pub(super) fn check_node(
        &mut self,
        at: usize,
        swim: &Swim,
        params: &Params,
        own: &mut (u64, u32),
    ) {
        let stamp = swim.own();
        let now = (stamp.generation, stamp.incarnation);
        if now < *own {
            self.add(format!("n{at} fell from {own:?} to {now:?}"));
        }
        *own = now;
        let load = swim.load();
        let bounds = [
            ("news", load.news, params.queue_max),
            ("suspicions", load.suspicions, params.members_max),
            ("gone", load.gone, params.members_max),
            ("probes", load.probes, 128),
            ("relays", load.relays, 1024),
            ("calls", load.calls, 64),
        ];
        for (what, count, most) in bounds {
            if count > most {
                self.add(format!("n{at} keeps {count} {what}, at most {most} are allowed"));
            }
        }
    }

    pub(super) fn check_packet(&mut self, bytes: &[u8], params: &Params) {
        if bytes.len() > params.packet_bytes {
            self.add(format!("a packet of {} bytes", bytes.len()));
        }
    }

    /// Nobody but the member itself raises its incarnation, and the dead stay so until it does.
    pub(super) fn check_change(
        &mut self,
        now_us: u64,
        (observer, epoch): (usize, u32),
        subject: usize,
        change: &Change,
        real: (u64, u32),
    ) {
        let claimed = (change.record.generation, change.incarnation);
        if claimed > real {
            self.add(format!(
                "at {now_us} us n{observer} believes n{subject} at {claimed:?}, it is at {real:?}"
            ));
        }
        let key = (observer, epoch, subject);
        match change.state {
            State::Dead | State::Left => {
                self.dead.insert(key, claimed);
            }
            State::Alive | State::Suspect => {
                if self.dead.get(&key).is_some_and(|dead| claimed <= *dead) {
                    self.add(format!(
                        "at {now_us} us n{observer} raised n{subject} of {claimed:?} from the dead"
                    ));
                }
            }
        }
    }
}
