//! How long a request waits that asks several times.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use weir_ratelimit::{
    Algorithm, Bucket, Limit, Rate, Secret,
    redis::{Fault, Mode, OnFailure, Options, SharedLimit, Source},
};

use crate::{Gateway, SECOND, patient, run, server::Server};

/// Leads to a server, whose every answer takes as long as was last said.
struct Slow {
    url: String,
    millis: Arc<AtomicU64>,
}

impl Slow {
    fn before(server: &Server) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let millis = Arc::new(AtomicU64::new(0));
        let (port, takes) = (server.port(), Arc::clone(&millis));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
                let (asks, from) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || std::io::copy(&mut &asks, &mut &from));
                let takes = Arc::clone(&takes);
                thread::spawn(move || answer(server, client, &takes));
            }
        });
        Self { url, millis }
    }

    fn takes(&self, time: Duration) {
        self.millis.store(time.as_millis() as u64, Relaxed);
    }
}

fn answer(mut server: TcpStream, mut client: TcpStream, takes: &AtomicU64) {
    let (later, due) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        for (at, said) in due {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            let _ = client.write_all(&said);
        }
    });
    let mut said = [0; 4_096];
    while let Ok(length @ 1..) = server.read(&mut said) {
        let at = Instant::now() + Duration::from_millis(takes.load(Relaxed));
        let _ = later.send((at, said[..length].to_vec()));
    }
}

/// So many, and nothing is earned while the test runs.
fn once(name: &str, burst: u64, mode: Mode) -> SharedLimit {
    let bucket = Bucket::new(Rate::new(1, 1_000 * SECOND).unwrap(), burst).unwrap();
    let limit = Limit::new(&Secret::new([7; 16]), "tests", name, Algorithm::TokenBucket(bucket));
    SharedLimit::new(limit, OnFailure::Allow).unwrap().unwrap().with_mode(mode)
}

#[test]
fn limits_of_both_modes_wait_once() {
    let Some(server) = Server::start(&[]) else { return };
    let slow = Slow::before(&server);
    let limits = vec![once("leased", 1_000, Mode::Leased), once("exact", 1_000, Mode::Exact)];
    let timeout = 2 * SECOND;
    let options = Options { timeout, ..patient(std::slice::from_ref(&slow.url)) };
    let gateway = Gateway::new(options, limits, Instant::now());
    run(async {
        assert_eq!(gateway.ask("a").await.source, Source::Server);
        slow.takes(timeout * 7 / 10);
        // Each alone would be heard in time; for the second there is not enough left.
        for client in ["b", "c", "d", "e", "f", "g"] {
            let began = Instant::now();
            let outcome = gateway.ask(client).await;
            assert!(outcome.verdict.allowed());
            assert_eq!(outcome.source, Source::Fallback);
            let took = began.elapsed();
            // Both, one after the other, would be given twice that time.
            assert!((timeout..timeout * 2).contains(&took), "{took:?}");
        }
        // The server has answered all that it had time for.
        assert!(gateway.servers.standing().all(|(_, up)| up));
        let faults: Vec<_> = gateway.servers.counters().faults().collect();
        assert!(faults.contains(&(Fault::Slow, 6)), "{faults:?}");
    });
}

#[test]
fn who_is_denied_does_not_wait_for_what_is_given_back() {
    let (Some(one), Some(other)) = (Server::start(&[]), Server::start(&[])) else { return };
    let ways = [Slow::before(&one), Slow::before(&other)];
    let urls: Vec<_> = ways.iter().map(|way| way.url.clone()).collect();
    let limits = vec![once("few", 1, Mode::Exact), once("many", 1_000, Mode::Exact)];
    let options = Options { timeout: 2 * SECOND, ..patient(&urls) };
    let gateway = Gateway::new(options, limits, Instant::now());
    let kept = || [&one, &other].map(|server| server.ask("DBSIZE").trim().to_owned());
    run(async {
        // One whose keys lie apart.
        let mut client = 0;
        while kept() != [":1", ":1"] {
            let _ = [&one, &other].map(|server| server.ask("FLUSHALL"));
            client += 1;
            gateway.ask(&client.to_string()).await;
        }
        ways.iter().for_each(|way| way.takes(SECOND * 14 / 10));
        let began = Instant::now();
        let outcome = gateway.ask(&client.to_string()).await;
        let took = began.elapsed();
        assert_eq!((outcome.verdict.allowed(), outcome.source), (false, Source::Server));
        // Two answers, one after the other, would be 2.8 s.
        assert!(took < SECOND * 26 / 10, "{took:?}");
        ways.iter().for_each(|way| way.takes(Duration::ZERO));
        tokio::time::sleep(2 * SECOND).await;
        // One of a thousand is spent, though two were charged.
        let keys = gateway.keys(&client.to_string());
        let ask = gateway.limits[1].ask(keys[1], Some(0));
        let said = gateway.shared.check(&[ask], 1, gateway.now()).await;
        assert_eq!(said.source, Source::Server);
        assert_eq!(said.verdict.rulings()[0].decision.remaining, 999);
    });
}
