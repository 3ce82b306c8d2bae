use std::{net::Ipv4Addr, time::Duration};

use quinn::{Connection, ConnectionError, Endpoint, crypto::rustls::QuicClientConfig};
use rustls::{ClientConfig, sign::SingleCertAndKey};
use weir_config::model::{At, Certificate, Protocols, ServerTls};

use super::{super::ServerTlsState, *};
use crate::pem::{
    self,
    tests::{Authority, today},
};

const ALL: Protocols = Protocols { h1: true, h2: true, h3: true };
const SMALL: Remembered =
    Remembered { streams: 10, stream_window: 1000, connection_window: 1000, header_bytes: 1000 };

fn load(
    written: &ServerTls,
    early_data: Option<Remembered>,
    previous: Option<&ServerTlsState>,
) -> ServerTlsState {
    ServerTlsState::load(written, ALL, early_data, previous, today()).unwrap().0
}

fn written(edge: &Certificate, client_ca: Option<&Authority>) -> ServerTls {
    ServerTls { certificates: vec![edge.clone()], client_ca: client_ca.map(Authority::ca) }
}

fn client(trusted: &Authority, identity: Option<&Certificate>, alpn: &[u8]) -> quinn::ClientConfig {
    let (roots, _) = pem::load_authorities(At::default(), &trusted.ca()).unwrap();
    let builder = ClientConfig::builder_with_provider(pem::provider())
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(written) => {
            let identity = pem::load_identity(written, &pem::provider(), today()).unwrap();
            let resolver = SingleCertAndKey::from(identity.certified);
            builder.with_client_cert_resolver(Arc::new(resolver))
        }
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    config.enable_early_data = true;
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

/// Connects over loopback. The second value says whether early data was taken, `None` when the
/// client had no session that allows any. The byte of the server comes behind its tickets.
async fn connect(
    server: &ServerTlsState,
    client: &quinn::ClientConfig,
) -> Result<Option<bool>, ConnectionError> {
    let config = quinn::ServerConfig::new(server.quic().unwrap(), server.token_key());
    let served = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let dialer = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let ask = async {
        let address = served.local_addr().unwrap();
        let connecting = dialer.connect_with(client.clone(), address, "a.example").unwrap();
        let greeted = async |connection: &Connection| {
            connection.accept_uni().await?.read_to_end(1).await.unwrap();
            Ok::<_, ConnectionError>(())
        };
        match connecting.into_0rtt() {
            Ok((connection, accepted)) => {
                let accepted = accepted.await;
                greeted(&connection).await?;
                Ok(Some(accepted))
            }
            Err(connecting) => {
                greeted(&connecting.await?).await?;
                Ok(None)
            }
        }
    };
    let serve = async {
        let connection = served.accept().await.unwrap().await?;
        let mut stream = connection.open_uni().await?;
        stream.write_all(b"x").await.unwrap();
        stream.finish().unwrap();
        connection.closed().await;
        Ok::<_, ConnectionError>(())
    };
    let both = async {
        tokio::pin!(serve, ask);
        tokio::select! {
            asked = &mut ask => asked,
            Err(error) = &mut serve => Err(error),
        }
    };
    tokio::time::timeout(Duration::from_secs(10), both).await.unwrap()
}

#[tokio::test]
async fn http3_is_the_one_protocol() {
    let authority = Authority::new();
    let edge = authority.issue("edge", &["a.example"]);
    let server = load(&written(&edge, None), None, None);
    assert_eq!(connect(&server, &client(&authority, None, b"h3")).await, Ok(None));
    let refused = connect(&server, &client(&authority, None, b"h2")).await.unwrap_err();
    assert!(refused.to_string().contains("cryptographic handshake failed"), "{refused}");
    let without = Protocols { h3: false, ..ALL };
    let server = ServerTlsState::load(&written(&edge, None), without, None, None, today());
    assert!(server.unwrap().0.quic().is_none());
}

#[tokio::test]
async fn client_certificates_are_required() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let edge = authority.issue("edge", &["a.example"]);
    let known = authority.issue("known", &["client.example"]);
    let unknown = strangers.issue("unknown", &["client.example"]);
    let server = load(&written(&edge, Some(&authority)), None, None);
    assert_eq!(connect(&server, &client(&authority, Some(&known), b"h3")).await, Ok(None));
    for identity in [None, Some(&unknown)] {
        connect(&server, &client(&authority, identity, b"h3")).await.unwrap_err();
    }
}

#[tokio::test]
async fn early_data_is_taken_where_the_listener_says_so() {
    let authority = Authority::new();
    let edge = authority.issue("edge", &["a.example"]);
    let strict = load(&written(&edge, None), None, None);
    let ready = client(&authority, None, b"h3");
    assert_eq!(connect(&strict, &ready).await, Ok(None));
    assert_eq!(connect(&strict, &ready).await, Ok(None), "its tickets allow none");

    let server = load(&written(&edge, None), Some(SMALL), None);
    let ready = client(&authority, None, b"h3");
    assert_eq!(connect(&server, &ready).await, Ok(None));
    assert_eq!(connect(&server, &ready).await, Ok(Some(true)));
    // Its sessions outlive a new certificate.
    authority.issue("edge", &["a.example"]);
    server.reload(today()).unwrap();
    assert_eq!(connect(&server, &ready).await, Ok(Some(true)));
    // Turned off, it is refused, and the client goes on with a handshake.
    let off = load(&written(&edge, None), None, Some(&server));
    assert_eq!(connect(&off, &ready).await, Ok(Some(false)));
}

#[tokio::test]
async fn sessions_end_when_what_their_clients_rely_on_does() {
    let (authority, others) = (Authority::new(), Authority::new());
    let edge = authority.issue("edge", &["a.example"]);
    let written = written(&edge, None);
    let first = load(&written, Some(SMALL), None);
    let ready = client(&authority, None, b"h3");
    assert_eq!(connect(&first, &ready).await, Ok(None));
    let more = load(&written, Some(Remembered { streams: 11, ..SMALL }), Some(&first));
    assert_eq!(connect(&more, &ready).await, Ok(Some(true)));
    let less = load(&written, Some(Remembered { header_bytes: 999, ..SMALL }), Some(&more));
    assert_eq!(connect(&less, &ready).await, Ok(Some(false)));
    let strict = ServerTls { client_ca: Some(others.ca()), ..written };
    let strict = load(&strict, Some(SMALL), Some(&less));
    connect(&strict, &ready).await.unwrap_err();
}

#[test]
fn one_token_key_serves_all_workers_and_outlives_a_reload() {
    let authority = Authority::new();
    let edge = authority.issue("edge", &["a.example"]);
    let server = load(&written(&edge, None), None, None);
    let key = server.token_key();
    server.reload(today()).unwrap();
    assert!(Arc::ptr_eq(&key, &server.token_key()));
    let next = load(&written(&edge, None), Some(SMALL), Some(&server));
    assert!(Arc::ptr_eq(&key, &next.token_key()));
    let other = load(&written(&edge, None), None, None);
    let (mut sealed, nonce) = (b"token".to_vec(), [7; 16]);
    key.aead_from_hkdf(&nonce).seal(&mut sealed, &[]).unwrap();
    let open = |key: Arc<dyn HandshakeTokenKey>| {
        key.aead_from_hkdf(&nonce).open(&mut sealed.clone(), &[]).is_ok()
    };
    assert!(open(next.token_key()) && !open(other.token_key()));
}
