//! A file to its meaning.

use std::{fmt, fs::File, io, io::Read as _, path::Path};

use crate::{
    decode::{self, Decoder},
    diagnostic::{Diagnostic, Diagnostics},
    lint,
    model::{At, Config, Endpoint},
    report::Report,
    source::Source,
    yaml,
};

/// Largest file, in bytes.
pub const FILE_MAX: u64 = 4 << 20;
/// Largest file that holds one secret, in bytes.
const SECRET_FILE_MAX: u64 = 64 << 10;

/// A file that was read without errors.
#[derive(Clone, PartialEq)]
pub struct Loaded {
    /// The file as the user named it.
    pub name: String,
    /// What it means.
    pub config: Config,
    /// What it probably does not mean.
    pub warnings: Diagnostics,
    /// Its text, to show lines of when something goes wrong later.
    pub text: String,
}

impl fmt::Debug for Loaded {
    /// Without the text, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, config, warnings, text: _ } = self;
        let mut out = f.debug_struct("Loaded");
        out.field("name", name).field("config", config).field("warnings", warnings);
        out.finish_non_exhaustive()
    }
}

impl Loaded {
    /// An error at a place of this file, for what only shows when the configuration is put to use.
    #[must_use]
    pub fn error(&self, at: At, what: impl Into<String>) -> Diagnostic {
        Diagnostic::error(&self.name, &self.text, at, what)
    }

    /// A warning at a place of this file.
    #[must_use]
    pub fn warning(&self, at: At, what: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(&self.name, &self.text, at, what)
    }
}

/// Reads a file, with the variables of the process.
///
/// Relative paths in it start from its own directory.
///
/// # Errors
/// Everything that is wrong with it, at once: it cannot be read, is larger than [`FILE_MAX`], is
/// not UTF-8, is not YAML, or says what no `weir.yaml` can say.
pub fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    let name = path.display().to_string();
    let text = match read(path, FILE_MAX) {
        Ok(text) => text,
        Err(error) => {
            return Err(Diagnostic::of_file(&name, format!("cannot read the file: {error}")).into());
        }
    };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let base = absolute.parent().unwrap_or_else(|| Path::new(""));
    let variables = |name: &str| std::env::var(name).ok();
    load_with(&name, &text, base, &variables, &|path| read(path, SECRET_FILE_MAX))
}

/// Reads a text, with the variables that `env` gives; opens no file.
///
/// Relative paths stay as they are, and a secret that stands in a file is an error.
///
/// # Errors
/// Everything that is wrong with it, at once; see [`load`].
pub fn load_str(
    name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Diagnostics> {
    let closed = |_: &Path| Err(io::Error::other("no files are read here"));
    load_with(name, text, Path::new(""), env, &closed)
}

/// Reads a file that is a list of endpoints, in the words of `upstreams.*.endpoints`, with the
/// variables of the process.
///
/// Relative paths in it start from its own directory. `[]` is a list, an empty file is none.
///
/// # Errors
/// Everything that is wrong with it, at once; see [`load`].
pub fn load_endpoints(path: &Path) -> Result<Vec<Endpoint>, Diagnostics> {
    let name = path.display().to_string();
    let wrong = |what: String| Diagnostics::from(Diagnostic::of_file(&name, what));
    let text = read(path, FILE_MAX).map_err(|e| wrong(format!("cannot read the file: {e}")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let base = path.parent().unwrap_or_else(|| Path::new(""));
    let source = Source::new(&name, text);
    let mut report = Report::new(&source);
    let variables = |name: &str| std::env::var(name).ok();
    let Some(root) = yaml::parse(&source, &variables, &mut report) else {
        return Err(report.finish());
    };
    if root.is_nothing() {
        let hint = "write `[]` for no endpoints";
        return Err(Diagnostic::of_file(&name, "the file is empty").with_hint(hint).into());
    }
    let closed = |_: &Path| Err(io::Error::other("no files are read here"));
    let mut decoder =
        Decoder { report, base, read: &closed, expressions: 0, shares: false, gossips: false };
    let endpoints = decode::endpoints(&mut decoder, &root);
    let failed = decoder.report.failed();
    match endpoints {
        Some(endpoints) if !failed => Ok(endpoints),
        _ => Err(decoder.report.finish()),
    }
}

fn load_with(
    name: &str,
    text: &str,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    read: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Loaded, Diagnostics> {
    if text.len() as u64 > FILE_MAX {
        return Err(Diagnostic::of_file(name, "the file is larger than 4MiB").into());
    }
    // A byte order mark is no text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source::new(name, text);
    let mut report = Report::new(&source);
    let Some(root) = yaml::parse(&source, env, &mut report) else {
        return Err(report.finish());
    };
    let mut decoder = Decoder { report, base, read, expressions: 0, shares: false, gossips: false };
    let config = decode::file(&mut decoder, &root);
    let mut report = decoder.report;
    if let Some(config) = &config {
        lint::check(config, &mut report);
    }
    let failed = report.failed();
    let found = report.finish();
    match config {
        Some(config) if !failed => {
            let (name, text) = (name.to_owned(), text.to_owned());
            Ok(Loaded { name, config, warnings: found, text })
        }
        _ => Err(found),
    }
}

/// A whole file, but for one that is larger than `most` bytes or not UTF-8.
fn read(path: &Path, most: u64) -> io::Result<String> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("larger than {}", crate::units::show_size(most))));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..good].iter().filter(|b| **b == b'\n').count() + 1;
        io::Error::other(format!("not UTF-8 on line {line}"))
    })
}

#[cfg(test)]
mod tests;
