//! What becomes of a key when its request does not simply go well.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::{ALICE, ask, is_replayed, post, problem, request, route};
use crate::support::{
    answer::{Answer, End},
    client::Client,
    eventually,
    gateway::Setup,
    origin::{Next, Origin},
};

/// Answers the first request by `first`, and all others with a 201.
fn moody(
    first: impl Fn(&mut crate::support::origin::Exchange) -> std::io::Result<Next>
    + Send
    + Sync
    + 'static,
) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |x| {
        x.read_body()?;
        match count.fetch_add(1, Ordering::AcqRel) {
            0 => first(x),
            number => x.reply(201, "", &format!("run {}", number + 1)),
        }
    })
}

fn status(client: &mut Client, key: &str) -> (u16, String) {
    let answer = post(client, key, "x");
    let said = if answer.status == 201 { answer.text() } else { problem(&answer) };
    (answer.status, said)
}

#[test]
fn a_connection_that_broke_leaves_the_outcome_unknown() {
    let origin = moody(|_| Ok(Next::Reset));
    let gateway = route(&origin, "");
    let mut client = gateway.client();
    assert_eq!(post(&mut client, "k", "x").status, 502);
    for _ in 0..3 {
        assert_eq!(status(&mut client, "k"), (409, "idempotency-outcome-unknown".into()));
    }
    let other = post(&mut client, "k", "y");
    assert_eq!((other.status, problem(&other)), (422, "idempotency-key-reused".into()));
    assert_eq!(origin.seen().len(), 1, "and it was not tried again either");
    assert_eq!(status(&mut client, "k2"), (201, "run 2".into()));
}

#[test]
fn where_the_upstream_knows_the_key_it_runs_again() {
    let origin = moody(|_| Ok(Next::Reset));
    let gateway = route(&origin, "unknown: redrive");
    let mut client = gateway.client();
    assert_eq!(post(&mut client, "k", "x").status, 502);
    assert_eq!(status(&mut client, "k"), (201, "run 2".into()));
    let again = post(&mut client, "k", "x");
    assert!(is_replayed(&again) && again.text() == "run 2");
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn an_upstream_that_was_never_reached_leaves_the_key_free() {
    let (port, origin) = (crate::support::gateway::free_port(), super::counting());
    let dead = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let gateway = Setup::to(&[dead])
        .upstream("outlier: off")
        .route("name: api, retry: off, idempotency: true")
        .start();
    let mut client = gateway.client();
    for _ in 0..2 {
        assert_eq!(post(&mut client, "k", "x").status, 502);
    }
    let file = std::fs::read_to_string(&gateway.file).unwrap();
    std::fs::write(&gateway.file, file.replace(&dead.to_string(), &origin.address.to_string()))
        .unwrap();
    let loads = || gateway.admin("GET", "/status").json()["config"]["loads"].clone();
    assert!(eventually(|| loads() == 2));
    assert_eq!(post(&mut client, "k", "x").text(), "payment 1");
    assert!(is_replayed(&post(&mut client, "k", "x")));
}

#[test]
fn a_retry_is_made_only_where_nothing_was_sent() {
    let origin = super::counting();
    let dead = std::net::SocketAddr::from(([127, 0, 0, 1], crate::support::gateway::free_port()));
    let gateway = Setup::to(&[dead, origin.address])
        .upstream("outlier: off, balance: round_robin")
        .route(
            "name: api, retry: { attempts: 3, budget: { min_per_sec: 1000 } }, idempotency: true",
        )
        .start();
    let mut client = gateway.client();
    for n in 1..=4 {
        assert_eq!(post(&mut client, &format!("k{n}"), "x").text(), format!("payment {n}"));
    }
    let reset = moody(|_| Ok(Next::Reset));
    let route = "name: api, retry: { attempts: 3 }, idempotency: { methods: [PUT] }";
    let gateway = Setup::to(&[reset.address]).route(route).start();
    let put =
        request("/x", &format!("{ALICE}Idempotency-Key: k\r\n"), "x").replacen("POST", "PUT", 1);
    let mut client = gateway.client();
    client.send(put.as_bytes());
    assert_eq!(client.answer("PUT").unwrap().status, 502, "though PUT may be repeated");
    assert_eq!(reset.seen().len(), 1);
}

#[test]
fn what_the_upstream_refused_may_run_later() {
    for refusal in [401, 403, 409, 425, 429] {
        let origin = moody(move |x| x.reply(refusal, "", "no"));
        let gateway = route(&origin, "");
        let mut client = gateway.client();
        assert_eq!(post(&mut client, "k", "x").status, refusal);
        assert_eq!(status(&mut client, "k"), (201, "run 2".into()), "{refusal}");
    }
}

#[test]
fn an_upstream_that_says_time_out_may_have_acted() {
    let origin = moody(|x| x.reply(408, "", "no"));
    let gateway = route(&origin, "");
    let mut client = gateway.client();
    assert_eq!(post(&mut client, "k", "x").status, 408);
    assert_eq!(status(&mut client, "k"), (409, "idempotency-outcome-unknown".into()));
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn an_upstreams_5xx_is_stored_only_where_that_is_said() {
    let unsure = moody(|x| x.reply(503, "", "busy"));
    let gateway = route(&unsure, "");
    let mut client = gateway.client();
    assert_eq!(post(&mut client, "k", "x").text(), "busy");
    assert_eq!(status(&mut client, "k"), (409, "idempotency-outcome-unknown".into()));
    let stored = moody(|x| x.reply(500, "", "broken"));
    let gateway = route(&stored, "statuses: [2xx, 3xx, 4xx, 5xx]");
    let mut client = gateway.client();
    assert_eq!(post(&mut client, "k", "x").text(), "broken");
    let again = post(&mut client, "k", "x");
    assert_eq!((again.status, again.text().as_str(), is_replayed(&again)), (500, "broken", true));
    assert_eq!((unsure.seen().len(), stored.seen().len()), (1, 1));
}

#[test]
fn a_4xx_is_stored() {
    let origin = moody(|x| x.reply(422, "Content-Type: text/x-why\r\n", "too poor"));
    let gateway = route(&origin, "");
    let mut client = gateway.client();
    for replayed in [false, true, true] {
        let answer = post(&mut client, "k", "x");
        assert_eq!((answer.status, answer.text().as_str()), (422, "too poor"));
        assert_eq!(
            (is_replayed(&answer), answer.field("content-type")),
            (replayed, Some("text/x-why"))
        );
    }
}

#[test]
fn a_time_out_leaves_the_outcome_unknown() {
    let origin = moody(|x| {
        x.closed();
        Ok(Next::Close)
    });
    let route = "name: api, timeout: { headers: 1s }, idempotency: true";
    let gateway = Setup::to(&[origin.address]).route(route).start();
    let mut client = gateway.client();
    assert_eq!(post(&mut client, "k", "x").status, 504);
    assert_eq!(status(&mut client, "k"), (409, "idempotency-outcome-unknown".into()));
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_body_that_breaks_off_leaves_the_outcome_unknown() {
    let origin = moody(|x| {
        x.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
        Ok(Next::Close)
    });
    let gateway = route(&origin, "");
    let first = post(&mut gateway.client(), "k", "x");
    assert_eq!((first.status, first.end), (200, End::Truncated));
    assert_eq!(status(&mut gateway.client(), "k"), (409, "idempotency-outcome-unknown".into()));
}

fn tombstone(
    keys: &str,
    first: impl Fn(&mut crate::support::origin::Exchange) -> std::io::Result<Next>
    + Send
    + Sync
    + 'static,
) -> Answer {
    let origin = moody(first);
    let gateway = route(&origin, keys);
    let answer = post(&mut gateway.client(), "k", "x");
    let mut client = gateway.client();
    for _ in 0..2 {
        assert_eq!(status(&mut client, "k"), (409, "idempotency-not-replayable".into()));
    }
    assert_eq!(origin.seen().len(), 1, "never a second run");
    answer
}

#[test]
fn what_cannot_be_stored_passes_whole_and_is_never_run_again() {
    let announced = "a".repeat(3000);
    let body = announced.clone();
    let answer = tombstone("max_response: 2KiB", move |x| x.reply(200, "", &body));
    assert_eq!((answer.text(), answer.end), (announced, End::Complete));
    let answer = tombstone("max_response: 2KiB", |x| {
        x.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        for _ in 0..40 {
            x.send(format!("64\r\n{}\r\n", "b".repeat(100)))?;
            thread::sleep(Duration::from_millis(2));
        }
        x.send("0\r\n\r\n")?;
        Ok(Next::Keep)
    });
    assert_eq!((answer.text(), answer.end), ("b".repeat(4000), End::Complete));
    let answer = tombstone("", |x| {
        x.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 7\r\n\r\n",
        )?;
        Ok(Next::Keep)
    });
    assert_eq!((answer.text().as_str(), answer.end), ("x", End::Complete));
    let answer =
        tombstone("", |x| x.reply(200, "Content-Type: text/event-stream\r\n", "data: 1\n\n"));
    assert_eq!(answer.text(), "data: 1\n\n");
}

#[test]
fn a_fallback_is_not_stored() {
    let origin = moody(|_| Ok(Next::Reset));
    let route =
        "name: api, idempotency: true, fallback: { respond: { status: 200, body: instead } }";
    let gateway = Setup::to(&[origin.address]).route(route).start();
    let mut client = gateway.client();
    assert_eq!(post(&mut client, "k", "x").text(), "instead");
    assert_eq!(status(&mut client, "k"), (409, "idempotency-outcome-unknown".into()));
}

#[test]
fn edits_of_the_route_are_made_to_both() {
    let origin = super::counting();
    let route =
        "name: api, idempotency: true, headers: { response: { set: { x-edge: a }, remove: etag } }";
    let gateway = Setup::to(&[origin.address]).route(route).start();
    for replayed in [false, true] {
        let answer = post(&mut gateway.client(), "k", "x");
        assert_eq!((is_replayed(&answer), answer.field("x-edge")), (replayed, Some("a")));
        assert_eq!(answer.field("etag"), None);
        assert_eq!(
            answer.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case("x-request-id")).count(),
            1
        );
    }
}

#[test]
fn a_denied_request_claims_nothing() {
    let origin = super::counting();
    let route = "name: api, idempotency: true, rate_limit: { rate: 2/h }";
    let gateway = Setup::to(&[origin.address]).route(route).start();
    let mut client = gateway.client();
    let mut of = |key: &str| {
        let answer = post(&mut client, key, "x");
        (answer.status, is_replayed(&answer))
    };
    assert_eq!(["a", "a", "b"].map(&mut of), [(201, false), (201, true), (429, false)]);
    let keys = gateway.admin("GET", "/idempotency").json();
    assert_eq!((&keys["keys"], &keys["requests"]["replayed"]), (&1.into(), &1.into()));
}

#[test]
fn a_large_upload_is_refused_or_passes_marked() {
    let (small, large) = ("x".repeat(1024), "x".repeat(1025));
    let origin = super::counting();
    let gateway = route(&origin, "max_body: 1KiB");
    assert_eq!(post(&mut gateway.client(), "small", &small).status, 201);
    let answer = post(&mut gateway.client(), "k", &large);
    assert_eq!((answer.status, problem(&answer)), (413, "idempotency-body-too-large".into()));
    let chunks = |key: &str, length: usize| {
        let piece = "y".repeat(length);
        format!(
            "POST /up HTTP/1.1\r\nHost: weir.test\r\n{ALICE}Idempotency-Key: {key}\r\n\
             Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{piece}\r\n{length:x}\r\n{piece}\r\n0\r\n\r\n"
        )
    };
    let mut client = gateway.client();
    client.send(chunks("k", 600).as_bytes());
    assert_eq!(client.answer("POST").unwrap().status, 413);
    assert_eq!(origin.seen().len(), 1);
    let counted = || {
        let requests = gateway.admin("GET", "/idempotency").json()["requests"].clone();
        (requests["first"].as_u64(), requests["refused"].as_u64())
    };
    assert!(eventually(|| counted() == (Some(1), Some(2))), "{:?}", counted());
    let gateway = route(&origin, "max_body: 1KiB, large_body: pass");
    for _ in 0..2 {
        let answer = post(&mut gateway.client(), "k", &large);
        assert_eq!((answer.status, answer.field("idempotency-status")), (201, Some("ignored")));
        let mut client = gateway.client();
        client.send(chunks("c", 600).as_bytes());
        let answer = client.answer("POST").unwrap();
        assert_eq!((answer.status, answer.field("idempotency-status")), (201, Some("ignored")));
    }
    assert_eq!(origin.seen().len(), 5);
    let whole = origin.seen_at("/up");
    assert!(whole.iter().all(|seen| seen.body == "y".repeat(1200).as_bytes()));
    let mut client = gateway.client();
    for replayed in [false, true] {
        client.send(chunks("d", 100).as_bytes());
        assert_eq!(is_replayed(&client.answer("POST").unwrap()), replayed, "short ones are kept");
    }
}

#[test]
fn a_body_that_waits_for_its_invitation_gets_one() {
    let origin = super::counting();
    let gateway = route(&origin, "max_body: 10B");
    let mut client = gateway.client();
    let fields = format!("{ALICE}Idempotency-Key: k\r\nExpect: 100-continue\r\n");
    client.send(request("/", &fields, "12345").strip_suffix("12345").unwrap().as_bytes());
    assert!(String::from_utf8(client.line().unwrap().unwrap()).unwrap().contains("100"));
    client.line().unwrap();
    client.send(b"12345");
    assert_eq!(client.answer("POST").unwrap().status, 201);
    let mut client = gateway.client();
    let refused = request("/", &fields, &"x".repeat(11));
    client.send(refused.strip_suffix(&"x".repeat(11)).unwrap().as_bytes());
    let answer = client.answer("POST").unwrap();
    assert_eq!((answer.status, answer.interim), (413, vec![]), "and none where it is not wanted");
}

#[test]
fn a_full_store_denies_or_passes_but_never_forgets() {
    let count = Arc::new(AtomicUsize::new(0));
    let shared = count.clone();
    let body = "z".repeat(200_000);
    let origin = Origin::start(move |x| {
        shared.fetch_add(1, Ordering::AcqRel);
        x.read_body()?;
        x.reply(201, "", &body)
    });
    let yaml = |policy: &str| {
        format!(
            "workers: 2\nadmin: {{ bind: \"$ADMIN\" }}\nlisteners: [\"$LISTEN\"]\n\
             timeouts: {{ drain: 2s }}\nidempotency: {{ memory: 1MiB }}\n\
             upstreams: {{ origin: {{ endpoints: [\"{}\"] }} }}\n\
             routes: [{{ to: origin, idempotency: {{ on_store_failure: {policy} }} }}]\n",
            origin.address
        )
    };
    let gateway = Setup::yaml(&yaml("deny")).start();
    let mut client = gateway.client();
    let mut denied = None;
    for n in 0..2000 {
        let answer = post(&mut client, &format!("k{n}"), "x");
        if answer.status != 201 {
            denied = Some((n, answer));
            break;
        }
    }
    let (n, answer) = denied.unwrap();
    assert_eq!((answer.status, problem(&answer)), (503, "idempotency-store-unavailable".into()));
    assert!(answer.field("retry-after").is_some());
    assert_eq!(count.load(Ordering::Acquire), n);
    let first = post(&mut client, "k0", "x");
    assert_eq!((first.status, is_replayed(&first)), (201, true), "what was there is there");
    for k in 1..n {
        let status = post(&mut client, &format!("k{k}"), "x").status;
        assert!(matches!(status, 201 | 409), "{k} {status}");
    }
    assert_eq!(count.load(Ordering::Acquire), n, "nothing ran again");
    let file = std::fs::read_to_string(&gateway.file).unwrap();
    std::fs::write(&gateway.file, file.replace("deny", "pass")).unwrap();
    let loads = || gateway.admin("GET", "/status").json()["config"]["loads"].clone();
    assert!(eventually(|| loads() == 2));
    let answer = ask(&mut client, "/payments", &format!("{ALICE}Idempotency-Key: new\r\n"), "x");
    assert_eq!((answer.status, answer.field("idempotency-status")), (201, Some("ignored")));
}
