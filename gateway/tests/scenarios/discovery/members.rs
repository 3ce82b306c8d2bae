//! Members as a source.

use std::{net::SocketAddr, time::Duration};

use tokio::{runtime::Runtime, task::JoinHandle};
use weir_discovery::{
    announce::{Announcement, Kind, Offer},
    swim::Params,
    udp::{self, Handle, Settings},
};

use super::{await_who, metric, named, setup, source, who};
use crate::{
    operations::load::Load,
    support::{
        eventually,
        gateway::{Gateway, free_port},
        origin::Origin,
    },
};

/// One that speaks for an instance; it falls silent when it is dropped.
struct Agent {
    handle: Handle,
    driver: JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What an instance at this address says of itself.
fn meta(address: SocketAddr, ready: bool) -> Vec<u8> {
    let service = "users".into();
    let offers = vec![Offer { service, address, weight: 1, ready }];
    Announcement { kind: Kind::Agent, offers }.encode().unwrap()
}

fn agent(runtime: &Runtime, name: &str, seed: SocketAddr, address: SocketAddr) -> Agent {
    static STARTED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let settings = Settings {
        name: name.to_owned(),
        generation_ms: STARTED.fetch_add(1, std::sync::atomic::Ordering::AcqRel),
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        advertise: None,
        meta: meta(address, true),
        seeds: vec![seed],
        secrets: Vec::new(),
        label: "weir".to_owned(),
        params: Params::default(),
    };
    let (driver, handle) = runtime.block_on(udp::bind(settings)).unwrap();
    let driver = runtime.spawn(async move {
        driver.run().await;
    });
    Agent { handle, driver }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn gateway(more: &str) -> (Gateway, SocketAddr) {
    let bind = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let top = format!("membership: {{ bind: \"{bind}\", name: edge-1 }}");
    (setup(&top, &format!("discovery: {{ members: users }}{more}")).start(), bind)
}

#[test]
fn endpoints_are_what_members_offer() {
    let runtime = runtime();
    let [one, two, three] = ["one", "two", "three"].map(named);
    let (gateway, seed) = gateway("");
    assert_eq!(who(&gateway), ["503".to_owned()].into());
    assert_eq!(source(&gateway)["state"], "waiting");
    let first = agent(&runtime, "users-1", seed, one.address);
    let second = agent(&runtime, "users-2", seed, two.address);
    await_who(&gateway, &["one", "two"]);
    let upstreams = gateway.admin("GET", "/upstreams").json();
    assert_eq!(upstreams["upstreams"][0]["endpoints"][0]["name"], "users-1");
    // Not ready: it drains.
    runtime.block_on(first.handle.set_meta(meta(one.address, false)));
    await_who(&gateway, &["two"]);
    // At another address, under the same name.
    runtime.block_on(first.handle.set_meta(meta(three.address, true)));
    await_who(&gateway, &["three", "two"]);
    // It says that it goes; the last one says first, as agents do, that it is not ready.
    runtime.block_on(second.handle.set_meta(meta(two.address, false)));
    await_who(&gateway, &["three"]);
    runtime.block_on(second.handle.leave());
    runtime.block_on(first.handle.set_meta(meta(three.address, false)));
    await_who(&gateway, &["503"]);
    runtime.block_on(first.handle.leave());
    assert!(eventually(|| gateway.log().matches("a member has left").count() == 2));
    assert_eq!(who(&gateway), ["503".to_owned()].into());
    assert_eq!(metric(&gateway, "weir_discovery_failures_total"), 0.0);
}

#[test]
fn who_falls_silent_goes_and_fails_no_request() {
    let runtime = runtime();
    let (one, two): (Origin, Origin) = (named("one"), named("two"));
    let (gateway, seed) = gateway("");
    let _first = agent(&runtime, "users-1", seed, one.address);
    let second = agent(&runtime, "users-2", seed, two.address);
    await_who(&gateway, &["one", "two"]);
    let load = Load::start(gateway.listen, 3, Duration::from_millis(2));
    // The instance and whoever speaks for it end at once, without a word.
    drop(second);
    drop(two);
    let gone = || metric(&gateway, "weir_discovery_endpoints") == 1.0;
    assert!(eventually(&gone) || eventually(gone), "{}", gateway.log());
    // What is found takes effect a tenth of a second later.
    await_who(&gateway, &["one"]);
    load.finish();
}

#[test]
fn the_last_one_is_asked_on_when_its_agent_only_steps_aside() {
    let runtime = runtime();
    let [one, two] = ["one", "two"].map(named);
    let (gateway, seed) = gateway("");
    let first = agent(&runtime, "users-1", seed, one.address);
    let second = agent(&runtime, "users-2", seed, two.address);
    await_who(&gateway, &["one", "two"]);
    // One that stops says first that it is not ready.
    runtime.block_on(second.handle.leave());
    await_who(&gateway, &["one"]);
    runtime.block_on(first.handle.leave());
    let failing = || source(&gateway)["state"] == "failing";
    assert!(eventually(failing), "{}", gateway.log());
    assert_eq!(who(&gateway), ["one".to_owned()].into());
}

#[test]
fn that_all_fell_silent_at_once_is_not_believed() {
    let runtime = runtime();
    let one = named("one");
    let (gateway, seed) = gateway("");
    let first = agent(&runtime, "users-1", seed, one.address);
    await_who(&gateway, &["one"]);
    drop(first);
    let failing = || source(&gateway)["state"] == "failing";
    assert!(eventually(&failing) || eventually(failing), "{}", gateway.log());
    assert_eq!(who(&gateway), ["one".to_owned()].into());
    // A successor under the same name takes over.
    let two = named("two");
    let _next = agent(&runtime, "users-1", seed, two.address);
    await_who(&gateway, &["two"]);
}
