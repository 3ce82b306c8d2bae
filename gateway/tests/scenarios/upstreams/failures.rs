//! Each way an origin can fail has its status, its Proxy-Status and its flag.

use std::{
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use super::{assert_failure, nobody};
use crate::support::{
    answer::End,
    gateway::Setup,
    origin::{Next, Origin},
};

#[test]
fn a_refused_connection_is_502() {
    let gateway = Setup::to(&[nobody()]).start();
    let answer = gateway.client().get("/x").unwrap();
    assert_failure(&gateway, &answer, 502, "connection_refused", "UF");
}

#[test]
fn a_connection_that_is_never_taken_is_504_after_connect_timeout() {
    // A full accept queue drops what knocks next.
    let hole = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    hole.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    hole.listen(0).unwrap();
    let address = hole.local_addr().unwrap().as_socket().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        filling.push(stream);
    }
    let gateway = Setup::to(&[address]).upstream("connect_timeout: 500ms").start();
    let start = Instant::now();
    let answer = gateway.client().get("/x").unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "waited {:?}", start.elapsed());
    assert_failure(&gateway, &answer, 504, "connection_timeout", "UF");
}

#[test]
fn a_connection_that_breaks_before_the_head_is_502() {
    for next in [Next::Close, Next::Reset] {
        let origin = Origin::start(move |_| Ok(next));
        let gateway = Setup::to(&[origin.address]).start();
        let answer = gateway.client().get("/x").unwrap();
        assert_failure(&gateway, &answer, 502, "connection_terminated", "UC");
        let mut client = gateway.client();
        client.send(crate::support::client::post("/x/post", "hello").as_bytes());
        let answer = client.answer("POST").unwrap();
        assert_failure(&gateway, &answer, 502, "connection_terminated", "UC");
        assert_eq!(origin.seen_at("/x/post").len(), 1, "a POST is never sent twice");
    }
}

#[test]
fn a_silent_origin_is_504_after_the_headers_time() {
    let origin = Origin::start(|x| {
        x.closed();
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).route("timeout: { headers: 500ms }").start();
    let start = Instant::now();
    let answer = gateway.client().get("/x").unwrap();
    let took = start.elapsed();
    assert!((Duration::from_millis(450)..Duration::from_secs(4)).contains(&took), "{took:?}");
    assert_failure(&gateway, &answer, 504, "http_response_timeout", "UT");
}

#[test]
fn interim_responses_do_not_extend_the_headers_time() {
    let origin = Origin::start(|x| {
        while x.send("HTTP/1.1 103 Hints\r\n\r\n").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).route("timeout: { headers: 500ms }").start();
    let answer = gateway.client().get("/x").unwrap();
    assert!(matches!(answer.status, 502 | 504), "{answer:?}");
}

#[test]
fn a_response_body_that_stops_is_cut_after_the_idle_time() {
    let origin = Origin::start(|x| {
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
        x.closed();
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).route("timeout: { idle: 500ms }").start();
    let start = Instant::now();
    let answer = gateway.client().get("/x").unwrap();
    assert_eq!((answer.status, answer.end), (200, End::Truncated));
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn a_response_in_drops_is_cut_after_the_total_time() {
    let origin = Origin::start(|x| {
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
        while x.send("a").is_ok() {
            thread::sleep(Duration::from_millis(30));
        }
        Ok(Next::Close)
    });
    let gateway = Setup::to(&[origin.address]).route("timeout: 1s").start();
    let start = Instant::now();
    let answer = gateway.client().get("/x").unwrap();
    assert_eq!((answer.status, answer.end), (200, End::Truncated));
    let took = start.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

#[test]
fn no_route_is_404_with_its_reason() {
    let origin = Origin::echo();
    let yaml = format!(
        "admin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\nupstreams:\n  \
         a: {{ endpoints: [\"{}\"] }}\nroutes:\n  - {{ match: {{ path: \"/a/**\" }}, to: a }}\n",
        origin.address
    );
    let gateway = Setup::yaml(&yaml).start();
    let answer = gateway.client().get("/b").unwrap();
    assert_failure(&gateway, &answer, 404, "destination_not_found", "NR");
    assert_eq!(gateway.client().get("/a/b").unwrap().status, 200);
}

#[test]
fn hostile_origins_take_no_worker_down() {
    let origin = Origin::start(|x| {
        let seed = x.target().len() as u64 * 7919;
        match seed % 4 {
            0 => x.send(vec![0xff; 100_000])?,
            1 => {
                x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n")?
            }
            2 => return Ok(Next::Reset),
            _ => x.send("HTTP/1.1 \u{0}")?,
        }
        Ok(Next::Reset)
    });
    let good = Origin::echo();
    let yaml = format!(
        "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\nupstreams:\n  \
         bad: {{ endpoints: [\"{}\"] }}\n  good: {{ endpoints: [\"{}\"] }}\nroutes:\n  \
         - {{ match: {{ path: \"/bad/**\" }}, to: bad }}\n  \
         - {{ match: {{ path: \"/good/**\" }}, to: good }}\n",
        origin.address, good.address
    );
    let gateway = Setup::yaml(&yaml).start();
    for n in 0..200 {
        let _ = gateway.client().get(&format!("/bad/{}", "a".repeat(n % 13)));
        assert_eq!(gateway.client().get("/good/x").unwrap().status, 200);
    }
}
