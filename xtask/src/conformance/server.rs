//! The server that scripts ask: each answer follows from the request alone, so that both programs
//! see the same.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use serde_json::{Map, Value, json};

/// Bytes of a request's body at most.
const BODY_MAX: usize = 1 << 20;
/// Lines of a request's head at most.
const LINES_MAX: usize = 200;

/// `compressed`, gzip.
const GZIP: &[u8] = &[
    0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 2, 3, 0x4b, 0xce, 0xcf, 0x2d, 0x28, 0x4a, 0x2d, 0x2e, 0x4e,
    0x4d, 1, 0, 0x1e, 0x4b, 0x56, 0x97, 0x0a, 0, 0, 0,
];

/// What scripts find where.
#[derive(Debug)]
pub(super) struct Server {
    /// Speaks HTTP.
    pub(super) plain: SocketAddr,
    /// Speaks it behind a certificate that nobody knows.
    pub(super) secure: SocketAddr,
    /// Nobody listens there.
    pub(super) dead: SocketAddr,
}

impl Server {
    /// Listens until the process ends.
    pub(super) fn start() -> Result<Self, String> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string());
        let (plain, secure) = (listen()?, listen()?);
        // Taken and let go of: nothing listens there for the next minutes.
        let dead = listen()?;
        let address = |listener: &TcpListener| listener.local_addr().map_err(|e| e.to_string());
        let server =
            Self { plain: address(&plain)?, secure: address(&secure)?, dead: address(&dead)? };
        drop(dead);
        let tls = Arc::new(tls()?);
        accept(plain, |stream| serve(&mut BufReader::new(stream)));
        accept(secure, move |stream| {
            let session = rustls::ServerConnection::new(Arc::clone(&tls));
            let session = session.map_err(io::Error::other)?;
            serve(&mut BufReader::new(rustls::StreamOwned::new(session, stream)))
        });
        Ok(server)
    }
}

fn tls() -> Result<rustls::ServerConfig, String> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]);
    let rcgen::CertifiedKey { cert, signing_key } = made.map_err(|e| e.to_string())?;
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    config.with_single_cert(vec![cert.der().clone()], key).map_err(|e| e.to_string())
}

fn accept(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
) {
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            // A client that goes away is its own affair.
            thread::spawn(move || drop(serve(stream)));
        }
    });
}

/// A request.
#[derive(Debug)]
struct Request {
    method: String,
    target: String,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

fn serve<S: Read + Write>(stream: &mut BufReader<S>) -> io::Result<()> {
    while let Some(request) = read(stream)? {
        let Some(answer) = answer(&request) else { return Ok(()) };
        let reason = http::StatusCode::from_u16(answer.status).ok();
        let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or_default();
        let mut head = format!("HTTP/1.1 {} {reason}\r\n", answer.status);
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if answer.status != 204 && answer.status != 304 {
            head += &format!("Content-Length: {}\r\n", answer.body.len());
        }
        let mut bytes = (head + "\r\n").into_bytes();
        if request.method != "HEAD" && answer.status != 204 && answer.status != 304 {
            bytes.extend(&answer.body);
        }
        stream.get_mut().write_all(&bytes)?;
        stream.get_mut().flush()?;
    }
    Ok(())
}

fn read<S: Read>(stream: &mut BufReader<S>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut headers = Vec::new();
    for _ in 0..LINES_MAX {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, length)| length.parse().ok()).unwrap_or(0).min(BODY_MAX);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    if headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked") {
        body = chunks(stream)?;
    }
    Ok(Some(Request { method, target, headers, body }))
}

fn chunks<S: Read>(stream: &mut BufReader<S>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).unwrap_or(0).min(BODY_MAX);
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk)?;
        if length == 0 || body.len() > BODY_MAX {
            return Ok(body);
        }
        body.extend(&chunk[..length]);
    }
}

/// `None` says nothing more on that connection.
fn answer(request: &Request) -> Option<Answer> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let mut parts = path.trim_start_matches('/').split('/');
    let (what, rest) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let number = || rest.parse::<u64>().unwrap_or(0);
    let ok = |body: &str| Answer::new(200, body.as_bytes().to_vec());
    Some(match what {
        "echo" => echo(request),
        "cookies" => ok(&cookies(request).to_string()),
        "set" => {
            let mut answer = ok("set");
            let set = query.split('&').filter(|pair| !pair.is_empty());
            answer.headers.extend(
                set.map(|pair| ("Set-Cookie", pair.replace("%3B", ";").replace("%20", " "))),
            );
            answer
        }
        "status" => Answer::new(number() as u16, b"as you wish".to_vec()),
        "redirect" => match number() {
            0 => ok("arrived"),
            n => redirect(302, format!("/redirect/{}", n - 1)),
        },
        "to" => redirect(number() as u16, query.to_owned()),
        "wait" => {
            thread::sleep(Duration::from_millis(number().min(10_000)));
            ok("waited")
        }
        "json" => ok(DOCUMENT).with("Content-Type", "application/json"),
        "bytes" => Answer::new(200, vec![b'x'; (number() as usize).min(BODY_MAX)]),
        "binary" => Answer::new(200, (0..=255).collect()),
        "gzip" => Answer::new(200, GZIP.to_vec()).with("Content-Encoding", "gzip"),
        "garbage" => ok("this is no gzip").with("Content-Encoding", "gzip"),
        "headers" => ok("").with("X-One", "1").with("x-two-parts", "a").with("X-Many", "a, b"),
        "close" => return None,
        _ => ok("hello"),
    })
}

fn echo(request: &Request) -> Answer {
    let headers: Map<String, Value> =
        request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let body = json!({
        "method": request.method,
        "target": request.target,
        "headers": headers,
        "body": String::from_utf8_lossy(&request.body),
        "length": request.body.len(),
    });
    Answer::new(200, body.to_string().into_bytes()).with("Content-Type", "application/json")
}

fn cookies(request: &Request) -> Value {
    let sent = request.headers.iter().filter(|(name, _)| name == "cookie");
    let pairs = sent.flat_map(|(_, value)| value.split("; "));
    let mut pairs: Vec<&str> = pairs.collect();
    // Their order is the client's affair.
    pairs.sort_unstable();
    json!(pairs)
}

fn redirect(status: u16, location: String) -> Answer {
    let mut answer = Answer::new(status, b"elsewhere".to_vec());
    answer.headers.push(("Location", location));
    answer
}

impl Answer {
    fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, headers: Vec::new(), body }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

const DOCUMENT: &str = r#"{"name":{"first":"Tom","last":"Anderson"},"age":37,"none":null,
"children":["Sara","Alex","Jack"],"fav.movie":"Deer Hunter","big":12345678901,"frac":1.5,
"yes":true,"no":false,"empty":{},"list":[],"friends":[
{"first":"Dale","last":"Murphy","age":44,"nets":["ig","fb","tw"]},
{"first":"Roger","last":"Craig","age":68,"nets":["fb","tw"]},
{"first":"Jane","last":"Murphy","age":47,"nets":["ig","tw"]}]}"#;
