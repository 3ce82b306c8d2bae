//! A gateway between a client of one version and an origin of another.

use std::{any::Any, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use rustls::ClientConfig;
use tempfile::TempDir;

use super::{
    EDGE, ORIGIN,
    clients::{Client, Download, Upload},
    origins::TcpOrigin,
};
use crate::support::{
    certificates::Authority,
    exchange::Ledger,
    gateway::{Gateway, Setup},
    h3_origin::H3Origin,
    pattern::Pattern,
};

/// What speaks on one side of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    H1,
    H2,
    H3,
}

/// All of it, with one client connection.
pub(super) struct Stage<C> {
    pub(super) client: C,
    pub(super) down: Version,
    pub(super) up: Version,
    pub(super) ledger: Arc<Ledger>,
    // The gateway stops before its origin does.
    pub(super) gateway: Gateway,
    tls: Arc<ClientConfig>,
    _origin: Box<dyn Any>,
}

/// A response, and what became of the request.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) interim: Vec<u16>,
    pub(super) fields: HeaderMap,
    pub(super) length: usize,
    pub(super) intact: bool,
    pub(super) text: String,
    pub(super) trailers: HeaderMap,
    /// How sending the request's body ended.
    pub(super) upload: Result<(), String>,
}

impl Reply {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A request head for `target`.
pub(super) fn head(method: Method, target: &str) -> Request<()> {
    let uri = format!("http://weir.test{target}");
    Request::builder().method(method).uri(uri).body(()).unwrap()
}

impl<C: Client> Stage<C> {
    /// Starts everything.
    pub(super) async fn set(down: Version, up: Version) -> Self {
        Self::set_for(down, up, "").await
    }

    /// Starts everything, with these keys of the route.
    pub(super) async fn set_for(down: Version, up: Version, route: &str) -> Self {
        let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
        authority.issue(&[EDGE]).write(dir.path(), "edge");
        authority.write(&dir.path().join("ca.pem"));
        let (address, ledger, origin): (_, _, Box<dyn Any>) = if up == Version::H3 {
            let origin = H3Origin::start(authority.issue(&[ORIGIN]).server(&[b"h3"]));
            (origin.address, Arc::clone(&origin.ledger), Box::new(origin))
        } else {
            let origin = TcpOrigin::start(up == Version::H2);
            (origin.address, Arc::clone(&origin.ledger), Box::new(origin))
        };
        let protocol = match up {
            Version::H1 => "h1".to_owned(),
            Version::H2 => "h2".to_owned(),
            Version::H3 => {
                format!("h3, tls: {{ server_name: {ORIGIN}, ca: $DIR/ca.pem }}")
            }
        };
        let mut setup = Setup::to(&[address])
            .upstream(&format!("outlier: off, protocol: {protocol}"))
            .route(route)
            .within(dir);
        if down == Version::H3 {
            setup = setup.listener(
                "tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }, protocols: [h1, h2, h3]",
            );
        }
        let gateway = setup.start();
        let tls = authority.client(&[b"h3"]);
        let client = C::connect(gateway.listen, &tls).await.expect("a connection");
        Self { client, down, up, ledger, gateway, tls, _origin: origin }
    }

    /// One more connection.
    pub(super) async fn another(&self) -> Result<C, String> {
        C::connect(self.gateway.listen, &self.tls).await
    }

    /// Sends `length` bytes, when the request has a body, and reads the response meanwhile.
    pub(super) async fn send(
        &self,
        head: Request<()>,
        length: Option<usize>,
        trailers: HeaderMap,
    ) -> Result<Reply, String> {
        let (mut up, mut down) = self.client.open(head, length.is_some()).await?;
        let upload = async {
            let mut pattern = Pattern::default();
            if let Some(length) = length {
                while pattern.at < length {
                    let piece = pattern.next((64 * 1024).min(length - pattern.at));
                    up.write(piece).await?;
                }
                up.end(trailers).await?;
            }
            Ok(())
        };
        let (upload, reply) = tokio::join!(upload, read(&mut down));
        reply.map(|reply| Reply { upload, ..reply })
    }

    /// A GET.
    pub(super) async fn get(&self, target: &str) -> Result<Reply, String> {
        self.send(head(Method::GET, target), None, HeaderMap::new()).await
    }

    /// Whether an ordinary request works, on the same connection where requests share one.
    pub(super) async fn works(&self) -> Result<(), String> {
        let reply = self.get("/after").await.map_err(|why| format!("afterwards: {why}"))?;
        ensure(reply.text == "GET /after", || format!("afterwards: {reply:?}"))
    }
}

async fn read(down: &mut impl Download) -> Result<Reply, String> {
    let (response, interim) = down.head().await.map_err(|why| format!("head: {why}"))?;
    let (mut pattern, mut intact, mut text) = (Pattern::default(), true, Vec::new());
    while let Some(piece) = down.piece().await.map_err(|why| format!("body: {why}"))? {
        intact &= pattern.check(&piece);
        text.extend_from_slice(&piece[..piece.len().min(100)]);
        text.truncate(100);
    }
    let trailers = down.trailers().await.map_err(|why| format!("trailers: {why}"))?;
    let (parts, ()) = response.into_parts();
    let reply = Reply {
        status: parts.status.as_u16(),
        interim,
        fields: parts.headers,
        length: pattern.at,
        intact,
        text: String::from_utf8_lossy(&text).into_owned(),
        trailers,
        upload: Ok(()),
    };
    let length = reply.field("content-length").and_then(|length| length.parse::<usize>().ok());
    match length {
        Some(length) if reply.length > 0 && reply.length != length => {
            Err(format!("a clean end after {} of {length} bytes", reply.length))
        }
        _ => Ok(reply),
    }
}

/// Reads until at least `count` bytes came.
pub(super) async fn read_some(down: &mut impl Download, count: usize) -> Result<Bytes, String> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend_from_slice(&down.piece().await?.ok_or("the body ended")?);
    }
    Ok(all.into())
}

/// An error that says what was found instead.
pub(super) fn ensure(holds: bool, found: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(found()) }
}
