//! What the servers of tests have in common: a thread that serves until its owner is gone, and
//! certificates that nobody knows.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::{net::SocketAddr, sync::Arc, thread};

use rustls::pki_types::PrivateKeyDer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// A server on a thread of its own; it ends with this.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Serving {
    /// Runs `server`, which tells its address first.
    pub(crate) fn start<F: Future<Output = ()>>(
        server: impl FnOnce(oneshot::Sender<SocketAddr>) -> F + Send + 'static,
    ) -> Self {
        let ((bound, address), (end, ended)) = (oneshot::channel(), oneshot::channel());
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let set = tokio::task::LocalSet::new();
            runtime.block_on(set.run_until(async move {
                tokio::select! { () = server(bound) => {}, _ = ended => {} }
            }));
        });
        let address = address.blocking_recv().unwrap();
        Self { address, end: Some(end), thread: Some(thread) }
    }

    /// Has `talk` serve each connection over TCP.
    #[allow(clippy::disallowed_methods, reason = "a test has no task door")]
    pub(crate) fn tcp<F: Future<Output = ()> + 'static>(
        talk: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        Self::start(|bound| async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::task::spawn_local(talk(stream));
            }
        })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A configuration of TLS for `name`, and its certificate as PEM.
pub(crate) fn tls(name: &str, protocols: &[&str]) -> (Arc<rustls::ServerConfig>, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let (pem, provider) = (made.cert.pem(), rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    (Arc::new(config), pem)
}
