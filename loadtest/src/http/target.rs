//! Where a request goes: an absolute `http` or `https` URL, taken apart once.

use std::fmt::Write as _;

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
    /// What is wrong with it, in words that follow "invalid URL: ".
    pub fn parse(url: &str) -> Result<Self, String> {
        if url.len() > URL_BYTES_MAX {
            return Err("longer than 64 KiB".into());
        }
        let url = url.trim();
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(format!("no scheme in '{url}'"));
        };
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(format!("unsupported protocol scheme '{scheme}'")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (userinfo, hostport) = match authority.rsplit_once('@') {
            Some((userinfo, hostport)) => (Some(decode(userinfo)), hostport),
            None => (None, authority),
        };
        let (host, port) = split_port(hostport)?;
        if host.is_empty() {
            return Err("no host".into());
        }
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-._~:%".contains(&b);
        if !host.bytes().all(is_host) {
            return Err(format!("invalid character in host name '{host}'"));
        }
        let default_port = if is_tls { 443 } else { 80 };
        let port = match port {
            None | Some("") => default_port,
            Some(text) => text.parse().map_err(|_| format!("invalid port '{text}'"))?,
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
    pub fn join(&self, location: &str) -> Result<Self, String> {
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

fn split_port(hostport: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = hostport.strip_prefix('[') {
        let (host, tail) = rest.split_once(']').ok_or("missing ']' in host")?;
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
        for url in ["", "example.com", "ftp://a/", "http://", "http://a:99999/", "http://a b/"] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
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
