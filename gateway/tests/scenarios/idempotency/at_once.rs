//! Requests with the same key at the same time, and clients that do not stay.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::Signal;

use super::{ALICE, ask, is_replayed, keyed, post, problem, request, route};
use crate::{
    operations::rewrite,
    support::{
        answer::End,
        eventually,
        gateway::Setup,
        origin::{Next, Origin},
    },
};

/// A gate that requests wait at until it opens.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        let open = self.0.lock().unwrap();
        drop(self.1.wait_timeout_while(open, Duration::from_secs(20), |open| !*open).unwrap());
    }
}

/// Answers when the gate is open.
fn gated() -> (Origin, Arc<Gate>) {
    let (gate, count) = (Arc::<Gate>::default(), AtomicUsize::new(0));
    let shared = gate.clone();
    let origin = Origin::start(move |x| {
        x.read_body()?;
        let number = count.fetch_add(1, Ordering::AcqRel) + 1;
        shared.pass();
        x.reply(201, "", &format!("run {number}"))
    });
    (origin, gate)
}

#[test]
fn a_second_one_is_told_to_come_again() {
    let (origin, gate) = gated();
    let gateway = route(&origin, "");
    let mut first = gateway.client();
    let key = format!("{ALICE}Idempotency-Key: k\r\n");
    first.send(request("/", &key, "x").as_bytes());
    origin.completed("/");
    for _ in 0..3 {
        let second = ask(&mut gateway.client(), "/", &key, "x");
        assert_eq!((second.status, problem(&second)), (409, "idempotency-key-in-flight".into()));
        let after: u64 = second.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=5).contains(&after), "{after}");
        let other = ask(&mut gateway.client(), "/", &key, "y");
        assert_eq!((other.status, problem(&other)), (422, "idempotency-key-reused".into()));
    }
    gate.open();
    assert_eq!(first.answer("POST").unwrap().text(), "run 1");
    let third = ask(&mut gateway.client(), "/", &key, "x");
    assert_eq!((third.text().as_str(), is_replayed(&third)), ("run 1", true));
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_hundred_at_once_run_once_and_get_one_answer() {
    let (origin, gate) = gated();
    let gateway = route(&origin, "wait: 10s");
    let clients: Vec<_> = (0..100).map(|_| gateway.client()).collect();
    let answers = thread::scope(|scope| {
        let ask = |mut client| scope.spawn(move || post(&mut client, "k", "x"));
        let asked: Vec<_> = clients.into_iter().map(ask).collect();
        origin.completed("/");
        thread::sleep(Duration::from_millis(100));
        gate.open();
        asked.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let bodies: HashSet<_> = answers.iter().map(|a| (a.status, a.text())).collect();
    assert_eq!(bodies, HashSet::from([(201, "run 1".to_owned())]));
    assert_eq!(answers.iter().filter(|answer| !is_replayed(answer)).count(), 1);
    assert_eq!(origin.seen().len(), 1);
    let metrics = gateway.admin("GET", "/metrics").text();
    let count = |outcome: &str| {
        let labels = format!(
            "weir_idempotency_total{{route=\"api\",upstream=\"origin\",outcome=\"{outcome}\"}}"
        );
        metrics.lines().find_map(|line| line.strip_prefix(&labels)).map(|n| n.trim().to_owned())
    };
    assert_eq!(count("first").as_deref(), Some("1"), "{metrics}");
    assert_eq!(count("replayed").as_deref(), Some("99"));
}

#[test]
fn who_waits_for_too_long_is_told_to_come_again() {
    let (origin, gate) = gated();
    let gateway = route(&origin, "wait: 300ms");
    let mut first = gateway.client();
    first.send(request("/payments", &format!("{ALICE}Idempotency-Key: k\r\n"), "x").as_bytes());
    origin.completed("/");
    let began = std::time::Instant::now();
    let second = post(&mut gateway.client(), "k", "x");
    assert_eq!((second.status, problem(&second)), (409, "idempotency-key-in-flight".into()));
    assert!(began.elapsed() >= Duration::from_millis(290), "{:?}", began.elapsed());
    gate.open();
    assert_eq!(first.answer("POST").unwrap().text(), "run 1");
}

#[test]
fn a_client_that_went_away_finds_the_outcome_when_it_is_back() {
    let (origin, gate) = gated();
    let gateway = route(&origin, "wait: 10s");
    let mut first = gateway.client();
    first.send(request("/payments", &format!("{ALICE}Idempotency-Key: k\r\n"), "x").as_bytes());
    origin.completed("/");
    drop(first);
    let line = || gateway.access_lines("\"status\":499").len();
    assert!(eventually(|| line() == 1));
    gate.open();
    let again = post(&mut gateway.client(), "k", "x");
    assert_eq!((again.text().as_str(), is_replayed(&again)), ("run 1", true));
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_client_that_went_away_while_it_sent_claimed_nothing() {
    let (origin, gateway) = keyed("");
    let mut first = gateway.client();
    let key = format!("{ALICE}Idempotency-Key: k\r\n");
    let whole = request("/payments", &key, "amount=5");
    first.send(&whole.as_bytes()[..whole.len() - 3]);
    thread::sleep(Duration::from_millis(50));
    drop(first);
    assert_eq!(post(&mut gateway.client(), "k", "other").text(), "payment 1");
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_slow_client_neither_holds_the_recording_up_nor_loses_a_byte() {
    let body: String = (0..200_000).map(|i| char::from(b'a' + (i % 23) as u8)).collect();
    let sent = body.clone();
    let origin = Origin::start(move |x| {
        x.read_body()?;
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for piece in sent.as_bytes().chunks(5000) {
            x.send(format!("{:x}\r\n", piece.len()))?;
            x.send(piece)?;
            x.send("\r\n")?;
        }
        x.send("0\r\n\r\n")?;
        Ok::<_, io::Error>(Next::Keep)
    });
    let gateway = route(&origin, "");
    let mut slow = gateway.client();
    slow.send(request("/payments", &format!("{ALICE}Idempotency-Key: k\r\n"), "x").as_bytes());
    let done = || gateway.admin("GET", "/idempotency").json()["bytes"].as_u64() > Some(200_000);
    assert!(eventually(done), "it is recorded though nobody reads");
    let again = post(&mut gateway.client(), "k", "x");
    assert!(is_replayed(&again) && again.text() == body);
    let first = slow.answer("POST").unwrap();
    assert!(first.end == End::Complete && first.text() == body);
}

#[test]
fn a_lease_is_renewed_for_as_long_as_the_work_takes() {
    let (origin, gate) = gated();
    let gateway = route(&origin, "lease: 2s");
    let mut first = gateway.client();
    first.send(request("/payments", &format!("{ALICE}Idempotency-Key: k\r\n"), "x").as_bytes());
    origin.completed("/");
    for _ in 0..4 {
        thread::sleep(Duration::from_secs(1));
        let second = post(&mut gateway.client(), "k", "x");
        assert_eq!(problem(&second), "idempotency-key-in-flight");
    }
    gate.open();
    assert_eq!(first.answer("POST").unwrap().text(), "run 1");
    assert!(is_replayed(&post(&mut gateway.client(), "k", "x")));
}

#[test]
fn a_reload_keeps_what_is_known_and_what_is_under_way() {
    let (origin, gate) = gated();
    let gateway = route(&origin, "");
    let mut first = gateway.client();
    first.send(request("/payments", &format!("{ALICE}Idempotency-Key: k\r\n"), "x").as_bytes());
    origin.completed("/");
    rewrite(&gateway, "idempotency: {", "idempotency: { ttl: 2h, ");
    let loads = || gateway.admin("GET", "/status").json()["config"]["loads"].clone();
    assert!(eventually(|| loads() == 2));
    assert_eq!(problem(&post(&mut gateway.client(), "k", "x")), "idempotency-key-in-flight");
    gate.open();
    assert_eq!(first.answer("POST").unwrap().text(), "run 1");
    rewrite(&gateway, "ttl: 2h", "ttl: 3h");
    assert!(eventually(|| loads() == 3));
    assert!(is_replayed(&post(&mut gateway.client(), "k", "x")));
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_shutdown_waits_for_what_runs_without_its_client() {
    let (origin, gate) = gated();
    let yaml = format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
         timeouts: {{ drain: 20s }}\nupstreams: {{ origin: {{ endpoints: [\"{}\"] }} }}\n\
         routes: [{{ to: origin, idempotency: true }}]\n",
        origin.address
    );
    let mut gateway = Setup::yaml(&yaml).start();
    let mut first = gateway.client();
    first.send(request("/payments", &format!("{ALICE}Idempotency-Key: k\r\n"), "x").as_bytes());
    origin.completed("/");
    drop(first);
    assert!(eventually(|| gateway.access_lines("\"status\":499").len() == 1));
    gateway.signal(Signal::TERM);
    assert!(gateway.wait(Duration::from_millis(1500)).is_none(), "it is not over yet");
    gate.open();
    assert!(gateway.wait(Duration::from_secs(10)).is_some_and(|status| status.success()));
}

#[test]
fn an_operator_finds_and_forgets_a_key() {
    let (origin, gateway) = keyed("");
    assert_eq!(post(&mut gateway.client(), "k", "x").text(), "payment 1");
    let line = gateway.access_line("\"idempotency\":\"first\"");
    let path = format!("/idempotency/{}", line["idempotency_record"].as_str().unwrap());
    let shown = gateway.admin("GET", &path).json();
    assert_eq!((&shown["state"], &shown["status"]), (&"done".into(), &201.into()));
    assert_eq!(shown["replayable"], true);
    assert!(shown["expires_in"].as_f64().unwrap() > 86_000.0, "{shown}");
    assert_eq!(gateway.admin("POST", &path).status, 405);
    assert_eq!(gateway.admin("DELETE", &path).status, 200);
    for method in ["GET", "DELETE"] {
        assert_eq!(gateway.admin(method, &path).status, 404);
    }
    assert_eq!(gateway.admin("GET", "/idempotency/xyz").status, 404);
    assert_eq!(gateway.admin("GET", "/idempotency").json()["keys"], 0);
    assert_eq!(post(&mut gateway.client(), "k", "x").text(), "payment 2", "as it was told");
    assert_eq!(origin.seen().len(), 2);
}

/// The run goes on without its client, and what it says first must not come into another response.
#[test]
fn what_comes_after_the_clients_time_is_not_written_into_its_next_response() {
    let at = AtomicUsize::new(0);
    let origin = Origin::start(move |x| {
        let reached = |step| assert!(eventually(|| at.load(Ordering::Acquire) >= step));
        x.read_body()?;
        if x.target() == "/next" {
            x.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")?;
            thread::sleep(Duration::from_millis(100));
            at.store(1, Ordering::Release);
            reached(2);
            for piece in ["c", "d"] {
                thread::sleep(Duration::from_millis(100));
                x.send(piece)?;
            }
            return Ok(Next::Keep);
        }
        reached(1);
        x.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")?;
        at.store(2, Ordering::Release);
        thread::sleep(Duration::from_millis(300));
        x.reply(201, "", "done")
    });
    let gateway = route(&origin, "");
    let mut client = gateway.client();
    let soon = std::time::SystemTime::now() + Duration::from_secs(2);
    let soon = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let fields = format!("{ALICE}Idempotency-Key: k\r\nX-Request-Deadline: {soon}\r\n");
    assert_eq!(ask(&mut client, "/payments", &fields, "x").status, 504);
    let next = client.get("/next").unwrap();
    assert_eq!((next.text().as_str(), next.interim.as_slice()), ("abcd", &[][..]));
}
