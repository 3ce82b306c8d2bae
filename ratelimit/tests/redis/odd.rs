//! Ways that are slow, servers that are none, limits that change.

use std::{
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use weir_ratelimit::{
    Algorithm, Bucket, Limit, Rate, Secret,
    redis::{Correction, Mode, OnFailure, Options, Servers, SharedLimit, Source},
};

use crate::{
    Gateway, SECOND, limit, patient, run,
    server::{Server, free_port},
};

/// Leads to the server at `port`, only that it takes its time to begin.
fn slow_way(port: u16, begins: Duration) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            thread::sleep(begins);
            let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            let ends = [(&client, &server), (&server, &client)];
            for (from, to) in ends.map(|(a, b)| (a.try_clone().unwrap(), b.try_clone().unwrap())) {
                thread::spawn(move || io::copy(&mut &from, &mut &to));
            }
        }
    });
    url
}

#[test]
fn a_connection_that_takes_longer_than_requests_wait() {
    let Some(server) = Server::start(&[]) else { return };
    let url = slow_way(server.port(), SECOND / 2);
    let limits = vec![limit("shared", 100, 100, OnFailure::Local)];
    let options = Options { timeout: SECOND / 4, ..patient(&[url]) };
    let gateway = Gateway::new(options, limits, Instant::now());
    run(async {
        assert_eq!(gateway.ask("a").await.source, Source::Fallback);
        // Nobody else comes for it.
        tokio::time::sleep(SECOND * 3 / 2).await;
        assert_eq!(gateway.servers.counters().connections(), 1);
        // A machine that has other things to do may answer one too late.
        let mut answered = false;
        for _ in 0..10 {
            answered |= gateway.ask("a").await.source == Source::Server;
        }
        assert!(answered);
    });
}

#[test]
fn another_rate_holds_for_who_was_denied() {
    let Some(server) = Server::start(&[]) else { return };
    for mode in [Mode::Exact, Mode::Leased] {
        let of = |per: Duration| {
            let bucket = Bucket::new(Rate::new(10, per).unwrap(), 10).unwrap();
            let name = format!("{mode:?}");
            let limit =
                Limit::new(&Secret::new([7; 16]), "", &name, Algorithm::TokenBucket(bucket));
            SharedLimit::new(limit, OnFailure::Deny).unwrap().unwrap().with_mode(mode)
        };
        let began = Instant::now();
        let mut gateway = Gateway::new(patient(&[server.url()]), vec![of(1_000 * SECOND)], began);
        run(async {
            while gateway.ask("a").await.verdict.allowed() {}
            assert!(!gateway.ask("a").await.verdict.allowed());
            // As after a reload.
            gateway.limits = vec![of(SECOND)];
            let changed = Instant::now();
            while !gateway.ask("a").await.verdict.allowed() {
                assert!(changed.elapsed() < 10 * SECOND, "{mode:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
}

#[test]
fn what_is_missing_is_charged_where_another_server_is_gone() {
    let Some(server) = Server::start(&[]) else { return };
    let gone = format!("redis://127.0.0.1:{}", free_port());
    let limits =
        vec![limit("cost", 1, 1_000, OnFailure::Allow), limit("gone", 1, 1_000, OnFailure::Allow)];
    let gateway = Gateway::new(patient(&[server.url(), gone]), limits, Instant::now());
    let [cost, other] = &gateway.limits[..] else { return };
    run(async {
        let ask = |limit, key| {
            let gateway = &gateway;
            async move {
                let ask = SharedLimit::ask(limit, key, None);
                gateway.shared.check(&[ask], 1, gateway.now()).await
            }
        };
        for client in 0.. {
            let keys = gateway.keys(&client.to_string());
            if ask(cost, keys[0]).await.source != Source::Server
                || ask(other, keys[1]).await.source == Source::Server
            {
                continue;
            }
            let source = gateway.ask(&client.to_string()).await.source;
            assert_eq!(source, Source::Fallback);
            let correction = Correction { limit: cost, key: keys[0], charged: 1, actual: 500 };
            gateway.shared.settle(&[correction], source, 1, gateway.now()).await;
            let left = ask(cost, keys[0]).await.verdict.rulings()[0].decision.remaining;
            assert!(left < 600, "{left}");
            break;
        }
    });
}

#[test]
fn something_else_that_answers() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut said = [0; 4_096];
                while client.read(&mut said).is_ok_and(|length| length > 0) {
                    let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                }
            });
        }
    });
    let limits = vec![limit("shared", 1, 5, OnFailure::Allow)];
    let gateway = Gateway::new(patient(&[url]), limits, Instant::now());
    run(async {
        for _ in 0..10 {
            assert_eq!(gateway.ask("a").await.source, Source::Fallback);
        }
    });
    let faults: Vec<_> = gateway.servers.counters().faults().collect();
    assert!(gateway.servers.standing().all(|(_, up)| !up), "{faults:?}");
}

#[test]
fn passwords_are_shown_to_nobody() {
    let servers = Servers::new(patient(&["redis://joe:hush%40hush@127.0.0.1:1".into()])).unwrap();
    let shown = format!("{servers:?} {servers:#?}");
    assert!(!shown.contains("hush"), "{shown}");
}
