//! A raw HTTP/1 client: it sends any bytes and reads what comes, over TCP, TLS or a Unix socket.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{
    PATIENCE,
    answer::{Answer, Input},
};

/// A byte stream of any kind.
pub(crate) trait Duplex: Read + Write + Send {}

impl<T: Read + Write + Send> Duplex for T {}

/// One connection.
pub(crate) struct Client {
    input: Input<Box<dyn Duplex>>,
    tcp: Option<TcpStream>,
}

impl Client {
    /// Over TCP.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap()
    }

    /// Over TCP, when somebody listens.
    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let tcp = dial(address)?;
        let clone = tcp.try_clone()?;
        Ok(Self { input: Input { inner: Box::new(tcp), buffer: Vec::new() }, tcp: Some(clone) })
    }

    /// Over TLS; the handshake is done when this returns.
    pub(crate) fn tls(
        address: SocketAddr,
        config: Arc<ClientConfig>,
        name: &str,
    ) -> io::Result<Self> {
        let tcp = dial(address)?;
        let clone = tcp.try_clone()?;
        let stream = handshake(tcp, config, name)?;
        Ok(Self { input: Input { inner: Box::new(stream), buffer: Vec::new() }, tcp: Some(clone) })
    }

    /// Over a Unix socket.
    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { input: Input { inner: Box::new(stream), buffer: Vec::new() }, tcp: None })
    }

    /// Sends; an error is left for the next read to show.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = self.try_send(bytes);
        self
    }

    /// Sends.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.inner.write_all(bytes)?;
        self.input.inner.flush()
    }

    /// Reads the final response to a `method` request.
    pub(crate) fn answer(&mut self, method: &str) -> io::Result<Answer> {
        self.input.answer(method)
    }

    /// `GET target` on this connection, kept open.
    pub(crate) fn get(&mut self, target: &str) -> io::Result<Answer> {
        self.send(get(target).as_bytes());
        self.answer("GET")
    }

    /// Reads one line of the response's bytes, without its end.
    pub(crate) fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.input.line()
    }

    /// Reads at least `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut into = Vec::new();
        match self.input.take(count, &mut into)? {
            true => Ok(into),
            false => Err(io::Error::new(ErrorKind::UnexpectedEof, "closed")),
        }
    }

    /// Everything until the end of the connection; a reset counts as an end, a time-out does not.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.input.fill() {
                Ok(true) => {}
                Ok(false) => return Ok(std::mem::take(&mut self.input.buffer)),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(std::mem::take(&mut self.input.buffer));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the gateway closes the connection, with nothing more on it, within `limit`.
    pub(crate) fn closes_within(&mut self, limit: Duration) -> bool {
        self.patience(limit);
        matches!(self.rest(), Ok(bytes) if bytes.is_empty())
    }

    /// How long a read waits.
    pub(crate) fn patience(&self, limit: Duration) {
        self.tcp.as_ref().unwrap().set_read_timeout(Some(limit)).unwrap();
    }

    /// Ends the sending half.
    pub(crate) fn finish(&self) {
        let _ = self.tcp.as_ref().unwrap().shutdown(Shutdown::Write);
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        let tcp = self.tcp.as_ref().unwrap();
        socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A TCP connection with time-outs.
pub(crate) fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(address)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    tcp.set_write_timeout(Some(PATIENCE))?;
    Ok(tcp)
}

/// A finished TLS handshake over `tcp`.
pub(crate) fn handshake(
    tcp: TcpStream,
    config: Arc<ClientConfig>,
    name: &str,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A plain GET.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: weir.test\r\n\r\n")
}

/// A POST with a length.
pub(crate) fn post(target: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nHost: weir.test\r\nContent-Length: {length}\r\n\r\n{body}")
}
