//! Interim responses (RFC 9110 section 15.2): passed on as they come, never kept.

use super::{caching, get};
use crate::support::origin::{Exchange, Origin};

/// Says first what comes, in one piece with the response or before it.
fn hinting() -> Origin {
    Origin::start(|x: &mut Exchange| {
        x.read_body()?;
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Early: yes\r\n\
                     Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n";
        let last = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok";
        if x.target() == "/slow" {
            x.send(format!("HTTP/1.1 102 Processing\r\n\r\n{hints}"))?;
            std::thread::sleep(std::time::Duration::from_millis(100));
            x.send(last)?;
        } else {
            x.send(format!("{hints}{last}"))?;
        }
        Ok(crate::support::origin::Next::Keep)
    })
}

#[test]
fn they_reach_the_client_and_are_not_kept() {
    let origin = hinting();
    let gateway = caching(origin.address, "true");
    for (target, expected) in [("/x", &[103][..]), ("/slow", &[102, 103])] {
        let first = get(&gateway, target);
        assert_eq!((first.interim.as_slice(), first.text().as_str()), (expected, "ok"));
        assert_eq!(first.field("x-early"), None);
        let again = get(&gateway, target);
        assert_eq!((again.interim.len(), again.text().as_str()), (0, "ok"));
        assert_eq!(again.field("x-early"), None);
    }
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn they_stay_between_the_responses() {
    let origin = hinting();
    let gateway = caching(origin.address, "off");
    let mut client = gateway.client();
    let one = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send([one("/1"), one("/slow"), one("/2")].concat().as_bytes());
    for expected in [&[103][..], &[102, 103], &[103]] {
        let answer = client.answer("GET").unwrap();
        assert_eq!((answer.interim.as_slice(), answer.text().as_str()), (expected, "ok"));
    }
    // hyper invites, and nobody else.
    client
        .send(b"POST /3 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert_eq!(client.line().unwrap().as_deref(), Some(&b"HTTP/1.1 100 Continue"[..]));
    assert_eq!(client.line().unwrap().as_deref(), Some(&b""[..]));
    client.send(b"x");
    assert_eq!(client.answer("POST").unwrap().interim, [103]);
}

/// One that says it has content would have its reader take the response for that.
#[test]
fn they_have_no_framing() {
    let origin = hinting();
    let gateway = caching(origin.address, "off");
    let mut client = gateway.client();
    client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    let lines = std::iter::from_fn(|| client.line().unwrap().filter(|line| !line.is_empty()));
    let lines: Vec<_> = lines.map(|line| String::from_utf8(line).unwrap()).collect();
    assert_eq!(lines, ["HTTP/1.1 103 Early Hints", "link: </a>", "x-early: yes"]);
}

#[test]
fn an_old_client_gets_none() {
    let origin = hinting();
    let gateway = caching(origin.address, "true");
    let mut client = gateway.client();
    client.send(b"GET /slow HTTP/1.0\r\nHost: a\r\n\r\n");
    let answer = client.answer("GET").unwrap();
    assert_eq!((answer.interim.len(), answer.status), (0, 200));
}
