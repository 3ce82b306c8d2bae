//! Servers that are spoken to over TLS: whose certificate holds, and what is said of another.

use tempfile::TempDir;

use super::{Server, lines, metric};
use crate::{
    limits::statuses,
    support::{
        certificates::Authority,
        eventually,
        gateway::{Gateway, Setup, free_port},
        origin::Origin,
    },
};

const RULE: &str = "name: api, rate_limit: { name: all, key: header:x-key, rate: 3/h, store: redis";

/// A server that takes TLS on a port of its own, beside the one that tests ask.
struct Tls {
    server: Server,
    port: u16,
    folder: TempDir,
}

impl Tls {
    /// With a certificate of `authority` for `name`.
    fn start(authority: &Authority, name: &str) -> Option<Self> {
        let (folder, port) = (TempDir::new().unwrap(), free_port());
        authority.issue(&[name]).write(folder.path(), "redis");
        authority.write(&folder.path().join("authority.pem"));
        let path = |file: &str| folder.path().join(file).display().to_string();
        let server = Server::start(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &path("redis.pem"),
            "--tls-key-file",
            &path("redis.key"),
            "--tls-ca-cert-file",
            &path("authority.pem"),
            "--tls-auth-clients",
            "no",
            "--requirepass",
            "pass/word",
        ])?;
        Some(Self { server, port, folder })
    }

    fn url(&self) -> String {
        format!("rediss://:pass%2Fword@127.0.0.1:{}", self.port)
    }

    /// A gateway that trusts the certificates of this file and no others.
    fn gateway(&self, origin: &Origin, url: &str, trusted: &str, mode: &str) -> Gateway {
        let top = format!("redis: {{ url: \"{url}\", timeout: 2s, secret: s3 }}");
        let route = format!("{RULE}, mode: {mode} }}");
        let trusted = self.folder.path().join(trusted).display().to_string();
        let setup = Setup::to(&[origin.address]).top(&top).route(&route);
        setup.env("SSL_CERT_FILE", &trusted).start()
    }
}

/// Three requests of a key pass and a fourth does not, whoever decides.
fn still_limits(gateway: &Gateway, key: &str) {
    let field = format!("X-Key: {key}\r\n");
    let requests = [("/", field.as_str()); 4];
    assert_eq!(statuses(gateway, &requests), [200, 200, 200, 429], "{}", gateway.log());
}

#[test]
fn over_tls() {
    let authority = Authority::new();
    let Some(tls) = Tls::start(&authority, "127.0.0.1") else { return };
    let origin = Origin::echo();
    for mode in ["exact", "leased"] {
        let gateways = [(); 2].map(|()| tls.gateway(&origin, &tls.url(), "authority.pem", mode));
        still_limits(&gateways[0], mode);
        // Another gateway finds the bucket empty: it is the server's.
        let field = format!("X-Key: {mode}\r\n");
        assert_eq!(statuses(&gateways[1], &[("/", &field)]), [429]);
        for gateway in &gateways {
            let fallbacks = metric(gateway, "weir_rate_limit_fallback_total");
            assert!(fallbacks < 0.5, "{}", gateway.log());
            assert!(metric(gateway, "weir_redis_up{") > 0.5);
            let config = gateway.admin("GET", "/config").text();
            assert!(!config.contains("pass%2Fword") && !gateway.log().contains("word"));
        }
    }
    assert!(tls.server.ask("AUTH pass/word").contains("OK"));
}

/// What is wrong, in the log once for each line that tells of it.
fn refused(gateway: &Gateway, says: &str) {
    for key in ["a", "b", "c"] {
        still_limits(gateway, key);
    }
    assert!(metric(gateway, "weir_redis_up{") < 0.5);
    assert!(eventually(|| lines(gateway, "Redis counts as down") == 1), "{}", gateway.log());
    assert!(eventually(|| lines(gateway, says) > 0), "{}", gateway.log());
    let told = lines(gateway, says);
    assert!((1..=2).contains(&told), "{told} lines say {says}: {}", gateway.log());
}

#[test]
fn a_certificate_that_does_not_hold() {
    let authority = Authority::new();
    let origin = Origin::echo();
    let Some(tls) = Tls::start(&authority, "127.0.0.1") else { return };
    // Somebody else's.
    Authority::new().write(&tls.folder.path().join("other.pem"));
    refused(&tls.gateway(&origin, &tls.url(), "other.pem", "exact"), "invalid peer certificate");
    // Of another name.
    let Some(named) = Tls::start(&authority, "redis.test") else { return };
    let gateway = named.gateway(&origin, &named.url(), "authority.pem", "exact");
    refused(&gateway, "certificate not valid for name");
    // Trusting nothing that can be read.
    refused(&tls.gateway(&origin, &tls.url(), "nothing.pem", "exact"), "nothing.pem");
}

#[test]
fn one_side_speaks_tls_and_the_other_does_not() {
    let authority = Authority::new();
    let origin = Origin::echo();
    let Some(tls) = Tls::start(&authority, "127.0.0.1") else { return };
    let clear = tls.url().replace("rediss:", "redis:");
    let gateway = tls.gateway(&origin, &clear, "authority.pem", "exact");
    refused(&gateway, "down");
    let plain = tls.url().replace(&tls.port.to_string(), &tls.server.port().to_string());
    let gateway = tls.gateway(&origin, &plain, "authority.pem", "exact");
    refused(&gateway, "down");
}
