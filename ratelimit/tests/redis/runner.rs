//! Scripts of other stores, on the same servers.

use std::{sync::Arc, time::Duration};

use weir_ratelimit::{
    Key, Nanos,
    redis::{Fault, OnFailure, Runner, Script, Servers, Source},
};

use crate::{
    Gateway, SECOND, limit, patient, run,
    server::{Server, free_port},
};

static APPEND: Script = Script::new("return redis.call('APPEND', KEYS[1], ARGV[1])");
static WAIT: Script = Script::new("while true do end");
static FAIL: Script = Script::new("return redis.error_reply('MINE it is so')");

fn runner_on(urls: &[String]) -> Runner {
    Runner::new(Arc::new(Servers::new(patient(urls)).unwrap()), fastrand::Rng::with_seed(1))
}

#[test]
fn a_script_of_somebody_else() {
    let Some(server) = Server::start(&[]) else { return };
    let runner = runner_on(&[server.url()]);
    let append = async |bytes: &[u8]| {
        let now = Nanos::from(SECOND);
        runner.run(&APPEND, &[b"a\0\xff"], &[bytes], SECOND, now).await
    };
    run(async {
        assert_eq!(append(b"\0one\r\n").await.unwrap(), redis::Value::Int(6));
        server.ask("SCRIPT FLUSH");
        assert_eq!(append(&[0xfe; 100]).await.unwrap(), redis::Value::Int(106));
        assert_eq!(append(b"").await.unwrap(), redis::Value::Int(106));
        let counters = runner.servers().counters();
        assert_eq!((counters.reloads(), counters.connections(), counters.answered()), (1, 1, 3));
        // One that may have been run is not sent again: the connection broke before it.
        server.ask("CLIENT KILL TYPE normal SKIPME yes");
        let said = append(b"x").await;
        assert!(said.is_err() || said.unwrap() == redis::Value::Int(107));
        let trouble = runner.run(&FAIL, &[b"a"], &[], SECOND, Nanos::from(SECOND)).await;
        let trouble = trouble.unwrap_err();
        assert_eq!(trouble.fault, Fault::Other);
        assert!(trouble.text.contains("it is so"), "{trouble}");
    });
}

#[test]
fn patience_ends() {
    let Some(server) = Server::start(&[]) else { return };
    let runner = runner_on(&[server.url()]);
    run(async {
        let patience = Duration::from_millis(50);
        let trouble = runner.run(&WAIT, &[b"a"], &[], patience, Nanos::from(SECOND)).await;
        assert_eq!(trouble.unwrap_err().fault, Fault::Slow);
    });
    let gone = runner_on(&[format!("redis://127.0.0.1:{}", free_port())]);
    let began = std::time::Instant::now();
    run(async {
        for _ in 0..8 {
            let trouble = gone.run(&APPEND, &[b"a"], &[b"b"], SECOND, Nanos::from(SECOND)).await;
            assert_eq!(trouble.unwrap_err().fault, Fault::Down);
        }
    });
    // Five failures, then it is not asked, for 50 ms at least.
    let (skipped, took) = (gone.servers().counters().skipped(), began.elapsed());
    assert!(skipped == 3 || took >= Duration::from_millis(50), "{skipped} in {took:?}");
}

#[test]
fn keys_with_one_tag_lie_together() {
    let (Some(one), Some(two)) = (Server::start(&[]), Server::start(&[])) else { return };
    let limits =
        vec![limit("wide", 1, 10, OnFailure::Deny), limit("narrow", 1, 3, OnFailure::Deny)];
    let gateway = Gateway::new(patient(&[one.url(), two.url()]), limits, std::time::Instant::now());
    run(async {
        for i in 0..20 {
            let keys = gateway.keys(&format!("client {i}"));
            let tag = keys[0];
            let keys: Vec<Key> = keys.into_iter().map(|key| key.beside(tag)).collect();
            assert_ne!(keys[0], keys[1]);
            let asks: Vec<_> = gateway.limits.iter().zip(&keys).collect();
            let asks: Vec<_> = asks.into_iter().map(|(limit, key)| limit.ask(*key, None)).collect();
            let outcome = gateway.shared.check(&asks, 1, gateway.now()).await;
            assert_eq!(outcome.source, Source::Server);
        }
    });
    assert_eq!(gateway.servers.counters().answered(), 20, "one call for both limits");
    for server in [&one, &two] {
        let keys: usize = server.ask("DBSIZE").trim_start_matches(':').trim().parse().unwrap();
        assert!((8..=32).contains(&keys), "clients are spread: {keys}");
    }
}
