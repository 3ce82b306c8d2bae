//! Pooled connections: reused, and replaced without a word when they died in the pool.

use std::{collections::HashSet, sync::Mutex, thread, time::Duration};

use crate::support::{
    client::post,
    gateway::Setup,
    origin::{Next, Origin},
};

#[test]
fn requests_reuse_connections() {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    for n in 0..50 {
        assert_eq!(client.get(&format!("/{n}")).unwrap().status, 200);
    }
    assert_eq!(origin.connections(), 1, "one client connection is one worker is one connection");
}

#[test]
fn a_connection_the_origin_closed_in_the_pool_costs_no_get_and_doubles_no_post() {
    let origin = Origin::start(|x| {
        x.echo()?;
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    for n in 0..40 {
        let target = format!("/{n}/");
        if n % 2 == 0 {
            assert_eq!(client.get(&target).unwrap().status, 200, "request {n}");
        } else {
            client.send(post(&target, "hello").as_bytes());
            let status = client.answer("POST").unwrap().status;
            // Sent just as the connection closed, it may have been seen: then nobody asks twice.
            assert!(matches!(status, 200 | 502), "request {n}: {status}");
            assert!(origin.seen_at(&target).len() <= 1, "request {n} came twice");
        }
        // Sometimes the close is noticed in the pool, sometimes only by the next request.
        thread::sleep(Duration::from_millis(n % 4));
    }
}

/// An origin that closes each connection when its second request came, without an answer.
fn forgetful() -> Origin {
    let served = Mutex::new(HashSet::new());
    Origin::start(move |x| {
        if served.lock().unwrap().insert(x.seen.connection) {
            return x.echo();
        }
        Ok(Next::Close)
    })
}

#[test]
fn a_get_lost_on_a_reused_connection_is_sent_again_once() {
    let origin = forgetful();
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    for n in 0..10 {
        let answer = client.get(&format!("/x/{n}")).unwrap();
        assert_eq!(answer.text(), format!("GET /x/{n} 0"), "request {n}");
    }
}

#[test]
fn a_post_lost_on_a_reused_connection_is_not_sent_again() {
    let origin = forgetful();
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/warm").unwrap().status, 200);
    client.send(post("/x", "hello").as_bytes());
    assert_eq!(client.answer("POST").unwrap().status, 502);
    assert_eq!(origin.seen_at("/x").len(), 1);
}

#[test]
fn a_response_that_says_close_or_comes_early_ends_the_connection() {
    let origin = Origin::start(|x| match x.target() {
        "/close" => x.reply(200, "Connection: close\r\n", "bye"),
        // The body is left unread: what follows on this connection would be its rest.
        "/early" => {
            x.reply(413, "", "no")?;
            x.closed();
            Ok(Next::Close)
        }
        _ => x.echo(),
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/close").unwrap().status, 200);
    assert_eq!(client.get("/after").unwrap().status, 200);
    assert_ne!(origin.seen_at("/close")[0].connection, origin.seen_at("/after")[0].connection);
    let mut early = gateway.client();
    early.send(b"POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nabc");
    assert_eq!(early.answer("POST").unwrap().status, 413);
    drop(early);
    for n in 0..4 {
        assert_eq!(gateway.client().get(&format!("/{n}")).unwrap().text(), format!("GET /{n} 0"));
    }
}
