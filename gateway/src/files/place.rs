//! From the path of a request to a path below a directory.
//!
//! The path comes in normal form (see [`crate::http::path`]): without dot segments, without empty
//! ones but perhaps the last. What percent-encoding may still hide is refused here, segment by
//! segment, so that what is opened is what was asked for.

use std::{borrow::Cow, ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

/// The one name with a dot in front that is served, as RFC 8615 wants it.
const WELL_KNOWN: &[u8] = b".well-known";

/// Where a file would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Its path, relative to the directory; empty for the directory itself.
    path: Vec<u8>,
    /// Whether the request's path ends with a slash.
    pub(super) is_folder: bool,
}

impl Place {
    /// What a path means; `None` where nothing can be there that is served.
    pub(super) fn of(path: &str) -> Option<Self> {
        let mut place = Vec::with_capacity(path.len());
        let inner = path.strip_prefix('/').filter(|inner| !inner.starts_with('/'))?;
        let is_folder = inner.is_empty() || inner.ends_with('/');
        let inner = inner.strip_suffix('/').unwrap_or(inner);
        for (index, segment) in inner.split('/').enumerate() {
            if inner.is_empty() {
                break;
            }
            let name = unescaped(segment)?;
            let is_well_known = index == 0 && *name == *WELL_KNOWN;
            if !is_well_known && !is_served(&name) {
                return None;
            }
            if index > 0 {
                place.push(b'/');
            }
            place.extend_from_slice(&name);
        }
        Some(Self { path: place, is_folder })
    }

    /// The path below the directory.
    pub(super) fn path(&self) -> &Path {
        if self.path.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(&self.path)) }
    }

    /// The same with a name below it.
    pub(super) fn below(&self, name: &str) -> Self {
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        Self { path, is_folder: false }
    }

    /// The same with more behind its name.
    pub(super) fn with_suffix(&self, suffix: &str) -> Self {
        let path = [&self.path, suffix.as_bytes()].concat();
        Self { path, is_folder: false }
    }

    /// The last part of it.
    pub(super) fn name(&self) -> &[u8] {
        self.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// The path, for people.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

/// A segment as it is meant; `None` where an escape is none.
fn unescaped(segment: &str) -> Option<Cow<'_, [u8]>> {
    if !segment.contains('%') {
        return Some(Cow::Borrowed(segment.as_bytes()));
    }
    let mut parts = segment.split('%');
    let mut name = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        name.push(u8::from_str_radix(digits, 16).ok().filter(|_| hex)?);
        name.extend_from_slice(rest.as_bytes());
    }
    Some(Cow::Owned(name))
}

/// Whether a name is one that is served: one segment, in sight.
pub(super) fn is_served(name: &[u8]) -> bool {
    let hidden = matches!(name, [] | [b'.', ..]);
    !hidden && !name.iter().any(|byte| *byte == b'/' || *byte < 0x20 || *byte == 0x7f)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::path::normalize;

    fn of(path: &str) -> Option<String> {
        Place::of(path).map(|place| place.shown())
    }

    #[test]
    fn paths_become_paths_below() {
        for (path, wanted) in [
            ("/", ""),
            ("/a", "a"),
            ("/a/b.css", "a/b.css"),
            ("/a/", "a"),
            ("/a%20b/%C3%A9", "a b/é"),
            ("/%2525", "%25"),
            ("/a+b", "a+b"),
            ("/.well-known/acme", ".well-known/acme"),
        ] {
            assert_eq!(of(path).as_deref(), Some(wanted), "{path}");
        }
        assert!(Place::of("/").unwrap().is_folder && Place::of("/a/").unwrap().is_folder);
        assert!(!Place::of("/a").unwrap().is_folder);
        assert_eq!(Place::of("/").unwrap().path(), Path::new("."));
        assert_eq!(Place::of("/a/").unwrap().below("index.html").shown(), "a/index.html");
        assert_eq!(Place::of("/").unwrap().below("index.html").shown(), "index.html");
    }

    #[test]
    fn what_hides_is_refused() {
        for path in [
            "",
            "a",
            "/..",
            "/a/../b",
            "/%2e%2e/x",
            "/a/%2E%2E",
            "/.",
            "/.git/config",
            "/a/.env",
            "/%2egit",
            "/a%2fb",
            "/a%2Fb",
            "/..%2f..%2fetc",
            "/a%00b",
            "/%00",
            "/a%0ab",
            "//",
            "//a",
            "/a//b",
            "/a/.well-known/x",
            "/.well-knownx",
            "/%",
            "/%4",
            "/%zz",
            "/%+4",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn nothing_leads_out(path in "/[a-z./%0-9A-F]{0,24}") {
            for path in [Some(path.clone()), normalize(&path).ok().map(|p| p.into_owned())] {
                let Some(place) = path.as_deref().and_then(Place::of) else { continue };
                let parts: Vec<_> = place.path().components().collect();
                let good = |part: &std::path::Component<'_>| matches!(
                    part, std::path::Component::Normal(_) | std::path::Component::CurDir
                );
                prop_assert!(parts.iter().all(good), "{:?}", place);
            }
        }
    }
}
