//! What an agent does while it lives, and how it ends: first the gateways hear that its instances
//! take no more requests, then they may end, then it goes.

use std::{process::ExitCode, sync::Arc};

use rustix::process::Signal;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Duration, MissedTickBehavior, interval, sleep},
};
use weir_discovery::{
    announce::Announcement,
    swim::State,
    udp::{Ended, Handle, View},
};

use super::{
    SUPERSEDED,
    child::Child,
    instance::Turn,
    told::{Told, Word},
};

/// Between two look-ups of seeds with names, and between two looks at who is there.
const RENEW: Duration = Duration::from_secs(30);
/// The same while nobody else is.
const RENEW_ALONE: Duration = Duration::from_secs(5);
/// For others to hear that an instance ended by itself, before the agent leaves.
const TELLING: Duration = Duration::from_millis(500);

/// A running agent.
#[derive(Debug)]
pub(super) struct Agent {
    /// What it says of its instances.
    pub(super) announcement: Announcement,
    pub(super) name: String,
    pub(super) handle: Handle,
    /// Why its driver ended.
    pub(super) ended: oneshot::Receiver<Ended>,
    pub(super) turns: mpsc::Receiver<Turn>,
    pub(super) _turn: mpsc::Sender<Turn>,
    /// Asks for a new look at the seeds, unless one is under way.
    pub(super) look: mpsc::Sender<()>,
    pub(super) child: Option<Child>,
    pub(super) told: Told,
    pub(super) linger: Duration,
}

/// What ends it.
#[derive(Debug, Clone, Copy)]
enum End {
    /// A signal.
    Told(Signal),
    /// Its child ended, with this code.
    Child(u8),
    /// Its name belongs to another.
    Superseded,
}

impl Agent {
    /// Lives until it is told to stop, its child ends, or another takes its name.
    pub(super) async fn live(mut self) -> ExitCode {
        match self.attend().await {
            End::Told(signal) => self.stop(signal).await,
            End::Child(code) => {
                tracing::info!(code, "the service ended");
                // Who leaves while it is ready is taken for one that stepped aside.
                for offer in &mut self.announcement.offers {
                    offer.ready = false;
                }
                self.announce().await;
                sleep(TELLING).await;
                self.leave().await;
                ExitCode::from(code)
            }
            End::Superseded => self.superseded().await,
        }
    }

    /// Announces what its instances turn to.
    async fn attend(&mut self) -> End {
        let mut views = self.handle.views();
        let mut renew = interval(RENEW_ALONE);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        renew.tick().await;
        let (mut company, mut warned, mut since) = (None, false, Duration::ZERO);
        let mut aside = false;
        loop {
            let Self { turns, child, told, ended, .. } = self;
            tokio::select! {
                word = told.next() => match word {
                    Word::Stop(signal) => return End::Told(signal),
                    Word::PassOn(signal) => self.pass_on(signal),
                },
                code = child_ended(child.as_mut()) => return End::Child(code),
                _ = ended => return End::Superseded,
                Some(turn) = turns.recv() => self.turn(turn).await,
                Ok(()) = views.changed() => {
                    aside = stepped_aside(&views, &self.name, aside);
                    company = accompanied(&mut views, company);
                }
                _ = renew.tick() => {
                    since += RENEW_ALONE;
                    if company == Some(false) && !warned {
                        tracing::warn!(
                            "no other member answers: are seeds, secret and label right?"
                        );
                    }
                    warned = company == Some(false);
                    if company != Some(true) || since >= RENEW {
                        since = Duration::ZERO;
                        // One that is under way is enough.
                        let _ = self.look.try_send(());
                    }
                }
            }
        }
    }

    async fn turn(&mut self, Turn { service, well }: Turn) {
        let Some(offer) = self.announcement.offers.get_mut(service) else { return };
        offer.ready = well;
        self.announce().await;
    }

    async fn announce(&self) {
        // Readiness does not change the length of what was encoded at the start.
        if let Ok(meta) = self.announcement.encode() {
            self.handle.set_meta(meta).await;
        }
    }

    fn pass_on(&self, signal: Signal) {
        if let Some(child) = &self.child {
            child.tell(signal);
        }
    }

    /// The orderly way out; a second signal cuts it short.
    async fn stop(mut self, signal: Signal) -> ExitCode {
        let linger = self.linger;
        tracing::info!(?linger, "stopping: the others are told first");
        for offer in &mut self.announcement.offers {
            offer.ready = false;
        }
        self.announce().await;
        tokio::select! {
            () = sleep(linger) => {}
            () = self.told.stop() => return self.cut_short().await,
        }
        let code = match &mut self.child {
            None => 0,
            Some(child) => {
                child.tell(signal);
                tokio::select! {
                    code = child.ended() => code,
                    () = self.told.stop() => return self.cut_short().await,
                }
            }
        };
        self.leave().await;
        tracing::info!("the agent has left");
        ExitCode::from(code)
    }

    async fn cut_short(mut self) -> ExitCode {
        tracing::warn!("told twice: stopping at once");
        match &mut self.child {
            None => ExitCode::SUCCESS,
            Some(child) => {
                child.tell(Signal::KILL);
                ExitCode::from(child.ended().await)
            }
        }
    }

    /// Tells the others that it goes: the driver takes five seconds at most.
    async fn leave(&mut self) {
        self.handle.leave().await;
        tokio::select! {
            _ = &mut self.ended => {}
            () = self.told.stop() => {}
        }
    }

    async fn superseded(mut self) -> ExitCode {
        let name = &self.name;
        tracing::error!(
            name,
            "another live process goes by this name, and nobody hears this one any more: start \
             each agent with a --name of its own"
        );
        // A service does not end because of its name.
        let Some(child) = &mut self.child else { return ExitCode::from(SUPERSEDED) };
        loop {
            tokio::select! {
                code = child.ended() => return ExitCode::from(code),
                word = self.told.next() => match word {
                    Word::Stop(signal) | Word::PassOn(signal) => child.tell(signal),
                },
            }
        }
    }
}

async fn child_ended(child: Option<&mut Child>) -> u8 {
    match child {
        Some(child) => child.ended().await,
        None => std::future::pending().await,
    }
}

/// Whether the agent has left for as long as it is heard too badly; told of when it changes.
fn stepped_aside(views: &watch::Receiver<Arc<View>>, name: &str, before: bool) -> bool {
    let view = views.borrow();
    let own = view.members.iter().find(|member| *member.record.name == *name);
    let aside = own.is_some_and(|own| own.state == State::Left);
    if aside && !before {
        tracing::warn!(
            "healthy members hear this agent too badly: its instances get no new requests until \
             its probes are answered again"
        );
    } else if before && !aside {
        tracing::info!("the agent takes part in the membership again");
    }
    aside
}

/// Whether there is anybody else now; told of when it changes.
fn accompanied(views: &mut watch::Receiver<Arc<View>>, before: Option<bool>) -> Option<bool> {
    let live = views.borrow_and_update().live;
    let company = live > 1;
    match before {
        _ if before == Some(company) => {}
        None if !company => {}
        Some(true) => tracing::warn!("no other member is left"),
        _ => tracing::info!(members = live, "the agent has joined"),
    }
    Some(company)
}
