//! A raw HTTP/2 client: hand-written frames, well-formed or not.

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{
    PATIENCE,
    answer::Input,
    client::{Duplex, dial},
    hpack::{Decoder, Fields, encode},
};

/// The connection preface.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frame types of RFC 9113 6.
pub(crate) const DATA: u8 = 0;
/// HEADERS.
pub(crate) const HEADERS: u8 = 1;
/// PRIORITY.
pub(crate) const PRIORITY: u8 = 2;
/// `RST_STREAM`.
pub(crate) const RST_STREAM: u8 = 3;
/// SETTINGS.
pub(crate) const SETTINGS: u8 = 4;
/// PING.
pub(crate) const PING: u8 = 6;
/// GOAWAY.
pub(crate) const GOAWAY: u8 = 7;
/// `WINDOW_UPDATE`.
pub(crate) const WINDOW_UPDATE: u8 = 8;
/// CONTINUATION.
pub(crate) const CONTINUATION: u8 = 9;
/// The flags a test needs.
pub(crate) const END_STREAM: u8 = 1;
/// ACK of SETTINGS and PING.
pub(crate) const ACK: u8 = 1;
/// End of a field section.
pub(crate) const END_HEADERS: u8 = 4;

/// One frame.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Type.
    pub(crate) kind: u8,
    /// Flags.
    pub(crate) flags: u8,
    /// Stream, 0 for the connection.
    pub(crate) stream: u32,
    /// Payload.
    pub(crate) payload: Vec<u8>,
}

/// Serialises a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// How the gateway dealt with a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A whole response.
    Response {
        /// `:status`.
        status: u16,
        /// Other fields.
        fields: Fields,
        /// Body.
        body: Vec<u8>,
        /// Trailers.
        trailers: Fields,
    },
    /// `RST_STREAM` with this code.
    Reset(u32),
    /// GOAWAY with this code.
    Goaway(u32),
    /// The connection closed without a word.
    Closed,
    /// Nothing in time.
    Silence,
}

impl Outcome {
    /// The status, or 0 when there was none.
    pub(crate) fn status(&self) -> u16 {
        if let Self::Response { status, .. } = self { *status } else { 0 }
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        if let Self::Response { body, .. } = self {
            String::from_utf8_lossy(body).into_owned()
        } else {
            String::new()
        }
    }
}

/// One connection.
pub(crate) struct Frames {
    input: Input<Box<dyn Duplex>>,
    tcp: TcpStream,
    decoder: Decoder,
    /// Whether SETTINGS and PING are answered and windows refilled while reading.
    pub(crate) polite: bool,
}

impl Frames {
    /// Connects with prior knowledge: preface and empty SETTINGS.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &[])
    }

    /// Connects with these settings.
    pub(crate) fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let tcp = dial(address).unwrap();
        let stream = Box::new(tcp.try_clone().unwrap());
        let input = Input { inner: stream as Box<dyn Duplex>, buffer: Vec::new() };
        let mut frames = Self { input, tcp, decoder: Decoder::default(), polite: true };
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend_from_slice(&id.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat();
        frames.raw(&hello).unwrap();
        frames
    }

    /// Sends raw bytes.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.inner.write_all(bytes)
    }

    /// Sends a frame.
    pub(crate) fn send(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> io::Result<()> {
        self.raw(&frame(kind, flags, stream, payload))
    }

    /// Sends one HEADERS frame.
    pub(crate) fn headers(&mut self, stream: u32, fields: &[(&str, &str)], end: bool) {
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        let _ = self.send(HEADERS, flags, stream, &encode(fields));
    }

    /// Sends a GET and waits for its outcome.
    pub(crate) fn get(&mut self, stream: u32, path: &str) -> Outcome {
        self.headers(stream, &request("GET", path), true);
        self.outcome(stream)
    }

    /// How long a read waits.
    pub(crate) fn patience(&self, limit: Duration) {
        self.tcp.set_read_timeout(Some(limit)).unwrap();
    }

    /// How long a write waits for a peer that does not read.
    pub(crate) fn stalls_within(&self, limit: Duration) {
        self.tcp.set_write_timeout(Some(limit)).unwrap();
    }

    /// The next frame; `None` once the connection ended.
    pub(crate) fn next(&mut self) -> io::Result<Option<Frame>> {
        let mut head = Vec::new();
        match self.input.take(9, &mut head) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(e) if is_end(&e) => return Ok(None),
            Err(e) => return Err(e),
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let mut payload = Vec::new();
        match self.input.take(length, &mut payload) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(e) if is_end(&e) => return Ok(None),
            Err(e) => return Err(e),
        }
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let frame = Frame { kind: head[3], flags: head[4], stream, payload };
        if self.polite {
            self.answer(&frame);
        }
        Ok(Some(frame))
    }

    fn answer(&mut self, frame: &Frame) {
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => drop(self.send(SETTINGS, ACK, 0, &[])),
            PING if frame.flags & ACK == 0 => drop(self.send(PING, ACK, 0, &frame.payload)),
            DATA if !frame.payload.is_empty() => {
                let size = u32::try_from(frame.payload.len()).unwrap().to_be_bytes();
                let _ = self.send(WINDOW_UPDATE, 0, 0, &size);
                let _ = self.send(WINDOW_UPDATE, 0, frame.stream, &size);
            }
            _ => {}
        }
    }

    /// Decodes the field section that `first` begins, reading its CONTINUATION frames.
    pub(crate) fn fields(&mut self, first: &Frame) -> Option<Fields> {
        let mut block = first.payload.clone();
        let mut flags = first.flags;
        while flags & END_HEADERS == 0 {
            let more = self.next().ok()??;
            block.extend_from_slice(&more.payload);
            flags = more.flags;
        }
        Some(self.decoder.decode(&block))
    }

    /// Waits until `stream` ended in whatever way.
    pub(crate) fn outcome(&mut self, stream: u32) -> Outcome {
        let (mut status, mut fields, mut trailers) = (0, Vec::new(), Vec::new());
        let mut body = Vec::new();
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let frame = match self.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Outcome::Closed,
                Err(_) => return Outcome::Silence,
            };
            match frame.kind {
                // A warning that the connection will end soon is not the stream's end.
                GOAWAY if word(&frame.payload[4..]) != 0 => {
                    return Outcome::Goaway(word(&frame.payload[4..]));
                }
                HEADERS => {
                    let Some(section) = self.fields(&frame) else { return Outcome::Closed };
                    if frame.stream != stream {
                        continue;
                    }
                    match section.iter().find(|(n, _)| n == ":status") {
                        Some((_, s)) if s.starts_with('1') => continue,
                        Some((_, s)) => (status, fields) = (s.parse().unwrap(), section),
                        None => trailers = section,
                    }
                }
                RST_STREAM if frame.stream == stream => {
                    return Outcome::Reset(word(&frame.payload));
                }
                DATA if frame.stream == stream => body.extend_from_slice(&frame.payload),
                _ => {}
            }
            let ends = matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0;
            if frame.stream == stream && ends {
                return Outcome::Response { status, fields, body, trailers };
            }
        }
        Outcome::Silence
    }

    /// Reads until the connection ends; the last GOAWAY's code, if one came.
    pub(crate) fn farewell(&mut self) -> Result<Option<u32>, &'static str> {
        let mut code = None;
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            match self.next() {
                Ok(Some(frame)) if frame.kind == GOAWAY => code = Some(word(&frame.payload[4..])),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(code),
                Err(_) => return Err("still open"),
            }
        }
        Err("still talking")
    }
}

/// The fields of an ordinary request.
pub(crate) fn request<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "http"), (":authority", "weir.test"), (":path", path)]
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
