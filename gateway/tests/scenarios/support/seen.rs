//! What an origin received, judged strictly: what two parsers could read in two ways is a fault.

/// Framing of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// No body.
    None,
    /// `Content-Length`.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// Number of the connection it came on, from 0.
    pub(crate) connection: usize,
    /// The head as received.
    pub(crate) head: Vec<u8>,
    /// Method.
    pub(crate) method: String,
    /// Request target.
    pub(crate) target: String,
    /// Fields in order.
    pub(crate) fields: Vec<(String, String)>,
    /// Framing.
    pub(crate) framing: Framing,
    /// Body so far.
    pub(crate) body: Vec<u8>,
    /// Fields after the last chunk.
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the body came to its end.
    pub(crate) complete: bool,
}

impl Seen {
    /// First value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = |n: &str| n.eq_ignore_ascii_case(name);
        self.fields.iter().filter(|(n, _)| same(n)).map(|(_, v)| v.as_str()).collect()
    }

    /// Parses a head (without its empty line) and lists everything a strict peer would refuse.
    pub(crate) fn parse(connection: usize, head: &[u8]) -> (Self, Vec<String>) {
        let mut faults = Vec::new();
        if head.iter().any(|&b| b == 0 || b == 0x7f || (b < 0x20 && !b"\r\n\t".contains(&b))) {
            faults.push("control byte in the head".to_owned());
        }
        let text = String::from_utf8_lossy(head).into_owned();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default();
        let words: Vec<&str> = start.split(' ').collect();
        let [method, target, version] = words[..] else {
            faults.push(format!("request line {start:?}"));
            return (Self::of(connection, head, "", "", Vec::new()), faults);
        };
        if version != "HTTP/1.1" {
            faults.push(format!("version {version}"));
        }
        if !(target.starts_with('/') || target == "*" && method == "OPTIONS") {
            faults.push(format!("target {target:?}"));
        }
        if target.contains('#') {
            faults.push(format!("fragment in {target:?}"));
        }
        let mut fields = Vec::new();
        for line in lines {
            match line.split_once(':') {
                Some((name, value)) if is_token(name) && !value.contains(['\r', '\n']) => {
                    fields.push((name.to_owned(), value.trim().to_owned()));
                }
                _ => faults.push(format!("field line {line:?}")),
            }
        }
        let mut seen = Self::of(connection, head, method, target, fields);
        seen.judge(&mut faults);
        (seen, faults)
    }

    fn of(c: usize, head: &[u8], method: &str, target: &str, f: Vec<(String, String)>) -> Self {
        Self {
            connection: c,
            head: head.to_vec(),
            method: method.to_owned(),
            target: target.to_owned(),
            fields: f,
            framing: Framing::None,
            body: Vec::new(),
            trailers: Vec::new(),
            complete: false,
        }
    }

    fn judge(&mut self, faults: &mut Vec<String>) {
        let hosts = self.all("host");
        if hosts.len() != 1 || !is_host(hosts[0]) {
            faults.push(format!("host {hosts:?}"));
        }
        let lengths = self.all("content-length");
        let codings = self.all("transfer-encoding");
        let framing = match (&lengths[..], &codings[..]) {
            ([], []) => Framing::None,
            ([one], []) if !one.is_empty() && one.bytes().all(|b| b.is_ascii_digit()) => {
                one.parse().map_or(Framing::None, Framing::Length)
            }
            ([], [one]) if one.eq_ignore_ascii_case("chunked") => Framing::Chunked,
            _ => {
                faults.push(format!("framing {lengths:?} {codings:?}"));
                Framing::None
            }
        };
        self.framing = framing;
        for name in ["proxy-connection", "keep-alive", "http2-settings", "expect"] {
            if self.field(name).is_some() {
                faults.push(format!("{name} forwarded"));
            }
        }
        let connection = self.all("connection").join(",").to_ascii_lowercase();
        if let Some(protocol) = self.field("upgrade")
            && (protocol != "websocket" || connection != "upgrade")
        {
            faults.push(format!("upgrade {protocol:?} with connection {connection:?}"));
        }
        if !matches!(connection.as_str(), "" | "upgrade" | "keep-alive" | "close" | "te") {
            faults.push(format!("connection {connection:?}"));
        }
        if self.all("te").iter().any(|te| *te != "trailers") {
            faults.push("te".to_owned());
        }
    }
}

/// Whether this is an HTTP token.
pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_host(host: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:[]%".contains(&b);
    !host.is_empty() && host.bytes().all(legal)
}
