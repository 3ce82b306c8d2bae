use proptest::prelude::*;

use super::*;
use crate::h3::{code::Code, settings::Settings};

const LIMIT: usize = 100;

/// A frame whose payload is `payload`.
fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    varint::encode(kind, &mut out);
    varint::encode(payload.len() as u64, &mut out);
    [&out, payload].concat()
}

fn id(kind: u64, id: u64) -> Vec<u8> {
    let mut payload = BytesMut::new();
    varint::encode(id, &mut payload);
    frame(kind, &payload)
}

/// A message as its reader sees it; the pieces of data that follow one another are put together.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Seen {
    items: Vec<Item>,
    end: Option<Result<(), Code>>,
}

fn read_into(frames: &mut MessageFrames, chunk: &[u8], seen: &mut Seen) -> Result<(), Code> {
    frames.push(Bytes::copy_from_slice(chunk));
    while let Some(item) = frames.next()? {
        match (item, seen.items.last_mut()) {
            (Item::Data(more), Some(Item::Data(data))) => {
                assert!(!more.is_empty());
                *data = [&data[..], &more].concat().into();
            }
            (Item::Headers(block), _) if block.starts_with(b"1xx") => {
                frames.interim();
                seen.items.push(Item::Headers(block));
            }
            (item, _) => seen.items.push(item),
        }
    }
    Ok(())
}

fn read(role: Role, bytes: &[u8], piece: usize) -> Seen {
    let mut frames = MessageFrames::new(role, LIMIT);
    let mut seen = Seen::default();
    for chunk in bytes.chunks(piece.max(1)) {
        if let Err(code) = read_into(&mut frames, chunk, &mut seen) {
            seen.end = Some(Err(code));
            return seen;
        }
    }
    seen.end = Some(frames.finish());
    seen
}

/// However it is cut, a message is read in one way.
fn message(role: Role, frames: &[Vec<u8>]) -> (Vec<Item>, Result<(), Code>) {
    let bytes = frames.concat();
    let whole = read(role, &bytes, bytes.len());
    for piece in 1..10 {
        assert_eq!(read(role, &bytes, piece), whole, "{piece}");
    }
    (whole.items, whole.end.unwrap())
}

fn headers(block: &str) -> Item {
    Item::Headers(Bytes::copy_from_slice(block.as_bytes()))
}

fn data(bytes: &str) -> Item {
    Item::Data(Bytes::copy_from_slice(bytes.as_bytes()))
}

#[test]
fn a_whole_message() {
    let frames = [
        frame(0x21, b"grease"),
        frame(kind::HEADERS, b"head"),
        frame(kind::DATA, b"abc"),
        frame(kind::DATA, b""),
        frame(0x4000_0000, &[0; 300]),
        frame(kind::DATA, b"def"),
        frame(kind::HEADERS, b"trailers"),
        frame(0x40, b"more grease"),
    ];
    let items = vec![headers("head"), data("abcdef"), headers("trailers")];
    for role in [Role::Server, Role::Client] {
        assert_eq!(message(role, &frames), (items.clone(), Ok(())));
    }
    assert_eq!(message(Role::Server, &[]), (Vec::new(), Ok(())));
    assert_eq!(message(Role::Server, &[frame(1, b"")]), (vec![headers("")], Ok(())));
}

#[test]
fn interim_heads_come_before_the_final_one() {
    let frames = [frame(1, b"1xx"), frame(1, b"1xx"), frame(1, b"head"), frame(0, b"a")];
    let items = vec![headers("1xx"), headers("1xx"), headers("head"), data("a")];
    assert_eq!(message(Role::Client, &frames), (items, Ok(())));
    let frames = [frame(1, b"1xx"), frame(0, b"a")];
    assert_eq!(message(Role::Client, &frames), (vec![headers("1xx")], Err(Code::FrameUnexpected)));
}

#[test]
fn frames_out_of_sequence_break_the_connection() {
    let (head, body) = (|| frame(1, b"h"), || frame(0, b"d"));
    for (frames, items) in [
        (vec![body()], 0),
        (vec![head(), head(), head()], 2),
        (vec![head(), head(), body()], 2),
        (vec![head(), body(), head(), body()], 3),
    ] {
        for role in [Role::Server, Role::Client] {
            let (seen, end) = message(role, &frames);
            assert_eq!((seen.len(), end), (items, Err(Code::FrameUnexpected)));
        }
    }
}

#[test]
fn frames_of_other_streams_break_the_connection() {
    for kind in [0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0d] {
        for before in [vec![], vec![frame(1, b"h")], vec![frame(1, b"h"), frame(1, b"t")]] {
            for role in [Role::Server, Role::Client] {
                let frames = [&before[..], &[id(kind, 0)]].concat();
                let push = kind == kind::PUSH_PROMISE && role == Role::Client;
                let code = if push { Code::IdError } else { Code::FrameUnexpected };
                assert_eq!(message(role, &frames).1, Err(code), "{kind}");
            }
        }
    }
}

#[test]
fn blocks_that_are_too_long_are_skipped() {
    let fits = "x".repeat(LIMIT);
    let frames = [frame(1, fits.as_bytes()), frame(0, b"a"), frame(1, &[0; LIMIT + 1])];
    let items = vec![headers(&fits), data("a"), Item::HeadersTooLong];
    assert_eq!(message(Role::Server, &frames), (items, Ok(())));
    // It is known from the first bytes, long before the block is there.
    let mut frames = MessageFrames::new(Role::Server, LIMIT);
    frames.push(Bytes::from_static(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]));
    assert_eq!(frames.next(), Ok(Some(Item::HeadersTooLong)));
    assert_eq!(frames.next(), Ok(None));
}

#[test]
fn a_frame_cut_off_is_an_error() {
    for cut in [frame(1, b"head"), [frame(1, b"h"), frame(0, b"data")].concat(), frame(0x21, b"ab")]
    {
        let bytes = &cut[..cut.len() - 1];
        assert_eq!(read(Role::Server, bytes, 99).end, Some(Err(Code::FrameError)));
        assert_eq!(read(Role::Server, bytes, 1).end, Some(Err(Code::FrameError)));
    }
    assert_eq!(read(Role::Server, &[0x40], 1).end, Some(Err(Code::FrameError)));
    assert_eq!(read(Role::Server, &[0x01], 1).end, Some(Err(Code::FrameError)));
}

#[test]
fn data_is_not_copied() {
    let chunk = Bytes::from([frame(1, b"h"), frame(0, b"data")].concat());
    let mut frames = MessageFrames::new(Role::Server, LIMIT);
    frames.push(chunk.clone());
    assert_eq!(frames.next(), Ok(Some(headers("h"))));
    let Ok(Some(Item::Data(data))) = frames.next() else { panic!("no data") };
    assert_eq!(data.as_ptr(), chunk[5..].as_ptr());
}

// === Control streams ===

fn control(role: Role, frames: &[Vec<u8>]) -> (Vec<ControlItem>, Result<(), Code>) {
    let bytes = frames.concat();
    let read = |piece: usize| {
        let mut frames = ControlFrames::new(role);
        let mut items = Vec::new();
        for chunk in bytes.chunks(piece) {
            frames.push(Bytes::copy_from_slice(chunk));
            loop {
                match frames.next() {
                    Ok(Some(item)) => items.push(item),
                    Ok(None) => break,
                    Err(code) => return (items, Err(code)),
                }
            }
        }
        (items, Ok(()))
    };
    let whole = read(bytes.len().max(1));
    for piece in 1..10 {
        assert_eq!(read(piece), whole, "{piece}");
    }
    whole
}

/// What comes of a frame behind SETTINGS.
fn after_settings(role: Role, frames: &[Vec<u8>]) -> Result<Vec<ControlItem>, Code> {
    let (mut items, end) = control(role, &[&[frame(4, b"")], frames].concat());
    assert_eq!(items.remove(0), ControlItem::Settings(Settings::default()));
    end.map(|()| items)
}

#[test]
fn settings_come_first_and_once() {
    let settings = Settings { max_field_section: Some(9), connect_protocol: true };
    let first = frame(4, &[0x06, 9, 0x08, 1]);
    for role in [Role::Server, Role::Client] {
        let whole = control(role, &[first.clone(), frame(0x21, &[0; 5000])]);
        assert_eq!(whole, (vec![ControlItem::Settings(settings)], Ok(())));
        for other in [id(kind::GOAWAY, 0), frame(0x21, b""), frame(0, b""), id(0x02, 0)] {
            assert_eq!(control(role, &[other]), (vec![], Err(Code::MissingSettings)));
        }
        assert_eq!(after_settings(role, &[frame(4, b"")]), Err(Code::FrameUnexpected));
        assert_eq!(control(role, &[frame(4, &[2, 0])]), (vec![], Err(Code::SettingsError)));
        assert_eq!(control(role, &[frame(4, &[6])]), (vec![], Err(Code::FrameError)));
    }
}

#[test]
fn frames_of_requests_break_the_connection() {
    for kind in [0x00, 0x01, 0x02, 0x05, 0x06, 0x08, 0x09] {
        for role in [Role::Server, Role::Client] {
            assert_eq!(after_settings(role, &[id(kind, 0)]), Err(Code::FrameUnexpected), "{kind}");
        }
    }
}

#[test]
fn goaway_never_grows() {
    let goaways = |ids: &[u64]| ids.iter().map(|n| id(kind::GOAWAY, *n)).collect::<Vec<_>>();
    let items = |ids: &[u64]| Ok(ids.iter().map(|n| ControlItem::GoAway(*n)).collect());
    for role in [Role::Server, Role::Client] {
        assert_eq!(after_settings(role, &goaways(&[8, 8, 0])), items(&[8, 8, 0]));
        assert_eq!(after_settings(role, &goaways(&[4, 8])), Err(Code::IdError));
    }
    // To a client it names a request, to a server a push.
    for odd in 1..4 {
        assert_eq!(after_settings(Role::Client, &goaways(&[odd])), Err(Code::IdError));
        assert_eq!(after_settings(Role::Server, &goaways(&[odd])), items(&[odd]));
    }
}

#[test]
fn push_ids_never_shrink() {
    let max = |n| id(kind::MAX_PUSH_ID, n);
    let item = ControlItem::MaxPushId;
    assert_eq!(after_settings(Role::Server, &[max(3), max(3)]), Ok(vec![item(3), item(3)]));
    assert_eq!(after_settings(Role::Server, &[max(3), max(2)]), Err(Code::IdError));
    assert_eq!(after_settings(Role::Client, &[max(3)]), Err(Code::FrameUnexpected));
    let cancel = id(kind::CANCEL_PUSH, 1);
    assert_eq!(after_settings(Role::Server, &[max(3), cancel.clone()]), Err(Code::IdError));
    assert_eq!(after_settings(Role::Client, &[cancel]), Err(Code::IdError));
}

#[test]
fn payloads_are_as_long_as_their_fields() {
    for kind in [kind::GOAWAY, kind::MAX_PUSH_ID, kind::CANCEL_PUSH] {
        for payload in [&[][..], &[0, 0], &[0x40], &[0x80, 0, 0, 0, 0]] {
            let ended = after_settings(Role::Server, &[frame(kind, payload)]);
            assert_eq!(ended, Err(Code::FrameError), "{kind} {payload:?}");
        }
        let long = frame(kind, &[0; PAYLOAD_BYTES + 1]);
        assert_eq!(after_settings(Role::Server, &[long]), Err(Code::ExcessiveLoad));
    }
    let long = frame(4, &[0; PAYLOAD_BYTES + 1]);
    assert_eq!(control(Role::Client, &[long]), (vec![], Err(Code::ExcessiveLoad)));
}

#[test]
fn goaway_is_written_as_it_is_read() {
    for n in [0, 4, 252, 4 << 40] {
        let mut out = BytesMut::new();
        encode_goaway(n, &mut out);
        let items = after_settings(Role::Client, &[out.to_vec()]);
        assert_eq!(items, Ok(vec![ControlItem::GoAway(n)]));
    }
}

#[test]
fn the_type_of_a_stream_leaves_what_follows() {
    let table: &[(&[u8], UniKind)] = &[
        (&[0x00], UniKind::Control),
        (&[0x01], UniKind::Push),
        (&[0x02], UniKind::QpackEncoder),
        (&[0x03], UniKind::QpackDecoder),
        (&[0x40, 0x00], UniKind::Control),
        (&[0x21], UniKind::Unknown),
        (&[0xff; 8], UniKind::Unknown),
    ];
    for (bytes, kind) in table {
        let mut chunk = Bytes::from([bytes, &b"rest"[..]].concat());
        assert_eq!(UniType::new().take(&mut chunk), Some(*kind));
        assert_eq!(chunk, "rest");
        let mut reader = UniType::new();
        for byte in &bytes[..bytes.len() - 1] {
            assert_eq!(reader.take(&mut Bytes::copy_from_slice(&[*byte])), None);
        }
        let mut last = Bytes::copy_from_slice(&bytes[bytes.len() - 1..]);
        assert_eq!(reader.take(&mut last), Some(*kind));
    }
}

proptest! {
    #[test]
    fn no_stream_is_read_in_two_ways(
        parts in prop::collection::vec((0_u64..12, any::<Vec<u8>>()), 0..6),
        garbage: Vec<u8>,
        piece in 1_usize..50,
    ) {
        let frames = parts.iter().map(|(kind, payload)| frame(*kind, payload));
        let bytes = [frame(1, b"head"), frames.collect::<Vec<_>>().concat(), garbage].concat();
        for role in [Role::Server, Role::Client] {
            prop_assert_eq!(read(role, &bytes, piece), read(role, &bytes, bytes.len()));
        }
        let settings = [frame(4, b""), bytes].concat();
        for role in [Role::Server, Role::Client] {
            let _ = control(role, std::slice::from_ref(&settings));
        }
    }
}
