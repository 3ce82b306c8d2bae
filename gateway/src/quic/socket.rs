//! A UDP socket that moves many datagrams a system call: GSO on the way out, GRO and `recvmmsg` on
//! the way in, ECN marks both ways.

use std::{
    cell::RefCell,
    fmt,
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr},
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use quinn_proto::{EcnCodepoint, Transmit};
use quinn_udp::{RecvMeta, UdpSocketState};
use tokio::{io::Interest, net::UdpSocket};

/// Messages taken with one system call; with GRO each may hold many datagrams.
const BATCH: usize = 16;
/// Room for one message: the most that GRO gathers.
const MESSAGE: usize = 64 * 1024;
/// Datagrams of an ordinary size that fit one GSO batch.
const SEGMENTS: usize = 64;
/// The longest batch that the kernel takes: a UDP payload (RFC 768) over IPv6.
const BATCH_BYTES: usize = 65_527 - 48;

/// One datagram as it came.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) remote: SocketAddr,
    pub(super) local_ip: Option<IpAddr>,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) data: BytesMut,
}

/// See the module's page.
pub(super) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    /// Where the kernel writes what it received.
    scratch: RefCell<Box<[u8]>>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.io).finish()
    }
}

impl Socket {
    /// Registers a socket with the runtime of this thread.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            io: UdpSocket::from_std(socket)?,
            state,
            scratch: RefCell::new(vec![0; BATCH * MESSAGE].into_boxed_slice()),
        })
    }

    /// Whether datagrams may be split on their way, which forbids to probe for larger ones.
    pub(super) fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }

    /// Datagrams of `mtu` bytes that one [`Socket::send`] takes.
    pub(super) fn segments(&self, mtu: usize) -> usize {
        self.state.max_gso_segments().min(SEGMENTS).min(BATCH_BYTES / mtu).max(1)
    }

    /// Takes what has arrived, up to one batch, and hands on each datagram.
    pub(super) fn poll_receive(
        &self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(Received),
    ) -> Poll<io::Result<()>> {
        let mut scratch = self.scratch.borrow_mut();
        let mut meta = [RecvMeta::default(); BATCH];
        let count = loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let mut slices = scratch.chunks_exact_mut(MESSAGE).map(IoSliceMut::new);
            let mut buffers: [IoSliceMut<'_>; BATCH] =
                std::array::from_fn(|_| slices.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
            let received = self.io.try_io(Interest::READABLE, || {
                self.state.recv((&self.io).into(), &mut buffers, &mut meta)
            });
            match received {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // What an earlier datagram met on its way (ICMP) is none of the next one's.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        };
        if count < BATCH.min(quinn_udp::BATCH_SIZE) {
            // That was all: to ask again would cost a system call to hear so. What comes from now
            // on is a new event.
            let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = self.io.try_io(Interest::READABLE, nothing);
        }
        for (meta, bytes) in meta.iter().zip(scratch.chunks_exact(MESSAGE)).take(count) {
            // Each has memory of its own: a stream that waits for what was lost keeps datagrams,
            // and must not keep all that GRO gathered around them.
            for datagram in bytes[..meta.len].chunks(meta.stride.max(1)) {
                take(Received {
                    remote: meta.addr,
                    local_ip: meta.dst_ip,
                    ecn: meta.ecn.and_then(|ecn| EcnCodepoint::from_bits(ecn as u8)),
                    data: BytesMut::from(datagram),
                });
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Sends a batch; false when the socket takes nothing now. Datagrams that the network refuses
    /// count as sent: QUIC sends anew what does not arrive.
    pub(super) fn send(&self, transmit: &Transmit, bytes: &[u8]) -> bool {
        let transmit = quinn_udp::Transmit {
            destination: transmit.destination,
            ecn: transmit.ecn.and_then(|ecn| quinn_udp::EcnCodepoint::from_bits(ecn as u8)),
            contents: bytes,
            segment_size: transmit.segment_size,
            src_ip: transmit.src_ip,
        };
        let sent =
            self.io.try_io(Interest::WRITABLE, || self.state.send((&self.io).into(), &transmit));
        !matches!(sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Ready when [`Socket::send`] is worth another try.
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.io.poll_send_ready(cx).map(drop)
    }
}
