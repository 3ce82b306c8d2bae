use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use weir_config::load_str;

use super::*;

fn load(listeners: &str) -> Loaded {
    let text = format!("listeners: [{listeners}]\nroutes: [{{ respond: 204 }}]");
    load_str("weir.yaml", &text, &|_| None).unwrap_or_else(|wrong| panic!("{wrong}"))
}

fn listener(port: u16, protocols: &str) -> Loaded {
    let tls = "tls: { cert: a.pem, key: a.key }";
    load(&format!("{{ bind: \"127.0.0.1:{port}\", {tls}, protocols: [{protocols}] }}"))
}

fn port(listening: &Listening) -> u16 {
    listening.bound[0].address.port().unwrap()
}

fn udp_is_free(port: u16) -> bool {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn tcp_is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[test]
fn both_kinds_of_socket_get_the_same_free_port() {
    let mut listening = Listening::default();
    let loaded = listener(0, "h1, h2, h3");
    listening.bind_missing(&loaded, 3).unwrap();
    let port = port(&listening);
    let address = format!("127.0.0.1:{port}");
    assert_eq!(listening.addresses(), std::slice::from_ref(&address));
    assert_eq!(listening.describe(&loaded.config), format!("{address} (tls h1 h2 h3)"));
    let (tcp, quic) = (listening.take_new(), listening.take_new_quic());
    assert_eq!((tcp.len(), tcp[0].1.len()), (1, 3));
    assert_eq!((quic.len(), quic[0].1.len()), (1, 3));
    for (place, one) in quic[0].1.iter().enumerate() {
        assert_eq!(one.socket.local_addr().unwrap().port(), port);
        assert_eq!(one.index, place);
    }
    assert!(listening.take_new().is_empty() && listening.take_new_quic().is_empty());
    // A reload that changes nothing binds nothing.
    listening.bind_missing(&loaded, 3).unwrap();
    assert!(listening.take_new().is_empty() && listening.take_new_quic().is_empty());
}

#[test]
fn a_reload_adds_http3_at_the_port_that_is_bound_and_takes_it_away() {
    let (without, with) = (listener(0, "h1, h2"), listener(0, "h1, h2, h3"));
    let mut listening = Listening::default();
    listening.bind_missing(&without, 2).unwrap();
    let port = port(&listening);
    let _tcp = listening.take_new();
    assert!(udp_is_free(port));

    listening.bind_missing(&with, 2).unwrap();
    let quic = listening.take_new_quic();
    assert_eq!(quic[0].1[1].socket.local_addr().unwrap().port(), port);
    assert!(listening.take_new().is_empty(), "TCP goes on with its sockets");
    let released = listening.release_unused(&with.config);
    assert!(released.streams.is_empty() && released.quic.is_empty());

    listening.bind_missing(&without, 2).unwrap();
    let released = listening.release_unused(&without.config);
    assert_eq!((released.streams.len(), released.quic.len()), (0, 1));
    assert!(!udp_is_free(port), "the workers have the sockets");
    let wrong = listening.bind_missing(&with, 2).unwrap_err();
    let said = &wrong.iter().next().unwrap().what;
    assert!(said.contains("yet: connections from before end there"), "{said}");
    drop(quic);
    assert!(udp_is_free(port));
    listening.bind_missing(&with, 2).unwrap();
}

#[test]
fn http3_alone_binds_no_tcp() {
    let (alone, both) = (listener(0, "h3"), listener(0, "h2, h3"));
    let mut listening = Listening::default();
    listening.bind_missing(&alone, 2).unwrap();
    let port = port(&listening);
    assert_ne!(port, 0);
    let _quic = listening.take_new_quic();
    assert!(listening.take_new().is_empty());
    assert!(tcp_is_free(port) && !udp_is_free(port));

    listening.bind_missing(&both, 2).unwrap();
    let tcp = listening.take_new();
    assert!(!tcp_is_free(port), "TCP follows to the port of UDP");
    let released = listening.release_unused(&alone.config);
    assert_eq!((released.streams.len(), released.quic.len()), (1, 0));
    drop(tcp);
    assert!(tcp_is_free(port));
    let released = listening.release_unused(&load("\":0\"").config);
    assert_eq!((released.streams.len(), released.quic.len()), (0, 1));
    assert!(listening.bound.is_empty());
}

#[test]
fn what_cannot_be_bound_changes_nothing() {
    // Below the range that the kernel takes for the outgoing connections of other tests.
    let first = 10_500 + u16::try_from(std::process::id() % 21_000).unwrap();
    let free = |port: &u16| tcp_is_free(*port) && udp_is_free(*port);
    let port = (first..first + 500).find(free).unwrap();
    let theirs = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut listening = Listening::default();
    let wrong = listening.bind_missing(&listener(port, "h1, h3"), 2).unwrap_err();
    assert_eq!(
        wrong.iter().next().unwrap().what,
        format!(
            "cannot listen on 127.0.0.1:{port}: \
             the address is in use by another process or listener (UDP, for HTTP/3)"
        )
    );
    assert!(listening.bound.is_empty() && tcp_is_free(port));

    listening.bind_missing(&listener(port, "h1, h2"), 2).unwrap();
    let _tcp = listening.take_new();
    listening.bind_missing(&listener(port, "h1, h3"), 2).unwrap_err();
    assert!(listening.bound[0].streams.is_some() && listening.bound[0].quic.is_none());
    drop(theirs);
    listening.bind_missing(&listener(port, "h1, h3"), 2).unwrap();
    assert_eq!(listening.take_new_quic().len(), 1);
}
