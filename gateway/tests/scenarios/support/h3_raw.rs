//! A raw HTTP/3 client: streams of any bytes, well-formed or not, over quinn's QUIC.

use std::{
    future::{Future, pending},
    net::SocketAddr,
    sync::{Arc, LazyLock, Mutex},
    thread,
    time::Duration,
};

use bytes::Bytes;
use quinn::{ReadError, RecvStream, SendStream, TokenStore, VarInt};
use tokio::{runtime::Handle, time::timeout};

use super::{
    PATIENCE,
    h3_outcome::{Outcome, Received},
    h3_wire::{CONTROL, DATA, HEADERS, SETTINGS, frame, headers, read_varint, request, varint},
    qpack_raw,
};

/// A runtime that a thread of its own turns, so that connections go on between two calls.
static RUNTIME: LazyLock<Handle> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    thread::spawn(move || runtime.block_on(pending::<()>()));
    handle
});

/// Runs a future to its end, beside what quinn does by itself.
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// What the gateway opened by itself: each stream's bytes so far.
type Opened = Arc<Mutex<Vec<Vec<u8>>>>;

/// How a client is made.
pub(crate) struct Tuning {
    /// Bytes the peer may send on one stream before we read.
    pub(crate) stream_window: u32,
    /// The same for the connection.
    pub(crate) window: u32,
    /// Its identity: who it trusts, and ALPN.
    pub(crate) tls: Arc<rustls::ClientConfig>,
}

/// quinn's configuration of a client.
pub(crate) fn client_config(tuning: &Tuning) -> quinn::ClientConfig {
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(Arc::clone(&tuning.tls));
    let mut config = quinn::ClientConfig::new(Arc::new(crypto.unwrap()));
    let mut transport = quinn::TransportConfig::default();
    transport
        .stream_receive_window(tuning.stream_window.into())
        .receive_window(tuning.window.into())
        .max_concurrent_bidi_streams(10u32.into())
        .mtu_discovery_config(None);
    config.transport_config(Arc::new(transport));
    config
}

/// A token for whoever asks.
struct OneToken(Bytes);

impl TokenStore for OneToken {
    fn insert(&self, _: &str, _: Bytes) {}

    fn take(&self, _: &str) -> Option<Bytes> {
        Some(self.0.clone())
    }
}

/// One connection.
pub(crate) struct Raw {
    endpoint: quinn::Endpoint,
    /// quinn's side of it.
    pub(crate) connection: quinn::Connection,
    held: Vec<SendStream>,
    opened: Opened,
}

impl Raw {
    /// Connects, without any stream.
    pub(crate) fn try_connect(address: SocketAddr, tuning: &Tuning) -> Result<Self, String> {
        Self::dial(address, client_config(tuning))
    }

    /// Connects with a token as if the gateway had given it before.
    pub(crate) fn with_token(
        address: SocketAddr,
        tuning: &Tuning,
        token: Bytes,
    ) -> Result<Self, String> {
        let mut config = client_config(tuning);
        config.token_store(Arc::new(OneToken(token)));
        Self::dial(address, config)
    }

    fn dial(address: SocketAddr, config: quinn::ClientConfig) -> Result<Self, String> {
        let (endpoint, connection) = run(async {
            let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
            let connecting = endpoint.connect_with(config, address, "edge.test").unwrap();
            let done =
                timeout(PATIENCE, connecting).await.map_err(|_| "no handshake".to_owned())?;
            Ok::<_, String>((endpoint, done.map_err(|e| format!("no handshake: {e}"))?))
        })?;
        let opened = Opened::default();
        RUNTIME.spawn(listen(connection.clone(), Arc::clone(&opened)));
        Ok(Self { endpoint, connection, held: Vec::new(), opened })
    }

    /// Opens the control stream with empty SETTINGS, as any client does.
    pub(crate) fn greet(mut self) -> Self {
        self.uni(&[varint(CONTROL), frame(SETTINGS, &[])].concat());
        self
    }

    /// Opens a unidirectional stream with these bytes; its place among them.
    pub(crate) fn uni(&mut self, bytes: &[u8]) -> usize {
        let opened = run(async { timeout(PATIENCE, self.connection.open_uni()).await });
        if let Ok(Ok(mut stream)) = opened {
            let _ = run(stream.write_all(bytes));
            self.held.push(stream);
        }
        self.held.len().saturating_sub(1)
    }

    /// A unidirectional stream opened before; none when the connection had ended.
    pub(crate) fn held(&mut self, place: usize) -> Option<&mut SendStream> {
        self.held.get_mut(place)
    }

    /// Opens a request stream.
    pub(crate) fn bi(&self) -> Stream {
        self.try_bi().unwrap()
    }

    /// Opens a request stream, if the connection still stands.
    pub(crate) fn try_bi(&self) -> Result<Stream, Outcome> {
        match run(async { timeout(PATIENCE, self.connection.open_bi()).await }) {
            Ok(Ok((send, recv))) => Ok(Stream::of(send, recv)),
            Ok(Err(error)) => Err(Outcome::lost(&error)),
            Err(_) => Err(Outcome::Silence(Received::default())),
        }
    }

    /// Sends these bytes and FIN on a new request stream and waits for its outcome.
    pub(crate) fn exchange(&self, bytes: &[u8]) -> Outcome {
        match self.try_bi() {
            Ok(mut stream) => stream.write(bytes).finish().outcome(),
            Err(outcome) => outcome,
        }
    }

    /// Sends a GET and waits for its outcome.
    pub(crate) fn get(&self, path: &str) -> Outcome {
        self.exchange(&headers(&request("GET", path)))
    }

    /// Waits for the connection's end, for as long as `limit`.
    pub(crate) fn end(&self, limit: Duration) -> Option<Outcome> {
        let end = run(async { timeout(limit, self.connection.closed()).await }).ok()?;
        Some(Outcome::lost(&end))
    }

    /// What the gateway sent on the streams it opened.
    pub(crate) fn opened(&self) -> Vec<Vec<u8>> {
        self.opened.lock().unwrap().clone()
    }

    /// The endpoint, for what concerns its socket.
    pub(crate) fn endpoint(&self) -> &quinn::Endpoint {
        &self.endpoint
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.connection.close(0x100u32.into(), b"");
    }
}

/// Reads every unidirectional stream of the peer.
async fn listen(connection: quinn::Connection, opened: Opened) {
    while let Ok(mut stream) = connection.accept_uni().await {
        let place = {
            let mut all = opened.lock().unwrap();
            all.push(Vec::new());
            all.len() - 1
        };
        let opened = Arc::clone(&opened);
        RUNTIME.spawn(async move {
            while let Ok(Some(chunk)) = stream.read_chunk(1 << 16, true).await {
                opened.lock().unwrap()[place].extend_from_slice(&chunk.bytes);
            }
        });
    }
}

/// One request stream.
pub(crate) struct Stream {
    /// Our direction, until it ended.
    pub(crate) send: SendStream,
    /// The gateway's direction.
    pub(crate) recv: RecvStream,
    buffer: Vec<u8>,
    /// What is still to come of a DATA frame.
    left: usize,
    received: Received,
}

impl Stream {
    /// Wraps quinn's pair.
    pub(crate) fn of(send: SendStream, recv: RecvStream) -> Self {
        Self { send, recv, buffer: Vec::new(), left: 0, received: Received::default() }
    }

    /// Sends bytes; an error is left for the outcome to show.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = run(async { timeout(PATIENCE, self.send.write_all(bytes)).await });
        self
    }

    /// Ends our direction.
    pub(crate) fn finish(&mut self) -> &mut Self {
        let _ = self.send.finish();
        self
    }

    /// Resets our direction.
    pub(crate) fn reset(&mut self, code: u64) -> &mut Self {
        let _ = self.send.reset(VarInt::from_u64(code).unwrap());
        self
    }

    /// Asks the gateway to stop.
    pub(crate) fn stop(&mut self, code: u64) -> &mut Self {
        let _ = self.recv.stop(VarInt::from_u64(code).unwrap());
        self
    }

    /// The code of the gateway's STOP_SENDING, when it comes within `limit`.
    pub(crate) fn stopped(&mut self, limit: Duration) -> Option<u64> {
        let stopped = self.send.stopped();
        let code = run(async { timeout(limit, stopped).await }).ok()?.ok()??;
        Some(code.into_inner())
    }

    /// Waits until the gateway's direction ended in whatever way.
    pub(crate) fn outcome(&mut self) -> Outcome {
        self.outcome_within(PATIENCE)
    }

    /// The same with another patience.
    pub(crate) fn outcome_within(&mut self, limit: Duration) -> Outcome {
        match run(async { timeout(limit, self.ended()).await }) {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Silence(self.received.clone()),
        }
    }

    /// Waits for the final response's head.
    pub(crate) fn head(&mut self) -> Received {
        let head = async {
            while self.received.status == 0 {
                let none = || Outcome::Garbage("no head".to_owned());
                self.fill().await.map_err(|outcome| outcome.unwrap_or_else(none))?;
            }
            Ok::<_, Outcome>(self.received.clone())
        };
        run(async { timeout(PATIENCE, head).await }).expect("a head in time").expect("a head")
    }

    /// The same as a future, for many streams at once.
    pub(crate) async fn ended(&mut self) -> Outcome {
        loop {
            match self.fill().await {
                Ok(()) => {}
                Err(Some(outcome)) => return outcome,
                Err(None) if self.left > 0 || !self.buffer.is_empty() => {
                    return Outcome::Garbage(format!("truncated frame after {:?}", self.received));
                }
                Err(None) if self.received.status == 0 => {
                    return Outcome::Garbage("FIN without a response".to_owned());
                }
                Err(None) => return Outcome::Response(self.received.clone()),
            }
        }
    }

    /// Reads once; `Err(None)` at FIN.
    async fn fill(&mut self) -> Result<(), Option<Outcome>> {
        match self.recv.read_chunk(1 << 16, true).await {
            Ok(Some(chunk)) => {
                self.buffer.extend_from_slice(&chunk.bytes);
                self.parse().map_err(|why| Some(Outcome::Garbage(why)))
            }
            Ok(None) => Err(None),
            Err(ReadError::Reset(code)) => {
                Err(Some(Outcome::Reset(code.into_inner(), self.received.clone())))
            }
            Err(ReadError::ConnectionLost(error)) => Err(Some(Outcome::lost(&error))),
            Err(error) => Err(Some(Outcome::Lost(error.to_string()))),
        }
    }

    fn parse(&mut self) -> Result<(), String> {
        loop {
            let here = self.left.min(self.buffer.len());
            self.received.body.extend(self.buffer.drain(..here));
            self.left -= here;
            let Some((kind, at)) = read_varint(&self.buffer, 0) else { return Ok(()) };
            let Some((length, at)) = read_varint(&self.buffer, at) else { return Ok(()) };
            let length = usize::try_from(length).unwrap();
            if kind == DATA && self.received.status > 0 && self.received.trailers.is_none() {
                self.buffer.drain(..at);
                self.left = length;
                continue;
            }
            let Some(payload) = self.buffer.get(at..at + length) else { return Ok(()) };
            match kind {
                HEADERS => self.received.section(qpack_raw::decode(payload)?)?,
                0x21.. if (kind - 0x21) % 0x1f == 0 => {}
                _ => return Err(format!("frame {kind:#x} after {:?}", self.received)),
            }
            self.buffer.drain(..at + length);
        }
    }
}
