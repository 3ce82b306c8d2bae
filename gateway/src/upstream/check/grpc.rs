//! The messages of gRPC's health protocol, as far as a check needs them.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, response::Parts};
use http_body::Frame;

/// The method.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// Bytes of a reply that are kept: one with an answer has nine.
const REPLY_MOST: usize = 1024;
/// `ServingStatus.SERVING`.
const SERVING: u64 = 1;

/// `HealthCheckRequest { service }` in gRPC's frame: no compression, length, message.
pub(super) fn request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        // Field 1, of a length that follows.
        message.put_u8(0x0a);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len() as u32);
    frame.put(message);
    frame.freeze()
}

/// A reply as it comes.
#[derive(Debug)]
pub(super) struct Reply {
    /// The response's status, where it is not 200.
    refused: Option<u16>,
    message: BytesMut,
    /// `grpc-status`, from the trailers or, without a message, the head.
    code: Option<HeaderValue>,
}

impl Reply {
    /// Only the head is there.
    pub(super) fn new(head: &Parts) -> Self {
        let status = head.status.as_u16();
        Self {
            refused: Some(status).filter(|status| *status != 200),
            message: BytesMut::new(),
            code: code(&head.headers),
        }
    }

    /// More of it.
    pub(super) fn take(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => {
                let room = REPLY_MOST - self.message.len();
                self.message.put_slice(&data[..data.len().min(room)]);
            }
            Err(frame) => {
                if let Some(code) = frame.trailers_ref().and_then(code) {
                    self.code = Some(code);
                }
            }
        }
    }

    /// Whether the service is serving, once all is there.
    pub(super) fn judge(&self) -> Result<(), String> {
        if let Some(status) = self.refused {
            return Err(format!("status {status}"));
        }
        match self.code.as_ref().map(HeaderValue::as_bytes) {
            Some(b"0") => {}
            // The health protocol's word for a service that it does not know.
            Some(b"5") => return Err("gRPC: the service is not known".to_owned()),
            Some(b"12") => return Err("gRPC: the health protocol is not implemented".to_owned()),
            Some(code) => return Err(format!("gRPC status {}", String::from_utf8_lossy(code))),
            None => return Err("no gRPC status".to_owned()),
        }
        match serving_status(&self.message) {
            Some(SERVING) => Ok(()),
            Some(_) => Err("not serving".to_owned()),
            None => Err("an answer that is none of gRPC's health protocol".to_owned()),
        }
    }
}

fn code(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get("grpc-status").cloned()
}

/// `HealthCheckResponse.status`, field 1, in gRPC's frame; 0 when it is left out.
fn serving_status(mut frame: &[u8]) -> Option<u64> {
    let compressed = frame.try_get_u8().ok()?;
    let length = frame.try_get_u32().ok()?;
    let mut message = frame.get(..usize::try_from(length).ok()?)?;
    if compressed != 0 {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        let tag = take_varint(&mut message)?;
        match (tag, tag & 7) {
            (0x08, _) => status = take_varint(&mut message)?,
            (_, 0) => drop(take_varint(&mut message)?),
            (_, 2) => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            _ => return None,
        }
    }
    Some(status)
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = from.try_get_u8().ok()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use http::Response;
    use proptest::prelude::*;

    use super::*;

    fn judge(message: &[u8], code: Option<&'static str>) -> Result<(), String> {
        let (head, ()) = Response::new(()).into_parts();
        let mut reply = Reply::new(&head);
        for byte in message {
            reply.take(Frame::data(Bytes::copy_from_slice(&[*byte])));
        }
        if let Some(code) = code {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static(code));
            reply.take(Frame::trailers(trailers));
        }
        reply.judge()
    }

    #[test]
    fn requests_are_framed() {
        assert_eq!(request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(request("a.B")[..], *b"\0\0\0\0\x05\x0a\x03a.B");
        let long = request(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn only_serving_is_serving() {
        assert_eq!(judge(&[0, 0, 0, 0, 2, 8, 1], Some("0")), Ok(()));
        let beside = [0, 0, 0, 0, 8, 0x12, 2, 9, 9, 0x18, 7, 8, 1];
        assert_eq!(judge(&beside, Some("0")), Ok(()), "fields of a later protocol");
        for (message, code, why) in [
            (&[0, 0, 0, 0, 2, 8, 2][..], Some("0"), "not serving"),
            (&[0, 0, 0, 0, 0], Some("0"), "not serving"),
            (&[0, 0, 0, 0, 2, 8, 1], None, "no gRPC status"),
            (&[0, 0, 0, 0, 2, 8, 1], Some("14"), "gRPC status 14"),
            (&[], Some("12"), "not implemented"),
            (&[], Some("5"), "not known"),
            (&[1, 0, 0, 0, 2, 8, 1], Some("0"), "none of"),
            (&[0, 0, 0, 0, 3, 8, 1], Some("0"), "none of"),
            (&[0, 0, 0, 0, 2, 8, 0x80], Some("0"), "none of"),
            (&[], Some("0"), "none of"),
        ] {
            let said = judge(message, code).unwrap_err();
            assert!(said.contains(why), "{message:?} {code:?}: {said}");
        }
    }

    proptest! {
        #[test]
        fn no_reply_panics(message in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = judge(&message, Some("0"));
        }

        #[test]
        fn varints_come_back(value in any::<u64>()) {
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            prop_assert_eq!(take_varint(&mut &out[..]), Some(value));
        }
    }
}
