//! HTTP/3 as an operator meets it: its port, and what tells clients of it.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use rustix::process::Signal;
use rustls::ClientConfig;
use tempfile::TempDir;

use super::{answering, rewrite};
use crate::support::{
    certificates::Authority,
    client::Client,
    eventually,
    gateway::{Gateway, Setup, free_port},
    h2_client,
    origin::Origin,
};

const TLS: &str = "tls: { cert: $DIR/edge.pem, key: $DIR/edge.key }";

/// A gateway with TLS, and a client's settings for it.
fn start(listener: &str, route: &str) -> (Gateway, Origin, Arc<ClientConfig>) {
    let (dir, authority, origin) = (TempDir::new().unwrap(), Authority::new(), Origin::echo());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    let setup = Setup::to(&[origin.address]).listener(listener).route(route);
    (setup.within(dir).start(), origin, authority.client(&[b"http/1.1"]))
}

fn client(gateway: &Gateway, config: &Arc<ClientConfig>) -> Client {
    Client::tls(gateway.listen, Arc::clone(config), "edge.test").unwrap()
}

fn reload(gateway: &Gateway, from: &str, to: &str) {
    rewrite(gateway, from, to);
    let answer = gateway.admin("POST", "/reload");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn udp_is_free(address: SocketAddr) -> bool {
    UdpSocket::bind(address).is_ok()
}

#[test]
fn responses_over_tls_tell_of_http3() {
    let own = "headers: { response: { set: { alt-svc: \"h3=\\\":1\\\"\" } } }";
    let (gateway, _origin, config) = start(&format!("{TLS}, alt_svc: auto"), own);
    let told = |port: u16| format!("h3=\":{port}\"; ma=86400");
    let port = gateway.listen.port();
    let mut kept = client(&gateway, &config);
    let said = |kept: &mut Client| {
        let answer = kept.get("/x").unwrap();
        let all: Vec<_> = answer.fields.iter().filter(|(name, _)| name == "alt-svc").collect();
        assert!(all.len() <= 1, "{all:?}");
        all.first().map(|(_, value)| value.clone())
    };
    assert_eq!(said(&mut kept), Some(told(port)), "ours, not the route's");
    assert!(!udp_is_free(gateway.listen));
    assert!(eventually(|| gateway.log().contains("(tls h1 h2 h3)")), "{}", gateway.log());
    // Also when the gateway itself answers.
    kept.send(b"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n");
    let refused = kept.answer("TRACE").unwrap();
    assert_eq!((refused.status, refused.field("alt-svc")), (405, Some(&*told(port))));
    // Connections that are open hear of a change.
    reload(&gateway, "alt_svc: auto", "alt_svc: 443");
    assert_eq!(said(&mut kept), Some(told(443)));
    reload(&gateway, "alt_svc: 443", "alt_svc: off");
    assert_eq!(said(&mut kept), Some("h3=\":1\"".to_owned()), "the route's again");
    reload(&gateway, "alt_svc: off", "alt_svc: auto, protocols: [h1, h2]");
    assert_eq!(said(&mut kept), Some("h3=\":1\"".to_owned()));
    assert!(eventually(|| udp_is_free(gateway.listen)), "the UDP port is still bound");
    reload(&gateway, "protocols: [h1, h2]", "protocols: [h1, h2, h3]");
    assert_eq!(said(&mut kept), Some(told(port)));
    assert!(!udp_is_free(gateway.listen));
}

#[test]
fn http2_tells_too() {
    let (dir, authority, origin) = (TempDir::new().unwrap(), Authority::new(), Origin::echo());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    let gateway = Setup::to(&[origin.address]).listener(TLS).within(dir).start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = authority.client(&[b"h2"]);
        let send = h2_client::connect_tls(gateway.listen, config, "edge.test").await;
        let (response, ..) = h2_client::get(&send, "/x").await.unwrap();
        let told = format!("h3=\":{}\"; ma=86400", gateway.listen.port());
        assert_eq!(response.headers()["alt-svc"], told);
    });
}

#[test]
fn a_clear_port_tells_nothing_and_binds_no_udp() {
    let gateway = Setup::yaml(&answering("up")).start();
    assert_eq!(gateway.client().get("/").unwrap().field("alt-svc"), None);
    assert!(udp_is_free(gateway.listen));
}

#[test]
fn a_gateway_that_leaves_sends_nobody_to_http3() {
    let (mut gateway, _origin, config) = start(TLS, "");
    gateway.signal(Signal::TERM);
    assert!(eventually(|| gateway.log().contains("draining")));
    let mut late = client(&gateway, &config);
    let answer = late.get("/late").unwrap();
    assert_eq!((answer.status, answer.field("alt-svc")), (200, None));
    drop(late);
    assert!(gateway.wait(crate::support::PATIENCE).is_some());
}

#[test]
fn a_reload_that_cannot_have_the_udp_port_changes_nothing() {
    let (gateway, _origin, config) = start(&format!("{TLS}, protocols: [h1, h2]"), "");
    let theirs = UdpSocket::bind(gateway.listen).unwrap();
    rewrite(&gateway, "protocols: [h1, h2]", "protocols: [h1, h2, h3]");
    let refused = gateway.admin("POST", "/reload");
    assert!((400..500).contains(&refused.status), "{refused:?}");
    assert!(refused.text().contains("(UDP, for HTTP/3)"), "{}", refused.text());
    let answer = client(&gateway, &config).get("/x").unwrap();
    assert_eq!((answer.status, answer.field("alt-svc")), (200, None));
    drop(theirs);
    assert_eq!(gateway.admin("POST", "/reload").status, 200);
    assert!(client(&gateway, &config).get("/x").unwrap().field("alt-svc").is_some());
}

#[test]
fn http3_alone_leaves_tcp_to_others() {
    let alone = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (dir, authority) = (TempDir::new().unwrap(), Authority::new());
    authority.issue(&["edge.test"]).write(dir.path(), "edge");
    let list = format!("[\"$LISTEN\", {{ bind: \"{alone}\", protocols: h3, {TLS} }}]");
    let text = answering("up").replace("[\"$LISTEN\"]", &list);
    let gateway = Setup::yaml(&text).within(dir).start();
    assert!(Client::try_connect(alone).is_err());
    assert!(!udp_is_free(alone));
    let status = gateway.admin("GET", "/status").json();
    assert_eq!(status["listeners"][1]["protocols"], serde_json::json!(["h3"]));
    assert_eq!(status["listeners"][1]["address"], alone.to_string());
    // The other way round, on the same port.
    reload(&gateway, "protocols: h3", "protocols: [h1, h2]");
    assert!(eventually(|| udp_is_free(alone)));
    assert!(Client::try_connect(alone).is_ok());
}

#[test]
fn what_proxies_in_front_say_of_early_data_goes_on() {
    let origin = Origin::start(|x| match x.target() {
        "/early" => x.reply(425, "", "later"),
        _ => x.echo(),
    });
    let gateway = Setup::to(&[origin.address]).start();
    let mut client = gateway.client();
    client
        .send(b"GET /early HTTP/1.1\r\nHost: h\r\nEarly-Data: 1\r\nConnection: Early-Data\r\n\r\n");
    let answer = client.answer("GET").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (425, "later"));
    assert_eq!(origin.completed("/early").all("early-data"), ["1"]);
    client.get("/plain").unwrap();
    assert!(origin.completed("/plain").all("early-data").is_empty());
}
