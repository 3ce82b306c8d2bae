//! A good HTTP/2 request becomes a good HTTP/1.1 request, and its response comes back whole.

use super::Bench;
use crate::support::{
    frames::{DATA, END_STREAM, Frames, Outcome, PREFACE, request},
    gateway::Setup,
    seen::Framing,
};

fn send(bench: &Bench, fields: &[(&str, &str)], body: Option<&[&[u8]]>) -> Outcome {
    let mut frames = Frames::connect(bench.gateway.listen);
    frames.headers(1, fields, body.is_none());
    for (n, piece) in body.unwrap_or_default().iter().enumerate() {
        let end = if n + 1 == body.unwrap().len() { END_STREAM } else { 0 };
        frames.send(DATA, end, 1, piece).unwrap();
    }
    frames.outcome(1)
}

#[test]
fn cookie_crumbs_are_joined() {
    let bench = Bench::new();
    let crumbs = [("cookie", "a=1"), ("x-a", "b"), ("cookie", "b=2"), ("cookie", "c=3")];
    let fields = [&request("GET", "/x")[..], &crumbs].concat();
    assert_eq!(send(&bench, &fields, None).status(), 200);
    assert_eq!(bench.origin.completed("/x").all("cookie"), ["a=1; b=2; c=3"]);
}

#[test]
fn the_authority_is_the_host_whatever_the_field_says() {
    let bench = Bench::new();
    let fields = [&request("GET", "/x")[..], &[("host", "evil.test")]].concat();
    let outcome = send(&bench, &fields, None);
    if outcome.status() == 200 {
        assert_eq!(bench.origin.completed("/x").all("host"), ["weir.test"]);
    } else {
        assert!(super::is_refusal(&outcome), "{outcome:?}");
    }
}

#[test]
fn without_an_authority_the_host_field_counts() {
    let bench = Bench::new();
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/x"), ("host", "own.test")];
    assert_eq!(send(&bench, &fields, None).status(), 200);
    assert_eq!(bench.origin.completed("/x").all("host"), ["own.test"]);
}

#[test]
fn equal_lengths_collapse_into_one() {
    let bench = Bench::new();
    let lengths = [("content-length", "5"), ("content-length", "5")];
    let fields = [&request("POST", "/x")[..], &lengths].concat();
    let outcome = send(&bench, &fields, Some(&[b"hello"]));
    if outcome.status() == 200 {
        assert_eq!(bench.origin.completed("/x").all("content-length"), ["5"]);
    } else {
        assert!(super::is_refusal(&outcome), "{outcome:?}");
    }
}

#[test]
fn a_known_length_stays_and_an_unknown_one_becomes_chunks() {
    let bench = Bench::new();
    let fields = [&request("POST", "/x/known")[..], &[("content-length", "10")]].concat();
    assert_eq!(send(&bench, &fields, Some(&[b"hello", b"hello"])).text(), "POST /x/known 10");
    assert_eq!(bench.origin.completed("/x/known").framing, Framing::Length(10));
    let outcome = send(&bench, &request("POST", "/x/unknown"), Some(&[b"hello", b"", b"hello"]));
    assert_eq!(outcome.text(), "POST /x/unknown 10");
    assert_eq!(bench.origin.completed("/x/unknown").framing, Framing::Chunked);
    let outcome = send(&bench, &request("GET", "/x/none"), None);
    assert_eq!(outcome.text(), "GET /x/none 0");
    assert_eq!(bench.origin.completed("/x/none").framing, Framing::None);
}

#[test]
fn a_body_in_many_frames_with_padding_arrives_whole() {
    let bench = Bench::new();
    let mut frames = Frames::connect(bench.gateway.listen);
    frames.headers(1, &request("POST", "/x"), false);
    for n in 0..200u8 {
        let padded = [&[n % 8][..], b"ab", &vec![0; usize::from(n % 8)]].concat();
        frames.send(DATA, 8, 1, &padded).unwrap();
    }
    frames.send(DATA, END_STREAM, 1, b"").unwrap();
    assert_eq!(frames.outcome(1).text(), "POST /x 400");
    assert_eq!(bench.origin.completed("/x").body, b"ab".repeat(200));
}

#[test]
fn te_trailers_and_other_ordinary_fields_pass() {
    let bench = Bench::new();
    let more = [("te", "trailers"), ("x-a", ""), ("x-b", "b\tc"), ("user-agent", "test")];
    let fields = [&request("GET", "/x?q=1")[..], &more].concat();
    assert_eq!(send(&bench, &fields, None).status(), 200);
    let seen = bench.origin.completed("/x");
    assert_eq!((seen.target.as_str(), seen.field("x-b")), ("/x?q=1", Some("b\tc")));
}

#[test]
fn no_connection_field_of_h1_reaches_an_h2_client() {
    let origin = crate::support::origin::Origin::start(|x| {
        let fields = "Connection: x-internal, keep-alive\r\nX-Internal: s\r\nKeep-Alive: a\r\n\
                      Proxy-Connection: b\r\nX-Stays: 1\r\n";
        x.reply(200, fields, "ok")
    });
    let gateway = Setup::to(&[origin.address]).start();
    let outcome = Frames::connect(gateway.listen).get(1, "/x");
    let Outcome::Response { fields, .. } = outcome else { panic!("{outcome:?}") };
    let gone = ["connection", "keep-alive", "proxy-connection", "x-internal", "transfer-encoding"];
    for name in gone {
        assert!(!fields.iter().any(|(n, _)| n == name), "{name} in {fields:?}");
    }
    assert!(fields.iter().any(|(n, _)| n == "x-stays"));
}

#[test]
fn both_versions_share_a_port() {
    let bench = Bench::new();
    assert_eq!(Frames::connect(bench.gateway.listen).get(1, "/x/2").text(), "GET /x/2 0");
    assert_eq!(bench.gateway.client().get("/x/1").unwrap().text(), "GET /x/1 0");
    // The preface in single bytes is still the preface.
    let mut slow = bench.gateway.client();
    for byte in PREFACE {
        slow.send(&[*byte]);
    }
    slow.send(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
    assert_eq!(slow.bytes(9).unwrap()[3], 4, "SETTINGS answer");
}

#[test]
fn a_false_preface_is_neither_version() {
    let mut bench = Bench::new();
    for bytes in [
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        "PRI * HTTP/1.1\r\nHost: h\r\n\r\n",
        "PRI /x HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PRI * HTTP/2.0\r\nHost: h\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = bench.gateway.client();
        client.send(bytes.as_bytes());
        client.patience(std::time::Duration::from_secs(5));
        let said = client.rest();
        let text = String::from_utf8_lossy(said.as_deref().unwrap_or(b"still open")).into_owned();
        assert!(!text.starts_with("HTTP/1.1 2") && said.is_ok(), "{bytes:?}: {text}");
        bench.after("false preface").unwrap();
    }
    assert!(bench.origin.seen().iter().all(|s| s.method != "PRI"));
}

#[test]
fn an_answer_of_the_gateways_own_to_head_has_no_body() {
    let gateway = Setup::yaml(
        "workers: 1\nadmin: { bind: \"$ADMIN\" }\nlisteners: [{ bind: \"$LISTEN\" }]\n\
         routes: [{ match: /fixed, respond: { body: hello } }]\n",
    )
    .start();
    for (path, status) in [("/fixed", 200), ("/nowhere", 404)] {
        for (method, empty) in [("HEAD", true), ("GET", false)] {
            let mut frames = Frames::connect(gateway.listen);
            frames.headers(1, &request(method, path), true);
            let outcome = frames.outcome(1);
            assert_eq!(
                (outcome.status(), outcome.text().is_empty()),
                (status, empty),
                "{outcome:?}"
            );
        }
    }
}
