//! What stands behind the peers: two servers that answer 1 KiB or 1 MiB at once, and count.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::{
    client::Client,
    server::{CORE_OTHERS, Server, free_port},
};
use crate::process::find;

/// Bytes of an ordinary response's body.
pub(super) const BODY_BYTES: usize = 1024;
/// Bytes of the body behind [`LARGE_PATH`].
pub(super) const LARGE_BYTES: usize = 1024 * 1024;
/// Where the large body is.
pub(super) const LARGE_PATH: &str = "/1m";
/// The verb that runs the responder below; not for people.
pub(crate) const RESPONDER: &str = "bench-responder";

/// Where a body of the ordinary size may be kept for an hour.
pub(super) const CACHED_PATH: &str = "/cached";
/// What its header section says beside type, length, date and server.
const CACHED_FIELDS: [[&str; 2]; 4] = [
    ["Cache-Control", "public, max-age=3600"],
    ["ETag", "\"5f2d8e1c-400\""],
    ["Last-Modified", "Tue, 04 Aug 2026 09:12:44 GMT"],
    ["X-Content-Type-Options", "nosniff"],
];
/// Fields of a whole answer with that.
pub(super) const CACHED_FIELDS_LEAST: usize = CACHED_FIELDS.len() + 3;

/// Where there is text worth compressing.
pub(super) const TEXT_PATH: &str = "/text.json";
/// About its length.
const TEXT_BYTES: usize = 16 * 1024;

const COUNT_PATH: &str = "/backend-count";
/// A fair share of two is a half; what is below this is no balancing.
const SHARE_LEAST: f64 = 0.3;

/// The two servers.
#[derive(Debug)]
pub(crate) struct Backends {
    ports: [u16; 2],
    /// What they are, for the report.
    pub(crate) kind: &'static str,
    servers: Vec<Server>,
}

/// Requests that each of them has served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served([u64; 2]);

impl Backends {
    /// Starts NGINX twice, or our own responder where there is no NGINX.
    pub(crate) fn start(folder: &Path) -> Result<Self, String> {
        let ports = [free_port()?, free_port()?];
        let nginx = find("nginx");
        fs::write(folder.join("1m"), "x".repeat(LARGE_BYTES)).map_err(|e| e.to_string())?;
        fs::write(folder.join("text.json"), text()).map_err(|e| e.to_string())?;
        let mut servers = Vec::new();
        for port in ports {
            let name = format!("backend-{port}");
            let words = match &nginx {
                Some(nginx) => {
                    let file = folder.join(format!("{name}.conf"));
                    fs::write(&file, nginx_config(port, folder)).map_err(|e| e.to_string())?;
                    let (nginx, file) = (nginx.display().to_string(), file.display().to_string());
                    vec![nginx, "-e".into(), "stderr".into(), "-c".into(), file]
                }
                None => {
                    let own = std::env::current_exe().map_err(|e| e.to_string())?;
                    vec![own.display().to_string(), RESPONDER.into(), port.to_string()]
                }
            };
            servers.push(Server::start(&name, &words, CORE_OTHERS, &[port], folder)?);
        }
        let kind = if nginx.is_some() { "NGINX `return 200`" } else { "own responder" };
        Ok(Self { ports, kind, servers })
    }

    /// Their addresses.
    pub(crate) fn addresses(&self) -> [String; 2] {
        self.ports.map(|port| format!("127.0.0.1:{port}"))
    }

    /// Their processes.
    pub(crate) fn pids(&self) -> [u32; 2] {
        [0, 1].map(|i| self.servers[i].pid())
    }

    /// Asks them how many requests they have served.
    pub(crate) fn served(&self) -> Result<Served, String> {
        let mut served = [0; 2];
        for (count, port) in served.iter_mut().zip(self.ports) {
            let answer = Client::connect(port, None)?.get(COUNT_PATH)?;
            *count = requests(&String::from_utf8_lossy(&answer.body))
                .ok_or("a backend that cannot say how much it has served")?;
        }
        Ok(Served(served))
    }
}

impl Served {
    /// Whether `requests` since `earlier` all reached a backend, and both of them fairly.
    pub(super) fn check(self, earlier: Self, requests: u64) -> Result<(), String> {
        let [a, b] = [0, 1].map(|i| self.0[i].saturating_sub(earlier.0[i]));
        if a + b < requests {
            return Err(format!("{requests} answers, but the backends served {}", a + b));
        }
        let share = a.min(b) as f64 / (a + b).max(1) as f64;
        if share < SHARE_LEAST {
            return Err(format!("unbalanced: {a} and {b} requests"));
        }
        Ok(())
    }

    /// Requests that both have served together.
    pub(crate) fn total(self) -> u64 {
        self.0.iter().sum()
    }

    /// Whether no request since `earlier` reached a backend but ours for the counts.
    pub(super) fn check_hits(self, earlier: Self) -> Result<(), String> {
        let served = [0, 1].map(|i| self.0[i].saturating_sub(earlier.0[i]));
        match served.iter().all(|count| *count <= 1) {
            true => Ok(()),
            false => Err(format!("not all were hits: the backends served {served:?}")),
        }
    }
}

/// The third number below `server accepts handled requests`.
fn requests(page: &str) -> Option<u64> {
    let (_, rest) = page.split_once("requests")?;
    rest.split_whitespace().nth(2)?.parse().ok()
}

fn nginx_config(port: u16, folder: &Path) -> String {
    let folder = folder.display();
    let body = "x".repeat(BODY_BYTES);
    let fields = CACHED_FIELDS.map(|[name, value]| format!("add_header {name} '{value}';"));
    let fields = fields.join(" ");
    format!(
        "daemon off; master_process off; pid {folder}/backend-{port}.pid;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; sendfile on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location = {COUNT_PATH} {{ stub_status; }}
    location = {LARGE_PATH} {{ default_type text/plain; alias {folder}/1m; }}
    location = {TEXT_PATH} {{
      default_type application/json; alias {folder}/text.json; open_file_cache max=10;
    }}
    location = {CACHED_PATH} {{
      default_type text/plain; {fields} return 200 \"{body}\";
    }}
    location / {{ default_type text/plain; return 200 \"{body}\"; }}
  }}
}}
"
    )
}

/// A list of orders, the same each time, about as alike as those of an API are.
fn text() -> String {
    let mut state = 1_u32;
    // Of the generator by Lehmer: any will do that repeats.
    let mut draw = |below: u32| {
        state = (u64::from(state) * 48_271 % 2_147_483_647) as u32;
        state % below
    };
    let mut text = String::from("[");
    while text.len() < TEXT_BYTES {
        let state = ["open", "paid", "sent", "returned"][draw(4) as usize];
        let (id, cents, hour) = (draw(1 << 30), draw(100_000), draw(24));
        let _ = write!(
            text,
            "{{\"id\":{id},\"state\":\"{state}\",\"cents\":{cents},\"currency\":\"EUR\",\
             \"placed\":\"2026-08-04T{hour:02}:12:44Z\",\"customer\":\"c-{:06x}\"}},",
            draw(1 << 24)
        );
    }
    text.pop();
    text.push(']');
    text
}

/// The verb: PORT; a thread per connection, one fixed response per request head.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let port = arguments.first().and_then(|port| port.parse::<u16>().ok());
    let port = port.ok_or_else(|| format!("{RESPONDER} PORT"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|e| e.to_string())?;
    let served = Arc::new(AtomicU64::new(0));
    for stream in listener.incoming() {
        let (stream, served) = (stream.map_err(|e| e.to_string())?, Arc::clone(&served));
        thread::spawn(move || answer(stream, &served));
    }
    Ok(())
}

fn answer(mut stream: TcpStream, served: &AtomicU64) {
    let [small, large] = [BODY_BYTES, LARGE_BYTES].map(|bytes| reply(&"x".repeat(bytes), ""));
    let fields = CACHED_FIELDS.map(|[name, value]| format!("{name}: {value}\r\n")).concat();
    let cached = reply(&"x".repeat(BODY_BYTES), &fields);
    let json = reply(&text(), "").replace("text/plain", "application/json");
    stream.set_nodelay(true).ok();
    let (mut buffer, mut filled) = ([0; 16 * 1024], 0);
    loop {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) | Err(_) => return,
            Ok(count) => filled += count,
        }
        // The peers send no bodies and wait for each answer, so a head is all there can be.
        if !buffer[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        let count = served.fetch_add(1, Ordering::Relaxed) + 1;
        let asks = |path| buffer[..filled].starts_with(format!("GET {path} ").as_bytes());
        let sent = if asks(COUNT_PATH) {
            let page = format!("server accepts handled requests\n 0 0 {count}\n");
            stream.write_all(reply(&page, "").as_bytes())
        } else if asks(LARGE_PATH) {
            stream.write_all(large.as_bytes())
        } else if asks(TEXT_PATH) {
            stream.write_all(json.as_bytes())
        } else if asks(CACHED_PATH) {
            stream.write_all(cached.as_bytes())
        } else {
            stream.write_all(small.as_bytes())
        };
        if sent.is_err() {
            return;
        }
        filled = 0;
    }
}

fn reply(body: &str, fields: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\
         {fields}\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_got_nothing_voids_the_row() {
        let start = Served([100, 100]);
        assert!(Served([600, 600]).check(start, 1_000).is_ok());
        assert!(Served([1_090, 110]).check(start, 1_000).is_err());
        assert!(Served([200, 200]).check(start, 1_000).is_err());
        assert!(Served([101, 101]).check_hits(start).is_ok());
        assert!(Served([101, 102]).check_hits(start).is_err());
    }

    #[test]
    fn the_count_is_found_on_the_status_page() {
        let page = "Active connections: 1 \nserver accepts handled requests\n 7 7 42 \nReading: 0";
        assert_eq!(requests(page), Some(42));
        assert_eq!(requests("nothing"), None);
    }

    #[test]
    fn the_own_responder_answers_and_counts() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| answer(listener.accept().unwrap().0, &served));
            let mut client = Client::connect(port, None).unwrap();
            for _ in 0..3 {
                let reply = client.get("/").unwrap();
                assert_eq!((reply.status, reply.body.len()), (200, BODY_BYTES));
            }
            let cached = client.get(CACHED_PATH).unwrap();
            assert_eq!((cached.fields, cached.body.len()), (6, BODY_BYTES));
            assert_eq!(client.get(LARGE_PATH).unwrap().body.len(), LARGE_BYTES);
            let page = client.get(COUNT_PATH).unwrap();
            assert_eq!(requests(&String::from_utf8(page.body).unwrap()), Some(6));
        });
    }
}
