//! Clients that prove to own a certificate.

use tempfile::TempDir;

use super::*;
use crate::support::certificates::Authority;

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
