//! Turns at work of which little is done at a time, dealt out fairly among clients.
//!
//! Who comes first is served first, but addresses take turns: one that asks for much waits for
//! itself. Where the line is full, the address with the most in it makes room for one that has
//! less, so that nobody can keep all others out from one address.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

/// Why there is no turn: too many wait, or it took too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

/// See the module's page. Shared by all workers.
#[derive(Debug)]
pub(crate) struct Turns {
    line: Mutex<Line>,
    at_a_time: usize,
    waiting: usize,
}

/// Who waits.
#[derive(Debug, Default)]
struct Line {
    taken: usize,
    waiting: usize,
    /// Numbers those who ever waited.
    next: u64,
    /// Addresses of those who wait, the next one first; each once.
    order: VecDeque<Client>,
    clients: HashMap<Client, VecDeque<(u64, oneshot::Sender<Turn>)>>,
}

/// A client by its address, as far as that is its own; `None` has none.
type Client = Option<IpAddr>;

/// Leave to work; given on when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Turns>);

/// A place in the line, left when it is dropped.
struct Place<'a> {
    turns: &'a Turns,
    client: Client,
    number: u64,
}

impl Turns {
    /// So many at a time, while so many more may wait.
    pub(crate) fn new(at_a_time: usize, waiting: usize) -> Arc<Self> {
        Arc::new(Self { line: Mutex::default(), at_a_time, waiting })
    }

    /// A turn, waited for as long as `patience`.
    pub(crate) async fn take(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        patience: Duration,
    ) -> Result<Turn, Crowded> {
        let client = own_part(client);
        let (place, turn) = {
            let mut line = self.lock();
            if line.taken < self.at_a_time {
                line.taken += 1;
                return Ok(Turn(self.clone()));
            }
            if line.waiting >= self.waiting && !line.make_room(client) {
                return Err(Crowded);
            }
            let (number, turn) = line.enter(client);
            (Place { turns: self, client, number }, turn)
        };
        let taken = timeout(patience, turn).await;
        drop(place);
        // Who had to make room hears nothing any more.
        taken.map_err(|_| Crowded)?.map_err(|_| Crowded)
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // What it holds is whole between any two statements that could panic.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn enter(&mut self, client: Client) -> (u64, oneshot::Receiver<Turn>) {
        let (tell, told) = oneshot::channel();
        let number = self.next;
        self.next += 1;
        self.waiting += 1;
        let own = self.clients.entry(client).or_default();
        if own.is_empty() {
            self.order.push_back(client);
        }
        own.push_back((number, tell));
        (number, told)
    }

    /// The next one who waits. Its address goes behind all others.
    fn call(&mut self) -> Option<oneshot::Sender<Turn>> {
        let client = self.order.pop_front()?;
        let own = self.clients.get_mut(&client)?;
        let (_, next) = own.pop_front()?;
        self.waiting -= 1;
        match own.is_empty() {
            true => drop(self.clients.remove(&client)),
            false => self.order.push_back(client),
        }
        Some(next)
    }

    /// Sends away the last of the address that has the most in line, if one more of `client` would
    /// still have less.
    fn make_room(&mut self, client: Client) -> bool {
        let own = self.clients.get(&client).map_or(0, VecDeque::len);
        let most = self.clients.iter().max_by_key(|(_, waiting)| waiting.len());
        let Some((heaviest, waiting)) = most.map(|(one, waiting)| (*one, waiting)) else {
            return false;
        };
        let Some(last) = waiting.back().filter(|_| waiting.len() > own + 1) else { return false };
        let last = last.0;
        self.leave(heaviest, last);
        true
    }

    fn leave(&mut self, client: Client, number: u64) {
        let Some(own) = self.clients.get_mut(&client) else { return };
        let Some(place) = own.iter().position(|(one, _)| *one == number) else { return };
        own.remove(place);
        self.waiting -= 1;
        if own.is_empty() {
            self.clients.remove(&client);
            self.order.retain(|one| *one != client);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let mut line = self.0.lock();
            let next = line.call();
            line.taken -= usize::from(next.is_none());
            next
        };
        if let Some(next) = next {
            // Who has just gone drops it, and so gives it on.
            let _ = next.send(Self(self.0.clone()));
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.turns.lock().leave(self.client, self.number);
    }
}

/// What of an address is its client's own: of IPv6 the network of 64 bits.
fn own_part(client: Option<IpAddr>) -> Client {
    client.map(|address| match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    })
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::Pin, task::Poll};

    use super::*;

    type Taking<'a> = Pin<Box<dyn Future<Output = Result<Turn, Crowded>> + 'a>>;

    const LONG: Duration = Duration::from_secs(60);

    fn client(last: u8) -> Option<IpAddr> {
        Some([192, 0, 2, last].into())
    }

    async fn ask(turns: &Arc<Turns>, from: Option<IpAddr>) -> Taking<'_> {
        let mut taking: Taking<'_> = Box::pin(turns.take(from, LONG));
        assert!(poll(&mut taking).await.is_none(), "it waits");
        taking
    }

    async fn poll(taking: &mut Taking<'_>) -> Option<Result<Turn, Crowded>> {
        std::future::poll_fn(|cx| match taking.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn addresses_take_turns() {
        let turns = Turns::new(1, 8);
        let first = turns.take(client(1), LONG).await.unwrap();
        let (mut a, mut b) = (ask(&turns, client(1)).await, ask(&turns, client(1)).await);
        let mut other = ask(&turns, client(2)).await;
        drop(first);
        let turn = poll(&mut a).await.unwrap().unwrap();
        assert!(poll(&mut b).await.is_none() && poll(&mut other).await.is_none());
        drop(turn);
        assert!(poll(&mut b).await.is_none());
        drop(poll(&mut other).await.unwrap().unwrap());
        drop(poll(&mut b).await.unwrap().unwrap());
        assert_eq!(turns.lock().taken, 0);
        assert!(turns.lock().clients.is_empty() && turns.lock().order.is_empty());
    }

    #[tokio::test]
    async fn one_address_keeps_nobody_out() {
        let turns = Turns::new(1, 4);
        let running = turns.take(client(1), LONG).await.unwrap();
        let mut flood = Vec::new();
        for _ in 0..4 {
            flood.push(ask(&turns, client(1)).await);
        }
        assert_eq!(turns.take(client(1), LONG).await.unwrap_err(), Crowded, "it is full");
        let (mut b, mut c) = (ask(&turns, client(2)).await, ask(&turns, client(3)).await);
        let sent_away = &mut flood[2..];
        for one in sent_away {
            assert_eq!(poll(one).await.unwrap().unwrap_err(), Crowded);
        }
        assert_eq!(turns.take(client(2), LONG).await.unwrap_err(), Crowded, "as much as others");
        drop(running);
        drop(poll(&mut flood[0]).await.unwrap().unwrap());
        drop(poll(&mut b).await.unwrap().unwrap());
        drop(poll(&mut c).await.unwrap().unwrap());
        assert!(poll(&mut flood[1]).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn who_goes_leaves_the_line() {
        let turns = Turns::new(1, 2);
        let running = turns.take(None, LONG).await.unwrap();
        let (gone, mut stays) = (ask(&turns, None).await, ask(&turns, None).await);
        drop(gone);
        assert_eq!(turns.lock().waiting, 1);
        let late = ask(&turns, None).await;
        drop(running);
        assert!(poll(&mut stays).await.unwrap().is_ok());
        // It has its turn and goes before it knows.
        drop(late);
        let counts = |line: MutexGuard<'_, Line>| (line.taken, line.waiting);
        assert_eq!(counts(turns.lock()), (0, 0));
        assert!(turns.take(None, Duration::ZERO).await.is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let turns = Turns::new(1, 2);
        let _running = turns.take(client(1), LONG).await.unwrap();
        let short = Duration::from_millis(1);
        assert_eq!(turns.take(client(2), short).await.unwrap_err(), Crowded);
        assert_eq!(turns.lock().waiting, 0);
    }

    #[test]
    fn an_address_of_ipv6_is_its_network() {
        let of = |text: &str| own_part(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:0:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), client(1));
    }
}
