//! The script and everything it reads: each file once, whatever the number of virtual users.

use std::{
    collections::HashMap,
    fs, io,
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{grpc::Schemas, typescript};

/// The largest source file and the largest file that `open()` reads.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// The files of a script.
#[derive(Debug)]
pub struct Bundle {
    main: PathBuf,
    sources: Mutex<HashMap<PathBuf, Arc<str>>>,
    files: Mutex<HashMap<PathBuf, Arc<[u8]>>>,
    /// Data that all virtual users share.
    pub arrays: SharedArrays,
    /// What `.proto` files describe.
    pub(super) schemas: Schemas,
}

/// `SharedArray`s by name: each element as JSON.
#[derive(Debug, Default)]
pub struct SharedArrays(Mutex<HashMap<String, SharedArray>>);

/// The elements of a `SharedArray`, each as JSON.
type SharedArray = Arc<[Box<str>]>;

impl SharedArrays {
    pub(super) fn find(&self, name: &str) -> Option<SharedArray> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Keeps the array, unless another thread was faster: all see the same one.
    pub(super) fn keep(&self, name: &str, array: SharedArray) -> SharedArray {
        let mut arrays = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(arrays.entry(name.to_string()).or_insert(array))
    }
}

impl Bundle {
    /// The script at `main`; `source` when it did not come from there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(main: &Path, source: Option<String>) -> io::Result<Self> {
        let main = clean(&std::path::absolute(main)?);
        let bundle = Self {
            main: main.clone(),
            sources: Mutex::default(),
            files: Mutex::default(),
            arrays: SharedArrays::default(),
            schemas: Schemas::default(),
        };
        match source {
            Some(source) => {
                let source = source.into();
                bundle.sources.lock().unwrap_or_else(PoisonError::into_inner).insert(main, source);
            }
            None => drop(bundle.source(&main)?),
        }
        Ok(bundle)
    }

    /// The script itself.
    pub fn main(&self) -> &Path {
        &self.main
    }

    /// The folder that paths of `open()` begin at.
    pub fn folder(&self) -> &Path {
        self.main.parent().unwrap_or_else(|| Path::new("/"))
    }

    /// The text of a source file.
    pub(super) fn source(&self, path: &Path) -> io::Result<Arc<str>> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = sources.get(path) {
            return Ok(Arc::clone(source));
        }
        let text = String::from_utf8(read(path)?)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))?;
        let text = if typescript::is_typescript(path) {
            let erased = typescript::erase(&text, &path.to_string_lossy());
            erased.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
        } else {
            text
        };
        let source: Arc<str> = text.into();
        sources.insert(path.to_path_buf(), Arc::clone(&source));
        Ok(source)
    }

    /// The content of a file for `open()`.
    pub(super) fn file(&self, path: &str) -> io::Result<Arc<[u8]>> {
        let path = self.resolve(self.folder(), path);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get(&path) {
            return Ok(Arc::clone(file));
        }
        let file: Arc<[u8]> = read(&path)?.into();
        files.insert(path, Arc::clone(&file));
        Ok(file)
    }

    /// The path that `name` means in a file of `folder`.
    pub(super) fn resolve(&self, folder: &Path, name: &str) -> PathBuf {
        let name = name.strip_prefix("file://").unwrap_or(name);
        clean(&folder.join(name))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "over 1 GiB"));
    }
    fs::read(path)
}

/// Without `.` and `..`, which must not make one file two.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            part => cleaned.push(part),
        }
    }
    cleaned
}
