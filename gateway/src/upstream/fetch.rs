//! One small document from a URL: a connection of its own, a GET, the whole body within a bound.

use std::{rc::Rc, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, Uri, header};
use http_body_util::BodyExt as _;
use tokio::time::timeout;
use weir_config::model::{Address, JwksUrl};

use super::{
    connect::Connector,
    endpoint::Endpoint,
    once::{ask, draft},
    pool::{EndpointPool, Pooled},
};
use crate::{
    clock,
    http::{body::Body, guard::Framing, upload::Upload},
    quic::Dialer,
};

/// Gets it, within the time that `url` says and as long as it has at most so many bytes. Redirects
/// are not followed: who serves keys is for the configuration to say.
///
/// # Errors
/// What kept it from being got.
pub(crate) async fn get(
    url: &JwksUrl,
    connector: &Arc<Connector>,
    dialer: &Rc<Dialer>,
    most: usize,
) -> Result<Bytes, String> {
    let address = match url.host.parse() {
        Ok(ip) => Address::Tcp(std::net::SocketAddr::new(ip, url.port)),
        Err(_) => Address::Name(url.host.clone(), url.port),
    };
    let endpoint = Arc::new(Endpoint::new(address, clock::now()));
    let pool = Pooled(Rc::new(EndpointPool::apart(endpoint, connector.clone(), dialer.clone())));
    // Boxed: a handshake is large.
    let got = timeout(url.timeout, Box::pin(exchange(url, &pool, most))).await;
    pool.0.close();
    got.unwrap_or_else(|_| Err("no answer in time".to_owned()))
}

async fn exchange(url: &JwksUrl, pool: &Pooled, most: usize) -> Result<Bytes, String> {
    let target = Uri::try_from(&*url.target).map_err(|_| "its path is none")?;
    let mut draft = draft(Method::GET, target, Framing::None, Upload::empty());
    draft.head.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, */*"));
    if url.port == if url.tls { 443 } else { 80 } {
        // Some servers know themselves without it only.
        draft.shape.host =
            HeaderValue::try_from(&*url.host).ok().filter(|_| !url.host.contains(':'));
    }
    let (head, body) = ask(pool, draft).await?.into_parts();
    if head.status != http::StatusCode::OK {
        return Err(format!("status {}", head.status.as_u16()));
    }
    whole(body, most).await
}

/// A body as one piece.
pub(crate) async fn whole(mut body: Body, most: usize) -> Result<Bytes, String> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most {
            return Err(format!("it is longer than {most} bytes"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}
