//! An HTTP/1 response as a client saw it, and how it ended.

use std::io::{self, ErrorKind, Read};

/// How a response's body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By its framing: length reached, last chunk seen, or no body.
    Complete,
    /// By a clean close, where close is the framing.
    Close,
    /// Before its framing said so.
    Truncated,
}

/// One final response and what came before it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Status codes of the interim responses.
    pub(crate) interim: Vec<u16>,
    /// Version of the status line.
    pub(crate) version: String,
    /// Status code.
    pub(crate) status: u16,
    /// Fields in order, names as sent.
    pub(crate) fields: Vec<(String, String)>,
    /// Body without its framing.
    pub(crate) body: Vec<u8>,
    /// Fields after the last chunk.
    pub(crate) trailers: Vec<(String, String)>,
    /// How the body ended.
    pub(crate) end: End,
}

impl Answer {
    /// First value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

/// A buffered reader that tells "closed" from "reset" and from "nothing yet".
pub(crate) struct Input<R> {
    /// The bytes' source.
    pub(crate) inner: R,
    /// Read and not consumed.
    pub(crate) buffer: Vec<u8>,
}

impl<R: Read> Input<R> {
    /// Reads once more; false at the end, be it clean or not.
    pub(crate) fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 16 * 1024];
        let read = self.inner.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read > 0)
    }

    /// Consumes up to and with the next line end, and gives the line without it.
    pub(crate) fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = self.buffer[..at].to_vec();
                self.buffer.drain(..at + 2);
                return Ok(Some(line));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Consumes `count` bytes, or all there are before the end (then `false`).
    pub(crate) fn take(&mut self, count: usize, into: &mut Vec<u8>) -> io::Result<bool> {
        while self.buffer.len() < count {
            if !self.fill()? {
                into.append(&mut self.buffer);
                return Ok(false);
            }
        }
        into.extend(self.buffer.drain(..count));
        Ok(true)
    }

    /// Reads fields up to the empty line.
    pub(crate) fn fields(&mut self) -> io::Result<Option<Vec<(String, String)>>> {
        let mut fields = Vec::new();
        loop {
            let Some(line) = self.line()? else { return Ok(None) };
            if line.is_empty() {
                return Ok(Some(fields));
            }
            let line = String::from_utf8_lossy(&line).into_owned();
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads the final response to a `method` request, with any interim ones before it.
    pub(crate) fn answer(&mut self, method: &str) -> io::Result<Answer> {
        let mut interim = Vec::new();
        loop {
            let closed = || io::Error::new(ErrorKind::UnexpectedEof, "closed before a response");
            let line = self.line()?.ok_or_else(closed)?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let mut words = line.splitn(3, ' ');
            let version = words.next().unwrap_or_default().to_owned();
            let status: u16 = words.next().and_then(|s| s.parse().ok()).unwrap_or(0);
            if !version.starts_with("HTTP/") || status < 100 {
                return Err(io::Error::other(format!("not a status line: {line}")));
            }
            let fields = self.fields()?.ok_or_else(closed)?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
                continue;
            }
            let mut answer = Answer {
                interim,
                version,
                status,
                fields,
                body: Vec::new(),
                trailers: Vec::new(),
                end: End::Complete,
            };
            if method != "HEAD" && !matches!(status, 101 | 204 | 304) {
                answer.end = self.body(&mut answer)?;
            }
            return Ok(answer);
        }
    }

    fn body(&mut self, answer: &mut Answer) -> io::Result<End> {
        if answer.field("transfer-encoding").is_some() {
            return self.chunks(answer);
        }
        if let Some(length) = answer.field("content-length") {
            let length = length.parse().map_err(|_| io::Error::other("bad content-length"))?;
            let whole = reset_is_end(self.take(length, &mut answer.body))?;
            return Ok(if whole { End::Complete } else { End::Truncated });
        }
        loop {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => {
                    answer.body.append(&mut self.buffer);
                    return Ok(End::Close);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    answer.body.append(&mut self.buffer);
                    return Ok(End::Truncated);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn chunks(&mut self, answer: &mut Answer) -> io::Result<End> {
        loop {
            let line = match self.line() {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(End::Truncated),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Ok(End::Truncated),
                Err(e) => return Err(e),
            };
            let size = usize::from_str_radix(&String::from_utf8_lossy(&line), 16)
                .map_err(|_| io::Error::other("bad chunk size"))?;
            if size == 0 {
                let Some(trailers) = self.fields()? else { return Ok(End::Truncated) };
                answer.trailers = trailers;
                return Ok(End::Complete);
            }
            if !reset_is_end(self.take(size, &mut answer.body))? {
                return Ok(End::Truncated);
            }
            let mut end = Vec::new();
            if !reset_is_end(self.take(2, &mut end))? {
                return Ok(End::Truncated);
            }
            if end != b"\r\n" {
                return Err(io::Error::other("chunk without its end"));
            }
        }
    }
}

fn reset_is_end(result: io::Result<bool>) -> io::Result<bool> {
    match result {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
        other => other,
    }
}
