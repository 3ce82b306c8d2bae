//! A scripted HTTP/1.1 origin that records every byte it is sent and judges it.

use std::{
    io::{self, ErrorKind, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use socket2::{Domain, Socket, Type};
use tungstenite::handshake::derive_accept_key;

use super::{
    answer::Input,
    eventually,
    seen::{Framing, Seen, is_token},
};

/// What happens to the connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next request is awaited.
    Keep,
    /// It closes.
    Close,
    /// It closes with a reset.
    Reset,
}

/// A script for one request.
pub(crate) type Script = dyn Fn(&mut Exchange) -> io::Result<Next> + Send + Sync;

/// A listening origin; dropping it closes the listener.
pub(crate) struct Origin {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    ledger: Arc<Ledger>,
    stopped: Arc<AtomicBool>,
}

#[derive(Default)]
struct Ledger {
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<Vec<String>>,
    connections: AtomicUsize,
}

impl Origin {
    /// Answers every request with its method, target and body length.
    pub(crate) fn echo() -> Self {
        Self::start(Exchange::echo)
    }

    /// Answers by script.
    pub(crate) fn start(
        script: impl Fn(&mut Exchange) -> io::Result<Next> + Send + Sync + 'static,
    ) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), script)
    }

    /// The same at an address of the caller's choice.
    pub(crate) fn at(
        address: SocketAddr,
        script: impl Fn(&mut Exchange) -> io::Result<Next> + Send + Sync + 'static,
    ) -> Self {
        // The standard library's queue is short, and a full one is a connection a second late.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(4096).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let ledger = Arc::new(Ledger::default());
        let stopped = Arc::new(AtomicBool::new(false));
        let (shared, flag) = (Arc::clone(&ledger), Arc::clone(&stopped));
        let script: Arc<Script> = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if flag.load(Ordering::Acquire) {
                    return;
                }
                let (Ok(stream), ledger, script) = (stream, shared.clone(), script.clone()) else {
                    continue;
                };
                thread::spawn(move || serve(stream, &ledger, &script));
            }
        });
        Self { address, ledger, stopped }
    }

    /// All requests whose head came, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.ledger.seen.lock().unwrap().clone()
    }

    /// Requests whose target starts with `prefix`.
    pub(crate) fn seen_at(&self, prefix: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|s| s.target.starts_with(prefix)).collect()
    }

    /// Waits for a request whose target starts with `prefix` to have come with all its body.
    pub(crate) fn completed(&self, prefix: &str) -> Seen {
        let find = || self.seen_at(prefix).into_iter().find(|s| s.complete);
        assert!(eventually(|| find().is_some()), "no whole request for {prefix}");
        find().unwrap()
    }

    /// Connections taken so far.
    pub(crate) fn connections(&self) -> usize {
        self.ledger.connections.load(Ordering::Acquire)
    }

    /// What it was sent that no strict peer would send.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.ledger.faults.lock().unwrap().clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        let _ = TcpStream::connect(self.address);
        if !thread::panicking() {
            super::assert_none(&self.faults());
        }
    }
}

fn serve(stream: TcpStream, ledger: &Arc<Ledger>, script: &Arc<Script>) {
    let connection = ledger.connections.fetch_add(1, Ordering::AcqRel);
    let _ = stream.set_nodelay(true);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let mut input = Input { inner: stream, buffer: Vec::new() };
    loop {
        let Ok(Some(head)) = read_head(&mut input) else {
            let left = String::from_utf8_lossy(&input.buffer).into_owned();
            if !left.is_empty() && !left.starts_with(['G', 'P', 'H', 'O', 'D']) {
                ledger.faults.lock().unwrap().push(format!("surplus bytes {left:?}"));
            }
            return;
        };
        let (seen, faults) = Seen::parse(connection, &head);
        let named = faults.into_iter().map(|f| format!("{} {}: {f}", seen.method, seen.target));
        ledger.faults.lock().unwrap().extend(named);
        let index = {
            let mut all = ledger.seen.lock().unwrap();
            all.push(seen.clone());
            all.len() - 1
        };
        let done = seen.framing == Framing::None;
        let mut exchange = Exchange { input, seen, index, done, ledger: Arc::clone(ledger) };
        if done {
            exchange.record(true);
        }
        let next = script(&mut exchange);
        if next.is_ok() && matches!(next, Ok(Next::Keep)) && exchange.read_body().is_err() {
            return;
        }
        input = exchange.input;
        match next {
            Ok(Next::Keep) => {}
            Ok(Next::Close) | Err(_) => return,
            Ok(Next::Reset) => {
                let socket = socket2::SockRef::from(&input.inner);
                let _ = socket.set_linger(Some(Duration::ZERO));
                return;
            }
        }
    }
}

fn read_head(input: &mut Input<TcpStream>) -> io::Result<Option<Vec<u8>>> {
    loop {
        if let Some(at) = input.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = input.buffer[..at].to_vec();
            input.buffer.drain(..at + 4);
            return Ok(Some(head));
        }
        if !input.fill()? {
            return Ok(None);
        }
    }
}

/// One request under way at the origin.
pub(crate) struct Exchange {
    input: Input<TcpStream>,
    /// What came so far.
    pub(crate) seen: Seen,
    index: usize,
    done: bool,
    ledger: Arc<Ledger>,
}

impl Exchange {
    /// The target.
    pub(crate) fn target(&self) -> &str {
        &self.seen.target
    }

    /// Sends raw bytes at once.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.input.inner.write_all(bytes.as_ref())
    }

    /// Sends a response with a length.
    pub(crate) fn reply(&mut self, status: u16, fields: &str, body: &str) -> io::Result<Next> {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} Text\r\n{fields}Content-Length: {length}\r\n\r\n");
        let body = if self.seen.method == "HEAD" { "" } else { body };
        self.send(format!("{head}{body}"))?;
        Ok(Next::Keep)
    }

    /// Opens a WebSocket as RFC 6455 says; then come these bytes.
    pub(crate) fn switch(&mut self, after: &str) -> io::Result<()> {
        let key = self.seen.field("sec-websocket-key").unwrap_or_default();
        let accept = derive_accept_key(key.as_bytes());
        self.send(format!(
            "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n{after}"
        ))
    }

    /// Reads the body, then names what came.
    pub(crate) fn echo(&mut self) -> io::Result<Next> {
        self.read_body()?;
        let text = format!("{} {} {}", self.seen.method, self.seen.target, self.seen.body.len());
        self.reply(200, "", &text)
    }

    /// Reads what is left of the body.
    pub(crate) fn read_body(&mut self) -> io::Result<()> {
        while self.read_piece()? {}
        Ok(())
    }

    /// Reads a body with a length and keeps none of it; the bytes read.
    pub(crate) fn skip_body(&mut self) -> io::Result<usize> {
        let Framing::Length(length) = self.seen.framing else { return Ok(0) };
        let mut left = length;
        while left > 0 {
            let here = self.input.buffer.len().min(left);
            self.input.buffer.drain(..here);
            left -= here;
            if left > 0 && !self.input.fill()? {
                break;
            }
        }
        self.done = true;
        self.record(left == 0);
        Ok(length - left)
    }

    /// The connection itself, for another protocol to go on with.
    pub(crate) fn stream(&self) -> io::Result<TcpStream> {
        self.input.inner.try_clone()
    }

    /// What was read beyond the request, and is.
    pub(crate) fn surplus(&mut self) -> Vec<u8> {
        let _ = self.input.inner.set_read_timeout(Some(Duration::from_millis(300)));
        while self.input.fill().is_ok_and(|more| more) {}
        std::mem::take(&mut self.input.buffer)
    }

    /// Reads one chunk, or the whole of a body with a length; false once nothing is left.
    pub(crate) fn read_piece(&mut self) -> io::Result<bool> {
        if self.done {
            return Ok(false);
        }
        let cut = || io::Error::from(ErrorKind::UnexpectedEof);
        match self.seen.framing {
            Framing::None => self.done = true,
            Framing::Length(length) => {
                let whole = self.input.take(length, &mut self.seen.body)?;
                self.done = true;
                self.record(whole);
                if !whole {
                    return Err(cut());
                }
            }
            Framing::Chunked => {
                let line = self.input.line()?.ok_or_else(cut)?;
                let line = String::from_utf8_lossy(&line).into_owned();
                let hex = line.bytes().all(|b| b.is_ascii_hexdigit());
                let size = usize::from_str_radix(&line, 16);
                let (true, Ok(size)) = (hex, size) else {
                    self.fault(&format!("chunk line {line:?}"));
                    return Err(io::Error::other("chunk line"));
                };
                if size == 0 {
                    self.seen.trailers = self.input.fields()?.ok_or_else(cut)?;
                    self.judge_trailers();
                    self.done = true;
                } else if !self.input.take(size, &mut self.seen.body)? {
                    return Err(cut());
                } else if self.input.line()? != Some(Vec::new()) {
                    self.fault("chunk longer than its size");
                    return Err(io::Error::other("chunk end"));
                }
                self.record(self.done);
            }
        }
        Ok(!self.done)
    }

    /// Whether the gateway closes or resets this connection within a while.
    pub(crate) fn closed(&mut self) -> bool {
        eventually(|| !matches!(self.input.fill(), Ok(true)))
    }

    fn judge_trailers(&self) {
        let framing = ["content-length", "transfer-encoding", "host", "trailer", "te"];
        for (name, _) in &self.seen.trailers {
            let name = name.to_ascii_lowercase();
            if !is_token(&name) || framing.contains(&name.as_str()) {
                self.fault(&format!("trailer {name:?}"));
            }
        }
    }

    fn fault(&self, what: &str) {
        let line = format!("{} {}: {what}", self.seen.method, self.seen.target);
        self.ledger.faults.lock().unwrap().push(line);
    }

    fn record(&mut self, complete: bool) {
        self.seen.complete = complete;
        self.ledger.seen.lock().unwrap()[self.index] = self.seen.clone();
    }
}
