//! Reload, drain, certificates, and what tells of HTTP/3.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Method;
use rustix::process::Signal;

use super::{Edge, LISTENER, NAME, farewell};
use crate::{
    operations::rewrite,
    support::{
        PATIENCE,
        certificates::Authority,
        client::Client,
        eventually,
        gateway::{Setup, free_port},
        h2_client,
        h3_client::{self, H3Client, head},
        h3_origin::H3Origin,
        origin::{Exchange, Origin},
    },
};

/// Asks one thing after the other until told to stop; the count, or what failed.
fn load(
    client: Arc<H3Client>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
) -> tokio::task::JoinHandle<Result<(), String>> {
    tokio::spawn(async move {
        while !stop.load(Ordering::Acquire) {
            let answer = client.get("/load").await?;
            if answer.status() != 200 {
                return Err(format!("{answer:?}"));
            }
            done.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    })
}

#[tokio::test]
async fn reloads_under_load_fail_no_request_and_keep_the_connection() {
    let origins = [Origin::echo(), Origin::echo()];
    let edge = Edge::start(Setup::to(&[origins[0].address]));
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Arc::new(edge.client().await));
    }
    let loads: Vec<_> =
        clients.iter().map(|c| load(c.clone(), stop.clone(), done.clone())).collect();
    for n in 0..10 {
        let (from, to) = (origins[n % 2].address, origins[1 - n % 2].address);
        rewrite(&edge.gateway, &from.to_string(), &to.to_string());
        let (gateway, before) = (&edge.gateway, done.load(Ordering::Acquire));
        if n % 3 == 0 {
            assert_eq!(gateway.admin("POST", "/reload").status, 200);
        } else {
            gateway.signal(Signal::HUP);
        }
        while done.load(Ordering::Acquire) < before + 20 && !loads.iter().any(|l| l.is_finished()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    stop.store(true, Ordering::Release);
    for load in loads {
        load.await.unwrap().unwrap();
    }
    assert!(clients.iter().all(|client| client.ended().is_none()));
    let served: Vec<usize> = origins.iter().map(|o| o.seen_at("/load").len()).collect();
    assert!(served.iter().all(|&n| n > 0), "{served:?}");
    drop(clients);
    edge.stop().await;
}

#[tokio::test]
async fn the_next_request_on_a_connection_sees_the_new_file() {
    let yaml = format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners:\n  - {{ bind: \"$LISTEN\", {LISTENER} }}\n\
         timeouts: {{ drain: 2s }}\nroutes:\n  \
         - {{ match: {{ path: \"/**\" }}, respond: {{ status: 200, body: \"one\" }} }}\n"
    );
    let edge = Edge::start(Setup::yaml(&yaml));
    let client = edge.client().await;
    assert_eq!(client.get("/").await.unwrap().text(), "one");
    rewrite(&edge.gateway, "\"one\"", "\"two\"");
    assert_eq!(edge.gateway.admin("POST", "/reload").status, 200);
    let end = Instant::now() + PATIENCE;
    while client.get("/").await.unwrap().text() != "two" {
        assert!(Instant::now() < end, "still the old file");
    }
    assert_eq!(client.ended(), None);
    drop(client);
    edge.stop().await;
}

fn slow() -> Origin {
    Origin::start(|x: &mut Exchange| {
        let wait = match x.target() {
            "/slow" => 600,
            "/slower" => 1200,
            _ => 0,
        };
        std::thread::sleep(Duration::from_millis(wait));
        x.echo()
    })
}

#[tokio::test]
async fn a_drain_answers_what_is_under_way_and_says_goodbye() {
    let origin = Arc::new(slow());
    let mut edge = Edge::start(Setup::to(&[origin.address]).drain("20s"));
    let client = Arc::new(edge.client().await);
    let ask = |path: &'static str| {
        let client = Arc::clone(&client);
        tokio::spawn(async move { client.get(path).await })
    };
    let (first, second) = (ask("/slow"), ask("/slower"));
    let there = Arc::clone(&origin);
    assert!(super::shows(move || there.seen_at("/slow").len() == 2).await);
    edge.gateway.signal(Signal::TERM);
    assert_eq!(first.await.unwrap().unwrap().text(), "GET /slow 0");
    assert!(client.dismissed().await, "no GOAWAY: {:?}", client.ended());
    assert_eq!(second.await.unwrap().unwrap().text(), "GET /slower 0");
    farewell(&client).await;
    let status = tokio::task::spawn_blocking(move || {
        let status = edge.gateway.wait(PATIENCE);
        (status, edge)
    });
    assert_eq!(status.await.unwrap().0.expect("it ends").code(), Some(0));
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_end() {
    let origin = Origin::echo();
    let mut edge = Edge::start(Setup::to(&[origin.address]).drain("1m"));
    let (used, silent) = (edge.client().await, edge.client().await);
    assert_eq!(used.get("/x").await.unwrap().status(), 200);
    // Long before the time for what is under way is over.
    edge.gateway.signal(Signal::TERM);
    for client in [&used, &silent] {
        farewell(client).await;
    }
    let waited = tokio::task::spawn_blocking(move || edge.gateway.wait(PATIENCE));
    assert_eq!(waited.await.unwrap().expect("it ends").code(), Some(0));
}

#[tokio::test]
async fn a_request_that_takes_longer_than_the_drain_is_cut() {
    let origin = Origin::start(|x| {
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
        x.closed();
        Ok(crate::support::origin::Next::Close)
    });
    let mut edge = Edge::start(Setup::to(&[origin.address]));
    let client = edge.client().await;
    let mut stream = client.open(head(Method::GET, "/x")).await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(stream.recv_response().await.unwrap().status(), 200);
    edge.gateway.signal(Signal::TERM);
    let waited = tokio::task::spawn_blocking(move || edge.gateway.wait(Duration::from_secs(8)));
    let rest = async {
        while stream.recv_data().await?.is_some() {}
        stream.recv_trailers().await
    };
    let rest = tokio::time::timeout(PATIENCE, rest).await.expect("it ends");
    assert!(rest.is_err(), "a clean end of half a body");
    assert_eq!(waited.await.unwrap().expect("the drain has an end").code(), Some(0));
}

#[test]
fn origins_are_told_when_the_gateway_ends() {
    let authority = Authority::new();
    let origin = H3Origin::start(authority.issue(&["origin.test"]).server(&[b"h3"]));
    let keys = "protocol: h3, tls: { server_name: origin.test, verify: false }";
    let gateway = Setup::to(&[origin.address]).upstream(keys).start();
    for _ in 0..4 {
        assert_eq!(gateway.client().get("/x").unwrap().status, 200);
    }
    assert_eq!(origin.ledger.ended.load(Ordering::Acquire), 0);
    drop(gateway);
    let ended = || origin.ledger.ended.load(Ordering::Acquire) == origin.connections();
    assert!(eventually(ended), "left to time out");
    assert_eq!(origin.ledger.faults(), Vec::<String>::new());
}

#[tokio::test]
async fn swapped_certificates_serve_new_connections_and_leave_old_ones_alone() {
    let origin = Origin::echo();
    let edge = Edge::start(Setup::to(&[origin.address]));
    let kept = edge.client().await;
    let first = kept.leaf();
    assert_eq!(kept.get("/x").await.unwrap().status(), 200);
    edge.authority.issue(&[NAME]).write(edge.gateway.dir(), "edge");
    let end = Instant::now() + PATIENCE;
    // A resumed session shows the certificate it began with: each client asks afresh.
    loop {
        let tls = edge.authority.client(&[b"h3"]);
        let new = h3_client::connect(edge.gateway.listen, tls, NAME).await.unwrap();
        assert_eq!(new.get("/new").await.unwrap().status(), 200);
        if new.leaf() != first {
            break;
        }
        assert!(Instant::now() < end, "the old certificate is still shown");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(kept.get("/y").await.unwrap().status(), 200);
    assert_eq!(kept.ended(), None);
    drop(kept);
    edge.stop().await;
}

#[tokio::test]
async fn a_listener_that_the_file_drops_is_drained() {
    let origin = Origin::echo();
    let edge = Edge::start(Setup::to(&[origin.address]));
    let client = edge.client().await;
    assert_eq!(client.get("/x").await.unwrap().status(), 200);
    rewrite(&edge.gateway, "protocols: [h1, h2, h3]", "protocols: [h1, h2]");
    let reload = edge.gateway.admin("POST", "/reload");
    assert_eq!(reload.status, 200, "{}", reload.text());
    farewell(&client).await;
    let refused = tokio::time::timeout(Duration::from_millis(500), edge.try_client()).await;
    assert!(!matches!(refused, Ok(Ok(_))), "HTTP/3 is still served");
    rewrite(&edge.gateway, "protocols: [h1, h2]", "protocols: [h1, h2, h3]");
    // The port is free once the last connection there has been seen off.
    let end = Instant::now() + PATIENCE;
    while edge.gateway.admin("POST", "/reload").status != 200 {
        assert!(Instant::now() < end, "the port is never free again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let again = tokio::time::timeout(PATIENCE, edge.client()).await.expect("it is back");
    assert_eq!(again.get("/y").await.unwrap().status(), 200);
    drop(again);
    edge.stop().await;
}

#[tokio::test]
async fn clients_of_older_versions_are_told_where_http_3_is() {
    let origin = Origin::echo();
    let told = async |listener: &str| {
        let edge = Edge::start_listening(Setup::to(&[origin.address]), listener);
        let listen = edge.gateway.listen;
        let authority: &Authority = &edge.authority;
        let mut h1 = Client::tls(listen, authority.client(&[b"http/1.1"]), NAME).unwrap();
        let first = h1.get("/x").unwrap().field("alt-svc").map(str::to_owned);
        let second = {
            let send = h2_client::connect_tls(listen, authority.client(&[b"h2"]), NAME).await;
            let (response, ..) = h2_client::get(&send, "/y").await.unwrap();
            response.headers().get("alt-svc").map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(first, second, "{listener}");
        drop(h1);
        edge.stop().await;
        (first, listen.port())
    };
    let (said, port) = told(LISTENER).await;
    assert!(said.as_ref().is_some_and(|s| s.contains(&format!("h3=\":{port}\""))), "{said:?}");
    let (said, _) = told(&format!("{LISTENER}, alt_svc: 443")).await;
    assert!(said.as_ref().is_some_and(|s| s.contains("h3=\":443\"")), "{said:?}");
    assert_eq!(told(&format!("{LISTENER}, alt_svc: off")).await.0, None);
    let without = LISTENER.replace("[h1, h2, h3]", "[h1, h2]");
    assert_eq!(told(&without).await.0, None);
}

#[tokio::test]
async fn log_status_and_metrics_know_http_3() {
    let origin = Origin::echo();
    let edge = Edge::start(Setup::to(&[origin.address]).route("name: all"));
    let client = edge.client().await;
    let body = Bytes::from_static(b"hello");
    let head = head(Method::POST, "/x?q=1");
    assert_eq!(client.request(head, body).await.unwrap().text(), "POST /x?q=1 5");
    let line = edge.gateway.access_line("/x?q=1");
    for (name, value) in [
        ("client", "127.0.0.1"),
        ("method", "POST"),
        ("host", "weir.test"),
        ("path", "/x?q=1"),
        ("protocol", "HTTP/3"),
        ("route", "all"),
    ] {
        assert_eq!(line[name], value, "{name} in {line}");
    }
    assert_eq!((&line["status"], &line["bytes_in"]), (&200.into(), &5.into()), "{line}");
    assert_eq!(line["bytes_out"], "POST /x?q=1 5".len(), "{line}");
    let status = edge.gateway.admin("GET", "/status").text();
    assert!(status.contains("h3"), "{status}");
    let metrics = edge.gateway.admin("GET", "/metrics").text();
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()).and_then(|n| n.parse::<f64>().ok())
    };
    assert!(value("weir_connections_open{") >= Some(1.0), "{metrics}");
    assert!(value("weir_connections_accepted_total{") >= Some(1.0), "{metrics}");
    assert_eq!(value("weir_request_body_bytes_total{route=\"all\""), Some(5.0), "{metrics}");
    drop(client);
    edge.stop().await;
}

#[tokio::test]
async fn an_error_in_answer_to_head_has_no_body() {
    let edge = Edge::start(Setup::to(&[([127, 0, 0, 1], free_port()).into()]));
    let client = edge.client().await;
    for (method, empty) in [(Method::HEAD, true), (Method::GET, false)] {
        let answer = client.request(head(method, "/x"), Bytes::new()).await.unwrap();
        assert_eq!((answer.status(), answer.body.is_empty()), (502, empty), "{answer:?}");
    }
    edge.stop().await;
}
