use std::path::PathBuf;

use rustls::{HandshakeKind, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use weir_config::model::{At, Protocols, ServerTls};

use super::*;
use crate::{
    listen::tls::{Alpn, ServerTlsState, TlsSession},
    pem::tests::{Authority, today},
};

fn written(ca: PathBuf) -> ClientTls {
    ClientTls { at: At::default(), server_name: None, ca: Some(ca), client: None, verify: true }
}

fn load(written: &ClientTls, protocol: UpstreamProtocol) -> UpstreamTls {
    UpstreamTls::load(written, protocol, today()).unwrap().0
}

fn server(
    authority: &Authority,
    names: &[&str],
    mutual: bool,
    protocols: Protocols,
) -> ServerTlsState {
    let certificates = vec![authority.issue("upstream", names)];
    let written = ServerTls { certificates, client_ca: mutual.then(|| authority.ca()) };
    ServerTlsState::load(&written, protocols, None, None, today()).unwrap().0
}

/// Connects over loopback and tells what the server saw, or why the client would not.
async fn connect(
    server: &ServerTlsState,
    client: &UpstreamTls,
    host: &str,
) -> Result<(TlsSession, HandshakeKind), String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let acceptor = TlsAcceptor::from(server.config());
    let serve = async {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = acceptor.accept(socket).await.ok()?;
        stream.write_all(b"x").await.ok()?;
        stream.flush().await.ok()?;
        Some((TlsSession::new(stream.get_ref().1), stream))
    };
    let ask = async {
        let name = client.name_for(&Address::Name(host.to_owned(), 443)).unwrap();
        let stream = client.connector().connect(name, socket).await;
        let mut stream = stream.map_err(|error| error.to_string())?;
        stream.read_u8().await.map_err(|error| error.to_string())?;
        let connection = stream.get_ref().1;
        assert_eq!(connection.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        Ok::<_, String>(connection.handshake_kind().unwrap())
    };
    let (served, asked) = tokio::join!(serve, ask);
    let kind = asked?;
    Ok((served.unwrap().0, kind))
}

const BOTH: Protocols = Protocols { h1: true, h2: true, h3: false };

#[tokio::test]
async fn the_certificate_must_be_for_the_host_and_from_the_authority() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let server = server(&authority, &["users.internal"], false, BOTH);
    let trusting = load(&written(authority.ca()), UpstreamProtocol::H1);
    let (session, _) = connect(&server, &trusting, "users.internal").await.unwrap();
    assert_eq!(session.sni.as_deref(), Some("users.internal"));
    let error = connect(&server, &trusting, "other.internal").await.unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
    let doubting = load(&written(strangers.ca()), UpstreamProtocol::H1);
    let error = connect(&server, &doubting, "users.internal").await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn verify_false_takes_any_certificate() {
    let authority = Authority::new();
    let server = server(&authority, &["users.internal"], false, BOTH);
    let careless = ClientTls { ca: None, verify: false, ..written(PathBuf::new()) };
    let careless = load(&careless, UpstreamProtocol::H1);
    connect(&server, &careless, "other.internal").await.unwrap();
}

#[tokio::test]
async fn the_configured_name_beats_the_host() {
    let authority = Authority::new();
    let server = server(&authority, &["users.internal"], false, BOTH);
    let name = Some("users.internal".to_owned());
    let tls =
        load(&ClientTls { server_name: name, ..written(authority.ca()) }, UpstreamProtocol::H1);
    let (session, _) = connect(&server, &tls, "10-0-0-7.pod.internal").await.unwrap();
    assert_eq!(session.sni.as_deref(), Some("users.internal"));
    assert!(tls.name_for(&Address::Unix("/run/users.sock".into())).is_ok());
}

#[tokio::test]
async fn the_protocol_is_offered_by_alpn() {
    let authority = Authority::new();
    let h1_only = Protocols { h1: true, h2: false, h3: false };
    for (protocol, protocols, expected) in [
        (UpstreamProtocol::H1, BOTH, Alpn::H1),
        (UpstreamProtocol::H2, BOTH, Alpn::H2),
        (UpstreamProtocol::Auto, BOTH, Alpn::H2),
        (UpstreamProtocol::Auto, h1_only, Alpn::H1),
    ] {
        let server = server(&authority, &["users.internal"], false, protocols);
        let tls = load(&written(authority.ca()), protocol);
        let (session, _) = connect(&server, &tls, "users.internal").await.unwrap();
        assert_eq!(session.alpn, Some(expected), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_sessions_resume() {
    let authority = Authority::new();
    let server = server(&authority, &["users.internal"], true, BOTH);
    let client = Some(authority.issue("gateway", &["gateway.internal"]));
    let written = ClientTls { client, ..written(authority.ca()) };
    assert_eq!(files(&written).count(), 3);
    let tls = load(&written, UpstreamProtocol::Auto);
    let (session, kind) = connect(&server, &tls, "users.internal").await.unwrap();
    assert!(session.client.unwrap().contains("CN=gateway"));
    assert_eq!(kind, HandshakeKind::Full);
    let (_, kind) = connect(&server, &tls.clone(), "users.internal").await.unwrap();
    assert_eq!(kind, HandshakeKind::Resumed);
}

#[test]
fn endpoints_without_a_name_are_refused() {
    let authority = Authority::new();
    let tls = load(&written(authority.ca()), UpstreamProtocol::H1);
    let unix = tls.name_for(&Address::Unix("/run/users.sock".into()));
    assert_eq!(
        unix.unwrap_err().to_string(),
        "an endpoint on a Unix socket needs `tls.server_name`"
    );
    let odd = tls.name_for(&Address::Name("not a name".to_owned(), 443));
    assert_eq!(odd, Err(NameError::NotAName("not a name".to_owned())));
    let address = tls.name_for(&Address::Tcp("127.0.0.1:443".parse().unwrap()));
    assert!(matches!(address, Ok(ServerName::IpAddress(_))));
}

#[test]
fn all_problems_come_at_once() {
    let authority = Authority::new();
    let mut client = authority.issue("gateway", &["gateway.internal"]);
    client.key = authority.path("absent.key");
    let broken = ClientTls {
        server_name: Some("no name".to_owned()),
        client: Some(client),
        ..written(authority.path("absent.pem"))
    };
    let problems = UpstreamTls::load(&broken, UpstreamProtocol::H1, today()).unwrap_err();
    let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert!(texts[0].ends_with("absent.pem: no such file"), "{texts:?}");
    assert_eq!(texts[1], "`no name` is not a host name that a certificate can be for");
    assert!(texts[2].ends_with("absent.key: no such file"), "{texts:?}");
}
