//! HTTP/3 in front of the gateway: what an operator does, what flows, and where it ends.

mod connections;
mod flow;
mod integrity;
mod limits;
mod operations;
mod peers;

use std::sync::Arc;

use rustls::ClientConfig;
use tempfile::TempDir;

use crate::support::{
    PATIENCE,
    certificates::Authority,
    eventually,
    gateway::{Gateway, Setup},
    h3_client::{self, H3Client},
};

/// Its name in the certificate.
const NAME: &str = "edge.test";
/// What makes a listener serve HTTP/3 beside the others.
const LISTENER: &str = "tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }, protocols: [h1, h2, h3]";

/// A gateway with a certificate that the clients trust.
struct Edge {
    gateway: Gateway,
    authority: Authority,
    tls: Arc<ClientConfig>,
}

impl Edge {
    fn start(setup: Setup) -> Self {
        Self::start_listening(setup, LISTENER)
    }

    fn start_listening(setup: Setup, listener: &str) -> Self {
        let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
        authority.issue(&[NAME]).write(dir.path(), "edge");
        let gateway = setup.listener(listener).within(dir).start();
        let tls = authority.client(&[b"h3"]);
        Self { gateway, authority, tls }
    }

    async fn client(&self) -> H3Client {
        self.try_client().await.unwrap()
    }

    async fn try_client(&self) -> Result<H3Client, String> {
        h3_client::connect(self.gateway.listen, Arc::clone(&self.tls), NAME).await
    }

    /// Ends it while the clients' connections go on living.
    async fn stop(self) {
        tokio::task::spawn_blocking(|| drop(self)).await.unwrap();
    }
}

/// Waits for the gateway to close the connection without complaint (H3_NO_ERROR).
async fn farewell(client: &H3Client) {
    let closed = tokio::time::timeout(PATIENCE, client.quic.closed()).await;
    match closed.expect("it closes") {
        quinn::ConnectionError::ApplicationClosed(close) if close.error_code == 0x100u32.into() => {
        }
        other => panic!("{other:?}"),
    }
}

/// Waits for something that happens outside of this runtime.
async fn shows(condition: impl FnMut() -> bool + Send + 'static) -> bool {
    tokio::task::spawn_blocking(|| eventually(condition)).await.unwrap()
}
