//! What tells a request from another under the same key: a hash of what it asks for.
//!
//! The body goes in as it arrives. Two requests with the same fingerprint are the same request:
//! nobody finds two that are not (SHA-256).

use aws_lc_rs::digest::{Context, SHA256};
use http::{HeaderMap, HeaderName, Method};

use super::key::{absorb, finish};

/// The hash of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// A fingerprint in the making: the body is still to come.
#[derive(Clone)]
pub struct Fingerprinter {
    context: Context,
    length: u64,
}

impl Fingerprint {
    /// From its bytes.
    pub const fn new(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The hash.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Fingerprinter {
    /// Begins with a request's head: `target` is its path and query as the client wrote them, and
    /// of its fields `names` count, in this order. The authority counts in small letters.
    pub fn new(
        method: &Method,
        authority: &str,
        target: &str,
        headers: &HeaderMap,
        names: &[HeaderName],
    ) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(b"weir idempotency print 1");
        absorb(&mut context, method.as_str().as_bytes());
        absorb(&mut context, authority.to_ascii_lowercase().as_bytes());
        absorb(&mut context, target.as_bytes());
        context.update(&(names.len() as u64).to_be_bytes());
        for name in names {
            absorb(&mut context, name.as_str().as_bytes());
            let values = headers.get_all(name);
            context.update(&(values.iter().count() as u64).to_be_bytes());
            values.iter().for_each(|value| absorb(&mut context, value.as_bytes()));
        }
        Self { context, length: 0 }
    }

    /// Goes on with a piece of the body; where it was cut makes no difference.
    pub fn update(&mut self, piece: &[u8]) {
        self.context.update(piece);
        self.length += piece.len() as u64;
    }

    /// The body is whole.
    pub fn finish(mut self) -> Fingerprint {
        self.context.update(&self.length.to_be_bytes());
        Fingerprint(finish(self.context))
    }
}

impl std::fmt::Debug for Fingerprinter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fingerprinter").field("length", &self.length).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(
        method: &Method,
        authority: &str,
        target: &str,
        kind: &[&str],
        body: &[&[u8]],
    ) -> [u8; 32] {
        let name = HeaderName::from_static("content-type");
        let mut headers = HeaderMap::new();
        for value in kind {
            headers.append(&name, value.parse().unwrap());
        }
        headers.insert("x-other", "1".parse().unwrap());
        let mut print = Fingerprinter::new(method, authority, target, &headers, &[name]);
        body.iter().for_each(|piece| print.update(piece));
        *print.finish().bytes()
    }

    #[test]
    fn every_part_counts_and_pieces_do_not() {
        let first = print(&Method::POST, "a.b", "/x?y", &["t"], &[b"body"]);
        assert_eq!(first, print(&Method::POST, "A.b", "/x?y", &["t"], &[b"bo", b"", b"dy"]));
        let others = [
            print(&Method::PATCH, "a.b", "/x?y", &["t"], &[b"body"]),
            print(&Method::POST, "a.c", "/x?y", &["t"], &[b"body"]),
            print(&Method::POST, "a.b", "/X?y", &["t"], &[b"body"]),
            print(&Method::POST, "a.b/", "x?y", &["t"], &[b"body"]),
            print(&Method::POST, "a.b", "/x?y", &[], &[b"body"]),
            print(&Method::POST, "a.b", "/x?y", &[""], &[b"body"]),
            print(&Method::POST, "a.b", "/x?y", &["t", ""], &[b"body"]),
            print(&Method::POST, "a.b", "/x?y", &["t"], &[b"bodY"]),
            print(&Method::POST, "a.b", "/x?y", &["t"], &[]),
        ];
        for (i, other) in others.iter().enumerate() {
            assert_ne!(*other, first, "{i}");
            assert!(!others[i + 1..].contains(other), "{i}");
        }
    }
}
