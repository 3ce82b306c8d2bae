//! What the command line asks for, checked.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::{
    http::{Target, Version, client_config},
    options::parse_duration,
};

/// Most connections of one run.
const CONNECTIONS_MAX: usize = 100_000;
/// Most streams at once on a connection.
const PARALLEL_MAX: usize = 10_000;
/// Most requests a second.
const RATE_MAX: u64 = 10_000_000;

/// One request again and again, without a script
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to, such as `http://127.0.0.1:8080/`
    pub(super) url: String,
    /// Connections, over all threads
    #[arg(short = 'c', long, value_name = "N", default_value_t = 10)]
    connections: usize,
    /// Requests under way at once on each connection of HTTP/2 and HTTP/3
    #[arg(short = 'p', long, value_name = "N", default_value_t = 1)]
    parallel: usize,
    /// For how long, such as `30s`
    #[arg(short = 'd', long, value_name = "TIME", default_value = "10s")]
    duration: String,
    /// How many requests, instead of a time
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "duration")]
    requests: Option<u64>,
    /// Requests a second to begin, whatever became of the earlier ones; by default the next begins
    /// when the last is answered
    #[arg(short = 'r', long, value_name = "N")]
    rate: Option<u64>,
    /// Threads; by default one per core, and no more than connections
    #[arg(short = 't', long, value_name = "N")]
    threads: Option<usize>,
    /// The protocol: `1`, `2` or `3`; by default what TLS agrees on, and HTTP/1.1 without
    #[arg(long, value_name = "VERSION", value_parser = Version::WORDS)]
    http: Option<String>,
    /// The method; by default GET, and POST with a body
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<String>,
    /// A field of the request, such as `x-user: 7`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The body, or `@FILE`
    #[arg(short = 'b', long, value_name = "TEXT")]
    body: Option<String>,
    /// How long a request may take
    #[arg(long, value_name = "TIME", default_value = "30s")]
    timeout: String,
    /// Take any certificate
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Write the results there as JSON
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

/// When it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing begins after this time.
    After(Duration),
    /// So many requests were begun.
    Requests(u64),
}

/// What is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) target: Target,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) version: Version,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) connections: usize,
    pub(super) parallel: usize,
    pub(super) threads: usize,
    pub(super) end: End,
    pub(super) rate: Option<u64>,
    pub(super) timeout: Duration,
    pub(super) tls: Arc<rustls::ClientConfig>,
}

impl Args {
    /// Checks it, and finds the server's addresses.
    pub(super) fn plan(&self) -> Result<Plan, String> {
        let target = Target::parse(&self.url).map_err(|error| format!("{}: {error}", self.url))?;
        let version = self.version(&target)?;
        let (connections, parallel) = (self.connections, self.parallel);
        within("--connections", connections, CONNECTIONS_MAX)?;
        within("--parallel", parallel, PARALLEL_MAX)?;
        if let Some(rate) = self.rate {
            within("--rate", rate, RATE_MAX)?;
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.unwrap_or(cores).min(connections);
        within("--threads", threads, 1024)?;
        let end = match self.requests {
            Some(count) => End::Requests(count),
            None => End::After(time("--duration", &self.duration)?),
        };
        let body = self.body()?;
        let addresses = addresses(&target)?;
        let mut tls = client_config(self.insecure, version == Version::Agreed, &[])
            .map_err(|error| format!("TLS: {error}"))?;
        match version {
            Version::Agreed | Version::H1 => {}
            Version::H2 => tls.alpn_protocols = vec![b"h2".to_vec()],
            Version::H3 => tls.alpn_protocols = vec![b"h3".to_vec()],
        }
        Ok(Plan {
            method: self.method(!body.is_empty())?,
            headers: self.headers(&target)?,
            target,
            addresses,
            version,
            body,
            connections,
            parallel,
            threads,
            end,
            rate: self.rate,
            timeout: time("--timeout", &self.timeout)?,
            tls: Arc::new(tls),
        })
    }

    fn version(&self, target: &Target) -> Result<Version, String> {
        let asked = self.http.as_deref().and_then(Version::parse).unwrap_or_default();
        match (asked, target.is_tls) {
            (Version::Agreed, false) => Ok(Version::H1),
            (Version::H3, false) => Err("HTTP/3 needs an https:// URL".to_owned()),
            (asked, _) => Ok(asked),
        }
    }

    fn method(&self, has_body: bool) -> Result<Method, String> {
        let name = self.method.as_deref().unwrap_or(if has_body { "POST" } else { "GET" });
        Method::from_bytes(name.as_bytes()).map_err(|_| format!("--method: `{name}` is none"))
    }

    fn headers(&self, target: &Target) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for line in &self.headers {
            let wrong = || format!("--header: `{line}` is no `name: value`");
            let (name, value) = line.split_once(':').ok_or_else(wrong)?;
            let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
            let value = HeaderValue::try_from(value.trim()).map_err(|_| wrong())?;
            headers.append(name, value);
        }
        let host = HeaderValue::try_from(&target.authority).map_err(|error| error.to_string())?;
        headers.entry(header::HOST).or_insert(host);
        let agent = HeaderValue::from_static(concat!("weir-load/", env!("CARGO_PKG_VERSION")));
        headers.entry(header::USER_AGENT).or_insert(agent);
        Ok(headers)
    }

    fn body(&self) -> Result<Bytes, String> {
        let Some(body) = &self.body else { return Ok(Bytes::new()) };
        match body.strip_prefix('@') {
            Some(path) => {
                let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
                Ok(bytes.into())
            }
            None => Ok(Bytes::copy_from_slice(body.as_bytes())),
        }
    }
}

fn within<T: Copy + PartialOrd + From<u8> + std::fmt::Display>(
    option: &str,
    number: T,
    most: T,
) -> Result<(), String> {
    if (T::from(1)..=most).contains(&number) {
        return Ok(());
    }
    Err(format!("{option}: {number} is not between 1 and {most}"))
}

fn time(option: &str, text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|error| format!("{option}: {error}"))?;
    if time.is_zero() { Err(format!("{option}: it is 0")) } else { Ok(time) }
}

fn addresses(target: &Target) -> Result<Vec<SocketAddr>, String> {
    let found = std::net::ToSocketAddrs::to_socket_addrs(&(target.host.as_str(), target.port));
    let found: Vec<_> = found.map_err(|error| format!("{}: {error}", target.host))?.collect();
    if found.is_empty() { Err(format!("{}: no address", target.host)) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn plan(line: &str) -> Result<Plan, String> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        Line::try_parse_from(words).map_err(|error| error.to_string())?.args.plan()
    }

    #[test]
    fn defaults_and_words() {
        let it = plan("http://127.0.0.1:1/x?y").unwrap();
        assert_eq!(
            (it.version, it.connections, it.end),
            (Version::H1, 10, End::After(Duration::from_secs(10)))
        );
        assert_eq!(
            (it.method, it.headers[header::HOST].to_str().unwrap()),
            (Method::GET, "127.0.0.1:1")
        );
        let it = plan("https://127.0.0.1:1 -n 5 -b abc -H x:1 -H x:2 --http 3 -t 9 -c 2").unwrap();
        assert_eq!((it.version, it.end, it.threads), (Version::H3, End::Requests(5), 2));
        assert_eq!((it.method, it.headers.get_all("x").iter().count()), (Method::POST, 2));
        assert_eq!(plan("https://127.0.0.1:1").unwrap().version, Version::Agreed);
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (line, what) in [
            ("127.0.0.1", "scheme"),
            ("http://127.0.0.1 -c 0", "--connections: 0 is not between 1 and 100000"),
            ("http://127.0.0.1 -r 0", "--rate"),
            ("http://127.0.0.1 -d 0s", "--duration"),
            ("http://127.0.0.1 -d soon", "--duration: 'soon'"),
            ("http://127.0.0.1 -d 1s -n 1", "cannot be used with"),
            ("http://127.0.0.1 -H x", "--header: `x`"),
            ("http://127.0.0.1 -X a/b", "--method: `a/b`"),
            ("http://127.0.0.1 -b @/nowhere/at/all", "/nowhere/at/all: "),
            ("http://127.0.0.1 --http 3", "https"),
            ("http://127.0.0.1 --http 4", "possible values"),
        ] {
            let error = plan(line).unwrap_err();
            assert!(error.contains(what), "{line}: {error}");
        }
    }
}
