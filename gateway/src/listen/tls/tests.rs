use std::fs;

use rustls::{
    AlertDescription, ClientConfig, HandshakeKind, SignatureScheme, SupportedProtocolVersion,
    client::Resumption,
    pki_types::ServerName,
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use weir_config::model::Certificate;

use super::*;
use crate::pem::tests::{Authority, today};

const BOTH: Protocols = Protocols { h1: true, h2: true, h3: false };

fn state(certificates: &[&Certificate], client_ca: Option<&Authority>) -> ServerTlsState {
    let written = ServerTls {
        certificates: certificates.iter().copied().cloned().collect(),
        client_ca: client_ca.map(Authority::ca),
    };
    ServerTlsState::load(&written, BOTH, None, None, today()).unwrap().0
}

fn client(
    trusted: &Authority,
    identity: Option<&Certificate>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let (roots, _) = pem::load_authorities(At::default(), &trusted.ca()).unwrap();
    let builder = ClientConfig::builder_with_provider(pem::provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some(written) => {
            let identity = pem::load_identity(written, &pem::provider(), today());
            let key: Arc<CertifiedKey> = identity.unwrap().certified;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
    }
}

fn modern(trusted: &Authority) -> ClientConfig {
    client(trusted, None, &[&TLS13])
}

/// What both sides saw of a handshake.
#[derive(Debug)]
struct Shaken {
    session: TlsSession,
    leaf: CertificateDer<'static>,
    kind: HandshakeKind,
}

/// Connects over loopback; the byte that the server says brings the client its tickets.
async fn shake(
    server: Arc<ServerConfig>,
    client: &Arc<ClientConfig>,
    name: &str,
) -> Result<Shaken, rustls::Error> {
    let tls_error = |error: std::io::Error| {
        let inner = error.into_inner().expect("an error of rustls");
        *inner.downcast::<rustls::Error>().expect("an error of rustls")
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let serve = async {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(server).accept(socket).await.map_err(tls_error)?;
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
        let connection = stream.get_ref().1;
        let session = TlsSession::new(connection);
        Ok::<_, rustls::Error>((session, connection.handshake_kind().unwrap(), stream))
    };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let ask = async {
        let connector = TlsConnector::from(Arc::clone(client));
        let mut stream = connector.connect(name, socket).await.map_err(tls_error)?;
        stream.read_u8().await.map_err(tls_error)?;
        Ok::<_, rustls::Error>(
            stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned(),
        )
    };
    let (served, asked) = tokio::join!(serve, ask);
    // The server's word first: it knows why.
    let (session, kind, _open) = served?;
    Ok(Shaken { session, leaf: asked?, kind })
}

async fn kind(server: &ServerTlsState, client: &Arc<ClientConfig>) -> HandshakeKind {
    shake(server.config(), client, "a.example").await.unwrap().kind
}

fn leaf(written: &Certificate) -> CertificateDer<'static> {
    let identity = pem::load_identity(written, &pem::provider(), today());
    identity.unwrap().certified.cert[0].clone()
}

#[tokio::test]
async fn the_name_picks_the_certificate() {
    let authority = Authority::new();
    let first = authority.issue("first", &["first.example", "x.y.wild.example", "wild.example"]);
    let exact = authority.issue("exact", &["a.example", "deep.wild.example"]);
    let wild = authority.issue("wild", &["*.wild.example"]);
    let server = state(&[&first, &exact, &wild], None);
    let client = Arc::new(modern(&authority));
    for (name, expected) in [
        ("first.example", &first),
        ("a.example", &exact),
        ("A.EXAMPLE", &exact),
        ("b.wild.example", &wild),
        // An exact name beats a wildcard; a wildcard is one label, and not the bare domain.
        ("deep.wild.example", &exact),
        ("x.y.wild.example", &first),
        ("wild.example", &first),
    ] {
        let shaken = shake(server.config(), &client, name).await.unwrap();
        assert_eq!(shaken.leaf, leaf(expected), "{name}");
        assert_eq!(shaken.session.sni.as_deref(), Some(name.to_lowercase().as_str()));
        assert_eq!(shaken.session.client, None);
    }
}

#[tokio::test]
async fn unknown_names_and_none_get_the_first_certificate() {
    let authority = Authority::new();
    let first = authority.issue("first", &["first.example", "127.0.0.1"]);
    let second = authority.issue("second", &["second.example"]);
    let server = state(&[&first, &second], None);
    let client = Arc::new(modern(&authority));
    // An address is not sent as SNI.
    let shaken = shake(server.config(), &client, "127.0.0.1").await.unwrap();
    assert_eq!((shaken.leaf, shaken.session.sni), (leaf(&first), None));
    // The client refuses it, for the name is another: that is how we know what it was shown.
    let error = shake(server.config(), &client, "third.example").await.unwrap_err();
    assert_eq!(error, rustls::Error::AlertReceived(AlertDescription::BadCertificate));
}

#[test]
fn two_kinds_of_key_may_serve_one_name() {
    let authority = Authority::new();
    let provider = pem::provider();
    let identities: Vec<_> = [
        authority.issue("ecdsa", &["a.example"]),
        authority.issue_ed25519("ed25519", &["a.example"]),
    ]
    .iter()
    .map(|written| pem::load_identity(written, &provider, today()).unwrap())
    .collect();
    let table = CertificatesByName::new(&identities);
    let pick = |name, scheme| table.pick(name, &[scheme]).unwrap().cert[0].clone();
    for name in [Some("a.example"), Some("unknown.example"), None] {
        let ecdsa = pick(name, SignatureScheme::ECDSA_NISTP256_SHA256);
        assert_eq!(ecdsa, identities[0].certified.cert[0]);
        assert_eq!(pick(name, SignatureScheme::ED25519), identities[1].certified.cert[0]);
        assert_eq!(pick(name, SignatureScheme::RSA_PSS_SHA256), ecdsa);
    }
}

#[tokio::test]
async fn the_http_version_is_agreed_on() {
    let authority = Authority::new();
    let edge = authority.issue("edge", &["a.example"]);
    let written = ServerTls { certificates: vec![edge], client_ca: None };
    let h1_only = Protocols { h1: true, h2: false, h3: false };
    let h2_only = Protocols { h1: false, h2: true, h3: false };
    let (h1, h2) = (ALPN_H1, ALPN_H2);
    let cases: [(_, &[&[u8]], _); 7] = [
        (BOTH, &[h1, h2], Ok(Some(Alpn::H2))),
        (BOTH, &[h1], Ok(Some(Alpn::H1))),
        (BOTH, &[b"spdy/1", h1], Ok(Some(Alpn::H1))),
        (BOTH, &[], Ok(None)),
        (h1_only, &[h2, h1], Ok(Some(Alpn::H1))),
        (h2_only, &[h2, h1], Ok(Some(Alpn::H2))),
        (h2_only, &[h1], Err(rustls::Error::NoApplicationProtocol)),
    ];
    for (protocols, offered, expected) in cases {
        let now = today();
        let (server, _) = ServerTlsState::load(&written, protocols, None, None, now).unwrap();
        let mut client = client(&authority, None, &[&TLS13, &TLS12]);
        client.alpn_protocols = offered.iter().map(|name| name.to_vec()).collect();
        let shaken = shake(server.config(), &Arc::new(client), "a.example").await;
        assert_eq!(shaken.map(|shaken| shaken.session.alpn), expected, "{offered:?}");
    }
}

#[tokio::test]
async fn client_certificates_are_required_and_verified() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let edge = authority.issue("edge", &["a.example"]);
    let known = authority.issue("known-client", &["client.example"]);
    let unknown = strangers.issue("unknown-client", &["client.example"]);
    let server = state(&[&edge], Some(&authority));
    for version in [&TLS12, &TLS13] {
        let with = |identity| Arc::new(client(&authority, identity, &[version]));
        let shaken = shake(server.config(), &with(Some(&known)), "a.example").await.unwrap();
        let subject = shaken.session.client.unwrap();
        assert!(subject.contains("CN=known-client"), "{subject}");
        let error = shake(server.config(), &with(None), "a.example").await.unwrap_err();
        assert_eq!(error, rustls::Error::NoCertificatesPresented);
        let refused = shake(server.config(), &with(Some(&unknown)), "a.example").await;
        let error = refused.unwrap_err();
        assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
    }
}

#[tokio::test]
async fn sessions_resume_on_every_worker_and_over_a_reload() {
    let authority = Authority::new();
    let edge = authority.issue("edge", &["a.example"]);
    let known = authority.issue("known", &["client.example"]);
    for version in [&TLS12, &TLS13] {
        let server = state(&[&edge], Some(&authority));
        let client = Arc::new(client(&authority, Some(&known), &[version]));
        assert_eq!(kind(&server, &client).await, HandshakeKind::Full);
        // Another worker has another copy of the same settings.
        let copy = Arc::new(ServerConfig::clone(&server.config()));
        let resumed = shake(copy, &client, "a.example").await.unwrap();
        assert_eq!(resumed.kind, HandshakeKind::Resumed);
        let subject = resumed.session.client.unwrap();
        assert!(subject.contains("CN=known"), "the subject comes with the ticket: {subject}");

        authority.issue("edge", &["a.example"]);
        server.reload(today()).unwrap();
        assert_eq!(kind(&server, &client).await, HandshakeKind::Resumed);
        let fresh = Arc::new(self::client(&authority, Some(&known), &[version]));
        let shaken = shake(server.config(), &fresh, "a.example").await.unwrap();
        assert_eq!(shaken.leaf, leaf(&edge), "a new handshake shows the new certificate");
    }
}

/// CVE-2025-23419: a session of one virtual host must not open another that asks for more.
#[tokio::test]
async fn a_session_is_worth_nothing_elsewhere() {
    let authority = Authority::new();
    let others = Authority::new();
    let edge = authority.issue("edge", &["a.example", "b.example"]);
    let known = authority.issue("known", &["client.example"]);
    for version in [&TLS12, &TLS13] {
        let open = state(&[&edge], None);
        let strict = state(&[&edge], Some(&authority));
        let stricter = state(&[&edge], Some(&others));
        let twin = state(&[&edge], None);

        let anonymous = Arc::new(client(&authority, None, &[version]));
        assert_eq!(kind(&open, &anonymous).await, HandshakeKind::Full);
        assert_eq!(kind(&twin, &anonymous).await, HandshakeKind::Full);
        let error = shake(strict.config(), &anonymous, "a.example").await.unwrap_err();
        assert_eq!(error, rustls::Error::NoCertificatesPresented);

        let client = Arc::new(client(&authority, Some(&known), &[version]));
        assert_eq!(kind(&strict, &client).await, HandshakeKind::Full);
        let error = shake(stricter.config(), &client, "a.example").await.unwrap_err();
        assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
    }
}

/// Not even when the client files the ticket under another name than it was made for.
#[tokio::test]
async fn a_session_is_bound_to_its_name() {
    #[derive(Debug)]
    struct OneDrawer(rustls::client::ClientSessionMemoryCache);
    impl rustls::client::ClientSessionStore for OneDrawer {
        fn set_kx_hint(&self, _: ServerName<'static>, group: rustls::NamedGroup) {
            self.0.set_kx_hint(drawer(), group);
        }
        fn kx_hint(&self, _: &ServerName<'_>) -> Option<rustls::NamedGroup> {
            self.0.kx_hint(&drawer())
        }
        fn set_tls12_session(
            &self,
            _: ServerName<'static>,
            session: rustls::client::Tls12ClientSessionValue,
        ) {
            self.0.set_tls12_session(drawer(), session);
        }
        fn tls12_session(
            &self,
            _: &ServerName<'_>,
        ) -> Option<rustls::client::Tls12ClientSessionValue> {
            self.0.tls12_session(&drawer())
        }
        fn remove_tls12_session(&self, _: &ServerName<'static>) {
            self.0.remove_tls12_session(&drawer());
        }
        fn insert_tls13_ticket(
            &self,
            _: ServerName<'static>,
            ticket: rustls::client::Tls13ClientSessionValue,
        ) {
            self.0.insert_tls13_ticket(drawer(), ticket);
        }
        fn take_tls13_ticket(
            &self,
            _: &ServerName<'static>,
        ) -> Option<rustls::client::Tls13ClientSessionValue> {
            self.0.take_tls13_ticket(&drawer())
        }
    }
    fn drawer() -> ServerName<'static> {
        ServerName::try_from("drawer.test").unwrap()
    }

    let authority = Authority::new();
    let edge = authority.issue("edge", &["a.example", "b.example"]);
    let server = state(&[&edge], None);
    for version in [&TLS12, &TLS13] {
        let mut client = client(&authority, None, &[version]);
        let store = OneDrawer(rustls::client::ClientSessionMemoryCache::new(8));
        client.resumption = Resumption::store(Arc::new(store));
        let client = Arc::new(client);
        assert_eq!(kind(&server, &client).await, HandshakeKind::Full);
        assert_eq!(kind(&server, &client).await, HandshakeKind::Resumed);
        let elsewhere = shake(server.config(), &client, "b.example").await.unwrap();
        assert_eq!(elsewhere.kind, HandshakeKind::Full);
    }
}

#[tokio::test]
async fn other_authorities_end_the_sessions_of_the_old() {
    let (authority, others) = (Authority::new(), Authority::new());
    let edge = authority.issue("edge", &["a.example"]);
    let known = authority.issue("known", &["client.example"]);
    let server = state(&[&edge], Some(&authority));
    let client = Arc::new(client(&authority, Some(&known), &[&TLS13]));
    assert_eq!(kind(&server, &client).await, HandshakeKind::Full);
    fs::copy(others.ca(), authority.ca()).unwrap();
    server.reload(today()).unwrap();
    let error = shake(server.config(), &client, "a.example").await.unwrap_err();
    assert!(matches!(error, rustls::Error::InvalidCertificate(_)), "{error}");
}

#[tokio::test]
async fn a_changed_listener_keeps_its_sessions() {
    let authority = Authority::new();
    let edge = authority.issue("edge", &["a.example"]);
    let server = state(&[&edge], None);
    let client = Arc::new(modern(&authority));
    assert_eq!(kind(&server, &client).await, HandshakeKind::Full);
    let more = authority.issue("more", &["more.example"]);
    let written = ServerTls { certificates: vec![more, edge], client_ca: None };
    let now = today();
    let (next, _) = ServerTlsState::load(&written, BOTH, None, Some(&server), now).unwrap();
    assert_eq!(kind(&next, &client).await, HandshakeKind::Resumed);
    assert_eq!(next.files().count(), 4);
}

#[tokio::test]
async fn a_broken_file_keeps_the_old_certificate() {
    let authority = Authority::new();
    let edge = authority.issue("edge", &["a.example"]);
    let old = leaf(&edge);
    let server = state(&[&edge], None);
    let client = Arc::new(modern(&authority));
    let key = fs::read(&edge.key).unwrap();
    for (path, content) in [(&edge.cert, &b"half a file"[..]), (&edge.key, b""), (&edge.key, &key)]
    {
        // The last round: a new certificate has arrived, its key has not.
        if content == key {
            authority.issue("edge", &["a.example"]);
        }
        fs::write(path, content).unwrap();
        let problems = server.reload(today()).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let shaken = shake(server.config(), &client, "a.example").await.unwrap();
        assert_eq!(shaken.leaf, old);
    }
    authority.issue("edge", &["a.example"]);
    assert_eq!(server.reload(today()).unwrap(), []);
    let fresh = Arc::new(modern(&authority));
    let shaken = shake(server.config(), &fresh, "a.example").await.unwrap();
    assert_ne!(shaken.leaf, old);
}

#[test]
fn all_problems_come_at_once() {
    let authority = Authority::new();
    let mut one = authority.issue("one", &["a.example"]);
    let mut two = authority.issue("two", &["b.example"]);
    one.cert = authority.path("absent.pem");
    two.key = authority.path("absent.key");
    let client_ca = Some(authority.path("absent-ca.pem"));
    let written = ServerTls { certificates: vec![one, two], client_ca };
    let problems = ServerTlsState::load(&written, BOTH, None, None, today()).unwrap_err();
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3);
    assert!(texts[2].ends_with("absent-ca.pem: no such file"), "{texts:?}");
}
