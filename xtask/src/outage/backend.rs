//! A backend that can be told to misbehave, in a process of its own so that it can be killed.

use std::{
    net::Ipv4Addr,
    path::Path,
    process::Command,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{LocalSet, spawn_local},
};

use crate::bench::server::Server;

/// The verb that runs [`run`]; not for people.
pub(crate) const BACKEND: &str = "outage-backend";

/// Whether it is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Answers 200.
    Well,
    /// Answers 500 at once.
    Fails,
    /// Reads requests and never answers.
    Hangs,
}

impl Mood {
    const fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Fails => "fails",
            Self::Hangs => "hangs",
        }
    }
}

/// How much it can do: so many requests at a time, each for so long. Work that was begun is done to
/// its end, also when nobody waits for the answer any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    pub(super) at_once: usize,
    pub(super) work: Duration,
}

/// A running backend.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) port: u16,
    words: Vec<String>,
    server: Option<Server>,
}

impl Backend {
    pub(super) fn new(port: u16, mood: Mood, capacity: Capacity) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|e| e.to_string())?;
        let words = vec![
            own.display().to_string(),
            BACKEND.into(),
            port.to_string(),
            mood.word().into(),
            capacity.at_once.to_string(),
            capacity.work.as_micros().to_string(),
        ];
        Ok(Self { port, words, server: None })
    }

    /// Starts it, or starts it again.
    pub(super) fn start(&mut self, folder: &Path) -> Result<(), String> {
        let name = format!("backend-{}", self.port);
        let server = Server::start(&name, &self.words, "0,1", &[self.port], folder)?;
        self.server = Some(server);
        Ok(())
    }

    /// Kills it without a word.
    pub(super) fn kill(&mut self) -> Result<(), String> {
        self.signal("KILL")?;
        self.server = None;
        Ok(())
    }

    /// Sends it a signal by name.
    pub(super) fn signal(&self, name: &str) -> Result<(), String> {
        let pid = self.server.as_ref().ok_or("the backend does not run")?.pid();
        let sent = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status();
        match sent {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("kill -{name} {pid}: {other:?}")),
        }
    }
}

/// The verb: PORT MOOD AT_ONCE WORK_MICROS.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let usage = || format!("{BACKEND} PORT MOOD AT_ONCE WORK_MICROS");
    let number = |i: usize| arguments.get(i).and_then(|word| word.parse::<u64>().ok());
    let (Some(port), Some(at_once), Some(work)) = (number(0), number(2), number(3)) else {
        return Err(usage());
    };
    let moods = [Mood::Well, Mood::Fails, Mood::Hangs];
    let mood = moods.into_iter().find(|mood| Some(mood.word()) == arguments.get(1).map(|w| &**w));
    let mood = mood.ok_or_else(usage)?;
    let port = u16::try_from(port).map_err(|e| e.to_string())?;
    let place = Rc::new(Semaphore::new(usize::try_from(at_once).map_err(|e| e.to_string())?));
    let work = Duration::from_micros(work);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    LocalSet::new().block_on(&runtime.map_err(|e| e.to_string())?, async move {
        let listener = listen(port).await?;
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            spawn_local(serve(stream, mood, place.clone(), work));
        }
    })
}

/// Binds the port, for which the sockets of a killed predecessor may still be in the way.
async fn listen(port: u16) -> Result<TcpListener, String> {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) if Instant::now() > end => return Err(format!("port {port}: {error}")),
            Err(_) => thread::sleep(Duration::from_millis(20)),
        }
    }
}

async fn serve(mut stream: TcpStream, mood: Mood, place: Rc<Semaphore>, work: Duration) {
    stream.set_nodelay(true).ok();
    let (mut buffer, mut filled) = (vec![0; 16 * 1024], 0);
    loop {
        match stream.read(&mut buffer[filled..]).await {
            Ok(0) | Err(_) => return,
            Ok(count) => filled += count,
        }
        // The peers send no bodies and wait for each answer, so a head is all there can be.
        if !buffer[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        filled = 0;
        let answer = match mood {
            Mood::Fails => "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
            Mood::Hangs => continue,
            Mood::Well => {
                // Nobody looks whether the client is still there: the work is done to its end.
                let Ok(_place) = place.acquire().await else { return };
                tokio::time::sleep(work).await;
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 3\r\n\r\nok\n"
            }
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
