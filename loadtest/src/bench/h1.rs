//! HTTP/1.1: a request whose bytes are made once, and a reader of responses that keeps nothing.

use std::{fmt::Write as _, io};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{args::Plan, tally::Answered, worker::Slot};
use crate::http::Stream;

/// Read at once.
const BUFFER_BYTES: usize = 16 * 1024;
/// Most fields of a response.
const FIELDS_MAX: usize = 100;

/// Sends requests over connections of its own, the first of them `stream` if there is one.
pub(super) async fn run(slot: &Slot, stream: Option<Stream>) {
    let request = encode(slot.plan());
    let mut connection = stream.map(Connection::new);
    let mut now = None;
    while let Some(turn) = slot.next(now.take()).await {
        let mut is_kept = connection.is_some();
        let answered = loop {
            let current = match &mut connection {
                Some(current) => current,
                None => match super::connect::dial(slot.plan(), slot.address()).await {
                    Ok((stream, _)) => connection.insert(Connection::new(stream)),
                    Err(error) => break Err((error, true)),
                },
            };
            match current.exchange(&request, slot.plan().method == http::Method::HEAD).await {
                Ok((answered, is_open)) => {
                    if !is_open {
                        connection = None;
                    }
                    break Ok(answered);
                }
                // The server had closed it before it saw the request: another one, once.
                Err(_) if is_kept && current.is_fresh() => {
                    connection = None;
                    is_kept = false;
                }
                Err(error) => {
                    connection = None;
                    break Err((error.to_string(), false));
                }
            }
        };
        match answered {
            Ok(answered) => now = Some(slot.answered(turn, answered)),
            Err((error, is_connecting)) => slot.failed(error, is_connecting).await,
        }
    }
}

/// The bytes of the request.
fn encode(plan: &Plan) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", plan.method, plan.target.path);
    let mut bytes = Vec::new();
    for (name, value) in &plan.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let has_length = plan.headers.contains_key(http::header::CONTENT_LENGTH);
    if !has_length && (!plan.body.is_empty() || plan.method == http::Method::POST) {
        // Writing to a string cannot fail.
        let _ = write!(head, "content-length: {}\r\n", plan.body.len());
    }
    let mut request = head.into_bytes();
    request.extend_from_slice(&bytes);
    request.extend_from_slice(b"\r\n");
    request.extend_from_slice(&plan.body);
    request
}

/// An open connection. Bytes `begin..end` of the buffer were read and not yet looked at.
struct Connection<S> {
    stream: S,
    buffer: Box<[u8]>,
    begin: usize,
    end: usize,
    /// Nothing of the present response has come.
    is_fresh: bool,
}

/// How the end of a body is found.
enum Framing {
    Length(u64),
    Chunked,
    Close,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(stream: S) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self { stream, buffer, begin: 0, end: 0, is_fresh: true }
    }

    const fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// Sends the request, reads the response. Whether the connection stays open.
    async fn exchange(&mut self, request: &[u8], is_head: bool) -> io::Result<(Answered, bool)> {
        self.is_fresh = true;
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        loop {
            let (status, framing, is_open) = self.head(is_head).await?;
            // Interim responses come before the one that counts.
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let (bytes, is_open) = match framing {
                Framing::Length(length) => (self.skip(length).await?, is_open),
                Framing::Chunked => (self.chunks().await?, is_open),
                Framing::Close => (self.rest().await?, false),
            };
            return Ok((Answered { status, bytes }, is_open && self.begin == self.end));
        }
    }

    async fn head(&mut self, is_head: bool) -> io::Result<(u16, Framing, bool)> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
            let mut response = httparse::Response::new(&mut fields);
            let parsed = response
                .parse(&self.buffer[self.begin..self.end])
                .map_err(|error| invalid(format!("no HTTP/1.1 response: {error}")))?;
            if let httparse::Status::Complete(length) = parsed {
                let found = framing(&response, is_head)?;
                self.begin += length;
                return Ok(found);
            }
            self.fill().await?;
        }
    }

    /// Reads more, behind what is there.
    async fn fill(&mut self) -> io::Result<()> {
        if self.begin == self.end {
            (self.begin, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            if self.begin == 0 {
                return Err(invalid("a line or a head longer than 16 KiB".to_owned()));
            }
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
        }
        let count = self.stream.read(&mut self.buffer[self.end..]).await?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before the answer"));
        }
        self.is_fresh = false;
        self.end += count;
        Ok(())
    }

    /// Passes over `length` bytes.
    async fn skip(&mut self, length: u64) -> io::Result<u64> {
        let mut left = length;
        loop {
            let here = left.min((self.end - self.begin) as u64);
            // Less than the buffer holds.
            self.begin += here as usize;
            left -= here;
            if left == 0 {
                return Ok(length);
            }
            self.fill().await?;
        }
    }

    /// Passes over a chunked body (RFC 9112 section 7.1) and its trailers.
    async fn chunks(&mut self) -> io::Result<u64> {
        let mut bytes = 0;
        loop {
            let size = self.line(|line| {
                let digits = line.split(|byte| matches!(byte, b';' | b' ')).next()?;
                u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
            });
            let size = size.await?.ok_or_else(|| invalid("a chunk without a size".to_owned()))?;
            if size == 0 {
                while !self.line(<[u8]>::is_empty).await? {}
                return Ok(bytes);
            }
            self.skip(size).await?;
            if !self.line(<[u8]>::is_empty).await? {
                return Err(invalid("a chunk longer than its size".to_owned()));
            }
            bytes += size;
        }
    }

    /// What `read` makes of the next line, which is passed over.
    async fn line<T>(&mut self, read: impl Fn(&[u8]) -> T) -> io::Result<T> {
        loop {
            let here = &self.buffer[self.begin..self.end];
            if let Some(length) = here.iter().position(|byte| *byte == b'\n') {
                let line = here[..length].strip_suffix(b"\r").unwrap_or(&here[..length]);
                let read = read(line);
                self.begin += length + 1;
                return Ok(read);
            }
            self.fill().await?;
        }
    }

    /// Passes over all until the connection is closed.
    async fn rest(&mut self) -> io::Result<u64> {
        let mut bytes = 0;
        loop {
            bytes += (self.end - self.begin) as u64;
            self.begin = self.end;
            match self.fill().await {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(bytes),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Status, framing (RFC 9112 section 6.3), and whether the connection stays open.
fn framing(
    response: &httparse::Response<'_, '_>,
    is_head: bool,
) -> io::Result<(u16, Framing, bool)> {
    let status = response.code.unwrap_or_default();
    let (mut length, mut is_chunked) = (None, false);
    let mut is_open = response.version == Some(1);
    for field in response.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(field.value).unwrap_or_default();
            let number = text.trim().parse();
            length = Some(number.map_err(|_| invalid(format!("content-length: {text}")))?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            is_chunked = field.value.to_ascii_lowercase().ends_with(b"chunked");
        } else if field.name.eq_ignore_ascii_case("connection") {
            let value = field.value.to_ascii_lowercase();
            is_open = (is_open && value != b"close") || value == b"keep-alive";
        }
    }
    let framing = if is_head || status < 200 || status == 204 || status == 304 {
        Framing::Length(0)
    } else if is_chunked {
        Framing::Chunked
    } else {
        length.map_or(Framing::Close, Framing::Length)
    };
    Ok((status, framing, is_open))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    async fn read(pieces: &[&[u8]], is_head: bool) -> io::Result<(Answered, bool)> {
        let (client, mut server) = duplex(1 << 20);
        let mut connection = Connection::new(client);
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let serve = async move {
            for piece in pieces {
                server.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(server);
        };
        tokio::join!(connection.exchange(b"GET / HTTP/1.1\r\n\r\n", is_head), serve).0
    }

    #[tokio::test]
    async fn bodies_end_where_they_say() {
        let cases: &[(&str, bool, (u16, u64, bool))] = &[
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", false, (200, 3, true)),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", true, (200, 0, true)),
            ("HTTP/1.1 204 No\r\n\r\n", false, (204, 0, true)),
            (
                "HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 0\r\n\r\n",
                false,
                (200, 0, false),
            ),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", false, (200, 13, false)),
            ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx", false, (200, 1, false)),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                 3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nt: 1\r\n\r\n",
                false,
                (200, 13, true),
            ),
            (
                "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 404 No\r\n\
                 content-length: 0\r\n\r\n",
                false,
                (404, 0, true),
            ),
        ];
        for (text, is_head, (status, bytes, is_open)) in cases {
            let whole = read(&[text.as_bytes()], *is_head).await.unwrap();
            assert_eq!(whole, (Answered { status: *status, bytes: *bytes }, *is_open), "{text}");
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(read(&pieces, *is_head).await.unwrap(), whole, "byte by byte: {text}");
        }
    }

    #[tokio::test]
    async fn what_is_no_response_is_an_error() {
        for text in [
            "SSH-2.0-x\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
            "",
        ] {
            assert!(read(&[text.as_bytes()], false).await.is_err(), "{text}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(BUFFER_BYTES));
        assert!(read(&[long.as_bytes()], false).await.is_err());
    }
}
