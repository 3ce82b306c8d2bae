//! HTTP/1.1 on a socket, both roles: heads, bodies of either framing, trailers.

use std::{cell::RefCell, io::ErrorKind, net::Shutdown, rc::Rc};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpStream;

/// How a message's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// At once.
    None,
    /// After so many bytes.
    Length(usize),
    /// With the last chunk.
    Chunked,
}

/// A socket whose two directions are used apart.
#[derive(Clone)]
pub(super) struct Wire {
    stream: Rc<TcpStream>,
    buffer: Rc<RefCell<BytesMut>>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream: Rc::new(stream), buffer: Rc::default() }
    }

    pub(super) async fn send(&self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            self.stream.writable().await.map_err(|e| e.to_string())?;
            match self.stream.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    /// Reads once more; an error at the end too, since nobody asks but for what must come.
    pub(super) async fn fill(&self) -> Result<(), String> {
        loop {
            self.stream.readable().await.map_err(|e| e.to_string())?;
            let mut buffer = self.buffer.borrow_mut();
            buffer.reserve(16 * 1024);
            match self.stream.try_read_buf(&mut *buffer) {
                Ok(0) => return Err("closed".to_owned()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Forgets what was read.
    pub(super) fn clear(&self) {
        self.buffer.borrow_mut().clear();
    }

    /// The bytes before `mark`, which is consumed too.
    pub(super) async fn until(&self, mark: &[u8]) -> Result<Bytes, String> {
        loop {
            {
                let mut buffer = self.buffer.borrow_mut();
                if let Some(at) = buffer.windows(mark.len()).position(|w| w == mark) {
                    let found = buffer.split_to(at).freeze();
                    let _ = buffer.split_to(mark.len());
                    return Ok(found);
                }
            }
            self.fill().await?;
        }
    }

    async fn line(&self) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&self.until(b"\r\n").await?).into_owned())
    }

    async fn some(&self, most: usize) -> Result<Bytes, String> {
        loop {
            {
                let mut buffer = self.buffer.borrow_mut();
                let here = most.min(buffer.len());
                if here > 0 {
                    return Ok(buffer.split_to(here).freeze());
                }
            }
            self.fill().await?;
        }
    }

    /// Says at once that nothing more is sent.
    pub(super) fn shut(&self) {
        let _ = socket2::SockRef::from(&*self.stream).shutdown(Shutdown::Write);
    }

    /// Closes with a reset once every clone is gone.
    pub(super) fn reset(&self) {
        let linger = Some(std::time::Duration::ZERO);
        socket2::SockRef::from(&*self.stream).set_linger(linger).unwrap();
    }
}

/// The body of one message, being read.
pub(super) struct Reader {
    /// Where it comes from.
    pub(super) wire: Wire,
    framing: Framing,
    left: usize,
    /// Whether nothing is left.
    pub(super) done: bool,
    trailers: HeaderMap,
}

impl Reader {
    pub(super) fn new(wire: Wire, framing: Framing) -> Self {
        let left = if let Framing::Length(length) = framing { length } else { 0 };
        let done = matches!(framing, Framing::None | Framing::Length(0));
        Self { wire, framing, left, done, trailers: HeaderMap::new() }
    }

    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, String> {
        if self.done {
            return Ok(None);
        }
        if self.framing == Framing::Chunked && self.left == 0 {
            let line = self.wire.line().await?;
            self.left = usize::from_str_radix(&line, 16).map_err(|_| format!("chunk {line:?}"))?;
            if self.left == 0 {
                self.done = true;
                self.read_trailers().await?;
                return Ok(None);
            }
        }
        let piece = self.wire.some(self.left).await?;
        self.left -= piece.len();
        if self.left == 0 && self.framing == Framing::Chunked {
            let end = self.wire.line().await?;
            if !end.is_empty() {
                return Err(format!("{end:?} after a chunk"));
            }
        } else if self.left == 0 {
            self.done = true;
        }
        Ok(Some(piece))
    }

    async fn read_trailers(&mut self) -> Result<(), String> {
        loop {
            let line = self.wire.line().await?;
            if line.is_empty() {
                return Ok(());
            }
            add_line(&mut self.trailers, &line)?;
        }
    }

    pub(super) fn trailers(&mut self) -> HeaderMap {
        std::mem::take(&mut self.trailers)
    }
}

/// Sends a body.
pub(super) struct Writer {
    /// Where it goes.
    pub(super) wire: Wire,
    /// Its framing.
    pub(super) framing: Framing,
}

impl Writer {
    pub(super) async fn piece(&self, piece: &[u8]) -> Result<(), String> {
        if self.framing == Framing::Chunked {
            if piece.is_empty() {
                return Ok(());
            }
            let framed = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            return self.wire.send(&framed).await;
        }
        self.wire.send(piece).await
    }

    pub(super) async fn end(&self, trailers: &HeaderMap) -> Result<(), String> {
        if self.framing != Framing::Chunked {
            return Ok(());
        }
        let mut text = "0\r\n".to_owned();
        write_fields(trailers, &mut text);
        self.wire.send(text.as_bytes()).await
    }
}

/// Field lines and the empty line after them.
pub(super) fn write_fields(fields: &HeaderMap, text: &mut String) {
    for (name, value) in fields {
        *text += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    *text += "\r\n";
}

/// Adds a field line.
pub(super) fn add_line(fields: &mut HeaderMap, line: &str) -> Result<(), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("field line {line:?}"))?;
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| format!("{line:?}: {e}"))?;
    let value = HeaderValue::from_str(value.trim()).map_err(|e| format!("{line:?}: {e}"))?;
    fields.append(name, value);
    Ok(())
}

/// The framing that fields announce.
pub(super) fn framing_of(fields: &HeaderMap) -> Option<Framing> {
    if fields.contains_key("transfer-encoding") {
        return Some(Framing::Chunked);
    }
    let length = fields.get("content-length")?.to_str().ok()?;
    Some(Framing::Length(length.parse().ok()?))
}
