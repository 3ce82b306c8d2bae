//! Files that are longer than what fits into memory for one client.

use std::{fs, io::Write as _, thread, time::Duration};

use super::{get, simple};
use crate::support::eventually;

/// Bytes of which each place can be told.
fn bytes(length: usize) -> Vec<u8> {
    (0..length as u32 / 4).flat_map(u32::to_be_bytes).collect()
}

#[test]
fn a_large_file_comes_whole() {
    let (large, odd) = (bytes(9 << 20), bytes((128 << 10) * 3));
    let gateway = simple(&[("large.bin", &large), ("odd.bin", &odd[..(128 << 10) + 1])]);
    let client = &mut gateway.client();
    assert!(get(client, "/large.bin", "").body == large);
    assert!(get(client, "/odd.bin", "").body == odd[..(128 << 10) + 1]);
    let part = get(client, "/large.bin", "range: bytes=1000000-8000000\r\n");
    assert_eq!(part.status, 206);
    assert!(part.body == large[1_000_000..=8_000_000]);
    let several = get(client, "/large.bin", "range: bytes=0-199999,5000000-5399999\r\n");
    assert_eq!(several.status, 206);
    let length: usize = several.field("content-length").unwrap().parse().unwrap();
    assert_eq!(several.body.len(), length);
    let holds = |part: &[u8]| several.body.windows(part.len()).any(|window| window == part);
    assert!(holds(&large[199_000..200_000]) && holds(&large[5_000_000..5_001_000]));
}

#[test]
fn clients_that_do_not_read_hold_no_file_in_memory() {
    let gateway = simple(&[]);
    let large = fs::File::create(gateway.dir().join("public/large.bin")).unwrap();
    large.set_len(512 << 20).unwrap();
    get(&mut gateway.client(), "/none", "");
    let before = gateway.resident();
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let mut client = gateway.client();
            client.send(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n");
            client
        })
        .collect();
    thread::sleep(Duration::from_millis(500));
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for forty clients");
    // And others are served meanwhile.
    assert_eq!(get(&mut gateway.client(), "/none", "").status, 404);
    drop(clients);
}

#[test]
fn a_file_that_shrinks_is_cut_short() {
    let gateway = simple(&[]);
    let path = gateway.dir().join("public/large.bin");
    fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
    let mut client = gateway.client();
    client.send(b"GET /large.bin HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.line().unwrap().unwrap().starts_with(b"HTTP/1.1 200"));
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
    let rest = client.rest().unwrap_or_default();
    assert!(rest.len() < 64 << 20, "the client must see that something is missing");
    assert!(eventually(|| gateway.access_line("/large.bin")["flag"] == "FE"));
    // One that grows is as long as it was when it was asked for.
    let mut grows = fs::File::create(gateway.dir().join("public/grows.txt")).unwrap();
    grows.write_all(b"one").unwrap();
    assert_eq!(get(&mut gateway.client(), "/grows.txt", "").text(), "one");
    grows.write_all(b"two").unwrap();
    assert_eq!(get(&mut gateway.client(), "/grows.txt", "").text(), "onetwo");
}
