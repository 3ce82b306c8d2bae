//! Hands datagrams to the worker whose connection they are for.
//!
//! The kernel spreads datagrams over the workers' sockets by the client's address. A client that
//! moves to another address lands at another worker than the one that has its connection: that one
//! passes on what it gets.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::BytesMut;

/// Datagrams that may wait for a worker; more are dropped, as on any full link.
const DEPTH: usize = 1024;

/// A datagram as it came.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// Who sent it.
    pub(crate) remote: SocketAddr,
    /// The address it was sent to, where the system says.
    pub(crate) local_ip: Option<IpAddr>,
    /// The two bits of ECN (RFC 3168), where the system says.
    pub(crate) ecn: Option<u8>,
    /// What it holds.
    pub(crate) data: BytesMut,
}

/// One worker's socket of a listener, to be carried to its thread.
#[derive(Debug)]
pub(crate) struct QuicSocket {
    /// Bound and nonblocking.
    pub(crate) socket: std::net::UdpSocket,
    /// Shared by the workers of the listener.
    pub(crate) steering: Arc<Steering>,
    /// The worker's place in it.
    pub(crate) index: usize,
}

/// A mailbox for each worker of a listener. See the module's page.
#[derive(Debug)]
pub(crate) struct Steering {
    mailboxes: Box<[Mutex<Mailbox>]>,
}

#[derive(Debug, Default)]
struct Mailbox {
    waiting: VecDeque<Datagram>,
    waker: Option<Waker>,
}

impl Steering {
    /// Mailboxes for so many workers.
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        let mailboxes = std::iter::repeat_with(Mutex::default).take(workers).collect();
        Arc::new(Self { mailboxes })
    }

    /// The sockets with their places.
    pub(crate) fn share(sockets: Vec<std::net::UdpSocket>) -> Vec<QuicSocket> {
        let steering = Self::new(sockets.len());
        let place = |(index, socket)| QuicSocket { socket, steering: steering.clone(), index };
        sockets.into_iter().enumerate().map(place).collect()
    }

    /// How many workers share the listener.
    pub(crate) const fn workers(&self) -> usize {
        self.mailboxes.len()
    }

    /// Puts a datagram in a worker's mailbox; false when it is full or there is no such worker.
    pub(crate) fn send(&self, to: usize, datagram: Datagram) -> bool {
        let Some(mut mailbox) = self.open(to) else { return false };
        if mailbox.waiting.len() >= DEPTH {
            return false;
        }
        mailbox.waiting.push_back(datagram);
        let waker = mailbox.waker.take();
        drop(mailbox);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Takes all that waits for worker `me`; pending when nothing does.
    pub(crate) fn poll_recv(
        &self,
        me: usize,
        cx: &Context<'_>,
        out: &mut Vec<Datagram>,
    ) -> Poll<()> {
        let Some(mut mailbox) = self.open(me) else { return Poll::Pending };
        if mailbox.waiting.is_empty() {
            if !mailbox.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                mailbox.waker = Some(cx.waker().clone());
            }
            return Poll::Pending;
        }
        out.extend(mailbox.waiting.drain(..));
        Poll::Ready(())
    }

    /// Nothing is left half done in it by a panic.
    fn open(&self, index: usize) -> Option<MutexGuard<'_, Mailbox>> {
        let mailbox = self.mailboxes.get(index)?;
        Some(mailbox.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        sync::atomic::{AtomicUsize, Ordering},
        task::Wake,
    };

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn datagram(byte: u8) -> Datagram {
        let remote = (Ipv4Addr::LOCALHOST, 4433).into();
        Datagram { remote, local_ip: None, ecn: Some(1), data: BytesMut::from(&[byte][..]) }
    }

    fn bytes(datagrams: &[Datagram]) -> Vec<u8> {
        datagrams.iter().map(|datagram| datagram.data[0]).collect()
    }

    #[test]
    fn a_datagram_reaches_the_worker_it_is_for() {
        let steering = Steering::new(2);
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        let (cx, mut out) = (Context::from_waker(&waker), Vec::new());
        assert!(steering.poll_recv(1, &cx, &mut out).is_pending());
        assert!(steering.send(1, datagram(1)) && steering.send(1, datagram(2)));
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "one wake for all that comes");
        assert!(steering.poll_recv(0, &cx, &mut out).is_pending(), "it is not for this one");
        assert_eq!(steering.workers(), 2);
        assert!(steering.poll_recv(1, &cx, &mut out).is_ready());
        assert_eq!(bytes(&out), [1, 2], "in order");
        assert!(steering.poll_recv(1, &cx, &mut out).is_pending());
    }

    #[test]
    fn the_last_waker_is_the_one_that_is_woken() {
        let steering = Steering::new(1);
        let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
        for count in &counts {
            let waker = Waker::from(count.clone());
            let cx = Context::from_waker(&waker);
            assert!(steering.poll_recv(0, &cx, &mut Vec::new()).is_pending());
        }
        assert!(steering.send(0, datagram(1)));
        let woken = counts.map(|count| count.0.load(Ordering::Relaxed));
        assert_eq!(woken, [0, 1]);
    }

    #[test]
    fn a_full_mailbox_and_a_worker_that_is_not_there_take_nothing() {
        let steering = Steering::new(1);
        let sent = (0..DEPTH + 10).filter(|_| steering.send(0, datagram(7))).count();
        assert_eq!(sent, DEPTH);
        assert!(!steering.send(1, datagram(7)));
        let (cx, mut out) = (Context::from_waker(Waker::noop()), Vec::new());
        assert!(steering.poll_recv(0, &cx, &mut out).is_ready());
        assert_eq!(out.len(), DEPTH);
        assert!(steering.send(0, datagram(7)), "room again");
        assert!(steering.poll_recv(1, &cx, &mut out).is_pending());
    }

    #[test]
    fn a_datagram_crosses_threads() {
        let steering = Steering::new(2);
        let mut out = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for byte in 0..100 {
                    assert!(steering.send(1, datagram(byte)));
                }
            });
        });
        let cx = Context::from_waker(Waker::noop());
        assert!(steering.poll_recv(1, &cx, &mut out).is_ready());
        assert_eq!(bytes(&out), (0..100).collect::<Vec<_>>());
    }
}
