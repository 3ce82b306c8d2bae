//! PROXY protocol, version 1 and 2: the address it names is the client's.

use std::time::Duration;

use crate::support::{
    client::get,
    frames::{ACK, PREFACE, SETTINGS, frame},
    gateway::{Gateway, Setup},
    origin::Origin,
};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn behind() -> (Origin, Gateway) {
    let origin = Origin::echo();
    let gateway = Setup::to(&[origin.address])
        .listener("proxy_protocol: true")
        .timeouts("handshake: 1s")
        .start();
    (origin, gateway)
}

/// A version 2 header: command, family, addresses and TLVs.
fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x20 | command, family], &length, addresses].concat()
}

#[test]
fn the_named_address_is_the_client() {
    let (origin, gateway) = behind();
    let four = [9, 9, 9, 9, 1, 1, 1, 1, 4, 0, 0, 80];
    let mut six = vec![0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    six.extend([0; 15]);
    six.extend([1, 4, 0, 0, 80]);
    let tlv = [&four[..], &[0x04, 0, 2, 0, 0]].concat();
    let rows: [(&str, Vec<u8>, &str); 7] = [
        ("v1", b"PROXY TCP4 9.9.9.9 1.1.1.1 1024 80\r\n".to_vec(), "9.9.9.9"),
        ("v1 six", b"PROXY TCP6 2001:db8::9 ::1 1024 80\r\n".to_vec(), "2001:db8::9"),
        ("v1 unknown", b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        ("v2", v2(1, 0x11, &four), "9.9.9.9"),
        ("v2 six", v2(1, 0x21, &six), "2001:db8::9"),
        ("v2 with more", v2(1, 0x11, &tlv), "9.9.9.9"),
        ("v2 local", v2(0, 0, &[]), "127.0.0.1"),
    ];
    let mut failures = Vec::new();
    for (n, (name, header, client)) in rows.iter().enumerate() {
        let target = format!("/x/{n}");
        let mut stream = gateway.client();
        stream.send(header).send(get(&target).as_bytes());
        match stream.answer("GET") {
            Ok(answer) if answer.status == 200 => {}
            other => {
                failures.push(format!("{name}: {other:?}"));
                continue;
            }
        }
        let seen = origin.completed(&target);
        if seen.all("x-forwarded-for") != [*client] {
            failures.push(format!("{name}: {:?}", seen.all("x-forwarded-for")));
        }
        let line = gateway.access_line(&format!("\"{target}\""));
        if line["client"] != *client {
            failures.push(format!("{name}: {line}"));
        }
    }
    crate::support::assert_none(&failures);
}

#[test]
fn a_header_in_single_bytes_is_a_header() {
    let (origin, gateway) = behind();
    let header = v2(1, 0x11, &[9, 9, 9, 9, 1, 1, 1, 1, 4, 0, 0, 80]);
    let mut client = gateway.client();
    for byte in [&header[..], get("/x").as_bytes()].concat() {
        client.send(&[byte]);
    }
    assert_eq!(client.answer("GET").unwrap().status, 200);
    assert_eq!(origin.completed("/x").all("x-forwarded-for"), ["9.9.9.9"]);
}

#[test]
fn without_a_good_header_nothing_is_served() {
    let (origin, gateway) = behind();
    let rows: Vec<Vec<u8>> = vec![
        get("/x").into_bytes(),
        b"PROXY TCP4 9.9.9.9 1.1.1.1 1024\r\n".to_vec(),
        b"PROXY TCP4 9.9.9.999 1.1.1.1 1024 80\r\n".to_vec(),
        b"PROXY TCP4 9.9.9.9 1.1.1.1 99999 80\r\n".to_vec(),
        b"PROXY TCP4 ::1 ::1 1024 80\r\n".to_vec(),
        b"proxy TCP4 9.9.9.9 1.1.1.1 1024 80\r\n".to_vec(),
        [&b"PROXY UNKNOWN "[..], &[b'a'; 200], b"\r\n"].concat(),
        v2(2, 0x11, &[9; 12]),
        v2(1, 0x11, &[9; 5]),
        v2(1, 0x11, &[9; 60_000]),
        [SIGNATURE, &[0x11, 0x11, 0, 12], &[9; 12]].concat(),
        SIGNATURE.to_vec(),
        Vec::new(),
    ];
    let mut failures = Vec::new();
    for header in rows {
        let mut client = gateway.client();
        client.send(&header);
        if header.len() > SIGNATURE.len() {
            client.send(get("/x").as_bytes());
        }
        client.patience(Duration::from_secs(6));
        match client.rest() {
            Ok(said) if said.is_empty() || said.starts_with(b"HTTP/1.1 400") => {}
            other => failures.push(format!("{:?}: {other:?}", String::from_utf8_lossy(&header))),
        }
    }
    failures.extend(origin.seen_at("/x").iter().map(|s| format!("arrived: {s:?}")));
    crate::support::assert_none(&failures);
}

#[test]
fn h2_follows_the_header_too() {
    let (_origin, gateway) = behind();
    let mut client = gateway.client();
    client.send(b"PROXY TCP4 9.9.9.9 1.1.1.1 1024 80\r\n");
    client.send(PREFACE).send(&frame(SETTINGS, 0, 0, &[])).send(&frame(SETTINGS, ACK, 0, &[]));
    assert_eq!(client.bytes(9).unwrap()[3], SETTINGS);
}
