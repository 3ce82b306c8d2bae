//! Feeds the parser from a connection.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Parsed, ProxyHeader, V2_MAX_BYTES, parse};

/// Reads the header from the start of a connection, and with it whatever first bytes of the client
/// arrived together with it: they come back for [`Prefixed`](crate::listen::prefixed::Prefixed) to
/// replay. At most [`V2_MAX_BYTES`] are held. The caller sets the deadline.
///
/// # Errors
/// `InvalidData` with an [`Invalid`](super::Invalid) inside, `UnexpectedEof` when the connection
/// ends first, and what the connection itself says.
pub async fn read_header<S>(stream: &mut S) -> io::Result<(ProxyHeader, Bytes)>
where
    S: AsyncRead + Unpin,
{
    let mut buffer = BytesMut::with_capacity(512);
    loop {
        // A header that is valid and incomplete is shorter than V2_MAX_BYTES, so there is room.
        let room = V2_MAX_BYTES - buffer.len();
        if (&mut *stream).take(room as u64).read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match parse(&buffer) {
            Ok(Parsed::Complete(header, length)) => {
                return Ok((header, buffer.split_off(length).freeze()));
            }
            Ok(Parsed::Incomplete) => {}
            Err(invalid) => return Err(io::Error::new(io::ErrorKind::InvalidData, invalid)),
        }
    }
}
