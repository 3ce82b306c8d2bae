//! Whatever members are sent: what can be read is written back to the same bytes, and a member that
//! takes it in neither panics nor sends a packet that is too long.
//!
//! The input is messages of two bytes of length each; the upper two bits of the length say which
//! way a message comes.
#![no_main]

use std::{net::SocketAddr, sync::Arc};

use libfuzzer_sys::fuzz_target;
use weir_discovery::swim::{
    Chance, Effects, Input, Moment, Params, Record, Swim,
    codec::{read_packet, read_stream, write_header, write_speech, write_update},
};

fuzz_target!(|data: &[u8]| run(data));

fn run(mut data: &[u8]) {
    let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mut rng = Chance::seeded(1);
    let record = Arc::new(Record::new("n1", 1, addr(1), b"meta").expect("it is short"));
    let params = Arc::new(Params::default());
    let most = params.packet_bytes;
    let mut now = Moment::default();
    let mut swim = Swim::new(params, record, &[addr(2)], now, &mut rng);
    let mut out = Effects::default();
    while let Some(([high, low], rest)) = data.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high & 0x3f, *low]));
        let (message, rest) = rest.split_at(length.min(rest.len()));
        data = rest;
        come_back(message);
        let input = match high >> 6 {
            0 => Input::Packet(addr(3), message),
            1 => Input::Request(1, message),
            2 => Input::Response(1, message),
            _ => Input::Timeout,
        };
        if matches!(input, Input::Timeout) {
            now = now.max(swim.deadline());
        }
        swim.handle(input, now, &mut rng, &mut out);
        assert!(out.packets().all(|(_, bytes)| bytes.len() <= most));
        out.clear();
        if swim.deadline() == Moment::from_micros(u64::MAX) {
            return;
        }
    }
}

fn come_back(message: &[u8]) {
    let mut bytes = Vec::new();
    if let Ok((header, updates)) = read_packet(message) {
        write_header(&header, &mut bytes);
        updates.for_each(|update| write_update(&update, &mut bytes));
        assert_eq!(bytes, message);
    } else if let Ok((from, speech, updates)) = read_stream(message) {
        write_speech(from, &speech, &mut bytes);
        updates.for_each(|update| write_update(&update, &mut bytes));
        assert_eq!(bytes, message);
    }
}
