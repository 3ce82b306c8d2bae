//! Bringing a response in: to the client as it comes, and into the record once it is whole.

use std::{future::poll_fn, mem, pin::Pin};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body as _, Frame};

use super::{
    lease::Lease,
    record::{Gone, Recording},
    tape::{Rest, Tape},
};
use crate::{
    error::Error, http::body::Body, limit::Toll, snapshot::live::Errand, upstream::limit::Permit,
};

/// A response whose head is here.
pub(super) struct Intake {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Bytes of its body, if that is known.
    pub(super) length: Option<u64>,
    /// Bytes that are stored at the most.
    pub(super) most: u64,
    /// Its place among the upstream's requests.
    pub(super) permit: Option<Permit>,
    /// Its route's limits go by what is in the body: settled though the client may have left.
    pub(super) toll: Option<Toll>,
    pub(super) errand: Errand,
}

impl Intake {
    /// Brings `body` in. Whoever reads the end of it finds it recorded: its last piece, or else its
    /// end, waits for that.
    pub(super) async fn run(mut self, mut body: Body, tape: Tape, lease: Lease) {
        let (mut last, mut trailers) = (Bytes::new(), None);
        while !body.is_end_stream() {
            let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await else { break };
            match frame.map(Frame::into_data) {
                // No news: an end may come by itself.
                Ok(Ok(piece)) if piece.is_empty() => {}
                Ok(Ok(piece)) => {
                    if let Some(toll) = &mut self.toll {
                        toll.read(&piece);
                    }
                    if !last.is_empty() {
                        tape.push(mem::take(&mut last));
                    }
                    if let Some(why) = self.excess(&tape, &piece) {
                        lease.complete(Recording::gone(self.status, why), &self.errand).await;
                        tape.push(piece);
                        return tape.hand_over(Rest {
                            body,
                            toll: self.toll,
                            _permit: self.permit,
                        });
                    }
                    if body.is_end_stream() || self.is_whole(&tape, &piece) {
                        last = piece;
                    } else {
                        tape.push(piece);
                    }
                }
                Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
                Err(error) => {
                    lease.forsake().await;
                    return tape.fail(error);
                }
            }
        }
        let length = tape.length() + last.len() as u64;
        if self.length.is_some_and(|expected| expected != length) {
            lease.forsake().await;
            return tape.fail(Error::UpstreamGarbage);
        }
        // Gives the connection back before the store is asked, and settles what it did cost before
        // anybody can ask again.
        drop((body, self.permit, self.toll));
        let recording = match &trailers {
            None => Recording::whole(self.status, &self.headers, tape.whole(&last)),
            Some(_) => Recording::gone(self.status, Gone::Trailers),
        };
        lease.complete(recording, &self.errand).await;
        if !last.is_empty() {
            tape.push(last);
        }
        tape.finish(trailers);
    }

    /// Whether with this piece all is there that was announced, though its end may not be.
    fn is_whole(&self, tape: &Tape, piece: &Bytes) -> bool {
        self.length == Some(tape.length() + piece.len() as u64)
    }

    /// Why a piece is too much to be recorded.
    fn excess(&self, tape: &Tape, piece: &Bytes) -> Option<Gone> {
        let length = tape.length() + piece.len() as u64;
        if length > self.most {
            return Some(Gone::TooLarge);
        }
        (!tape.has_room(piece.len())).then_some(Gone::NoRoom)
    }
}
