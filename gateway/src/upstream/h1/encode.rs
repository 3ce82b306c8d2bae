//! HTTP/1.1 requests to bytes (RFC 9112 section 3). Pure.
//!
//! Heads come checked and in their final form ([`crate::http::headers::prepare_upstream`]): one
//! Host, one framing. Names and values cannot hold a line's end, their types see to that.

use bytes::{BufMut as _, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};

use crate::{error::Error, http::guard::Framing};

#[cfg(test)]
mod tests;

/// Appends a head.
pub(super) fn put_head(out: &mut BytesMut, head: &Parts) {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    out.reserve(64 + target.len() + 48 * head.headers.len());
    out.put_slice(head.method.as_str().as_bytes());
    out.put_slice(b" ");
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
    put_fields(out, &head.headers);
    out.put_slice(b"\r\n");
}

fn put_fields(out: &mut BytesMut, fields: &HeaderMap) {
    for (name, value) in fields {
        put_field(out, name, value);
    }
}

fn put_field(out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
    let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
    out.reserve(name.len() + value.len() + 4);
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}

/// Frames a body as its head announced it.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyEncoder {
    framing: Framing,
}

impl BodyEncoder {
    pub(super) const fn new(framing: Framing) -> Self {
        Self { framing }
    }

    /// Appends a piece of the body.
    ///
    /// # Errors
    /// [`Error::Bug`]: it is longer than its announced length.
    pub(super) fn put_data(&mut self, out: &mut BytesMut, data: &[u8]) -> Result<(), Error> {
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Error::Bug)?;
                out.extend_from_slice(data);
            }
            // A chunk of size 0 would end the body.
            Framing::Unknown if !data.is_empty() => {
                out.reserve(data.len() + 20);
                let mut hex = [0; 16];
                out.put_slice(hexadecimal(data.len(), &mut hex));
                out.put_slice(b"\r\n");
                out.put_slice(data);
                out.put_slice(b"\r\n");
            }
            Framing::Unknown | Framing::None => {}
        }
        Ok(())
    }

    /// Appends the end of the body.
    ///
    /// # Errors
    /// [`Error::ClientGone`]: it is shorter than its announced length.
    pub(super) fn put_end(
        &self,
        out: &mut BytesMut,
        trailers: Option<&HeaderMap>,
    ) -> Result<(), Error> {
        match self.framing {
            Framing::Length(left) if left > 0 => return Err(Error::ClientGone),
            Framing::Unknown => {
                out.put_slice(b"0\r\n");
                if let Some(trailers) = trailers {
                    put_fields(out, trailers);
                }
                out.put_slice(b"\r\n");
            }
            Framing::Length(_) | Framing::None => {}
        }
        Ok(())
    }
}

fn hexadecimal(mut value: usize, digits: &mut [u8; 16]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b"0123456789abcdef"[value & 15];
        value >>= 4;
        if value == 0 {
            return &digits[start..];
        }
    }
}
