use proptest::prelude::*;

use super::*;

fn addrs() -> impl Strategy<Value = SocketAddr> {
    let v4 = (any::<[u8; 4]>(), 1..u16::MAX).prop_map(SocketAddr::from);
    let v6 = (any::<[u8; 16]>(), 1..u16::MAX).prop_map(SocketAddr::from);
    prop_oneof![v4, v6]
}

fn stamps() -> impl Strategy<Value = Stamp> {
    let parts = (any::<u64>(), any::<u64>(), any::<u32>());
    parts.prop_map(|(id, generation, incarnation)| Stamp { id: Id(id), generation, incarnation })
}

fn headers() -> impl Strategy<Value = Header> {
    let id = any::<u64>().prop_map(Id);
    let kind = prop_oneof![
        id.clone().prop_map(Kind::Ping),
        id.clone().prop_map(Kind::Ack),
        (id.clone(), addrs()).prop_map(|(id, addr)| Kind::PingReq(id, addr)),
        Just(Kind::Nack),
        Just(Kind::Gossip),
    ];
    (id, any::<u64>(), any::<u64>(), any::<u32>(), kind).prop_map(
        |(from, generation, digest, sequence, kind)| Header {
            from,
            generation,
            digest,
            sequence,
            kind,
        },
    )
}

/// An update with its own bytes.
#[derive(Debug, Clone)]
enum Owned {
    Alive(String, u64, SocketAddr, Vec<u8>, u32),
    Suspect(Stamp, Vec<u64>),
    Dead(Stamp),
    Left(Stamp),
}

impl Owned {
    fn lend(&self) -> Update<'_> {
        match self {
            Self::Alive(name, generation, addr, meta, incarnation) => Update::Alive(
                Profile { name, generation: *generation, addr: *addr, meta },
                *incarnation,
            ),
            Self::Suspect(stamp, ids) => {
                let mut witnesses = Witnesses::default();
                for id in ids {
                    witnesses.insert(Id(*id));
                }
                Update::Suspect(*stamp, witnesses)
            }
            Self::Dead(stamp) => Update::Dead(*stamp),
            Self::Left(stamp) => Update::Left(*stamp),
        }
    }
}

fn updates() -> impl Strategy<Value = Owned> {
    let meta = prop::collection::vec(any::<u8>(), 0..META_BYTES_MAX);
    let alive = ("[a-zé]{1,40}", any::<u64>(), addrs(), meta, any::<u32>());
    prop_oneof![
        alive.prop_map(|(name, generation, addr, meta, incarnation)| {
            Owned::Alive(name, generation, addr, meta, incarnation)
        }),
        (stamps(), prop::collection::vec(any::<u64>(), 0..6))
            .prop_map(|(stamp, ids)| Owned::Suspect(stamp, ids)),
        stamps().prop_map(Owned::Dead),
        stamps().prop_map(Owned::Left),
    ]
}

proptest! {
    #[test]
    fn packets_come_back(header in headers(), news in prop::collection::vec(updates(), 0..8)) {
        let mut bytes = Vec::new();
        write_header(&header, &mut bytes);
        news.iter().for_each(|update| write_update(&update.lend(), &mut bytes));
        let (read, updates) = read_packet(&bytes).unwrap();
        prop_assert_eq!(read, header);
        prop_assert!(updates.eq(news.iter().map(Owned::lend)));
    }

    #[test]
    fn what_is_cut_off_is_not_read_otherwise(
        header in headers(),
        news in prop::collection::vec(updates(), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = Vec::new();
        write_header(&header, &mut bytes);
        news.iter().for_each(|update| write_update(&update.lend(), &mut bytes));
        if let Ok((read, updates)) = read_packet(&bytes[..cut.index(bytes.len())]) {
            prop_assert_eq!(read, header);
            let count = updates.clone().count();
            prop_assert!(updates.eq(news[..count].iter().map(Owned::lend)));
        }
    }

    #[test]
    fn any_bytes_are_read(mut bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = read_packet(&bytes).map(|(_, updates)| updates.count());
        let _ = read_stream(&bytes).map(|(_, _, updates)| updates.count());
        // And deeper than the version.
        if let [version, kind, ..] = &mut *bytes {
            *version = VERSION;
            *kind %= 24;
            let _ = read_packet(&bytes).map(|(_, updates)| updates.count());
            let _ = read_stream(&bytes).map(|(_, _, updates)| updates.count());
        }
    }

    #[test]
    fn speeches_come_back(from in any::<u64>(), mask in any::<u64>(), stamp in stamps()) {
        let buckets = Speech::Compare(Box::new([mask; BUCKETS]));
        let ping = Speech::Ping(stamp.id);
        for speech in
            [buckets, Speech::Differ(mask), Speech::Push, Speech::Done, ping, Speech::Pong(stamp)]
        {
            let mut bytes = Vec::new();
            write_speech(Id(from), &speech, &mut bytes);
            write_update(&Update::Dead(stamp), &mut bytes);
            let (sender, read, updates) = read_stream(&bytes).unwrap();
            prop_assert_eq!((sender, read), (Id(from), speech));
            prop_assert!(updates.eq([Update::Dead(stamp)]));
        }
    }
}

#[test]
fn the_longest_news_fits_in_the_smallest_packet() {
    let name = "n".repeat(NAME_BYTES_MAX);
    let addr = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 1);
    let profile = Profile { name: &name, generation: 1, addr, meta: &[0; META_BYTES_MAX] };
    let mut bytes = Vec::new();
    let kind = Kind::PingReq(Id(1), addr);
    write_header(&Header { from: Id(1), generation: 1, digest: 1, sequence: 1, kind }, &mut bytes);
    write_update(&Update::Alive(profile, 1), &mut bytes);
    assert!(bytes.len() <= 1024, "{}", bytes.len());
}

/// Numbers are in as few bytes as do, so that a message has one form.
#[test]
fn numbers_that_are_longer_than_needed_or_than_their_type_are_refused() {
    let small = |number: u64| {
        let mut bytes = Vec::new();
        write_small(number, &mut bytes);
        bytes
    };
    assert_eq!(small(0x7f), [0x7f]);
    assert_eq!(small(300), [0xac, 2]);
    for number in [0, 0x80, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(Reader(&small(number)).small(), Ok(number));
    }
    let refused: [&[u8]; 4] = [&[], &[0x80], &[0x80, 0], &[0xff; 11]];
    assert_eq!(refused.map(|bytes| Reader(bytes).small()), [Err(Malformed); 4]);
    let beyond = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
    assert_eq!(Reader(&beyond).small(), Err(Malformed));
    assert_eq!(Reader(&small(1 << 32)).incarnation(), Err(Malformed));
}

#[test]
fn other_versions_too_many_witnesses_and_port_zero_are_refused() {
    let mut bytes = Vec::new();
    let kind = Kind::Gossip;
    write_header(&Header { from: Id(1), generation: 1, digest: 1, sequence: 1, kind }, &mut bytes);
    assert!(read_packet(&bytes).is_ok());
    let mut newer = bytes.clone();
    newer[0] = VERSION + 1;
    assert_eq!(read_packet(&newer).err(), Some(Malformed));

    let stamp = Stamp { id: Id(7), generation: 1, incarnation: 1 };
    let mut suspect = bytes.clone();
    write_update(&Update::Suspect(stamp, Witnesses::default()), &mut suspect);
    *suspect.last_mut().unwrap() = WITNESSES_MAX as u8 + 1;
    suspect.extend((0..=WITNESSES_MAX as u32).flat_map(u32::to_be_bytes));
    assert_eq!(read_packet(&suspect).err(), Some(Malformed));

    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    write_update(
        &Update::Alive(Profile { name: "a", generation: 1, addr, meta: &[] }, 0),
        &mut bytes,
    );
    assert_eq!(read_packet(&bytes).err(), Some(Malformed));
}
