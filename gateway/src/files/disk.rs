//! What is there, by the system: nothing here is for the worker's thread.
//!
//! Every file is opened by a path that the kernel resolves beneath the directory (openat2 with
//! RESOLVE_BENEATH): a link that leads out is an error, and there is no moment between a check and
//! the opening in which somebody could change what was checked. On kernels without that, no link
//! is followed at all.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use bytes::Bytes;
use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::{self, Dir, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};
use smallvec::SmallVec;
use weir_config::model;

use super::{
    coding::Coding,
    kind::Kind,
    listing::{ENTRIES, Entry},
    place::{Place, is_served},
    respond::Facts,
};

/// What is looked for.
#[derive(Debug)]
pub(super) struct Sought {
    pub(super) place: Place,
    /// Whether the client's own path ends with a slash, whatever the route made of it.
    pub(super) slashed: bool,
    /// What the client takes instead, best first.
    pub(super) codings: SmallVec<[Coding; 3]>,
    /// A file of at most so many bytes is read at once.
    pub(super) small: u64,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    /// A file, open.
    File(Box<Opened>),
    /// A directory, asked for without its slash.
    Folder,
    /// What is in a directory.
    Listing(Vec<Entry>),
    /// Nothing.
    Missing,
    /// Something that is not for clients.
    Forbidden,
    /// The system would not tell.
    Failed(io::Error),
}

/// An open file.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    /// All of it, where it is small.
    pub(super) bytes: Option<Bytes>,
    facts: Facts,
}

impl Opened {
    /// What is to be said of it.
    pub(super) const fn facts(&self) -> Facts {
        self.facts
    }
}

/// Looks for a file, its stand-ins, and what stands in for none.
pub(super) fn find(tree: &model::Files, sought: &Sought) -> Found {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = match fs::open(&tree.root, flags, Mode::empty()) {
        Ok(root) => root,
        Err(error) => return Found::Failed(error.into()),
    };
    let search = Search { root: root.as_fd(), tree, sought };
    let found = match search.at(&sought.place) {
        Ok(found) => found,
        Err(error) => judge(error),
    };
    match (&found, &tree.fallback) {
        (Found::Missing | Found::Forbidden, Some(fallback)) => {
            let place = Place::of("/").map(|root| root.below(fallback));
            let instead = place.and_then(|place| search.file(&place).transpose());
            instead.and_then(Result::ok).map_or(found, |file| Found::File(Box::new(file)))
        }
        _ => found,
    }
}

struct Search<'a> {
    root: BorrowedFd<'a>,
    tree: &'a model::Files,
    sought: &'a Sought,
}

impl Search<'_> {
    fn at(&self, place: &Place) -> Result<Found, Errno> {
        let fd = beneath(self.root, place.path())?;
        let stat = fs::fstat(&fd)?;
        match FileType::from_raw_mode(stat.st_mode) {
            // A file is no directory, whatever the path says.
            FileType::RegularFile if place.is_folder => Ok(Found::Missing),
            FileType::RegularFile => self.opened(place, fd, &stat).map(found),
            FileType::Directory if !place.is_folder && !self.sought.slashed => Ok(Found::Folder),
            FileType::Directory => self.within(place, &fd),
            _ => Ok(Found::Forbidden),
        }
    }

    /// What stands for a directory.
    fn within(&self, place: &Place, fd: &OwnedFd) -> Result<Found, Errno> {
        for name in &self.tree.index {
            if let Some(file) = self.file(&place.below(name))? {
                return Ok(found(file));
            }
        }
        if !self.tree.listing {
            return Ok(Found::Forbidden);
        }
        let mut entries = Vec::new();
        for entry in Dir::read_from(fd)?.take(ENTRIES) {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if is_served(name) {
                let is_folder = entry.file_type() == FileType::Directory;
                entries.push(Entry { name: name.to_vec(), is_folder });
            }
        }
        Ok(Found::Listing(entries))
    }

    /// The file at a place, where there is one.
    fn file(&self, place: &Place) -> Result<Option<Opened>, Errno> {
        let fd = match beneath(self.root, place.path()) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error),
        };
        let stat = fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        self.opened(place, fd, &stat).map(Some)
    }

    /// An open file, or the compressed one beside it.
    fn opened(&self, place: &Place, fd: OwnedFd, stat: &Stat) -> Result<Opened, Errno> {
        let kind = Kind::of(place.name());
        let varies = self.tree.precompressed && kind.is_loose;
        for coding in self.sought.codings.iter().filter(|_| varies) {
            let Ok(fd) = beneath(self.root, place.with_suffix(coding.suffix()).path()) else {
                continue;
            };
            let Ok(stat) = fs::fstat(&fd) else { continue };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                return self.read(fd, &stat, kind, (varies, Some(*coding)));
            }
        }
        self.read(fd, stat, kind, (varies, None))
    }

    fn read(
        &self,
        fd: OwnedFd,
        stat: &Stat,
        kind: Kind,
        (varies, coding): (bool, Option<Coding>),
    ) -> Result<Opened, Errno> {
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        let facts = Facts {
            length,
            modified: stat.st_mtime,
            modified_nanos: stat.st_mtime_nsec,
            inode: stat.st_ino,
            kind,
            coding,
            varies,
        };
        let file = File::from(fd);
        let bytes = (length <= self.sought.small).then(|| piece(&file, 0, length as usize));
        let bytes = match bytes {
            None => None,
            // It got shorter meanwhile: then it is no longer what was looked at.
            Some(Ok(bytes)) if bytes.len() as u64 != length => return Err(Errno::AGAIN),
            Some(Ok(bytes)) => Some(bytes),
            Some(Err(error)) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        };
        Ok(Opened { file, bytes, facts })
    }
}

fn found(file: Opened) -> Found {
    Found::File(Box::new(file))
}

/// A piece of a file: `length` bytes, or fewer at its end.
pub(super) fn piece(file: &File, at: u64, length: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; length];
    let mut read = 0;
    while read < length {
        match file.read_at(&mut bytes[read..], at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(read);
    Ok(bytes.into())
}

/// What an error means to a client.
fn judge(error: Errno) -> Found {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::INVAL => Found::Missing,
        // Not for us, or a link that leads out of the directory, or round in it.
        Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::LOOP | Errno::NXIO => Found::Forbidden,
        error => Found::Failed(error.into()),
    }
}

/// A pipe or a device must not keep us waiting.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Opens what is below a directory.
fn beneath(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    // Renames at the same time can make the kernel unsure: then it asks for another try.
    for _ in 0..8 {
        match fs::openat2(root, path, READ, Mode::empty(), how) {
            Err(Errno::AGAIN) => {}
            Err(Errno::NOSYS) => return step_by_step(root, path),
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// The same where the kernel does not know how: no link is followed.
fn step_by_step(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    let mut names = path.components().peekable();
    while let Some(name) = names.next() {
        let kind = match names.peek() {
            None => READ,
            Some(_) => OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        };
        let from = at.as_ref().map_or(root, |at| at.as_fd());
        at = Some(fs::openat(from, name.as_os_str(), kind | OFlags::NOFOLLOW, Mode::empty())?);
    }
    at.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests;
