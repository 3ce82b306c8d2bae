//! A network between members that can be cut in two: each member is reached at an address of the
//! relay, which knows who speaks by where a packet comes from, and passes it on as from the
//! speaker's own address. While it is cut no streams pass at all, since they do not tell who
//! speaks.

use std::{
    io,
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::{Place, address};

/// Bytes of the longest packet.
const PACKET_BYTES: usize = 2048;

struct Port {
    place: Place,
    udp: UdpSocket,
    /// Which part of the network it is in while that is cut.
    side: usize,
}

struct Shared {
    ports: Vec<Port>,
    cut: AtomicBool,
    dropped: AtomicU64,
}

/// The relay; it passes on for as long as the test runs.
pub(super) struct Relay(Arc<Shared>);

impl Relay {
    /// A network of so many members, of which each is on the side that `side` says.
    pub(super) fn start(members: usize, side: impl Fn(usize) -> usize) -> Self {
        let mut listeners = Vec::new();
        let ports = (0..members).map(|member| {
            let (udp, tcp) = pair();
            let place = Place { bind: address(), advertise: tcp.local_addr().unwrap() };
            listeners.push(tcp);
            Port { place, udp, side: side(member) }
        });
        let ports = ports.collect();
        let (cut, dropped) = (AtomicBool::new(false), AtomicU64::new(0));
        let shared = Arc::new(Shared { ports, cut, dropped });
        for (member, listener) in listeners.into_iter().enumerate() {
            let (packets, streams) = (Arc::clone(&shared), Arc::clone(&shared));
            thread::spawn(move || packets.pass_packets(member));
            thread::spawn(move || streams.pass_streams(member, &listener));
        }
        Self(shared)
    }

    /// Where a member is to speak and to be reached.
    pub(super) fn place(&self, member: usize) -> Place {
        self.0.ports[member].place
    }

    /// Parts the sides, or joins them again.
    pub(super) fn cut(&self, cut: bool) {
        self.0.cut.store(cut, Ordering::Release);
    }

    /// Packets and streams that did not pass.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Acquire)
    }
}

impl Shared {
    fn pass_packets(&self, to: usize) {
        let mut buffer = [0; PACKET_BYTES];
        loop {
            let Ok((length, from)) = self.ports[to].udp.recv_from(&mut buffer) else { continue };
            let speaker = self.ports.iter().find(|port| port.place.bind == from);
            let Some(speaker) = speaker else { continue };
            if self.cut.load(Ordering::Acquire) && speaker.side != self.ports[to].side {
                self.dropped.fetch_add(1, Ordering::AcqRel);
                continue;
            }
            let _ = speaker.udp.send_to(&buffer[..length], self.ports[to].place.bind);
        }
    }

    fn pass_streams(&self, to: usize, listener: &TcpListener) {
        for stream in listener.incoming().flatten() {
            if self.cut.load(Ordering::Acquire) {
                self.dropped.fetch_add(1, Ordering::AcqRel);
                continue;
            }
            let Ok(onward) = TcpStream::connect(self.ports[to].place.bind) else { continue };
            let (there, back) = (pair_of(&stream, &onward), pair_of(&onward, &stream));
            thread::spawn(move || there.is_ok_and(|(from, to)| copy(&from, &to)));
            thread::spawn(move || back.is_ok_and(|(from, to)| copy(&from, &to)));
        }
    }
}

fn pair_of(from: &TcpStream, to: &TcpStream) -> io::Result<(TcpStream, TcpStream)> {
    from.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok((from.try_clone()?, to.try_clone()?))
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) -> bool {
    let copied = io::copy(&mut from, &mut to).is_ok();
    let _ = to.shutdown(Shutdown::Write);
    copied
}

/// Sockets of both kinds at one address.
fn pair() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let at: SocketAddr = tcp.local_addr().unwrap();
        if let Ok(udp) = UdpSocket::bind(at) {
            return (udp, tcp);
        }
    }
}
