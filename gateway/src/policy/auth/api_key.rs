//! Keys that clients were given, kept as hashes.
//!
//! What a client sends is hashed, and the hash is looked up: how long that takes says nothing of
//! the keys, since nobody can choose what a hash begins with.

use std::{collections::HashMap, rc::Rc, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use foldhash::fast::RandomState;
use weir_config::model::ApiKey;

use super::{identity::Identity, recent::Digest};

/// Most keys of a file.
const MOST: usize = 1_000_000;
/// Longest key that is looked at, in bytes.
const LONGEST: usize = 4096;
/// Most bad lines of a file that are told.
const TOLD: usize = 5;

/// Keys with whose they are.
#[derive(Debug)]
pub(crate) struct KeyRing {
    names: HashMap<Digest, Arc<str>, RandomState>,
}

impl KeyRing {
    /// # Errors
    /// Which key belongs to two.
    pub(crate) fn new(keys: impl IntoIterator<Item = ApiKey>) -> Result<Self, String> {
        let mut names: HashMap<Digest, Arc<str>, RandomState> = HashMap::default();
        for ApiKey { name, sha256 } in keys {
            if let Some(other) = names.insert(sha256, name.as_str().into())
                && *other != *name
            {
                return Err(format!("`{other}` and `{name}` have the same key"));
            }
        }
        Ok(Self { names })
    }

    /// Whose key it is.
    pub(crate) fn find(&self, key: &[u8]) -> Option<Rc<Identity>> {
        if key.is_empty() || key.len() > LONGEST {
            return None;
        }
        let name = self.names.get(&hash(key))?;
        Some(Rc::new(Identity::named(name)))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}

/// SHA-256.
pub(crate) fn hash(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// Reads a list: a name and a hash a line, comments behind `#`.
///
/// # Errors
/// What is wrong with which lines. They are not repeated: a line may hold a key by mistake.
pub(crate) fn read_list(text: &str) -> Result<Vec<ApiKey>, String> {
    let (mut keys, mut wrong, mut more) = (Vec::new(), Vec::new(), 0);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let read = (|| {
            let (name, digits, rest) = (words.next()?, words.next()?, words.next());
            let sha256 = ApiKey::hash(digits).filter(|_| rest.is_none())?;
            Some(ApiKey { name: name.to_owned(), sha256 })
        })();
        match read {
            Some(key) => keys.push(key),
            None if wrong.len() == TOLD => more += 1,
            None => wrong.push(format!("line {}", index + 1)),
        }
    }
    match keys.len() {
        _ if !wrong.is_empty() => {
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let lines = wrong.join(", ");
            Err(format!("{lines}{more}: expected a name and the SHA-256 of a key (64 digits)"))
        }
        count if count > MOST => Err(format!("{count} keys; at most {MOST} are")),
        _ => Ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `printf %s secret | sha256sum` prints it.
    const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    #[test]
    fn a_key_says_whose_it_is() {
        let ring = KeyRing::new(read_list(&format!("ann {SECRET}\n")).unwrap()).unwrap();
        let name = |key: &[u8]| ring.find(key).and_then(|one| one.name.clone());
        assert_eq!(name(b"secret").as_deref(), Some("ann"));
        assert_eq!(name(b"secret "), None);
        assert_eq!(name(b""), None);
        assert_eq!(name(SECRET.as_bytes()), None, "the hash is no key");
        assert_eq!(name(&[b'a'; LONGEST + 1]), None);
    }

    #[test]
    fn a_list_names_its_bad_lines_and_repeats_none() {
        let good = format!("# keys\n\nann {SECRET}  # laptop\nann {}\n", "0".repeat(64));
        assert_eq!(read_list(&good).unwrap().len(), 2);
        let wrong = read_list(&format!("ann\nbob hunter2\nann {SECRET} x\n")).unwrap_err();
        assert!(wrong.starts_with("line 1, line 2, line 3: expected"), "{wrong}");
        assert!(!wrong.contains("hunter2"), "{wrong}");
        let same = read_list(&format!("ann {SECRET}\nbob {SECRET}\n")).unwrap();
        assert!(KeyRing::new(same).unwrap_err().contains("the same key"));
    }
}
