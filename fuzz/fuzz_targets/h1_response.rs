//! Whatever an endpoint sends is read without a panic, within bounds, and to the same end however
//! the network cuts it.
#![no_main]

use bytes::BytesMut;
use http::{HeaderMap, Method, StatusCode};
use libfuzzer_sys::fuzz_target;
use weir_gateway::{
    error::Error,
    upstream::h1::decode::{Body, HEAD_BYTES, Step, take_head},
};

/// All that a reader learns of a connection's bytes, but for why it refuses them: how soon a fault
/// shows depends on how many bytes are there.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    heads: Vec<(StatusCode, HeaderMap, bool)>,
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    complete: bool,
    refused: bool,
}

struct Reader {
    method: Method,
    buffer: BytesMut,
    body: Option<Body>,
    seen: Seen,
}

impl Reader {
    fn new(method: Method) -> Self {
        Self { method, buffer: BytesMut::new(), body: None, seen: Seen::default() }
    }

    /// Reads as far as the bytes go.
    fn advance(&mut self) -> Result<(), Error> {
        while !self.seen.complete {
            let Some(body) = &mut self.body else {
                let Some(head) = take_head(&mut self.buffer)? else {
                    assert!(self.buffer.len() < HEAD_BYTES);
                    return Ok(());
                };
                let (status, fields) = (head.response.status(), head.response.headers().clone());
                self.seen.heads.push((status, fields, head.keeps_alive()));
                if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                    self.body = Some(Body::new(head.framing(&self.method)?));
                }
                continue;
            };
            let left = body.remaining();
            match body.step(&mut self.buffer)? {
                Step::Data(data) => {
                    assert!(!data.is_empty());
                    assert!(left.is_none_or(|left| data.len() as u64 <= left));
                    self.seen.data.extend_from_slice(&data);
                }
                Step::Trailers(trailers) => {
                    self.seen.trailers = Some(trailers);
                    self.seen.complete = true;
                }
                Step::End => self.seen.complete = true,
                Step::More => {
                    assert!(self.buffer.len() < HEAD_BYTES);
                    return Ok(());
                }
            }
            assert!(!self.seen.complete || body.is_done());
        }
        Ok(())
    }

    fn read<'a>(mut self, pieces: impl Iterator<Item = &'a [u8]>) -> Seen {
        for piece in pieces {
            self.buffer.extend_from_slice(piece);
            if self.advance().is_err() {
                self.seen.refused = true;
                return self.seen;
            }
        }
        if let (Some(body), false) = (&mut self.body, self.seen.complete) {
            self.seen.complete = body.close().is_ok();
        }
        self.seen
    }
}

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (head, size, bytes) = input;
    let method = if head { Method::HEAD } else { Method::GET };
    let whole = Reader::new(method.clone()).read(std::iter::once(bytes));
    let cut = Reader::new(method).read(bytes.chunks(usize::from(size) + 1));
    assert_eq!(whole, cut);
});
