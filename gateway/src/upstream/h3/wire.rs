//! A stream that extended CONNECT has made a tunnel (RFC 9220).

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::StreamCount;
use crate::{
    h3::fields::encode_data_header,
    quic::{MessageReader, Piece, ReadError, SendStream},
};

/// Bytes sent in one frame.
const PIECE: usize = 16 * 1024;

/// See the module's page. Dropped before it is shut down, it resets the stream.
pub(crate) struct H3Wire {
    send: SendStream,
    reader: MessageReader,
    /// Received and not read yet.
    rest: Bytes,
    /// A frame that the stream has not taken to its end.
    unsent: Bytes,
    stream: StreamCount,
}

impl fmt::Debug for H3Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("H3Wire").field("reader", &self.reader).finish_non_exhaustive()
    }
}

impl H3Wire {
    pub(super) const fn new(send: SendStream, reader: MessageReader, stream: StreamCount) -> Self {
        Self { send, reader, rest: Bytes::new(), unsent: Bytes::new(), stream }
    }

    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send.poll_write(cx, &mut self.unsent).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl AsyncRead for H3Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            match ready!(this.reader.poll_body(cx)) {
                Some(Ok(Piece::Data(data))) => this.rest = data,
                // They mean nothing in a tunnel.
                Some(Ok(Piece::Trailers(_))) => {}
                Some(Err(error)) => {
                    if let ReadError::Connection(code) = error {
                        this.stream.0.condemn(code);
                    }
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = this.rest.len().min(buf.remaining());
        buf.put_slice(&this.rest[..length]);
        this.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for H3Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_unsent(cx))?;
        let data = &buf[..buf.len().min(PIECE)];
        let mut frame = BytesMut::with_capacity(data.len() + 16);
        encode_data_header(data.len() as u64, &mut frame);
        frame.extend_from_slice(data);
        this.unsent = frame.freeze();
        if let Poll::Ready(Err(error)) = this.poll_unsent(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_unsent(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_unsent(cx))?;
        this.send.finish();
        Poll::Ready(Ok(()))
    }
}
