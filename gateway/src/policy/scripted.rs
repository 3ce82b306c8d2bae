//! A body that does what a test says, and what comes of one.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};

use crate::{
    error::Error,
    http::body::{Body, Pourable},
};

/// What a body does next.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Data(Vec<u8>),
    Trailers(HeaderMap),
    /// Nothing is ready, this once.
    Pause,
    Fail(Error),
}

#[derive(Debug)]
struct Script(VecDeque<Step>);

impl http_body::Body for Script {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(Some(match self.0.pop_front() {
            None => return Poll::Ready(None),
            Some(Step::Pause) => return Poll::Pending,
            Some(Step::Data(data)) => Ok(Frame::data(data.into())),
            Some(Step::Trailers(trailers)) => Ok(Frame::trailers(trailers)),
            Some(Step::Fail(error)) => Err(error),
        }))
    }
}

impl Pourable for Script {}

pub(super) fn body(steps: impl IntoIterator<Item = Step>) -> Body {
    Body::scripted(Script(steps.into_iter().collect()))
}

/// What came of reading a body.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Read {
    /// What came between two pauses, joined.
    pub(super) parts: Vec<Vec<u8>>,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) failed: Option<Error>,
    /// Most bytes of a piece.
    pub(super) longest: usize,
}

impl Read {
    pub(super) fn whole(&self) -> Vec<u8> {
        self.parts.concat()
    }
}

/// Reads a body to its end, going on after each pause.
pub(super) fn read(mut body: Body) -> Read {
    let mut read = Read { parts: vec![Vec::new()], ..Read::default() };
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Ready(None) => return read,
            Poll::Ready(Some(Err(error))) => {
                read.failed = Some(error);
                return read;
            }
            Poll::Pending => read.parts.push(Vec::new()),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => {
                    read.longest = read.longest.max(data.len());
                    read.parts.last_mut().unwrap().extend_from_slice(&data);
                }
                Err(frame) => read.trailers = frame.into_trailers().ok(),
            },
        }
    }
    panic!("it never ends: {read:?}");
}

/// Text that is neither all alike nor all different.
pub(super) fn text(length: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(3);
    let words = ["lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "adipiscing"];
    let mut text = Vec::with_capacity(length + 16);
    while text.len() < length {
        text.extend_from_slice(words[rng.usize(..words.len())].as_bytes());
        text.push(b' ');
        text.extend_from_slice(rng.u16(..).to_string().as_bytes());
    }
    text.truncate(length);
    text
}
