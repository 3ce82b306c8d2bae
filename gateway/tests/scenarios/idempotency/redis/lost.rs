//! Gateways and servers that are killed, stopped and paused while requests are under way.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tempfile::TempDir;

use super::{assert_single, backend, fields, gateway, pay};
use crate::{
    idempotency::{is_replayed, problem, request},
    support::{
        answer::Answer,
        client::Client,
        eventually,
        gateway::{Gateway, Setup},
        origin::Origin,
        redis::Server,
        scaled,
    },
};

/// Keys under way when a gateway is killed.
const KEYS: usize = 6;

/// What a later request is answered, once nobody is taken to run it any more.
fn settled_answer(gateway: &Gateway, target: &str) -> Answer {
    let mut said = None;
    let there = eventually(|| {
        let answer = pay(&mut gateway.client(), target);
        let in_flight = answer.status == 409 && problem(&answer) == "idempotency-key-in-flight";
        // A gateway may not have found the server up again yet.
        let over = !in_flight && answer.status != 503;
        said = Some(answer);
        over
    });
    assert!(there, "{target} is in flight for ever");
    said.unwrap()
}

/// Its status, and what it says.
fn settled(gateway: &Gateway, target: &str) -> (u16, String) {
    let answer = settled_answer(gateway, target);
    let said = if answer.status == 409 { problem(&answer) } else { answer.text() };
    (answer.status, said)
}

#[test]
fn a_gateway_that_is_killed_leaves_nothing_that_runs_twice() {
    let Some(server) = Server::start(&[]) else { return };
    let (origin, runs) = backend(Duration::from_millis(60));
    let keys = "lease: 1s";
    let other = gateway(&origin, &server, keys);
    let mut rng = fastrand::Rng::with_seed(50);
    let (mut stored, mut unknown) = (0, 0);
    for round in 0..scaled("IDEMPOTENCY_KILLS", 9) {
        let holder = gateway(&origin, &server, keys);
        let targets: Vec<_> = (0..KEYS).map(|i| format!("/{round}-{i}")).collect();
        let kill = Duration::from_micros(rng.u64(0..220_000));
        thread::scope(|scope| {
            for target in &targets {
                let pause = Duration::from_micros(rng.u64(0..150_000));
                let mut client = holder.client();
                scope.spawn(move || {
                    thread::sleep(pause);
                    let _ = client.try_send(request(target, &fields(target), "x").as_bytes());
                    let _ = client.answer("POST");
                });
            }
            thread::sleep(kill);
            holder.kill();
        });
        for target in &targets {
            match settled(&other, target) {
                (201, text) => {
                    assert_eq!(text, format!("{target} run 1"));
                    stored += 1;
                }
                (409, kind) => {
                    assert_eq!(kind, "idempotency-outcome-unknown");
                    unknown += 1;
                }
                said => panic!("{said:?}"),
            }
        }
    }
    println!("{stored} answered, {unknown} unknown");
    assert_single(&runs);
}

/// A server that remembers what it was told, from one start to the next.
fn durable(port: Option<u16>, folder: &TempDir) -> Option<Server> {
    let folder = folder.path().to_str().unwrap();
    let arguments = ["--appendonly", "yes", "--appendfsync", "always", "--dir", folder];
    match port {
        Some(port) => Server::start_on(port, &arguments),
        None => Server::start(&arguments),
    }
}

#[test]
fn a_server_that_is_stopped_and_started_leaves_nothing_that_runs_twice() {
    let folder = TempDir::new().unwrap();
    let Some(server) = durable(None, &folder) else { return };
    let port = server.port();
    let (origin, runs) = backend(Duration::from_millis(30));
    let gateways = [(); 2].map(|()| gateway(&origin, &server, "lease: 1s"));
    let over = AtomicBool::new(false);
    let answers = Mutex::new(Vec::new());
    let mut server = Some(server);
    // Each client asks for everything twice, at one gateway and then at the other.
    let client = |number: usize| {
        let mut clients = gateways.each_ref().map(Gateway::client);
        let mut count = 0;
        while !over.load(Ordering::Relaxed) {
            let target = format!("/{number}-{count}");
            for i in 0..2 {
                let answer = pay(&mut clients[(i + count) % 2], &target);
                answers.lock().unwrap().push((answer.status, target.clone()));
            }
            count += 1;
        }
    };
    thread::scope(|scope| {
        let client = &client;
        (0..6).for_each(|number| {
            scope.spawn(move || client(number));
        });
        for round in 0..scaled("IDEMPOTENCY_OUTAGES", 2) {
            thread::sleep(Duration::from_millis(900));
            // By turns asked to end, and killed.
            if round % 2 == 0 {
                server.as_ref().unwrap().signal(Signal::TERM);
                thread::sleep(Duration::from_millis(100));
            }
            drop(server.take());
            // For less than a lease, and for more.
            thread::sleep(Duration::from_millis(if round % 2 == 0 { 400 } else { 1_300 }));
            server = durable(Some(port), &folder);
        }
        thread::sleep(Duration::from_millis(1_500));
        over.store(true, Ordering::Relaxed);
    });
    assert_single(&runs);
    let answers = answers.into_inner().unwrap();
    let count = |status: u16| answers.iter().filter(|(other, _)| *other == status).count();
    let (well, conflict, down) = (count(201), count(409), count(503));
    println!("{} answers: {well} 201, {conflict} 409, {down} 503", answers.len());
    assert_eq!(answers.len(), well + conflict + down, "{answers:?}");
    assert!(well > 0 && down > 0);
    // What ran is told, or is known not to be known; what did not does now.
    let mut troubled: Vec<_> = answers.into_iter().filter(|(status, _)| *status != 201).collect();
    troubled.sort_by(|one, other| one.1.cmp(&other.1));
    troubled.dedup_by(|one, other| one.1 == other.1);
    // First those that were under way when the server went.
    troubled.sort_by_key(|(_, target)| !runs.lock().unwrap().contains_key(target));
    let mut unknown = 0;
    for (_, target) in troubled.iter().take(150) {
        let (status, said) = settled(&gateways[0], target);
        let known = said == format!("{target} run 1");
        assert!(known || said == "idempotency-outcome-unknown", "{target} {status} {said}");
        unknown += usize::from(!known);
    }
    println!("{} had trouble; of the first 150 {unknown} are unknown", troubled.len());
    assert_single(&runs);
}

/// Answers a target's first request when the gate is open, and all others at once.
fn gated() -> (Origin, Arc<(Mutex<bool>, Condvar)>) {
    let gate = Arc::<(Mutex<bool>, Condvar)>::default();
    let (shared, count) = (Arc::clone(&gate), AtomicUsize::new(0));
    let origin = Origin::start(move |x| {
        x.read_body()?;
        let number = count.fetch_add(1, Ordering::AcqRel) + 1;
        if number == 1 {
            let (open, news) = &*shared;
            let open = open.lock().unwrap();
            drop(news.wait_timeout_while(open, Duration::from_secs(30), |open| !*open).unwrap());
        }
        x.reply(201, "", &format!("run {number}"))
    });
    (origin, gate)
}

/// A gateway that is paused while its request is under way, and wakes when its lease is over; and
/// another one, meanwhile and later.
fn paused(keys: &str, meanwhile: impl FnOnce(&Gateway), later: impl Fn(&Gateway)) {
    let Some(server) = Server::start(&[]) else { return };
    let (origin, gate) = gated();
    let keys = format!("lease: 3s, {keys}");
    let [holder, other] = [(); 2].map(|()| gateway(&origin, &server, &keys));
    let mut first: Client = holder.client();
    first.send(request("/k", &fields("/k"), "x").as_bytes());
    origin.completed("/k");
    holder.pause();
    let stopped = Instant::now();
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    let in_flight = pay(&mut other.client(), "/k");
    if stopped.elapsed() < Duration::from_secs(1) {
        assert_eq!(problem(&in_flight), "idempotency-key-in-flight");
    }
    meanwhile(&other);
    // Also when the other one heard of it a little sooner than the lease was long.
    thread::sleep(Duration::from_secs(3).saturating_sub(stopped.elapsed()));
    holder.signal(Signal::CONT);
    // Its own client hears what the upstream said.
    let answer = first.answer("POST").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (201, "run 1"));
    for gateway in [&other, &holder] {
        later(gateway);
    }
}

#[test]
fn a_gateway_that_wakes_after_its_lease_is_not_believed() {
    let unknown = |gateway: &Gateway| {
        assert_eq!(settled(gateway, "/k"), (409, "idempotency-outcome-unknown".into()));
    };
    paused("unknown: conflict", unknown, unknown);
}

#[test]
fn a_gateway_that_wakes_after_a_redrive_does_not_change_its_outcome() {
    let again = |gateway: &Gateway| {
        let answer = settled_answer(gateway, "/k");
        assert_eq!((answer.text().as_str(), is_replayed(&answer)), ("run 2", false));
    };
    let replayed = |gateway: &Gateway| {
        let answer = settled_answer(gateway, "/k");
        assert_eq!((answer.text().as_str(), is_replayed(&answer)), ("run 2", true));
    };
    paused("unknown: redrive", again, replayed);
}

#[test]
fn what_lost_its_claim_while_it_waited_is_not_sent() {
    let Some(server) = Server::start(&[]) else { return };
    let (origin, gate) = gated();
    let top = format!("redis: {{ url: \"{}\", timeout: 2s }}", server.url());
    let route = "name: api, idempotency: { store: redis, lease: 1s }";
    let holder = Setup::to(&[origin.address])
        .top(&top)
        .upstream("limits: { requests: 1, queue_timeout: 20s }")
        .route(route)
        .start();
    let other = gateway(&origin, &server, "lease: 1s");
    let mut first = holder.client();
    first.send(request("/a", &fields("/a"), "x").as_bytes());
    origin.completed("/a");
    let mut second = holder.client();
    second.send(request("/k", &fields("/k"), "x").as_bytes());
    // Who asked before the holder does would have the key.
    assert!(eventually(|| server.keys().len() == 2), "{:?}", server.keys());
    holder.pause();
    assert_eq!(settled(&other, "/k"), (409, "idempotency-outcome-unknown".into()));
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    thread::sleep(Duration::from_millis(50));
    holder.signal(Signal::CONT);
    assert_eq!(first.answer("POST").unwrap().status, 201);
    let answer = second.answer("POST").unwrap();
    assert_eq!((answer.status, problem(&answer)), (503, "idempotency-store-unavailable".into()));
    assert_eq!(origin.seen_at("/k").len(), 0);
    assert_eq!(holder.access_line("\"path\":\"/k\"")["idempotency"], "store_down");
}

#[test]
fn an_outcome_that_the_server_never_takes_is_not_in_flight_for_ever() {
    let Some(server) = Server::start(&["--proto-max-bulk-len", "1048576"]) else { return };
    let body = "z".repeat(1_500_000);
    let origin = Origin::start(move |x| {
        x.read_body()?;
        x.reply(201, "", &body)
    });
    let gateway = gateway(&origin, &server, "lease: 1s, max_response: 2MiB");
    assert_eq!(pay(&mut gateway.client(), "/k").text().len(), 1_500_000);
    assert_eq!(settled(&gateway, "/k"), (409, "idempotency-outcome-unknown".into()));
    assert_eq!(origin.seen().len(), 1);
}
