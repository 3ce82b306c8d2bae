//! What others send, changed in every way that chance comes upon: it is read or refused, never
//! taken for more than it says, and takes nobody down. The same as the fuzz targets `swim`,
//! `announce` and `seal`, from fixed seeds.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{net::SocketAddr, sync::Arc};

use fastrand::Rng;
use weir_discovery::{
    announce::{Announcement, Kind as Process, Offer},
    seal::{Refused, Seal, Use},
    swim::{
        Chance, Effects, Header, Id, Input, Kind, Moment, Params, Profile, Record, Speech, Stamp,
        Swim, Update, Witnesses,
        codec::{read_packet, read_stream, write_header, write_speech, write_update},
    },
};

/// Mutations of each message.
const TURNS: usize = 4_000;
/// Values at which a length or a number turns.
const EDGES: [u8; 8] = [0, 1, 3, 4, 0x7f, 0x80, 0xfe, 0xff];

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// One to four changes: a bit, a byte, a cut, a piece doubled or moved, a piece of another message.
fn mutate(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..rng.usize(1..5) {
        if bytes.is_empty() {
            break;
        }
        let (at, other) = (rng.usize(..bytes.len()), rng.usize(..bytes.len()));
        match rng.u8(..7) {
            0 => bytes[at] ^= 1 << rng.u8(..8),
            1 => bytes[at] = EDGES[rng.usize(..EDGES.len())],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at.min(other)..at.max(other))),
            4 => {
                let piece = bytes[at.min(other)..at.max(other)].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => bytes.insert(at, rng.u8(..)),
            _ => {
                let seed = &seeds[rng.usize(..seeds.len())];
                let from = rng.usize(..seed.len());
                bytes.truncate(at);
                bytes.extend(&seed[from..]);
            }
        }
        bytes.truncate(4_096);
    }
    bytes
}

fn updates() -> Vec<Update<'static>> {
    let profile = |name, port| Profile { name, generation: 7, addr: addr(port), meta: b"meta" };
    let stamp = |name: &str| Stamp { id: Id::of(name), generation: 7, incarnation: 2 };
    let mut witnesses = Witnesses::default();
    for name in ["a", "b", "c"] {
        witnesses.insert(Id::of(name));
    }
    vec![
        Update::Alive(profile("a", 1), 0),
        Update::Alive(profile("b", 2), 3),
        Update::Suspect(stamp("a"), witnesses),
        Update::Suspect(stamp("n1"), Witnesses::default()),
        Update::Dead(stamp("b")),
        Update::Left(stamp("c")),
    ]
}

fn messages() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let id = Id::of("n1");
    for kind in
        [Kind::Ping(id), Kind::Ack(id), Kind::PingReq(id, addr(9)), Kind::Nack, Kind::Gossip]
    {
        let header = Header { from: Id::of("a"), generation: 7, digest: 1, sequence: 5, kind };
        let mut bytes = Vec::new();
        write_header(&header, &mut bytes);
        updates().iter().for_each(|update| write_update(update, &mut bytes));
        seeds.push(bytes);
    }
    let compare = Speech::Compare(Box::new([3; 64]));
    let pong = Speech::Pong(Stamp { id, generation: 1, incarnation: 0 });
    for speech in [compare, Speech::Differ(5), Speech::Push, Speech::Done, Speech::Ping(id), pong] {
        let mut bytes = Vec::new();
        write_speech(Id::of("a"), &speech, &mut bytes);
        updates().iter().for_each(|update| write_update(update, &mut bytes));
        seeds.push(bytes);
    }
    seeds
}

#[test]
fn messages_are_read_to_the_last_byte_or_refused() {
    let (seeds, mut rng) = (messages(), Rng::with_seed(1));
    let (mut read, all) = (0, TURNS * seeds.len());
    for _ in 0..all {
        let message = mutate(&seeds, &mut rng);
        let mut bytes = Vec::new();
        if let Ok((header, updates)) = read_packet(&message) {
            write_header(&header, &mut bytes);
            updates.for_each(|update| write_update(&update, &mut bytes));
        } else if let Ok((from, speech, updates)) = read_stream(&message) {
            write_speech(from, &speech, &mut bytes);
            updates.for_each(|update| write_update(&update, &mut bytes));
        } else {
            continue;
        }
        read += 1;
        assert_eq!(bytes, message);
    }
    assert!(read > all / 20, "the changes are no test: {read} of {all} can be read");
}

#[test]
fn a_member_takes_any_message() {
    let (seeds, mut rng) = (messages(), Rng::with_seed(2));
    for life in 0..20 {
        let mut chance = Chance::seeded(life);
        let record = Arc::new(Record::new("n1", 7, addr(1), b"meta").unwrap());
        let params = Arc::new(Params::default());
        let (most, mut now, mut out) = (params.packet_bytes, Moment::default(), Effects::default());
        let mut swim = Swim::new(params, record, &[addr(2)], now, &mut chance);
        for _ in 0..TURNS / 4 {
            let message = mutate(&seeds, &mut rng);
            let input = match rng.u8(..8) {
                0 => Input::Request(1, &message),
                1 => Input::Response(1, &message),
                2 => Input::Timeout,
                _ => Input::Packet(addr(3), &message),
            };
            if matches!(input, Input::Timeout) {
                now = now.max(swim.deadline());
            }
            swim.handle(input, now, &mut chance, &mut out);
            assert!(out.packets().all(|(_, bytes)| bytes.len() <= most));
            out.clear();
            if swim.deadline() == Moment::from_micros(u64::MAX) {
                break;
            }
        }
    }
}

#[test]
fn announcements_are_valid_or_refused() {
    let offer = |service: &str, port: u16| Offer {
        service: service.into(),
        address: addr(port),
        weight: 2,
        ready: true,
    };
    let six = Offer { address: "[::1]:443".parse().unwrap(), ..offer("users.v2", 1) };
    let said = [
        Announcement { kind: Process::Gateway, offers: Vec::new() },
        Announcement { kind: Process::Agent, offers: vec![offer("api", 80), six] },
        Announcement { kind: Process::Other(9), offers: vec![offer("a-b_c", 8080)] },
    ];
    let seeds: Vec<Vec<u8>> = said.iter().map(|one| one.encode().unwrap()).collect();
    let (mut rng, mut read) = (Rng::with_seed(3), 0);
    for _ in 0..TURNS * 10 {
        let Some(one) = Announcement::decode(&mutate(&seeds, &mut rng)) else { continue };
        read += 1;
        assert_eq!(Announcement::decode(&one.encode().unwrap()), Some(one));
    }
    assert!(read > TURNS, "the changes are no test: {read}");
}

#[test]
fn what_is_sealed_opens_only_as_it_was_and_once() {
    let secret: &[u8] = b"a secret of sixteen or more";
    let mut seal = Seal::new(&[secret], "x").unwrap();
    let seeds: Vec<Vec<u8>> = (0..8)
        .map(|length| {
            let mut out = Vec::new();
            seal.seal(Use::Packet, &vec![length; usize::from(length) * 9], &mut out).unwrap();
            out
        })
        .collect();
    let mut other = Seal::new(&[b"another secret of that size", secret], "x").unwrap();
    let mut rng = Rng::with_seed(4);
    for _ in 0..TURNS * 4 {
        let mut message = mutate(&seeds, &mut rng);
        if seeds.contains(&message) {
            continue;
        }
        assert_eq!(other.open(Use::Packet, &mut message), Err(Refused::Unsealed));
    }
    for (length, sealed) in seeds.iter().enumerate() {
        let opened = other.open(Use::Packet, &mut sealed.clone()).map(<[u8]>::len);
        assert_eq!(opened, Ok(length * 9));
        assert_eq!(other.open(Use::Packet, &mut sealed.clone()), Err(Refused::Replayed));
    }
}
