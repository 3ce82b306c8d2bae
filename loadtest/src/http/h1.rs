//! HTTP/1.1 from the client's side, straight on the stream: one write for a request, one read for
//! most responses, no task and no buffer of a connection's own while it waits.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, Write as _},
    mem::MaybeUninit,
    pin::Pin,
    time::Instant,
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::clock;

use super::{
    HttpError,
    message::{HEADERS_MAX, Head, Notes, Proto, Reply, Request},
};

/// The largest head of a response.
const HEAD_BYTES_MAX: usize = 256 * 1024;
/// The largest body that is kept: as many as one text of the interpreter may hold.
const BODY_BYTES_MAX: usize = 512 * 1024 * 1024;
const SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
    static OUTGOING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A response and whether the connection may serve another request.
#[derive(Debug)]
pub(super) struct Exchanged {
    pub(super) reply: Reply,
    pub(super) reusable: bool,
}

/// Writes `request` and reads the response. `begun` is when the connection was at hand.
pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    request: &Request,
    begun: Instant,
    is_reused: bool,
) -> Result<Exchanged, HttpError> {
    let stale = |error: HttpError| if is_reused { error.stale() } else { error };
    let sent = send(stream, request).await.map_err(|e| stale(HttpError::io(&e)))?;
    let wrote = clock::now();
    let mut bytes = Vec::new();
    let read = read_more(stream, &mut bytes).await;
    let first = clock::now();
    match read {
        Ok(0) => return Err(stale(HttpError::new(HttpError::GENERIC, "EOF"))),
        Ok(_) => {}
        Err(error) => return Err(stale(HttpError::io(&error))),
    }
    let head = read_head(stream, &mut bytes, &request.method).await?;
    let mut reader =
        BodyReader { stream, bytes, at: head.bytes, received: 0, keeps: request.keeps_body };
    let body = reader.read(&head).await?;
    let received = reader.received + reader.bytes.len() as u64;
    let left_over = reader.at < reader.bytes.len();
    let reusable = head.keeps_alive && head.body != Framing::UntilClose && !left_over;
    let bytes = Bytes::from(std::mem::take(&mut reader.bytes));
    let (head_bytes, body) = match body {
        Body::At(range) => (bytes.slice(..head.bytes), bytes.slice(range)),
        Body::Apart(body) => (bytes.slice(..head.bytes), Bytes::from(body)),
    };
    let mut reply = Reply {
        status: head.status,
        proto: head.proto,
        head: Head::Raw(head_bytes),
        body: if request.keeps_body { body } else { Bytes::new() },
        sent,
        received,
        notes: head.notes,
        ..Reply::default()
    };
    reply.timings.sending = wrote - begun;
    reply.timings.waiting = first - wrote;
    reply.timings.receiving = clock::now() - first;
    Ok(Exchanged { reply, reusable })
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, request: &Request) -> io::Result<u64> {
    let mut out = OUTGOING.take();
    out.clear();
    write_head(&mut out, request);
    let large = request.body.as_ref().filter(|body| body.len() > SCRATCH_BYTES);
    if let Some(body) = request.body.as_ref().filter(|_| large.is_none()) {
        out.extend_from_slice(body);
    }
    let mut sent = out.len() as u64;
    let mut result = stream.write_all(&out).await;
    if result.is_ok() {
        if let Some(body) = large {
            sent += body.len() as u64;
            result = stream.write_all(body).await;
        }
        if result.is_ok() {
            result = stream.flush().await;
        }
    }
    OUTGOING.set(out);
    result.map(|()| sent)
}

fn write_head(out: &mut Vec<u8>, request: &Request) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{} {} HTTP/1.1\r\nHost: ", request.method, request.target.path);
    let host = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    out.extend_from_slice(host.map_or(&*request.target.authority, |(_, value)| value).as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in &request.headers {
        if name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case("content-length") {
            continue;
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let length = match &request.body {
        Some(body) => Some(body.len()),
        None => matches!(&*request.method, "POST" | "PUT" | "PATCH").then_some(0),
    };
    if let Some(length) = length {
        let _ = write!(out, "Content-Length: {length}\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends what one read gives, 0 at the end of the stream. Waits without a buffer of its own.
async fn read_more<S: AsyncRead + Unpin>(stream: &mut S, into: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|task| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let polled = Pin::new(&mut *stream).poll_read(task, &mut buffer);
            polled.map_ok(|()| {
                into.extend_from_slice(buffer.filled());
                buffer.filled().len()
            })
        })
    })
    .await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

struct HeadFacts {
    status: u16,
    proto: Proto,
    bytes: usize,
    body: Framing,
    keeps_alive: bool,
    notes: Notes,
}

async fn read_head<S: AsyncRead + Unpin>(
    stream: &mut S,
    bytes: &mut Vec<u8>,
    method: &str,
) -> Result<HeadFacts, HttpError> {
    loop {
        match parse_head(bytes, method)? {
            // 1xx: not the answer yet. 101 is one.
            Some(facts) if facts.status < 200 && facts.status != 101 => {
                bytes.drain(..facts.bytes);
                if !bytes.is_empty() {
                    continue;
                }
            }
            Some(facts) => return Ok(facts),
            None if bytes.len() > HEAD_BYTES_MAX => {
                return Err(HttpError::new(HttpError::GENERIC, "response head over 256 KiB"));
            }
            None => {}
        }
        if read_more(stream, bytes).await.map_err(|e| HttpError::io(&e))? == 0 {
            return Err(HttpError::new(HttpError::GENERIC, "unexpected EOF"));
        }
    }
}

fn parse_head(bytes: &[u8], method: &str) -> Result<Option<HeadFacts>, HttpError> {
    // Not filled before it is needed: most responses have a dozen headers.
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let parsed = config.parse_response_with_uninit_headers(&mut response, bytes, &mut headers);
    let malformed = |what: &dyn std::fmt::Display| {
        HttpError::new(HttpError::GENERIC, format!("malformed HTTP response: {what}"))
    };
    let httparse::Status::Complete(length) = parsed.map_err(|e| malformed(&e))? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or(0);
    let is_11 = response.version == Some(1);
    let mut facts = HeadFacts {
        status,
        proto: if is_11 { Proto::Http11 } else { Proto::Http10 },
        bytes: length,
        body: Framing::UntilClose,
        keeps_alive: is_11,
        notes: Notes::default(),
    };
    for header in response.headers.iter() {
        // The few that matter, told apart by length first.
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        match header.name.len() {
            10 if is("connection") => {
                let has = |word| contains_word(header.value, word);
                facts.keeps_alive = (is_11 && !has("close")) || has("keep-alive");
            }
            10 if is("set-cookie") => facts.notes.has_cookies = true,
            14 if is("content-length") && facts.body != Framing::Chunked => {
                let text = std::str::from_utf8(header.value).unwrap_or("").trim();
                let length = text.parse().map_err(|_| malformed(&"Content-Length"))?;
                facts.body = Framing::Length(length);
            }
            16 if is("content-encoding") => facts.notes.is_encoded = true,
            17 if is("transfer-encoding") && contains_word(header.value, "chunked") => {
                facts.body = Framing::Chunked;
            }
            _ => {}
        }
    }
    if method == "HEAD" || status < 200 || status == 204 || status == 304 {
        facts.body = Framing::Length(0);
    }
    Ok(Some(facts))
}

fn contains_word(value: &[u8], word: &str) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// Where the body is.
enum Body {
    /// In what was read, as it came.
    At(std::ops::Range<usize>),
    /// Put together apart.
    Apart(Vec<u8>),
}

struct BodyReader<'a, S> {
    stream: &'a mut S,
    /// Head and what followed it.
    bytes: Vec<u8>,
    /// Up to where `bytes` is used.
    at: usize,
    /// Bytes read and dropped again.
    received: u64,
    keeps: bool,
}

impl<S: AsyncRead + Unpin> BodyReader<'_, S> {
    async fn read(&mut self, head: &HeadFacts) -> Result<Body, HttpError> {
        match head.body {
            Framing::Length(length) => {
                if length > BODY_BYTES_MAX && self.keeps {
                    return Err(too_long());
                }
                let start = self.at;
                if !self.keeps {
                    self.skip(length, start).await?;
                    return Ok(Body::At(start..start));
                }
                self.bytes.reserve_exact((start + length).saturating_sub(self.bytes.len()));
                while self.bytes.len() - start < length {
                    self.more().await?;
                }
                self.at = start + length;
                Ok(Body::At(start..start + length))
            }
            Framing::Chunked => self.read_chunks().await.map(Body::Apart),
            Framing::UntilClose => {
                let start = self.at;
                loop {
                    let read = read_more(self.stream, &mut self.bytes).await;
                    if !self.keeps {
                        self.drop_from(start);
                    }
                    match read {
                        Ok(0) => break,
                        Ok(_) if self.bytes.len() > BODY_BYTES_MAX => return Err(too_long()),
                        Ok(_) => {}
                        Err(error) => return Err(HttpError::io(&error)),
                    }
                }
                self.at = self.bytes.len();
                Ok(Body::At(start..self.at))
            }
        }
    }

    async fn skip(&mut self, length: usize, start: usize) -> Result<(), HttpError> {
        let mut left = length;
        loop {
            let here = (self.bytes.len() - start).min(left);
            left -= here;
            self.received += here as u64;
            self.bytes.drain(start..start + here);
            if left == 0 {
                return Ok(());
            }
            self.more().await?;
        }
    }

    fn drop_from(&mut self, start: usize) {
        self.received += (self.bytes.len() - start) as u64;
        self.bytes.truncate(start);
    }

    async fn read_chunks(&mut self) -> Result<Vec<u8>, HttpError> {
        let bad = || HttpError::new(HttpError::GENERIC, "malformed chunked encoding");
        let mut body = Vec::new();
        let head = self.at;
        loop {
            let (used, length) = loop {
                match httparse::parse_chunk_size(&self.bytes[self.at..]).map_err(|_| bad())? {
                    httparse::Status::Complete((used, length)) => break (used, length),
                    httparse::Status::Partial => self.more().await?,
                }
            };
            self.at += used;
            let length = usize::try_from(length).map_err(|_| bad())?;
            if self.keeps && length > BODY_BYTES_MAX - body.len() {
                return Err(too_long());
            }
            if length == 0 {
                return self.read_trailers().await.map(|()| body);
            }
            let mut left = length;
            while left > 0 {
                let here = (self.bytes.len() - self.at).min(left);
                if self.keeps {
                    body.extend_from_slice(&self.bytes[self.at..self.at + here]);
                }
                self.at += here;
                left -= here;
                if left > 0 {
                    // What was used goes, so that a long body is not held twice.
                    self.received += (self.at - head) as u64;
                    self.bytes.drain(head..self.at);
                    self.at = head;
                    self.more().await?;
                }
            }
            while self.bytes.len() < self.at + 2 {
                self.more().await?;
            }
            if self.bytes[self.at..self.at + 2] != *b"\r\n" {
                return Err(bad());
            }
            self.at += 2;
        }
    }

    async fn read_trailers(&mut self) -> Result<(), HttpError> {
        loop {
            let rest = &self.bytes[self.at..];
            match rest.windows(2).position(|pair| pair == b"\r\n") {
                Some(0) => {
                    self.at += 2;
                    return Ok(());
                }
                Some(line) => self.at += line + 2,
                None if rest.len() > HEAD_BYTES_MAX => return Err(too_long()),
                None => self.more().await?,
            }
        }
    }

    async fn more(&mut self) -> Result<(), HttpError> {
        match read_more(self.stream, &mut self.bytes).await {
            Ok(0) => Err(HttpError::new(HttpError::GENERIC, "unexpected EOF")),
            Ok(_) => Ok(()),
            Err(error) => Err(HttpError::io(&error)),
        }
    }
}

fn too_long() -> HttpError {
    HttpError::new(HttpError::GENERIC, "response too long")
}
