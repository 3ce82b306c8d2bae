//! What is said over a stream: a length, and so many sealed bytes, once each way.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{seal::OVERHEAD_BYTES, swim::STREAM_BYTES_MAX};

/// How long a caller waits for all of it.
const CALL: Duration = Duration::from_secs(10);
/// How long one who is called waits for the question, and for its answer to be taken.
const SERVE: Duration = Duration::from_secs(5);

/// What became of a stream.
#[derive(Debug)]
pub(super) enum Done {
    /// Somebody asks this.
    Asked(TcpStream, Vec<u8>),
    /// A call was answered, or not.
    Answered(u64, io::Result<Vec<u8>>),
    /// Nothing more is to be done.
    Closed,
}

pub(super) async fn call(call: u64, to: SocketAddr, body: Vec<u8>) -> Done {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        write(&mut stream, &body).await?;
        read(&mut stream).await
    };
    let answer = timeout(CALL, exchange).await;
    Done::Answered(call, answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())))
}

pub(super) async fn asked(mut stream: TcpStream) -> Done {
    match timeout(SERVE, read(&mut stream)).await {
        Ok(Ok(body)) => Done::Asked(stream, body),
        Ok(Err(_)) | Err(_) => Done::Closed,
    }
}

pub(super) async fn answer(mut stream: TcpStream, body: Vec<u8>) -> Done {
    // Whoever asked is told by a stream that ends early.
    let _ = timeout(SERVE, write(&mut stream, &body)).await;
    Done::Closed
}

async fn write(stream: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await
}

/// Memory is taken as bytes come, not as they are announced.
async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    if length as usize > STREAM_BYTES_MAX + OVERHEAD_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = Vec::new();
    stream.take(u64::from(length)).read_to_end(&mut body).await?;
    if body.len() < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(body)
}
