//! Where a request goes: an absolute `http` or `https` URL, taken apart once.

use std::fmt::Write as _;

use super::HttpError;

/// The longest URL that is taken.
const URL_BYTES_MAX: usize = 64 * 1024;

/// A parsed URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether the scheme is `https`.
    pub is_tls: bool,
    /// Host name in lower case, or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port, the scheme's own when the URL names none.
    pub port: u16,
    /// What the `Host` header says.
    pub authority: String,
    /// Path and query, percent-encoded where it must be; begins with `/`.
    pub path: String,
    /// `user:password`, percent-decoded, when the URL has it.
    pub userinfo: Option<String>,
}

impl Target {
    /// Parses an absolute URL.
    ///
    /// # Errors
    /// As k6 tells them apart: [`HttpError::INVALID_URL`] for what is no URL at all,
    /// [`HttpError::GENERIC`] and [`HttpError::DIAL`] for one to which no request can go.
    pub fn parse(url: &str) -> Result<Self, HttpError> {
        if url.len() > URL_BYTES_MAX {
            return Err(HttpError::url("longer than 64 KiB"));
        }
        let url = url.trim();
        let unsupported = |scheme: &str| {
            let text = format!("unsupported protocol scheme '{scheme}'");
            HttpError::new(HttpError::GENERIC, text)
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| unsupported(""))?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(unsupported(scheme)),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (userinfo, hostport) = match authority.rsplit_once('@') {
            Some((userinfo, hostport)) => (Some(decode(userinfo)), hostport),
            None => (None, authority),
        };
        let (host, port) = split_port(hostport)?;
        if host.is_empty() {
            return Err(HttpError::new(HttpError::GENERIC, "no Host in request URL"));
        }
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._~:%".contains(&b);
        if !host.bytes().all(is_host) {
            return Err(HttpError::url(&format!("invalid character in host name '{host}'")));
        }
        if !is_escaped(tail) {
            return Err(HttpError::url("invalid URL escape"));
        }
        let default_port = if is_tls { 443 } else { 80 };
        let port = match port {
            None | Some("") => default_port,
            Some(text) if !text.bytes().all(|b| b.is_ascii_digit()) => {
                return Err(HttpError::url(&format!("invalid port '{text}' after host")));
            }
            Some(text) => text.parse().map_err(|_| {
                HttpError::new(HttpError::DIAL, format!("dial: address {text}: invalid port"))
            })?,
        };
        let host = host.to_ascii_lowercase();
        let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let authority = if port == default_port { shown } else { format!("{shown}:{port}") };
        Ok(Self { is_tls, host, port, authority, path: path_of(tail), userinfo })
    }

    /// What stands in the place of a URL that is none.
    pub fn nowhere() -> Self {
        Self {
            is_tls: false,
            host: String::new(),
            port: 0,
            authority: String::new(),
            path: String::new(),
            userinfo: None,
        }
    }

    /// The URL in full, without user information.
    pub fn url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority, self.path)
    }

    /// The URL that a `Location` header in a response to this one means.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn join(&self, location: &str) -> Result<Self, HttpError> {
        let location = location.trim();
        if location.contains("://") {
            return Self::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Self::parse(&format!(
                "{}://{rest}",
                if self.is_tls { "https" } else { "http" }
            ));
        }
        let path = self.path.split('?').next().unwrap_or("/");
        let path = if location.starts_with('/') {
            path_of(location)
        } else if location.starts_with('?') {
            format!("{path}{}", path_of(location).trim_start_matches('/'))
        } else {
            let folder = &path[..path.rfind('/').map_or(0, |at| at + 1)];
            dots_removed(&path_of(&format!("{folder}{location}")))
        };
        Ok(Self { path, userinfo: None, ..self.clone() })
    }
}

/// Whether each `%` of a path is followed by two digits; a query may say what it likes.
fn is_escaped(tail: &str) -> bool {
    let path = tail.split(['?', '#']).next().unwrap_or("");
    let is_hex = |pair: &[u8]| pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit);
    let mut after = path.split('%').skip(1);
    after.all(|after| is_hex(after.as_bytes().get(..2).unwrap_or_default()))
}

fn split_port(hostport: &str) -> Result<(&str, Option<&str>), HttpError> {
    if let Some(rest) = hostport.strip_prefix('[') {
        let (host, tail) =
            rest.split_once(']').ok_or_else(|| HttpError::url("missing ']' in host"))?;
        return Ok((host, tail.strip_prefix(':')));
    }
    Ok(match hostport.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (hostport, None),
    })
}

/// Path and query of a URL's tail: without the fragment, never empty, nothing in it that a request
/// line may not hold.
fn path_of(tail: &str) -> String {
    let tail = tail.split('#').next().unwrap_or("");
    let mut path = String::with_capacity(tail.len() + 1);
    if !tail.starts_with('/') {
        path.push('/');
    }
    for byte in tail.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>^`{|}\\".contains(&byte) {
            path.push(byte as char);
        } else {
            // Writing to a string does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    path
}

fn dots_removed(path: &str) -> String {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    let mut path = format!("/{}", kept.join("/"));
    if let Some(query) = query {
        path.push('?');
        path.push_str(query);
    }
    path
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match hex.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_url_apart() {
        let target = Target::parse("http://u:p%40@Example.com:8080/a b?q=ü#frag").unwrap();
        assert_eq!(target.host, "example.com");
        assert_eq!(target.authority, "example.com:8080");
        assert_eq!(target.path, "/a%20b?q=%C3%BC");
        assert_eq!(target.userinfo.as_deref(), Some("u:p@"));
        assert_eq!(Target::parse("https://[::1]?x").unwrap().url(), "https://[::1]/?x");
    }

    #[test]
    fn refuses_what_is_no_http_url() {
        for (url, code) in [
            ("", 1000),
            ("example.com", 1000),
            ("ftp://a/", 1000),
            ("http://", 1000),
            ("http://a:99999/", 1210),
            ("http://a:x/", 1020),
            ("http://a b/", 1020),
            ("http://a/%z1", 1020),
            ("http://a/%1", 1020),
        ] {
            assert_eq!(Target::parse(url).unwrap_err().code, code, "{url}");
        }
        assert!(Target::parse("http://a/%20?%zz").is_ok());
    }

    #[test]
    fn follows_relative_locations() {
        let at = Target::parse("http://a:81/x/y?z").unwrap();
        let to = |location: &str| at.join(location).unwrap().url();
        assert_eq!(to("/q"), "http://a:81/q");
        assert_eq!(to("q"), "http://a:81/x/q");
        assert_eq!(to("../q?r"), "http://a:81/q?r");
        assert_eq!(to("?r"), "http://a:81/x/y?r");
        assert_eq!(to("https://b/c"), "https://b/c");
        assert_eq!(to("//b/c"), "http://b/c");
    }
}
