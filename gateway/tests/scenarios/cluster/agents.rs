//! `weir agent` alone, seen by another member.

use std::{net::SocketAddr, sync::Arc, sync::atomic::AtomicBool, sync::atomic::Ordering};

use rustix::process::Signal;
use tokio::{runtime::Runtime, task::JoinHandle};
use weir_discovery::{
    announce::{Announcement, Kind, Offer},
    swim::{Params, State},
    udp::{self, Handle, Settings},
};

use super::{AGREEMENT, process::Process};
use crate::support::{eventually, gateway::free_port, origin::Origin};

/// A member that only looks.
struct Looker {
    runtime: Runtime,
    handle: Handle,
    _driver: JoinHandle<()>,
}

impl Looker {
    fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().unwrap();
        let settings = Settings {
            name: "looker".to_owned(),
            generation_ms: 1,
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: None,
            meta: Announcement::default().encode().unwrap(),
            seeds: Vec::new(),
            secrets: Vec::new(),
            label: "weir".to_owned(),
            params: Params::default(),
        };
        let (driver, handle) = runtime.block_on(udp::bind(settings)).unwrap();
        let driver = runtime.spawn(async move {
            driver.run().await;
        });
        Self { runtime, handle, _driver: driver }
    }

    /// What it knows of a member.
    fn sees(&self, name: &str) -> Option<(State, Announcement)> {
        let view = self.handle.view();
        let member = view.members.iter().find(|member| &*member.record.name == name)?;
        Some((member.state, Announcement::decode(&member.record.meta)?))
    }

    fn ready(&self, name: &str) -> Option<bool> {
        let (state, said) = self.sees(name)?;
        state.is_live().then(|| said.offers.iter().all(|offer| offer.ready))
    }

    fn seed(&self) -> String {
        self.handle.addr().to_string()
    }
}

#[test]
fn an_instance_is_announced_while_it_is_well() {
    let well = Arc::new(AtomicBool::new(true));
    let answers = Arc::clone(&well);
    let origin = Origin::start(move |x| {
        let status = if answers.load(Ordering::Acquire) { 204 } else { 500 };
        x.reply(status, "", "")
    });
    let looker = Looker::start();
    let (at, seed) = (origin.address.to_string(), looker.seed());
    let line = ["agent", "--service", "api", "--address", &at, "--seed", &seed];
    let checks = ["--check-path", "/healthz", "--check-interval", "200ms", "--weight", "7"];
    let mut agent = Process::start(&[&line[..], &checks[..], &["--name", "one"]].concat());
    let log = || agent.log();
    assert!(eventually(|| looker.ready("one") == Some(true)), "{}", log());
    let (_, said) = looker.sees("one").unwrap();
    let offer = Offer { service: "api".into(), address: origin.address, weight: 7, ready: true };
    assert_eq!((said.kind, said.offers), (Kind::Agent, vec![offer]));
    well.store(false, Ordering::Release);
    assert!(eventually(|| looker.ready("one") == Some(false)), "{}", log());
    assert!(eventually(|| log().contains("status 500")), "{}", log());
    well.store(true, Ordering::Release);
    assert!(eventually(|| looker.ready("one") == Some(true)), "{}", log());

    // It says that it takes no more before it goes.
    agent.signal(Signal::TERM);
    assert!(eventually(|| looker.ready("one") == Some(false)), "{}", agent.log());
    assert_eq!(agent.wait(AGREEMENT), Some(0), "{}", agent.log());
    assert!(eventually(|| looker.sees("one").unwrap().0 == State::Left), "{}", agent.log());
}

#[test]
fn a_command_is_announced_once_it_listens_and_gives_its_exit_code() {
    let looker = Looker::start();
    let (seed, at) = (looker.seed(), format!("127.0.0.1:{}", free_port()));
    let service = format!("api={at}");
    let line = ["agent", "--service", &service, "--seed", &seed, "--name", "one"];
    let run = |script: &str| {
        Process::start(&[&line[..], &["--linger", "100ms", "--", "sh", "-c", script]].concat())
    };
    // Nobody listens: there, but not ready.
    let mut silent = run("trap 'exit 7' TERM; while :; do sleep 0.05; done");
    assert!(eventually(|| looker.ready("one") == Some(false)), "{}", silent.log());
    silent.signal(Signal::TERM);
    assert_eq!(silent.wait(AGREEMENT), Some(7), "{}", silent.log());
    assert!(eventually(|| looker.sees("one").unwrap().0 == State::Left));

    let mut brief = run("exit 3");
    assert_eq!(brief.wait(AGREEMENT), Some(3), "{}", brief.log());
    let mut killed = run("kill -9 $$");
    assert_eq!(killed.wait(AGREEMENT), Some(137), "{}", killed.log());
    let mut told = run("trap 'exit 9' USR1; while :; do sleep 0.05; done");
    assert!(eventually(|| looker.ready("one") == Some(false)), "{}", told.log());
    assert!(eventually(|| {
        told.signal(Signal::USR1);
        !told.children().iter().any(|child| std::fs::exists(format!("/proc/{child}")).unwrap())
    }));
    assert_eq!(told.wait(AGREEMENT), Some(9), "{}", told.log());
    let mut absent = Process::start(&[&line[..], &["--", "/no/such/program"]].concat());
    assert_eq!(absent.wait(AGREEMENT), Some(127), "{}", absent.log());
    assert!(absent.log().contains("cannot run `/no/such/program`"), "{}", absent.log());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let looker = Looker::start();
    let seed = looker.seed();
    let line = ["agent", "--service", "api=127.0.0.1:1", "--check", "none", "--seed", &seed];
    let mut agent = Process::start(&[&line[..], &["--name", "one", "--linger", "1h"]].concat());
    assert!(eventually(|| looker.ready("one") == Some(true)), "{}", agent.log());
    agent.signal(Signal::INT);
    assert!(eventually(|| looker.ready("one") == Some(false)), "{}", agent.log());
    agent.signal(Signal::INT);
    assert_eq!(agent.wait(AGREEMENT), Some(0), "{}", agent.log());
}

#[test]
fn a_later_one_takes_the_name() {
    let looker = Looker::start();
    let seed = looker.seed();
    let start = |address: &str| {
        let service = format!("api={address}");
        let line = ["agent", "--service", &service, "--check", "none", "--seed", &seed];
        Process::start(&[&line[..], &["--name", "one"]].concat())
    };
    let mut first = start("127.0.0.1:1");
    assert!(eventually(|| looker.ready("one") == Some(true)), "{}", first.log());
    let second = start("127.0.0.1:2");
    assert_eq!(first.wait(AGREEMENT), Some(3), "{}", first.log());
    assert!(first.log().contains("another live process"), "{}", first.log());
    let port = || looker.sees("one").map(|(_, said)| said.offers[0].address.port());
    assert!(eventually(|| port() == Some(2)), "{}", second.log());
    looker.runtime.block_on(looker.handle.leave());
}

#[test]
fn what_cannot_be_is_said_with_its_cure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (more, code, said) in [
        (&["--bind", "0.0.0.0:0"][..], 2, "--advertise"),
        (&["--bind", &taken], 1, &*taken),
        (&["--advertise", "192.0.2.1:7946"], 2, "WEIR_GOSSIP_SECRET"),
        (&["--service", "b=0.0.0.0:80"], 2, "every address"),
        (&["--service", "a b=127.0.0.1:80"], 2, "letters, digits"),
        (&["--service", "api=127.0.0.1:80"], 2, "each of them once"),
        (&["--seed", "no-port"], 2, "10.0.0.1:7946"),
    ] {
        let line = ["agent", "--service", "api=127.0.0.1:9001", "--seed", "127.0.0.1:7946"];
        let mut agent = Process::start(&[&line[..], more].concat());
        let ended = agent.wait(AGREEMENT);
        let log = agent.log();
        assert!(ended == Some(code) && log.contains(said), "{more:?}: {ended:?} {log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}
