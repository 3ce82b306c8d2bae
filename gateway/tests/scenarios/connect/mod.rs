//! CONNECT where a route names it: bytes of any kind between a client of each version and an
//! endpoint that speaks no HTTP.

mod h1;
mod h2;
mod h3;
mod refusals;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::support::{
    eventually,
    gateway::{Gateway, Setup, free_port},
};

/// An endpoint that does what the first line says.
struct Peer {
    address: SocketAddr,
    ended: Arc<Mutex<Vec<End>>>,
}

/// How the gateway's side of one connection ended, after so many bytes behind the first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Closed(usize),
    Reset,
}

impl Peer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&ended);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let ended = Arc::clone(&shared);
                thread::spawn(move || {
                    let end = play(&stream);
                    ended.lock().unwrap().extend(end);
                });
            }
        });
        Self { address, ended }
    }

    fn ends(&self) -> Vec<End> {
        self.ended.lock().unwrap().clone()
    }

    /// Waits for the end of the next connection.
    fn ends_with(&self, count: usize, end: End) {
        let there = eventually(|| self.ends().len() == count);
        assert!(there && self.ends()[count - 1] == end, "{:?}, not {end:?}", self.ends());
    }
}

/// `echo`, `count` (answers at the end), `last` (ends its side at once), `reset`.
fn play(stream: &TcpStream) -> Option<End> {
    let mut writer = stream;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    match reader.read_line(&mut line) {
        Err(_) => return Some(End::Reset),
        Ok(0) => return Some(End::Closed(0)),
        Ok(_) => {}
    }
    match line.trim_end() {
        "last" => {
            writer.write_all(b"farewell").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        }
        "reset" => {
            writer.write_all(b"cut").unwrap();
            thread::sleep(Duration::from_millis(200));
            socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
            return None;
        }
        _ => {}
    }
    let mut piece = [0; 65_536];
    let mut all = 0;
    loop {
        match reader.read(&mut piece) {
            Err(_) => return Some(End::Reset),
            Ok(0) => break,
            Ok(n) => {
                all += n;
                if line == "echo\n" && writer.write_all(&piece[..n]).is_err() {
                    return Some(End::Reset);
                }
            }
        }
    }
    if line == "count\n" {
        writer.write_all(format!("got {all}").as_bytes()).unwrap();
    }
    Some(End::Closed(all))
}

/// A port on which nobody listens.
fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// `db.test` takes CONNECT, all other hosts and methods are answered at once.
fn setup(endpoints: &[SocketAddr], upstream: &str, route: &str) -> Setup {
    setup_on("", endpoints, upstream, route)
}

fn setup_on(listener: &str, endpoints: &[SocketAddr], upstream: &str, route: &str) -> Setup {
    let endpoints: Vec<_> = endpoints.iter().map(|e| format!("\"{e}\"")).collect();
    Setup::yaml(&format!(
        "workers: 1\nadmin: {{ bind: \"$ADMIN\" }}\n\
         listeners:\n  - {{ bind: \"$LISTEN\"{listener} }}\n\
         timeouts: {{ drain: 2s }}\n\
         upstreams:\n  db: {{ endpoints: [{}], balance: round_robin{upstream} }}\nroutes:\n  \
         - {{ match: {{ host: db.test, methods: [CONNECT] }}, to: db{route} }}\n  \
         - {{ match: \"/**\", respond: {{ status: 200, body: plain }} }}\n",
        endpoints.join(", ")
    ))
}

fn stage() -> (Peer, Gateway) {
    let peer = Peer::start();
    let gateway = setup(&[peer.address], "", "").start();
    (peer, gateway)
}
