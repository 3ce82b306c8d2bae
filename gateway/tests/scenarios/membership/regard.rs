//! Endpoints of members that fall silent.

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread,
    time::{Duration, SystemTime},
};

use tokio::runtime::Builder;
use weir_discovery::{
    announce::{Announcement, Kind, Offer},
    swim::Params,
    udp::{Settings, bind},
};

use super::{address, until};
use crate::support::{gateway::Setup, origin::Origin};

/// A member that offers `service` at `address` until it is dropped, which nobody is told of.
struct Agent(Option<tokio::sync::oneshot::Sender<()>>);

impl Agent {
    fn start(name: &str, seed: SocketAddr, address: SocketAddr) -> Self {
        let offer = Offer { service: "api".into(), address, weight: 1, ready: true };
        let announcement = Announcement { kind: Kind::Agent, offers: vec![offer] };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let settings = Settings {
            name: name.to_owned(),
            generation_ms: now.as_millis() as u64,
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertise: None,
            meta: announcement.encode().unwrap(),
            seeds: vec![seed],
            secrets: Vec::new(),
            label: "weir".into(),
            params: Params::default(),
        };
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (up, is_up) = mpsc::channel();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (driver, _handle) = bind(settings).await.unwrap();
                up.send(()).unwrap();
                tokio::select! {
                    _ = driver.run() => {}
                    _ = stopped => {}
                }
            });
        });
        is_up.recv().unwrap();
        Self(Some(stop))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

#[test]
fn who_falls_silent_is_asked_less_before_it_is_asked_no_more() {
    let origins = [(); 3].map(|()| Origin::start(|x| x.reply(200, "", "")));
    let at = address();
    let gateway = Setup::yaml(&format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\ntimeouts: {{ drain: \
         2s }}\nmembership: {{ bind: \"{at}\", name: edge }}\nupstreams: {{ api: {{ discovery: {{ \
         members: api }} }} }}\nroutes: [{{ to: api }}]\n"
    ))
    .start();
    let mut agents: Vec<Agent> = origins
        .iter()
        .enumerate()
        .map(|(index, origin)| Agent::start(&format!("agent-{index}"), at, origin.address))
        .collect();
    let shares = || -> Vec<(String, f64)> {
        let all = gateway.admin("GET", "/upstreams").json();
        let endpoints = all["upstreams"][0]["endpoints"].as_array().unwrap().clone();
        let share = |one: &serde_json::Value| one["health"]["share"].as_f64().unwrap_or(0.0);
        endpoints.iter().map(|one| (one["name"].as_str().unwrap().into(), share(one))).collect()
    };
    let whole = |count: usize| {
        let shares = shares();
        shares.len() == count && shares.iter().all(|(_, share)| *share == 1.0)
    };
    until(&gateway, "they are found", || whole(3));
    assert_eq!(gateway.client().get("/").unwrap().status, 200);
    // Long enough for phi to know how regularly they answer.
    thread::sleep(Duration::from_secs(3));

    drop(agents.remove(1));
    until(&gateway, "it is asked less", || {
        let silent = shares().into_iter().find(|(name, _)| name == "agent-1");
        silent.is_some_and(|(_, share)| share > 0.0 && share < 1.0)
    });
    until(&gateway, "it is asked no more", || whole(2));
    assert_eq!(gateway.client().get("/").unwrap().status, 200);
}
