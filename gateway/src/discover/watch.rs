//! Follows what the membership believes: counts, tells the log, and passes on what others need.

use std::{sync::Arc, time::Duration};

use weir_discovery::{
    swim::State,
    udp::{Member, View},
};

use super::{
    regard::Regards,
    roll::{Change, Seen, Standing},
};
use crate::{
    clock::{self, Tick},
    snapshot::live::Live,
};

/// For how long a member that has met nobody yet does not take itself for the only gateway.
const JOINING: Duration = Duration::from_secs(10);
/// Lines about members in a second, at most; what is left out is counted.
const LINES: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// Follows it until it ends.
pub(super) async fn watch(standing: Arc<Standing>, live: Arc<Live>, joins: bool) {
    let (roll, mut views) = (&live.roll, standing.handle.views());
    let began = clock::now();
    let (mut seen, mut log) = (Seen::default(), Log::default());
    let (mut regards, mut version) = (Regards::default(), 0);
    let (mut met, mut aside) = (!joins, false);
    while views.changed().await.is_ok() {
        let view = Arc::clone(&views.borrow_and_update());
        let now = clock::now();
        seen.take(&view, &standing.name, |change, record| {
            roll.note(change);
            if log.has_room(now) {
                let (member, address) = (&*record.name, record.addr);
                tracing::info!(member, %address, "a member {}", told(change));
            }
        });
        log.tell_of_rest(now);
        met |= view.live > 1 || now.since(began) >= JOINING;
        let was_aside = std::mem::replace(&mut aside, is_aside(&view, &standing.name));
        if aside != was_aside {
            tell_of_itself(aside);
        }
        // It serves on, and goes by as many as before: the others count without it.
        let gateways = seen.gateways() + u32::from(aside);
        roll.count(&standing, if met { gateways.max(1) } else { 0 });
        // Endpoints of a new configuration have all of their shares.
        let anew = std::mem::replace(&mut version, live.version()) != version;
        if regards.take(&view, &standing.name) || anew && !regards.is_empty() {
            regards.apply(&live.snapshot(), now);
        }
    }
    if regards.clear() {
        regards.apply(&live.snapshot(), clock::now());
    }
}

/// Whether the member itself has left for as long as it is heard too badly.
fn is_aside(view: &View, own: &str) -> bool {
    let left = |member: &&Member| member.state == State::Left;
    view.members.iter().filter(left).any(|member| *member.record.name == *own)
}

fn tell_of_itself(aside: bool) {
    if aside {
        tracing::warn!(
            "healthy members hear this gateway too badly: it serves on, and takes no part in the \
             membership until its probes are answered again"
        );
    } else {
        tracing::info!("this gateway takes part in the membership again");
    }
}

const fn told(change: Change) -> &'static str {
    match change {
        Change::Joined => "has joined",
        Change::Suspected => "is suspected to be dead",
        Change::Returned => "is back",
        Change::Died => "is dead",
        Change::Left => "has left",
    }
}

/// Bounds how much is logged.
#[derive(Debug, Default)]
struct Log {
    /// When the present second began, and how many lines it has had.
    second: (Tick, u32),
    left_out: u64,
}

impl Log {
    fn has_room(&mut self, now: Tick) -> bool {
        if now.since(self.second.0) >= SECOND {
            self.second = (now, 0);
        }
        self.second.1 += 1;
        let room = self.second.1 <= LINES;
        self.left_out += u64::from(!room);
        room
    }

    /// To be called at least once a second, which views see to.
    fn tell_of_rest(&mut self, now: Tick) {
        if self.left_out > 0 && now.since(self.second.0) >= SECOND {
            tracing::info!(changes = self.left_out, "further members have changed");
            self.left_out = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_changes_are_few_lines() {
        let mut log = Log::default();
        let at = |millis| Tick::ZERO + Duration::from_millis(millis);
        let lines = (0..100).filter(|_| log.has_room(at(2000))).count();
        assert_eq!((lines, log.left_out), (10, 90));
        log.tell_of_rest(at(2999));
        assert_eq!(log.left_out, 90);
        log.tell_of_rest(at(3000));
        assert_eq!(log.left_out, 0);
        assert!(log.has_room(at(3000)));
    }
}
