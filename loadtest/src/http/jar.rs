//! Cookies, as RFC 6265 has them.

use std::time::Duration;

use super::Target;

/// Cookies that one jar holds at most; more push out the oldest.
const COOKIES_MAX: usize = 3000;

/// A cookie.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The domain, without a leading dot.
    pub domain: String,
    /// Whether hosts below the domain get it as well.
    pub with_subdomains: bool,
    /// Paths below this get it.
    pub path: String,
    /// Whether the response named the path.
    pub has_path: bool,
    /// When it ends, since 1970.
    pub expires: Option<Duration>,
    /// `Max-Age` as it was sent, in seconds.
    pub max_age: i64,
    /// Only over TLS.
    pub secure: bool,
    /// Not for scripts of a page; kept to be shown.
    pub http_only: bool,
}

/// The cookies of one virtual user.
#[derive(Clone, Debug, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
}

impl Jar {
    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// Takes a cookie, in place of one of the same name, domain and path. One that has ended
    /// takes the old one away.
    pub fn put(&mut self, cookie: Cookie, now_unix: Duration) {
        let is_same = |other: &Cookie| {
            other.name == cookie.name && other.domain == cookie.domain && other.path == cookie.path
        };
        self.cookies.retain(|other| !is_same(other));
        if cookie.expires.is_some_and(|at| at <= now_unix) {
            return;
        }
        if self.cookies.len() >= COOKIES_MAX {
            self.cookies.remove(0);
        }
        self.cookies.push(cookie);
    }

    /// Those that a request to `target` carries, longest path first.
    pub fn cookies_for(&self, target: &Target, now_unix: Duration) -> Vec<&Cookie> {
        let path = target.path.split('?').next().unwrap_or("/");
        let fits = |cookie: &&Cookie| {
            (!cookie.secure || target.is_tls)
                && cookie.expires.is_none_or(|at| at > now_unix)
                && domain_fits(cookie, &target.host)
                && path_fits(&cookie.path, path)
        };
        let mut found: Vec<&Cookie> = self.cookies.iter().filter(fits).collect();
        found.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        found
    }

    /// Takes away what a request to `target` would carry, of this name or of any.
    pub fn remove(&mut self, target: &Target, name: Option<&str>) {
        let path = target.path.split('?').next().unwrap_or("/").to_string();
        self.cookies.retain(|cookie| {
            let is_named = name.is_none_or(|name| cookie.name == name);
            !(is_named && domain_fits(cookie, &target.host) && path_fits(&cookie.path, &path))
        });
    }
}

impl Cookie {
    /// Reads a `Set-Cookie` header in a response to `target`. `None` for what is no cookie and for
    /// a domain that the host may not set.
    pub fn parse(header: &str, target: &Target, now_unix: Duration) -> Option<Self> {
        let mut parts = header.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        let mut cookie = Self {
            name: name.trim().to_string(),
            value: value.to_string(),
            domain: target.host.clone(),
            path: default_path(&target.path),
            ..Self::default()
        };
        if cookie.name.is_empty() {
            return None;
        }
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "domain" if !value.is_empty() => {
                    let domain = value.trim_start_matches('.').to_ascii_lowercase();
                    let is_above = target.host.ends_with(&format!(".{domain}"));
                    if target.host != domain && !(is_above && domain.contains('.')) {
                        return None;
                    }
                    cookie.with_subdomains = true;
                    cookie.domain = domain;
                }
                "path" if value.starts_with('/') => {
                    cookie.path = value.to_string();
                    cookie.has_path = true;
                }
                "secure" => cookie.secure = true,
                "httponly" => cookie.http_only = true,
                "max-age" => {
                    cookie.max_age = value.parse().unwrap_or(0);
                    let left = u64::try_from(cookie.max_age).unwrap_or(0);
                    cookie.expires = Some(now_unix.saturating_add(Duration::from_secs(left)));
                }
                // `Max-Age` wins.
                "expires" if cookie.max_age == 0 => {
                    let at = httpdate::parse_http_date(&value.replace('-', " ")).ok();
                    let since = at.map(|at| at.duration_since(std::time::UNIX_EPOCH));
                    cookie.expires = since.map(Result::unwrap_or_default);
                }
                _ => {}
            }
        }
        Some(cookie)
    }
}

fn domain_fits(cookie: &Cookie, host: &str) -> bool {
    host == cookie.domain
        || (cookie.with_subdomains
            && host.strip_suffix(&*cookie.domain).is_some_and(|rest| rest.ends_with('.')))
}

fn path_fits(cookie: &str, path: &str) -> bool {
    path.strip_prefix(cookie)
        .is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

fn default_path(path: &str) -> String {
    let path = path.split('?').next().unwrap_or("/");
    match path.rfind('/') {
        None | Some(0) => "/".into(),
        Some(at) => path[..at].into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_cookies_where_they_belong() {
        let now = Duration::from_secs(1_000_000);
        let at = Target::parse("http://a.example.com/x/y").unwrap();
        let mut jar = Jar::default();
        for header in ["s=1", "p=2; Path=/", "d=3; Domain=example.com; Path=/", "t=4; Secure"] {
            jar.put(Cookie::parse(header, &at, now).unwrap(), now);
        }
        assert!(Cookie::parse("e=5; Domain=other.com", &at, now).is_none());
        let names = |url: &str, now| {
            let target = Target::parse(url).unwrap();
            let found = jar.cookies_for(&target, now);
            found.iter().map(|cookie| cookie.name.clone()).collect::<Vec<_>>().join("")
        };
        assert_eq!(names("http://a.example.com/x/z", now), "spd");
        assert_eq!(names("https://a.example.com/x", now), "stpd");
        assert_eq!(names("http://b.example.com/x", now), "d");
        assert_eq!(names("http://badexample.com/", now), "");
    }

    #[test]
    fn ends_cookies() {
        let now = Duration::from_secs(1_000_000);
        let at = Target::parse("http://a/").unwrap();
        let mut jar = Jar::default();
        jar.put(Cookie::parse("a=1; Max-Age=10", &at, now).unwrap(), now);
        assert_eq!(jar.cookies_for(&at, now).len(), 1);
        assert_eq!(jar.cookies_for(&at, now + Duration::from_secs(11)).len(), 0);
        jar.put(Cookie::parse("a=; Max-Age=0", &at, now).unwrap(), now);
        assert!(jar.is_empty());
    }
}
