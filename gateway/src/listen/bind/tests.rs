use std::{
    net::{Ipv4Addr, TcpStream as StdTcpStream},
    os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
};

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::*;

fn loopback(port: u16) -> Bind {
    Bind::Tcp((Ipv4Addr::LOCALHOST, port).into())
}

fn port_of(socket: &ListenSocket) -> u16 {
    match socket {
        ListenSocket::Tcp(socket) => socket.local_addr().unwrap().port(),
        ListenSocket::Unix(_) => panic!("not a TCP socket"),
    }
}

#[test]
fn every_worker_gets_the_same_free_port() {
    let mut bound = bind(&loopback(0), 4).unwrap();
    let sockets = bound.take_sockets();
    assert_eq!(sockets.len(), 4);
    let port = bound.port().unwrap();
    assert_ne!(port, 0);
    assert!(sockets.iter().all(|socket| port_of(socket) == port));
    assert_eq!(*bound.address(), loopback(port));
}

#[test]
fn the_kernel_spreads_connections_over_all_workers_the_first_too() {
    let mut bound = bind(&loopback(0), 3).unwrap();
    let sockets = bound.take_sockets();
    let clients: Vec<_> = (0..120)
        .map(|_| StdTcpStream::connect((Ipv4Addr::LOCALHOST, bound.port().unwrap())).unwrap())
        .collect();
    let mut total = 0;
    for socket in &sockets {
        let ListenSocket::Tcp(socket) = socket else { panic!() };
        let accepted = std::iter::from_fn(|| socket.accept().ok()).count();
        assert!(accepted > 0, "a worker got none of 120 connections");
        total += accepted;
    }
    assert_eq!(total, clients.len());
}

#[test]
fn a_second_gateway_cannot_share_the_port() {
    let first = bind(&loopback(0), 3).unwrap();
    let port = first.port().unwrap();
    let error = bind(&loopback(port), 3).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)));
    assert_eq!(
        error.to_string(),
        format!(
            "cannot listen on 127.0.0.1:{port}: \
             the address is in use by another process or listener"
        )
    );
    let wildcard = bind(&Bind::Any(port), 1).unwrap_err();
    assert!(matches!(wildcard, BindError::InUse(_)), "{wildcard}");
    drop(first);
    assert_eq!(bind(&loopback(port), 2).unwrap().port(), Some(port));
}

#[test]
fn racing_gateways_have_exactly_one_winner() {
    let port = bind(&loopback(0), 1).unwrap().port().unwrap();
    let results: Vec<_> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..8).map(|_| scope.spawn(|| bind(&loopback(port), 2))).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
}

#[test]
fn a_port_is_free_again_although_old_connections_linger() {
    let mut bound = bind(&loopback(0), 1).unwrap();
    let port = bound.port().unwrap();
    let client = StdTcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let Some(ListenSocket::Tcp(socket)) = bound.take_sockets().pop() else { panic!() };
    drop(socket.accept().unwrap());
    drop((client, socket));
    bind(&loopback(port), 1).unwrap();
}

#[test]
fn any_takes_ipv4() {
    let mut bound = bind(&Bind::Any(0), 2).unwrap();
    let port = bound.port().unwrap();
    assert_eq!(*bound.address(), Bind::Any(port));
    let _client = StdTcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let accepted = bound
        .take_sockets()
        .iter()
        .filter(|socket| matches!(socket, ListenSocket::Tcp(socket) if socket.accept().is_ok()))
        .count();
    assert_eq!(accepted, 1);
}

#[test]
fn an_address_of_another_machine_is_named_so() {
    let elsewhere = Bind::Tcp("192.0.2.1:0".parse().unwrap());
    let error = bind(&elsewhere, 1).unwrap_err();
    assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:0: this machine has no such address");
}

#[test]
fn a_refused_low_port_says_what_is_needed() {
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let text = BindError::new(&Bind::Any(80), denied).to_string();
    assert!(
        text.contains("permission denied: ports below 1024 need CAP_NET_BIND_SERVICE"),
        "{text}"
    );
}

#[test]
fn a_unix_socket_lives_as_long_as_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weir.sock");
    let mut bound = bind(&Bind::Unix(path.clone()), 3).unwrap();
    assert_eq!(bound.take_sockets().len(), 3);
    assert_eq!(bound.port(), None);
    assert!(path.exists());
    drop(bound);
    assert!(!path.exists());
}

#[test]
fn a_live_unix_socket_is_left_alone_and_a_stale_one_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weir.sock");
    let theirs = StdUnixListener::bind(&path).unwrap();
    let error = bind(&Bind::Unix(path.clone()), 1).unwrap_err();
    assert!(matches!(error, BindError::InUse(_)), "{error}");
    drop(theirs);
    assert!(path.exists(), "the file outlives its socket");
    let bound = bind(&Bind::Unix(path.clone()), 1).unwrap();
    StdUnixStream::connect(&path).unwrap();
    drop(bound);
}

#[test]
fn the_socket_file_of_a_successor_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weir.sock");
    let bound = bind(&Bind::Unix(path.clone()), 1).unwrap();
    std::fs::rename(&path, directory.path().join("moved.sock")).unwrap();
    let _successor = StdUnixListener::bind(&path).unwrap();
    drop(bound);
    assert!(path.exists());
}

#[test]
fn what_is_not_a_socket_is_never_unlinked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious.txt");
    std::fs::write(&path, "data").unwrap();
    let error = bind(&Bind::Unix(path.clone()), 1).unwrap_err();
    assert!(matches!(error, BindError::NotASocket(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"data");
    let long = directory.path().join("x".repeat(120));
    let error = bind(&Bind::Unix(long), 1).unwrap_err();
    assert!(matches!(error, BindError::PathTooLong(_)), "{error}");
}

#[tokio::test]
async fn an_accepted_stream_carries_bytes_and_its_peer() {
    let mut bound = bind(&Bind::Any(0), 1).unwrap();
    let listener = bound.take_sockets().pop().unwrap().register().unwrap();
    let mut client = StdTcpStream::connect((Ipv4Addr::LOCALHOST, bound.port().unwrap())).unwrap();
    let (mut stream, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, Some(client.local_addr().unwrap()), "IPv4, not ::ffff:127.0.0.1");
    assert_eq!(stream.local_address(), Some(client.peer_addr().unwrap()));
    let super::super::stream::Stream::Tcp(tcp) = &stream else { panic!() };
    assert!(tcp.nodelay().unwrap());
    io::Write::write_all(&mut client, b"ping").unwrap();
    std::future::poll_fn(|cx| stream.poll_readable(cx)).await.unwrap();
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"ping");
    assert!(stream.is_write_vectored());
    let written =
        stream.write_vectored(&[io::IoSlice::new(b"po"), io::IoSlice::new(b"ng")]).await.unwrap();
    assert_eq!(written, 4);
}

#[test]
fn every_worker_gets_its_share_of_the_datagrams() {
    let sockets = bind_udp(&loopback(0), 0, 3).unwrap();
    let address = sockets[0].local_addr().unwrap();
    assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
    let clients: Vec<_> = (0..120)
        .map(|_| {
            let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            client.send_to(b"x", address).unwrap();
            client
        })
        .collect();
    let mut total = 0;
    for socket in &sockets {
        let got = std::iter::from_fn(|| socket.recv_from(&mut [0; 8]).ok()).count();
        assert!(got > 0, "a worker got none of 120 datagrams");
        total += got;
    }
    assert_eq!(total, clients.len());
}

#[test]
fn a_second_gateway_cannot_share_the_udp_port() {
    let first = bind_udp(&loopback(0), 0, 3).unwrap();
    let port = first[0].local_addr().unwrap().port();
    for bind in [loopback(port), Bind::Any(port)] {
        let error = bind_udp(&bind, port, 3).unwrap_err();
        assert!(error.is_in_use(), "{error}");
    }
    drop(first);
    assert_eq!(bind_udp(&loopback(0), port, 2).unwrap().len(), 2);
}

#[test]
fn any_takes_ipv4_datagrams() {
    let sockets = bind_udp(&Bind::Any(0), 0, 1).unwrap();
    let port = sockets[0].local_addr().unwrap().port();
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    client.send_to(b"x", (Ipv4Addr::LOCALHOST, port)).unwrap();
    assert_eq!(sockets[0].recv_from(&mut [0; 8]).unwrap().0, 1);
}

#[test]
fn a_path_takes_no_datagrams() {
    let error = bind_udp(&Bind::Unix("/run/weir.sock".into()), 0, 1).unwrap_err();
    assert!(matches!(error, BindError::Udp(_)), "{error}");
}
