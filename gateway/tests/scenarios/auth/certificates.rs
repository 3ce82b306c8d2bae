//! Clients that prove to own a certificate.

use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::support::{certificates::Authority, h2_client, h3_client};

#[test]
fn a_certificate_says_who_a_client_is() {
    let (dir, authority, origin) = (TempDir::new().unwrap(), Authority::new(), Origin::echo());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    authority.write(&dir.path().join("ca.pem"));
    let gateway = Setup::to(&[origin.address])
        .listener("tls: { cert: $DIR/edge.pem, key: $DIR/edge.key, client_ca: $DIR/ca.pem }")
        .route("name: api, auth: { mtls: [\"dns:ann.test\", \"cn:~ ^bob\"] }")
        .within(dir)
        .start();
    let of = |name: &str, target: &str| {
        let issued = authority.issue(&[name]);
        let config = authority.client_with(&issued);
        let mut client = Client::tls(gateway.listen, config, "edge.test").unwrap();
        client.get(target).unwrap()
    };
    assert_eq!(of("ann.test", "/ann").status, 200);
    assert_eq!(of("bob.test", "/bob").status, 200);
    let other = of("cyd.test", "/cyd");
    assert_eq!((other.status, other.field("www-authenticate")), (403, None));
    assert!(origin.seen_at("/cyd").is_empty());
    assert_eq!(gateway.access_line("/ann")["identity"], "ann.test");
    assert_eq!(gateway.access_line("/cyd")["auth"], "mtls: the certificate is for somebody else");
}

#[tokio::test]
async fn a_certificate_counts_over_http_2_and_http_3_too() {
    let (dir, authority, origin) = (TempDir::new().unwrap(), Authority::new(), Origin::echo());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    authority.write(&dir.path().join("ca.pem"));
    let tls = "tls: { cert: $DIR/edge.pem, key: $DIR/edge.key, client_ca: $DIR/ca.pem }";
    let gateway = Setup::to(&[origin.address])
        .listener(&format!("{tls}, protocols: [h1, h2, h3]"))
        .route("name: api, auth: { mtls: [\"dns:ann.test\"] }")
        .within(dir)
        .start();
    let with = |name: &str, alpn: &[u8]| {
        let mut config = (*authority.client_with(&authority.issue(&[name]))).clone();
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    };
    for (name, status) in [("ann.test", 200), ("cyd.test", 403)] {
        let tls = with(name, b"h3");
        let client = h3_client::connect(gateway.listen, tls, "edge.test").await.unwrap();
        let path = format!("/h3/{name}");
        // The first one comes with the end of the handshake, the second one behind it.
        for _ in 0..2 {
            assert_eq!(client.get(&path).await.unwrap().status(), status, "{path}");
        }
        assert_eq!(origin.seen_at(&path).len(), if status == 200 { 2 } else { 0 });
        let path = format!("/h2/{name}");
        let tls = with(name, b"h2");
        let client = h2_client::connect_tls(gateway.listen, tls, "edge.test").await;
        let (answer, ..) = h2_client::get(&client, &path).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
    let nobody = authority.client(&[b"h3"]);
    let refused = match h3_client::connect(gateway.listen, nobody, "edge.test").await {
        Ok(client) => client.get("/h3/nobody").await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "no certificate, no connection");
    assert!(origin.seen_at("/h3/nobody").is_empty());
    let line = gateway.access_line("/h3/ann.test");
    assert_eq!(line["identity"], "ann.test");
}
