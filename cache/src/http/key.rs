//! What a response is stored under (RFC 9111 section 2): everything the origin was asked by and
//! nothing else, so that no one can make it answer one thing and be kept as another.
//!
//! A key is `scheme://authority/path?query`, a NUL, the scope, and for `QUERY` a NUL, the method
//! and the content with its type. The part before the first NUL is the name that a URL is purged
//! by, whatever the scope and the method.

use http::{
    HeaderMap, Method, StatusCode, Uri,
    header::{CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LOCATION, CONTENT_TYPE, LOCATION},
};

/// Longer keys are not used.
pub const KEY_MAX: usize = 16 * 1024;

/// The target of a request, in the form in which it is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port, in any case.
    pub authority: &'a str,
    /// Path and query, as sent to the origin.
    pub path_and_query: &'a str,
    /// What else decides which origin answers: the upstream's name, say. Two routes for one URL
    /// must differ in it. Without NUL.
    pub scope: &'a str,
}

impl Target<'_> {
    /// Writes the name: the URL with the authority in lower case, without the scheme's own port.
    pub fn write_name(&self, key: &mut Vec<u8>) {
        key.extend_from_slice(self.scheme.as_bytes());
        key.extend_from_slice(b"://");
        let usual = if self.scheme == "https" { ":443" } else { ":80" };
        let authority = self.authority.strip_suffix(usual).unwrap_or(self.authority);
        key.extend(authority.bytes().map(|byte| byte.to_ascii_lowercase()));
        let path = self.path_and_query.as_bytes();
        let end = path.iter().position(|byte| *byte == b'#').unwrap_or(path.len());
        if !path[..end].starts_with(b"/") {
            key.push(b'/');
        }
        key.extend_from_slice(&path[..end]);
    }

    /// The name.
    pub fn name(&self) -> Vec<u8> {
        let mut name = Vec::new();
        self.write_name(&mut name);
        name
    }

    /// Writes the key of a `GET` or `HEAD`, which share one, into `key`, which it empties first.
    /// False if there is none: the URL is too long or holds a NUL.
    pub fn write_key(&self, key: &mut Vec<u8>) -> bool {
        key.clear();
        self.write_name(key);
        let good = !key.contains(&0);
        key.push(0);
        key.extend_from_slice(self.scope.as_bytes());
        good && key.len() <= KEY_MAX
    }

    /// The names that the answer to an unsafe request makes invalid (RFC 9111 section 4.4): its own
    /// and, of the same origin, those in `Location` and `Content-Location`. None after an error.
    pub fn invalidated(
        &self,
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Vec<Vec<u8>> {
        if is_safe(method) || !(status.is_success() || status.is_redirection()) {
            return Vec::new();
        }
        let mut names = vec![self.name()];
        for reference in [LOCATION, CONTENT_LOCATION] {
            let reference = headers.get(reference).and_then(|value| value.to_str().ok());
            if let Some(name) = reference.and_then(|reference| self.resolve(reference))
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }

    /// Whether `Content-Location` says that the content is that of this very URL (RFC 9110 section
    /// 9.3.3: then the answer to a `POST` serves a later `GET`).
    pub fn is_content_location(&self, headers: &HeaderMap) -> bool {
        let reference = headers.get(CONTENT_LOCATION).and_then(|value| value.to_str().ok());
        reference.and_then(|reference| self.resolve(reference)).is_some_and(|n| n == self.name())
    }

    /// The name that `reference` stands for, if it is of the same origin (RFC 3986 section 5.2).
    fn resolve(&self, reference: &str) -> Option<Vec<u8>> {
        let reference = reference.split('#').next().unwrap_or_default();
        if let Some(authority) = reference.strip_prefix("//") {
            return self.of_same_origin(&format!("{}://{authority}", self.scheme));
        }
        let scheme = reference.split(['/', '?']).next().unwrap_or_default();
        if scheme.contains(':') {
            return self.of_same_origin(reference);
        }
        let (path, query) = split_query(self.path_and_query.split('#').next().unwrap_or_default());
        let (new_path, new_query) = split_query(reference);
        let resolved = match new_path {
            "" => format!("{path}{}", if new_query.is_empty() { query } else { new_query }),
            absolute if absolute.starts_with('/') => {
                format!("{}{new_query}", without_dots(absolute))
            }
            relative => {
                let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
                format!("{}{new_query}", without_dots(&format!("{folder}{relative}")))
            }
        };
        Some(Target { path_and_query: &resolved, ..*self }.name())
    }

    fn of_same_origin(&self, url: &str) -> Option<Vec<u8>> {
        let uri: Uri = url.parse().ok()?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let (path, query) = split_query(path);
        let path_and_query = format!("{}{query}", without_dots(path));
        let other = Target {
            scheme: uri.scheme_str()?,
            authority: uri.authority()?.as_str(),
            path_and_query: &path_and_query,
            scope: self.scope,
        };
        (other.origin() == self.origin()).then(|| other.name())
    }

    fn origin(&self) -> Vec<u8> {
        Target { path_and_query: "/", ..*self }.name()
    }
}

/// Makes the key of a `GET` that of a `QUERY` for the same URL: its content and what that means
/// belong to it. They come last, for content may hold any byte. False if that is too long.
pub fn append_query(headers: &HeaderMap, content: &[u8], key: &mut Vec<u8>) -> bool {
    key.extend_from_slice(b"\0QUERY");
    for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE] {
        for value in headers.get_all(name) {
            key.push(0);
            key.extend_from_slice(value.as_bytes());
        }
        // Header values hold no byte like this: lists of different length differ.
        key.push(1);
    }
    key.extend_from_slice(content);
    key.len() <= KEY_MAX
}

/// The name of a URL or, of what begins like one, the beginning of names: to purge by.
pub fn name_of_url(url: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path_and_query) = rest.split_at(end);
    let scheme = scheme.to_ascii_lowercase();
    let known = scheme == "http" || scheme == "https";
    let target = Target { scheme: &scheme, authority, path_and_query, scope: "" };
    (known && !authority.is_empty()).then(|| target.name())
}

/// Whether a method changes nothing at the origin (RFC 9110 section 9.2.1).
pub fn is_safe(method: &Method) -> bool {
    method.is_safe() || method.as_str() == "QUERY"
}

/// Path and query, the latter with its `?`.
fn split_query(text: &str) -> (&str, &str) {
    text.split_at(text.find('?').unwrap_or(text.len()))
}

/// An absolute path without its `.` and `..` (RFC 3986 section 5.2.4).
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            part => kept.push(part),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const TARGET: Target<'_> = Target {
        scheme: "https",
        authority: "Example.com:443",
        path_and_query: "/a/b?c=D",
        scope: "api",
    };

    fn key(target: Target<'_>) -> Vec<u8> {
        let mut key = b"before".to_vec();
        assert!(target.write_key(&mut key));
        key
    }

    #[test]
    fn a_key_is_the_whole_target() {
        assert_eq!(key(TARGET), b"https://example.com/a/b?c=D\0api");
        let others = [
            Target { scheme: "http", ..TARGET },
            Target { authority: "example.com:444", ..TARGET },
            Target { authority: "example.org", ..TARGET },
            Target { path_and_query: "/a/b?c=d", ..TARGET },
            Target { path_and_query: "/a/b", ..TARGET },
            Target { path_and_query: "/a/%62?c=D", ..TARGET },
            Target { scope: "other", ..TARGET },
        ];
        assert!(others.iter().all(|other| key(*other) != key(TARGET)));
        assert_eq!(key(Target { authority: "example.COM", ..TARGET }), key(TARGET));
        assert_eq!(key(Target { path_and_query: "/a/b?c=D#x", ..TARGET }), key(TARGET));
        assert_eq!(Target { path_and_query: "?x", ..TARGET }.name(), b"https://example.com/?x");
        let long = "x".repeat(KEY_MAX);
        assert!(!Target { path_and_query: &long, ..TARGET }.write_key(&mut Vec::new()));
        assert!(!Target { path_and_query: "/\0", ..TARGET }.write_key(&mut Vec::new()));
    }

    #[test]
    fn a_query_is_keyed_by_its_content() {
        let key = |kinds: &[&'static str], content: &[u8]| {
            let mut headers = HeaderMap::new();
            for kind in kinds {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(kind));
            }
            let mut key = key(TARGET);
            assert!(append_query(&headers, content, &mut key));
            assert!(key.starts_with(b"https://example.com/a/b?c=D\0api\0QUERY"));
            key
        };
        let all = [
            key(&[], b""),
            key(&[], b"x"),
            key(&["a/b"], b"x"),
            key(&["a/b"], b"y"),
            key(&["a/b", "x"], b"y"),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|other| other != one));
        }
        let content = vec![0; KEY_MAX];
        assert!(!append_query(&HeaderMap::new(), &content, &mut b"http://a/\0".to_vec()));
    }

    #[test]
    fn unsafe_requests_invalidate() {
        let names = |method: &Method, status, location: &str, content: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_str(location).unwrap());
            headers.insert(CONTENT_LOCATION, HeaderValue::from_str(content).unwrap());
            let status = StatusCode::from_u16(status).unwrap();
            let names = TARGET.invalidated(method, status, &headers);
            names.into_iter().map(|n| String::from_utf8(n).unwrap()).collect::<Vec<_>>()
        };
        let own = "https://example.com/a/b?c=D";
        let search = Method::from_bytes(b"M-SEARCH").unwrap();
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, search] {
            let expected = [own, "https://example.com/a/x", "https://example.com/y"];
            assert_eq!(names(&method, 201, "x", "/y"), expected);
        }
        assert_eq!(names(&Method::POST, 500, "x", "/y").len(), 0);
        assert_eq!(names(&Method::GET, 200, "x", "/y").len(), 0);
        let query = Method::from_bytes(b"QUERY").unwrap();
        assert_eq!(names(&query, 200, "x", "/y").len(), 0);
        // Of another origin nothing.
        assert_eq!(names(&Method::POST, 201, "https://evil/x", "//evil/y"), [own]);
        assert_eq!(names(&Method::POST, 201, "http://example.com/x", ":::"), [own]);
    }

    #[test]
    fn references_are_resolved() {
        let cases = [
            ("", "/a/b?c=D"),
            ("?e", "/a/b?e"),
            ("x?y", "/a/x?y"),
            ("../x", "/x"),
            ("../../../x/.", "/x/"),
            ("./..", "/"),
            ("/x/./y/../z?.#f", "/x/z?."),
            ("https://EXAMPLE.com:443/q/../r", "/r"),
            ("//example.com", "/"),
            ("x?u=http://b", "/a/x?u=http://b"),
        ];
        for (reference, expected) in cases {
            let name = TARGET.resolve(reference).unwrap();
            let expected = format!("https://example.com{expected}");
            assert_eq!(String::from_utf8(name).unwrap(), expected, "{reference}");
        }
        let mut headers = HeaderMap::new();
        assert!(!TARGET.is_content_location(&headers));
        headers.insert(CONTENT_LOCATION, HeaderValue::from_static("/a/b?c=D"));
        assert!(TARGET.is_content_location(&headers));
    }

    #[test]
    fn urls_to_purge_are_named_alike() {
        let name = |url| name_of_url(url).map(|name| String::from_utf8(name).unwrap());
        assert_eq!(
            name("HTTPS://Example.com:443/a/b?c=D"),
            Some("https://example.com/a/b?c=D".into())
        );
        assert_eq!(name("http://a"), Some("http://a/".into()));
        assert_eq!(name("ftp://a/"), None);
        assert_eq!(name("/a"), None);
    }

    proptest! {
        #[test]
        fn never_panics(reference in "\\PC{0,30}", path in "/[ -~]{0,20}") {
            Target { path_and_query: &path, ..TARGET }.resolve(&reference);
            name_of_url(&reference);
        }
    }
}
