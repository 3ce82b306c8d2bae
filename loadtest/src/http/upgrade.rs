//! Opening a WebSocket (RFC 6455, section 4): a request of HTTP/1.1 after which the connection
//! carries frames.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    HttpError, Net, Target,
    connect::Alpn,
    counted::{Counted, Traffic},
    message::{HEADERS_MAX, Head},
};

/// The longest head and the longest body of a refusal that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// How long the body of a refusal is waited for.
const BODY_TIME: Duration = Duration::from_secs(5);

/// How long a server may take to open a socket.
const OPEN_TIME: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Upgrade {
    pub(crate) target: Rc<Target>,
    /// Headers beside those that make the upgrade.
    pub(crate) headers: Vec<(Rc<str>, Rc<str>)>,
    /// Random bytes for `Sec-WebSocket-Key`.
    pub(crate) key: [u8; 16],
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Upgraded {
    /// 0 when there was no response.
    pub(crate) status: u16,
    pub(crate) head: Head,
    /// Of a refusal.
    pub(crate) body: Bytes,
    /// The connection, and what was read behind the head; `None` when it did not change.
    pub(crate) stream: Option<(Counted, Vec<u8>)>,
    pub(crate) traffic: Rc<Traffic>,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) error: Option<HttpError>,
}

/// Connects and asks for a WebSocket. What goes wrong is in the answer.
pub(crate) async fn upgrade(net: &Net, wanted: &Upgrade) -> Upgraded {
    let mut answer = Upgraded::default();
    let opened = tokio::time::timeout(OPEN_TIME, attempt(net, wanted, &mut answer)).await;
    answer.error = opened.unwrap_or_else(|_| Err(HttpError::timeout())).err();
    answer
}

async fn attempt(net: &Net, wanted: &Upgrade, answer: &mut Upgraded) -> Result<(), HttpError> {
    let dialed = net.dial(&wanted.target, Alpn::Http1).await?;
    answer.remote = Some(dialed.remote);
    let mut stream = Counted::new(dialed.stream, Rc::clone(&answer.traffic));
    let key = STANDARD.encode(wanted.key);
    let request = request(wanted, &key);
    stream.write_all(request.as_bytes()).await.map_err(|error| HttpError::io(&error))?;
    stream.flush().await.map_err(|error| HttpError::io(&error))?;
    let mut read = Vec::with_capacity(1024);
    let end = loop {
        if let Some(end) = find_end(&read) {
            break end;
        }
        if read.len() > ANSWER_BYTES_MAX {
            return Err(HttpError::new(HttpError::GENERIC, "malformed HTTP response"));
        }
        let count = stream.read_buf(&mut read).await.map_err(|error| HttpError::io(&error))?;
        if count == 0 {
            return Err(HttpError::new(HttpError::GENERIC, "unexpected EOF"));
        }
    };
    let rest = read.split_off(end);
    answer.head = Head::Raw(read.into());
    answer.status = status(&answer.head)
        .ok_or_else(|| HttpError::new(HttpError::GENERIC, "malformed HTTP response"))?;
    let accepted = answer.head.first("sec-websocket-accept").unwrap_or_default();
    if answer.status != 101 || accepted.trim() != accept(&key) {
        answer.body = body(&mut stream, &answer.head, rest).await;
        return Err(HttpError::new(HttpError::GENERIC, "websocket: bad handshake"));
    }
    answer.stream = Some((stream, rest));
    Ok(())
}

fn request(wanted: &Upgrade, key: &str) -> String {
    let target = &wanted.target;
    let host = wanted.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = host.map_or(&*target.authority, |(_, value)| value);
    let mut text = format!(
        "GET {} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n",
        target.path
    );
    let ours = ["host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"];
    for (name, value) in &wanted.headers {
        if !ours.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            for part in [name, ": ", value, "\r\n"] {
                text.push_str(part);
            }
        }
    }
    text.push_str("\r\n");
    text
}

/// What the server must answer to `key` (RFC 6455, 4.2.2).
fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

fn find_end(read: &[u8]) -> Option<usize> {
    read.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4)
}

fn status(head: &Head) -> Option<u16> {
    let Head::Raw(bytes) = head else { return None };
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(bytes).ok()?;
    response.code
}

/// The body of a refusal, as far as it comes in time.
async fn body(stream: &mut Counted, head: &Head, mut read: Vec<u8>) -> Bytes {
    let length = head.first("content-length").and_then(|text| text.trim().parse::<usize>().ok());
    let wanted = length.unwrap_or(0).min(ANSWER_BYTES_MAX);
    let rest = async {
        while read.len() < wanted {
            match stream.read_buf(&mut read).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    // What did not come is left out.
    let _ = tokio::time::timeout(BODY_TIME, rest).await;
    read.truncate(wanted);
    read.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_key_of_the_standard() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
