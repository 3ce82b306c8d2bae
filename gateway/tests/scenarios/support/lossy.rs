//! A long and lossy path for datagrams: a relay that delivers each of them late, or never.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc, time::Duration};

use socket2::{Domain, Socket, Type};
use tokio::{
    net::UdpSocket,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Datagrams under way in one direction; what comes on top is lost.
const QUEUE: usize = 4096;
/// What the kernel keeps for us, so that a burst is not lost before it was drawn.
const BUFFER: usize = 4 << 20;

/// What a path is like, in each direction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    /// From one end to the other.
    pub(crate) delay: Duration,
    /// Of so many datagrams one does not arrive; 0 loses none. Drawn from each so many rather than
    /// one by one: how long a transfer takes depends on when it first loses something, and it would
    /// take a hundred of them to tell anything.
    pub(crate) one_lost_in: u64,
    /// What decides which one.
    pub(crate) seed: u64,
}

/// A relay between one client and a server; dropping it cuts the path.
pub(crate) struct Relay {
    /// Where the client is to send.
    pub(crate) address: SocketAddr,
    _directions: JoinSet<()>,
}

impl Relay {
    /// Starts one as tasks of this runtime.
    pub(crate) async fn start(server: SocketAddr, path: Path) -> Self {
        let (front, back) = (Arc::new(socket()), Arc::new(socket()));
        let address = front.local_addr().unwrap();
        back.connect(server).await.unwrap();
        let mut draw = fastrand::Rng::with_seed(path.seed);
        let (up, down) = (draw.fork(), draw.fork());
        let mut directions = JoinSet::new();
        directions.spawn(async move {
            // The way back leads to whoever came first.
            let Ok(client) = front.peek_sender().await else { return };
            front.connect(client).await.unwrap();
            let there = carry(&front, &back, path, up);
            let again = carry(&back, &front, path, down);
            tokio::join!(there, again);
        });
        Self { address, _directions: directions }
    }
}

fn socket() -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_recv_buffer_size(BUFFER).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    UdpSocket::from_std(socket.into()).unwrap()
}

async fn carry(from: &UdpSocket, to: &UdpSocket, path: Path, mut draw: fastrand::Rng) {
    let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut buffer = vec![0; 1 << 16];
    let (mut nth, mut unlucky) = (0, 0);
    loop {
        let due = under_way.front().map(|(due, _)| *due);
        tokio::select! {
            biased;
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some((_, datagram)) = under_way.pop_front() {
                    // An end that is gone refuses, and may come back.
                    let _ = to.send(&datagram).await;
                }
            }
            got = from.recv(&mut buffer) => {
                let Ok(length) = got else { continue };
                if nth % path.one_lost_in.max(1) == 0 {
                    unlucky = nth + draw.u64(..path.one_lost_in.max(1));
                }
                nth += 1;
                let lost = path.one_lost_in > 0 && nth == unlucky + 1;
                if !lost && under_way.len() < QUEUE {
                    let due = Instant::now() + path.delay;
                    under_way.push_back((due, buffer[..length].to_vec()));
                }
            }
        }
    }
}
