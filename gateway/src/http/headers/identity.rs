//! Which request this is: x-request-id and W3C Trace Context.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue};

use super::name;

/// Longest x-request-id that is taken over, in bytes.
const ID_MAX: usize = 128;

/// Keeps the x-request-id of a trusted hop, if it is one field of 1 to 128 visible ASCII
/// characters; else makes a new one of 128 random bits in hex.
pub(super) fn choose(headers: &HeaderMap, trusted: bool, ids: &mut Ids) -> HeaderValue {
    if trusted {
        let mut values = headers.get_all(&name::X_REQUEST_ID).iter();
        if let (Some(id), None) = (values.next(), values.next())
            && (1..=ID_MAX).contains(&id.len())
            && id.as_bytes().iter().all(u8::is_ascii_graphic)
        {
            return id.clone();
        }
    }
    let mut id = ids.draw();
    // No two are alike: in HPACK's table they would only push out what repeats.
    id.set_sensitive(true);
    id
}

/// Makes new ids: 128 random bits in hex. They lie in blocks that they share, since an id goes both
/// ways: alone, each would take two allocations.
#[derive(Debug)]
pub struct Ids {
    rng: fastrand::Rng,
    block: BytesMut,
}

impl Ids {
    /// Bytes of an id.
    const LENGTH: usize = 32;
    /// Ids that share a block, which lives as long as the last of them.
    const SHARE: usize = 16;

    /// Ids by this randomness.
    pub fn new(rng: fastrand::Rng) -> Self {
        Self { rng, block: BytesMut::new() }
    }

    fn draw(&mut self) -> HeaderValue {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; Self::LENGTH];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.rng.u128(..).to_be_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        if self.block.capacity() < Self::LENGTH {
            self.block = BytesMut::with_capacity(Self::SHARE * Self::LENGTH);
        }
        self.block.extend_from_slice(&hex);
        let id = self.block.split().freeze();
        // Hex digits are a valid value; the fallback never shows.
        HeaderValue::from_maybe_shared(id).unwrap_or(HeaderValue::from_static("0"))
    }
}

/// Passes a valid traceparent on with its tracestate, and drops both otherwise (Trace Context,
/// 3.2.2.5 and 3.3.1.1): a backend would ignore them or, worse, not.
pub(super) fn check_trace(headers: &mut HeaderMap) {
    let mut values = headers.get_all(&name::TRACEPARENT).iter();
    match (values.next(), values.next()) {
        (None, _) => {}
        (Some(parent), None) if is_traceparent(parent.as_bytes()) => return,
        _ => {
            headers.remove(&name::TRACEPARENT);
        }
    }
    headers.remove(&name::TRACESTATE);
}

/// `version-trace-parent-flags` in lower-case hex; later versions may append `-more`.
fn is_traceparent(value: &[u8]) -> bool {
    if value.len() < 55 || (value.len() > 55 && (value.starts_with(b"00") || value[55] != b'-')) {
        return false;
    }
    let hex = |part: &[u8]| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |part: &[u8]| part.iter().all(|b| *b == b'0');
    let (version, trace, parent, flags) =
        (&value[..2], &value[3..35], &value[36..52], &value[53..55]);
    [value[2], value[35], value[52]] == *b"---"
        && [version, trace, parent, flags].into_iter().all(hex)
        && version != b"ff"
        && !zero(trace)
        && !zero(parent)
}
