//! Whatever a peer sends over HTTP/3 is read without a panic, within bounds, and to the same end
//! however the network cuts it; what was read can be written and read again.
#![no_main]

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;
use weir_gateway::h3::{
    code::Code,
    fields::{self, Bounds},
    frame::{ControlFrames, ControlItem, Item, MessageFrames, Role, UniType},
    qpack::instructions::{DecoderStream, EncoderStream},
    settings, varint,
};

const HEADERS_MAX: usize = 256;
const BOUNDS: Bounds = Bounds { bytes: 4096, count: 64 };

/// All that a reader learns of a request stream.
#[derive(Debug, PartialEq)]
struct Message {
    blocks: Vec<Option<Bytes>>,
    data: Vec<u8>,
    end: Result<(), Code>,
}

fn message(role: Role, bytes: &Bytes, piece: usize) -> Message {
    let mut frames = MessageFrames::new(role, HEADERS_MAX);
    let mut seen = Message { blocks: Vec::new(), data: Vec::new(), end: Ok(()) };
    for at in (0..bytes.len()).step_by(piece) {
        frames.push(bytes.slice(at..bytes.len().min(at + piece)));
        loop {
            match frames.next() {
                Ok(None) => break,
                Ok(Some(Item::Headers(block))) => {
                    assert!(block.len() <= HEADERS_MAX);
                    if role == Role::Client && block.first().is_some_and(|byte| byte & 1 == 1) {
                        frames.interim();
                    }
                    seen.blocks.push(Some(block));
                }
                Ok(Some(Item::HeadersTooLong)) => seen.blocks.push(None),
                Ok(Some(Item::Data(data))) => {
                    assert!(!data.is_empty());
                    seen.data.extend_from_slice(&data);
                }
                Err(code) => {
                    seen.end = Err(code);
                    return seen;
                }
            }
        }
    }
    seen.end = frames.finish();
    seen
}

fn control(role: Role, bytes: &Bytes, piece: usize) -> (Vec<ControlItem>, Result<(), Code>) {
    let mut frames = ControlFrames::new(role);
    let mut items = Vec::new();
    for at in (0..bytes.len()).step_by(piece) {
        frames.push(bytes.slice(at..bytes.len().min(at + piece)));
        loop {
            match frames.next() {
                Ok(None) => break,
                Ok(Some(item)) => items.push(item),
                Err(code) => return (items, Err(code)),
            }
        }
    }
    (items, Ok(()))
}

/// The block of a HEADERS frame that we wrote.
fn payload(frame: &[u8]) -> &[u8] {
    let (_, kind) = varint::decode(frame).unwrap();
    let (length, size) = varint::decode(&frame[kind..]).unwrap();
    let block = &frame[kind + size..];
    assert_eq!(block.len() as u64, length);
    block
}

fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

fn sections(block: &[u8]) {
    let wide = Bounds { bytes: usize::MAX, count: usize::MAX };
    let mut out = BytesMut::new();
    if let Ok(request) = fields::request(block, BOUNDS) {
        assert!(size(request.headers()) <= BOUNDS.bytes);
        assert!(request.headers().len() < BOUNDS.count);
        let head = request.into_parts().0;
        fields::encode_request(&head, &mut out);
        let again = fields::request(payload(&out), wide).unwrap().into_parts().0;
        let mut headers = head.headers;
        if head.uri.authority().is_some() {
            headers.remove("host");
        }
        assert_eq!((again.method, again.uri), (head.method, head.uri));
        assert_eq!(again.headers, headers);
    }
    if let Ok(response) = fields::response(block, BOUNDS) {
        assert!(size(response.headers()) <= BOUNDS.bytes);
        out.clear();
        fields::encode_response(response.status(), response.headers(), &mut out);
        let again = fields::response(payload(&out), wide).unwrap();
        assert_eq!((again.status(), again.headers()), (response.status(), response.headers()));
    }
    if let Ok(trailers) = fields::trailers(block, BOUNDS) {
        assert!(size(&trailers) <= BOUNDS.bytes && trailers.len() <= BOUNDS.count);
        out.clear();
        fields::encode_trailers(&trailers, &mut out);
        assert_eq!(fields::trailers(payload(&out), wide), Ok(trailers));
    }
}

fn streams(bytes: &[u8], piece: usize) {
    let mut decoder = DecoderStream::new();
    let cut = bytes.chunks(piece).try_for_each(|chunk| decoder.push(chunk));
    assert_eq!(DecoderStream::new().push(bytes), cut);
    let mut encoder = EncoderStream::new();
    let cut = bytes.chunks(piece).try_for_each(|chunk| encoder.push(chunk));
    assert_eq!(EncoderStream::new().push(bytes), cut);
    let mut whole = Bytes::copy_from_slice(bytes);
    let kind = UniType::new().take(&mut whole);
    assert_eq!(kind.is_some(), varint::decode(bytes).is_some());
}

fuzz_target!(|input: (u8, &[u8])| {
    let (piece, bytes) = (usize::from(input.0).max(1), Bytes::copy_from_slice(input.1));
    let whole = bytes.len().max(1);
    for role in [Role::Server, Role::Client] {
        assert_eq!(message(role, &bytes, piece), message(role, &bytes, whole));
        assert_eq!(control(role, &bytes, piece), control(role, &bytes, whole));
    }
    if let Ok(read) = settings::decode(&bytes) {
        let mut out = BytesMut::new();
        settings::encode(&read, &mut out);
        assert_eq!(settings::decode(payload(&out)), Ok(read));
    }
    sections(&bytes);
    streams(&bytes, piece);
});
