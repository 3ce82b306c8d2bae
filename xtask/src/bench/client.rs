//! A small blocking HTTP/1.1 client: for probes, idle connections and the fixed rate.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::TLS13,
};

const TIMEOUT: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// One connection, used for one request after another.
pub(super) struct Client {
    stream: Stream,
    buffer: Vec<u8>,
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// What a response was, as far as anybody here wants to know.
#[derive(Debug)]
pub(super) struct Answer {
    /// Status code.
    pub(super) status: u16,
    /// Lines of its header section.
    pub(super) fields: usize,
    /// The body.
    pub(super) body: Vec<u8>,
}

/// A client's TLS: trusts the one certificate in `cert`, offers TLS 1.3 with AES-128-GCM only.
pub(super) fn tls(cert: &Path) -> Result<Arc<ClientConfig>, String> {
    let pem = fs::read(cert).map_err(|e| format!("{}: {e}", cert.display()))?;
    let certificate = CertificateDer::from_pem_slice(&pem).map_err(|e| e.to_string())?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(|e| e.to_string())?;
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Client {
    /// Connects to a port of this machine, over TLS when it is given.
    pub(super) fn connect(port: u16, tls: Option<&Arc<ClientConfig>>) -> Result<Self, String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let complain = |e: std::io::Error| format!("{address}: {e}");
        let socket = TcpStream::connect_timeout(&address, TIMEOUT).map_err(complain)?;
        socket.set_nodelay(true).map_err(complain)?;
        socket.set_read_timeout(Some(TIMEOUT)).map_err(complain)?;
        socket.set_write_timeout(Some(TIMEOUT)).map_err(complain)?;
        let stream = match tls {
            None => Stream::Clear(socket),
            Some(config) => {
                let name = ServerName::try_from("localhost").map_err(|e| e.to_string())?;
                let session = ClientConnection::new(Arc::clone(config), name);
                let session = session.map_err(|e| e.to_string())?;
                Stream::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        };
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends one GET and reads the whole response, which must tell its length.
    pub(super) fn get(&mut self, path: &str) -> Result<Answer, String> {
        let (head, text) = self.head(path, "")?;
        let status = text.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.ok_or("a response without a status")?;
        let fields = text.lines().skip(1).filter(|line| !line.is_empty()).count();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length
            .and_then(|value| value.trim().parse().ok())
            .ok_or_else(|| format!("a response ({status}) without a length"))?;
        while self.buffer.len() < head + length {
            self.fill()?;
        }
        if self.buffer.len() > head + length {
            return Err("bytes after the response".into());
        }
        Ok(Answer { status, fields, body: self.buffer[head..].to_vec() })
    }

    /// Whether the answer to a GET with this field is compressed with gzip. What is left of it is
    /// not read: the connection is of no use any more.
    pub(super) fn gets_gzip(&mut self, path: &str, field: &str) -> Result<bool, String> {
        let (_, text) = self.head(path, &format!("{field}\r\n"))?;
        Ok(text.lines().any(|line| line == "content-encoding: gzip"))
    }

    /// Sends one GET and reads the head of the response: its length, and it in lower case.
    fn head(&mut self, path: &str, fields: &str) -> Result<(usize, String), String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        self.write(request.as_bytes()).map_err(|e| format!("sending: {e}"))?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err("a response head without an end".into());
            }
            self.fill()?;
        };
        Ok((head, String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase()))
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.stream {
            Stream::Clear(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    fn fill(&mut self) -> Result<(), String> {
        let mut piece = [0; 4096];
        let read = match &mut self.stream {
            Stream::Clear(stream) => stream.read(&mut piece),
            Stream::Tls(stream) => stream.read(&mut piece),
        };
        match read {
            Ok(0) => Err("the connection was closed".into()),
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(())
            }
            Err(e) => Err(format!("reading: {e}")),
        }
    }
}
