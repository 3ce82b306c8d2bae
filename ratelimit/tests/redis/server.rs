//! A Redis server of a test's own.

use std::{
    env, fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::Duration,
};

/// A running server; stopped when dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: PathBuf,
}

/// A port that nobody listens on, below the range the kernel takes for outgoing connections: none
/// of those gets it while its server is gone.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = u16::try_from(std::process::id() * 64 % 21_000).unwrap();
    (0..2_000)
        .map(|_| 10_500 + (base + NEXT.fetch_add(1, Ordering::Relaxed)) % 21_500)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .unwrap()
}

impl Server {
    /// Starts one; `None` (said on stdout) where Redis is not installed.
    pub(crate) fn start(arguments: &[&str]) -> Option<Self> {
        // Another test may take the port between the look and the start.
        (0..10)
            .find_map(|_| Self::start_on(free_port(), arguments).transpose())
            .transpose()
            .unwrap()
    }

    /// Starts one on `port`: an error if it does not come up, `None` if it is not installed.
    pub(crate) fn start_on(port: u16, arguments: &[&str]) -> Result<Option<Self>, String> {
        let folder = env::temp_dir().join(format!("weir-redis-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let spawned = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(&folder)
            .args(["--save", "", "--appendonly", "no", "--loglevel", "warning"])
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = spawned else {
            println!("skipped: redis-server is not installed");
            let _ = fs::remove_dir_all(&folder);
            return Ok(None);
        };
        let mut server = Self { child, port, folder };
        for _ in 0..500 {
            if server.child.try_wait().unwrap().is_some() {
                return Err("it ended".into());
            }
            if server
                .try_ask("PING\r\n")
                .is_some_and(|said| said.contains("PONG") || said.contains("NOAUTH"))
            {
                return Ok(Some(server));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Err("it does not answer".into())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends one line of commands and returns the beginning of what it says.
    pub(crate) fn ask(&self, line: &str) -> String {
        self.try_ask(line).unwrap()
    }

    fn try_ask(&self, line: &str) -> Option<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(format!("{}\r\n", line.trim_end()).as_bytes()).ok()?;
        let mut said = vec![0; 65_536];
        let length = stream.read(&mut said).ok()?;
        Some(String::from_utf8_lossy(&said[..length]).into_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
