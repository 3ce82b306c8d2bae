//! Notices that files changed: the configuration, certificates, keys.
//!
//! What counts is the state of a file, not what happened to it. A thread keeps a fingerprint of
//! each file; inotify on the directories along its path, links included, only says when to look
//! again. So a rename over the file, a link that is swapped (as Kubernetes does with `..data`), a
//! write in place and a delete with a later create all look alike. Where inotify does not reach
//! (its limits are used up, a directory is not there yet), the thread looks every other second.
//!
//! To miss nothing, start watching before the files are read for the first time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, SystemTime},
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// Links followed for one path before it counts as a loop, as in the kernel.
const MAX_LINKS: usize = 40;

/// Looks at files that keep changing before what is there is told anyway.
const MAX_SETTLING: usize = 25;

/// How often to look.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// A change is told once the files have stayed the same this long.
    settle: Duration,
    /// Between two looks without inotify.
    poll: Duration,
    /// Between two looks with it: a net below it, for file systems that do not report (NFS).
    sweep: Duration,
    /// Least time between two looks in a directory where other files change all the time.
    breath: Duration,
}

const PACE: Pace = Pace {
    settle: Duration::from_millis(200),
    poll: Duration::from_secs(2),
    sweep: Duration::from_secs(30),
    breath: Duration::from_millis(50),
};

/// Watches a set of files until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    wake: SyncSender<()>,
}

#[derive(Debug, Default)]
struct Shared {
    /// A new set of files, with their state when they were named.
    replacement: Mutex<Option<Files>>,
    /// Changed and not yet told.
    changed: Mutex<BTreeSet<PathBuf>>,
    notify: Notify,
    stopped: AtomicBool,
}

/// Files by path as named, with what they looked like; `None` is not there or not accessible.
type Files = BTreeMap<PathBuf, Option<Fingerprint>>;

impl Watcher {
    /// Begins to watch `paths`, which need not exist, in a thread of its own.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(paths: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        Self::start_with(paths, PACE, true)
    }

    fn start_with(
        paths: impl IntoIterator<Item = PathBuf>,
        pace: Pace,
        inotify: bool,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (wake, woken) = sync_channel(1);
        let inotify = if inotify { open_inotify(wake.clone()) } else { None };
        let files = look(paths);
        let observer = Observer {
            shared: Arc::clone(&shared),
            pace,
            files,
            inotify,
            watched: BTreeMap::new(),
        };
        thread::Builder::new().name("weir-watch".to_owned()).spawn(move || observer.run(&woken))?;
        Ok(Self { shared, wake })
    }

    /// Watches `paths` from now on. A change of a file that stays in the set is not lost.
    pub fn replace(&self, paths: impl IntoIterator<Item = PathBuf>) {
        let mut named = look(paths);
        let mut replacement = lock(&self.shared.replacement);
        if let Some(earlier) = replacement.take() {
            carry_over(&earlier, &mut named);
        }
        *replacement = Some(named);
        drop(replacement);
        self.wake();
    }

    /// Waits for changes and returns the files concerned, as they were named. A deleted file has
    /// changed, too. Dropping the future loses nothing. For one caller at a time.
    pub async fn changed(&self) -> BTreeSet<PathBuf> {
        loop {
            let changed = std::mem::take(&mut *lock(&self.shared.changed));
            if !changed.is_empty() {
                return changed;
            }
            self.shared.notify.notified().await;
        }
    }

    fn wake(&self) {
        // Full means that the thread is about to look anyway.
        let _ = self.wake.try_send(());
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `None` where the kernel grants no more instances.
fn open_inotify(wake: SyncSender<()>) -> Option<RecommendedWatcher> {
    let handler = move |event: notify::Result<notify::Event>| {
        // Whoever reads a file, ourselves included, does not change it.
        if event.is_ok_and(|event| event.kind.is_access()) {
            return;
        }
        let _ = wake.try_send(());
    };
    notify::recommended_watcher(handler).ok()
}

/// The thread's side.
struct Observer {
    shared: Arc<Shared>,
    pace: Pace,
    files: Files,
    inotify: Option<RecommendedWatcher>,
    /// Directories under inotify, by their real path.
    watched: BTreeMap<PathBuf, DirectoryIdentity>,
}

impl Observer {
    fn run(mut self, woken: &Receiver<()>) {
        while !self.shared.stopped.load(Ordering::Acquire) {
            let replacement = lock(&self.shared.replacement).take();
            if let Some(mut named) = replacement {
                carry_over(&self.files, &mut named);
                self.files = named;
            }
            // Watch first, look then: what changes in between is reported, or seen.
            let complete = self.watch_directories();
            if self.report() {
                // A link may lead elsewhere now: watch there, and look once more.
                continue;
            }
            thread::sleep(self.pace.breath);
            let pause = if complete { self.pace.sweep } else { self.pace.poll };
            if woken.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    /// Tells what has changed once it has come to rest; false when nothing has.
    fn report(&mut self) -> bool {
        let mut now = self.look();
        if now == self.files {
            return false;
        }
        for _ in 0..MAX_SETTLING {
            thread::sleep(self.pace.settle);
            let later = self.look();
            if later == now {
                break;
            }
            now = later;
        }
        let changed: Vec<_> = now
            .iter()
            .filter(|(path, fingerprint)| self.files.get(*path) != Some(fingerprint))
            .map(|(path, _)| path.clone())
            .collect();
        self.files = now;
        if !changed.is_empty() {
            lock(&self.shared.changed).extend(changed);
            self.shared.notify.notify_one();
        }
        true
    }

    fn look(&self) -> Files {
        look(self.files.keys().cloned())
    }

    /// Puts every directory that matters under inotify, and no other; false when one could not be.
    fn watch_directories(&mut self) -> bool {
        let Some(inotify) = &mut self.inotify else { return false };
        let mut wanted = BTreeMap::new();
        let mut complete = true;
        for directory in self.files.keys().flat_map(|path| directories(path)) {
            match DirectoryIdentity::new(&directory) {
                Ok((real, identity)) => {
                    wanted.insert(real, identity);
                }
                Err(_) => complete = false,
            }
        }
        self.watched.retain(|directory, identity| {
            let keep = wanted.get(directory) == Some(identity);
            if !keep {
                // Fails where the directory is gone, and its watch with it.
                let _ = inotify.unwatch(directory);
            }
            keep
        });
        for (directory, identity) in wanted {
            if self.watched.contains_key(&directory) {
                continue;
            }
            match inotify.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(directory, identity);
                }
                Err(_) => complete = false,
            }
        }
        complete
    }
}

/// State of a file; any change to its content changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Of content or attributes; not settable, so it tells what a preserved `modified` hides.
    altered: (i64, i64),
}

fn look(paths: impl IntoIterator<Item = PathBuf>) -> Files {
    let fingerprint = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some(Fingerprint {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            altered: (found.ctime(), found.ctime_nsec()),
        })
    };
    paths.into_iter().map(|path| (path.clone(), fingerprint(&path))).collect()
}

/// What was known of a file before its set was replaced still is what a change is measured by.
fn carry_over(old: &Files, named: &mut Files) {
    for (path, fingerprint) in named {
        if let Some(known) = old.get(path) {
            *fingerprint = *known;
        }
    }
}

/// Tells a directory from a later one of the same name, of which inotify would know nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DirectoryIdentity {
    device: u64,
    inode: u64,
    /// Inode numbers are used again; `None` where the file system keeps no such time.
    created: Option<SystemTime>,
}

impl DirectoryIdentity {
    /// With the directory's real path: two names of one directory share a single watch.
    fn new(directory: &Path) -> io::Result<(PathBuf, Self)> {
        let real = fs::canonicalize(directory)?;
        let found = fs::metadata(&real)?;
        let created = found.created().ok();
        Ok((real, Self { device: found.dev(), inode: found.ino(), created }))
    }
}

/// The directories in which something happens when the file at `path` becomes another: its own, and
/// that of every link on the way to it.
fn directories(path: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut links = 0;
    let mut ways = vec![std::path::absolute(path).unwrap_or_else(|_| path.to_owned())];
    while let Some(way) = ways.pop() {
        found.extend(way.parent().map(Path::to_owned));
        for (link, parent) in way.ancestors().filter_map(|step| Some((step, step.parent()?))) {
            let Ok(target) = fs::read_link(link) else { continue };
            links += 1;
            if links > MAX_LINKS {
                return found;
            }
            found.insert(parent.to_owned());
            let target = parent.join(target);
            ways.push(match way.strip_prefix(link) {
                Ok(rest) if !rest.as_os_str().is_empty() => target.join(rest),
                _ => target,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests;
