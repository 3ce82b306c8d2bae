//! Origins that break the rules of HTTP/3.

use std::fmt::Write as _;

use tempfile::TempDir;

use super::{Origin, Trust, assert_failure};
use crate::support::{eventually, gateway::Setup};

/// SETTINGS without a setting.
pub(super) const SETTINGS: &[u8] = &[4, 0];
/// HEADERS with `:status: 200` of the static table.
pub(super) const OK: &[u8] = &[1, 3, 0, 0, 0xc0 | 25];

fn bytes(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// A HEADERS frame with `:status: 200` and these fields, as literals.
fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = vec![0, 0, 0xc0 | 25];
    for (name, value) in fields {
        assert!(name.len() < 7 + 128 && value.len() < 127);
        if name.len() < 7 {
            block.push(0x20 | name.len() as u8);
        } else {
            block.extend([0x27, (name.len() - 7) as u8]);
        }
        block.extend(name.as_bytes());
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    }
    bytes(&[&[1, block.len() as u8], &block])
}

#[test]
fn malformed_responses_are_502() {
    let trust = Trust::new();
    let (names, responses): (Vec<_>, Vec<_>) = [
        ("nothing at all", vec![]),
        ("an unknown frame alone", vec![0x21, 1, 0]),
        ("data first", bytes(&[&[0, 2], b"hi", OK])),
        ("a dynamic reference", vec![1, 3, 2, 0, 0x80]),
        ("no status", vec![1, 2, 0, 0]),
        ("an upper-case name", head(&[("Server", "x")])),
        ("a connection field", head(&[("connection", "close")])),
        ("two statuses", vec![1, 4, 0, 0, 0xc0 | 25, 0xc0 | 25]),
        ("a cut frame", vec![1, 9, 0, 0]),
        ("settings on a request stream", bytes(&[SETTINGS, OK])),
        ("a push", vec![5, 4, 0, 0, 0, 0xc0 | 25]),
        ("two lengths", head(&[("content-length", "1"), ("content-length", "2")])),
        ("a signed length", head(&[("content-length", "+1")])),
    ]
    .into_iter()
    .unzip();
    let origin = Origin::raw(&trust.issued, SETTINGS, &responses);
    let setup = trust.setup(&[origin.address], "protocol: h3").route("retry: off");
    let gateway = setup.start();
    for (turn, name) in names.iter().enumerate() {
        let answer = gateway.client().get("/x").unwrap();
        assert_eq!(answer.status, 502, "{name}: {answer:?}");
        let said = answer.field("proxy-status").unwrap_or_default();
        assert!(said.contains("http_protocol_error"), "{name}: {said}");
        assert_eq!(origin.requests(), turn + 1, "{name}");
    }
}

#[test]
fn a_control_stream_without_settings_is_no_connection() {
    let trust = Trust::new();
    for control in [&[7, 1, 0][..], &[4, 2, 3, 0], &[0, 0]] {
        let origin = Origin::raw(&trust.issued, control, &[OK.to_vec()]);
        let gateway = trust.setup(&[origin.address], "protocol: h3, connect_timeout: 1s").start();
        let answer = gateway.client().get("/x").unwrap();
        assert_failure(&gateway, &answer, 502, "destination_unavailable", "UF");
    }
}

#[test]
fn rules_of_the_connection_are_kept_with_the_code_of_the_rfc() {
    let trust = Trust::new();
    let control = |more: &[u8]| (bytes(&[&[0], SETTINGS, more]), false);
    let other = |stream: &[u8]| (stream.to_vec(), false);
    let cases = [
        ("a push stream", 0x108, vec![control(&[]), other(&[1, 0])]),
        ("two control streams", 0x103, vec![control(&[]), control(&[])]),
        ("a control stream that ends", 0x104, vec![(bytes(&[&[0], SETTINGS]), true)]),
        ("settings again", 0x105, vec![control(SETTINGS)]),
        ("data on the control stream", 0x105, vec![control(&[0, 0])]),
        ("no settings", 0x10a, vec![other(&[0, 7, 1, 0])]),
        ("settings of HTTP/2", 0x109, vec![other(&[0, 4, 2, 3, 0])]),
        ("a farewell to a server's stream", 0x108, vec![control(&[7, 1, 1])]),
        ("a farewell that grows", 0x108, vec![control(&[7, 1, 4, 7, 1, 8])]),
        ("a table that we did not ask for", 0x201, vec![control(&[]), other(&[2, 0x21])]),
        ("thanks for nothing", 0x202, vec![control(&[]), other(&[3, 0x80])]),
        ("an encoder that ends", 0x104, vec![control(&[]), (vec![2], true)]),
    ];
    let origins: Vec<_> =
        cases.iter().map(|(_, _, streams)| Origin::uni(&trust.issued, streams)).collect();
    let dir = TempDir::new().unwrap();
    trust.authority.write(&dir.path().join("ca.pem"));
    let mut yaml = "workers: 1\nlisteners:\n  - { bind: \"$LISTEN\" }\nupstreams:\n".to_owned();
    let mut routes = "routes:\n".to_owned();
    for (n, origin) in origins.iter().enumerate() {
        let tls = "tls: { server_name: origin.test, ca: $DIR/ca.pem }";
        let endpoints = format!("endpoints: [\"{}\"]", origin.address);
        writeln!(yaml, "  o{n}: {{ {endpoints}, protocol: h3, {tls} }}").unwrap();
        writeln!(routes, "  - {{ match: {{ path: /{n} }}, to: o{n} }}").unwrap();
    }
    let gateway = Setup::yaml(&(yaml + &routes)).within(dir).start();
    for (n, (name, code, _)) in cases.iter().enumerate() {
        let answer = gateway.client().get(&format!("/{n}")).unwrap();
        assert_eq!(answer.status, 502, "{name}: {answer:?}");
        assert!(eventually(|| !origins[n].codes().is_empty()), "{name}: not closed");
        let codes = origins[n].codes();
        assert!(codes.iter().all(|seen| seen == code), "{name}: {codes:x?}");
    }
}

#[test]
fn grease_is_passed_over() {
    let trust = Trust::new();
    let control = bytes(&[SETTINGS, &[0x21, 3], b"abc"]);
    let response = bytes(&[&[0x21, 2], b"xy", OK, &[0x40, 0x40, 1, 0, 0, 2], b"hi", &[0x21, 0]]);
    let origin = Origin::raw(&trust.issued, &control, &[response]);
    let gateway = trust.setup(&[origin.address], "protocol: h3").start();
    assert_eq!(gateway.client().get("/x").unwrap().text(), "hi");
}

#[test]
fn requests_beyond_a_farewell_are_not_sent_again_and_again() {
    let trust = Trust::new();
    // GOAWAY 0 behind SETTINGS: nothing is ever processed.
    let origin = Origin::raw(&trust.issued, &bytes(&[SETTINGS, &[7, 1, 0]]), &[OK.to_vec()]);
    let gateway = trust.setup(&[origin.address], "protocol: h3").start();
    let answer = gateway.client().get("/x").unwrap();
    assert!(matches!(answer.status, 502 | 503), "{answer:?}");
    assert!(origin.connections() <= 3, "{}", origin.connections());
}
