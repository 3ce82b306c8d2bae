//! Certificates: picked by name, asked of clients, swapped while running.

use std::{io, net::SocketAddr, sync::Arc};

use rustls::ClientConfig;
use tempfile::TempDir;

use crate::support::{
    certificates::Authority,
    client::{Client, dial, handshake},
    eventually,
    gateway::{Gateway, Setup, free_port},
    h2_client,
    origin::Origin,
};

/// The leaf certificate the gateway shows for a name.
fn shown(gateway: &Gateway, config: &Arc<ClientConfig>, name: &str) -> io::Result<Vec<u8>> {
    let stream = handshake(dial(gateway.listen)?, Arc::clone(config), name)?;
    Ok(stream.conn.peer_certificates().unwrap()[0].to_vec())
}

#[test]
fn alpn_decides_the_version() {
    let (dir, authority, origin) = (TempDir::new().unwrap(), Authority::new(), Origin::echo());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    let gateway = Setup::to(&[origin.address])
        .listener("tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }")
        .within(dir)
        .start();
    type Offered = &'static [&'static [u8]];
    let rows: [(Offered, Option<&[u8]>); 4] = [
        (&[b"h2", b"http/1.1"], Some(b"h2")),
        (&[b"http/1.1"], Some(b"http/1.1")),
        (&[b"h2"], Some(b"h2")),
        (&[], None),
    ];
    for (offered, expected) in rows {
        let config = authority.client(offered);
        let stream = handshake(dial(gateway.listen).unwrap(), config, "edge.test").unwrap();
        assert_eq!(stream.conn.alpn_protocol(), expected);
    }
    let plain = authority.client(&[b"http/1.1"]);
    let mut client = Client::tls(gateway.listen, plain, "edge.test").unwrap();
    assert_eq!(client.get("/x").unwrap().text(), "GET /x 0");
    assert_eq!(origin.completed("/x").all("x-forwarded-proto"), ["https"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = authority.client(&[b"h2"]);
        let send = h2_client::connect_tls(gateway.listen, config, "edge.test").await;
        let (response, body, _) = h2_client::get(&send, "/y").await.unwrap();
        assert_eq!((response.status().as_u16(), &body[..]), (200, &b"GET /y 0"[..]));
    });
    // A client that agreed on h2 and speaks h1 is not served as h1.
    let agreed = authority.client(&[b"h2"]);
    let mut liar = Client::tls(gateway.listen, agreed, "edge.test").unwrap();
    liar.send(b"GET /liar HTTP/1.1\r\nHost: h\r\n\r\n");
    let said = liar.rest().unwrap_or_default();
    assert!(!said.starts_with(b"HTTP/1.1 200"));
    assert!(origin.seen_at("/liar").is_empty());
}

#[test]
fn the_name_picks_the_certificate_and_the_first_serves_the_rest() {
    let (dir, authority, origin) = (TempDir::new().unwrap(), Authority::new(), Origin::echo());
    for name in ["a.test", "b.test"] {
        authority.issue(&[name]).write(dir.path(), name);
    }
    authority.issue(&["*.wild.test"]).write(dir.path(), "wild");
    let pair = |stem: &str| format!("{{ cert: $DIR/{stem}.pem, key: $DIR/{stem}.key }}");
    let list = format!("tls: [{}, {}, {}]", pair("a.test"), pair("b.test"), pair("wild"));
    let gateway = Setup::to(&[origin.address]).listener(&list).within(dir).start();
    let config = authority.client(&[]);
    // Verification by the client is the proof: a wrong certificate fails the handshake.
    for name in ["a.test", "b.test", "x.wild.test", "A.TEST"] {
        assert!(shown(&gateway, &config, name).is_ok(), "{name}");
    }
    assert!(shown(&gateway, &config, "other.test").is_err());
    assert!(shown(&gateway, &config, "x.y.wild.test").is_err());
}

#[test]
fn swapped_files_serve_new_handshakes_and_leave_connections_alone() {
    let (dir, authority, origin) = (TempDir::new().unwrap(), Authority::new(), Origin::echo());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    let gateway = Setup::to(&[origin.address])
        .listener("tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }")
        .within(dir)
        .start();
    let config = authority.client(&[]);
    let first = shown(&gateway, &config, "edge.test").unwrap();
    let mut kept = Client::tls(gateway.listen, Arc::clone(&config), "edge.test").unwrap();
    assert_eq!(kept.get("/x").unwrap().status, 200);
    authority.issue(&["edge.test"]).write(gateway.dir(), "edge");
    let swapped =
        eventually(|| shown(&gateway, &config, "edge.test").is_ok_and(|leaf| leaf != first));
    assert!(swapped, "the old certificate is still shown: {}", gateway.log());
    assert_eq!(kept.get("/y").unwrap().status, 200);
    // A broken file changes nothing.
    let second = shown(&gateway, &config, "edge.test").unwrap();
    std::fs::write(gateway.dir().join("edge.pem"), "no certificate").unwrap();
    let _ = gateway.admin("POST", "/reload");
    assert_eq!(shown(&gateway, &config, "edge.test").unwrap(), second);
}

#[test]
fn a_client_without_the_right_certificate_is_refused() {
    let (dir, authority, origin) = (TempDir::new().unwrap(), Authority::new(), Origin::echo());
    let (clients, strangers) = (Authority::new(), Authority::new());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    clients.write(&dir.path().join("clients.pem"));
    let gateway = Setup::to(&[origin.address])
        .listener("tls: { cert: $DIR/edge.pem, key: $DIR/edge.key, client_ca: $DIR/clients.pem }")
        .within(dir)
        .start();
    // With TLS 1.3 the refusal comes after the client's side of the handshake.
    let served = |config: Arc<ClientConfig>| {
        Client::tls(gateway.listen, config, "edge.test")
            .and_then(|mut c| c.get("/x"))
            .is_ok_and(|a| a.status == 200)
    };
    assert!(served(authority.client_with(&clients.issue(&["user"]))));
    assert!(!served(authority.client_with(&strangers.issue(&["user"]))));
    assert!(!served(authority.client(&[])));
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_session_of_one_listener_opens_no_other() {
    let (dir, authority, origin) = (TempDir::new().unwrap(), Authority::new(), Origin::echo());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    Authority::new().write(&dir.path().join("clients.pem"));
    let second = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let pair = "cert: $DIR/edge.pem, key: $DIR/edge.key";
    let yaml = format!(
        "admin: {{ bind: \"$ADMIN\" }}\nlisteners:\n  - {{ bind: \"$LISTEN\", tls: {{ {pair} }} }}\n  \
         - {{ bind: \"{second}\", tls: {{ {pair}, client_ca: $DIR/clients.pem }} }}\n\
         timeouts: {{ drain: 2s }}\nupstreams:\n  a: {{ endpoints: [\"{}\"] }}\nroutes:\n  \
         - {{ match: {{ path: \"/**\" }}, to: a }}\n",
        origin.address
    );
    let gateway = Setup::yaml(&yaml).within(dir).start();
    // One configuration is one store of session tickets, by server name.
    let config = authority.client(&[]);
    for n in 0..4 {
        let mut open = Client::tls(gateway.listen, Arc::clone(&config), "edge.test").unwrap();
        assert_eq!(open.get(&format!("/open/{n}")).unwrap().status, 200);
        let guarded = Client::tls(second, Arc::clone(&config), "edge.test")
            .and_then(|mut client| client.get("/guarded"));
        assert!(guarded.is_err(), "{guarded:?}");
    }
    assert!(origin.seen_at("/guarded").is_empty());
}
