//! A second attempt beside a slow first one: the first good answer wins, the other is given up.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use weir_config::model::RouteTimeout;

use super::{
    again::{blame, discard, said},
    attempt::{Received, attempt},
    clocks::Clocks,
    draft::Draft,
    forward::Run,
    h1::Failed,
    pick::hash::Place,
    pool::UpstreamPool,
    retry::policy::RetryPolicy,
    trail::{Said, Turn},
    underway::Underway,
};
use crate::{clock, http::exchange::Exchange};

#[cfg(test)]
mod tests;

/// How an attempt ended.
type End = Result<Received, Failed>;

/// An attempt beside another.
struct Second {
    index: usize,
    in_flight: Underway,
    clocks: Clocks,
}

/// Makes the attempt that `run` has begun at `index`, and after `delay` a second one beside it.
/// Returns the outcome of the one that counts, which `run`, `exchange` and `index` then are about.
pub(super) async fn race(
    run: &mut Run<'_>,
    exchange: &mut Exchange,
    draft: &mut Draft,
    index: &mut usize,
    delay: Duration,
) -> End {
    let (upstream, policy, timeout) = (run.upstream, run.policy, run.clocks.timeout);
    let place = run.place;
    let mut twin = draft.twin();
    twin.shape.attempt += 1;
    let mut second;
    let ended = {
        let pool = &upstream.endpoints[*index];
        let mut first = pin!(attempt(exchange, pool, &mut run.clocks, draft));
        if let Ok(end) = tokio::time::timeout(delay, first.as_mut()).await {
            return end;
        }
        second = match Second::begin(exchange, upstream, policy, timeout, (*index, place)) {
            Some(second) => second,
            None => return first.await,
        };
        let pool = &upstream.endpoints[second.index];
        let beside = pin!(attempt(exchange, pool, &mut second.clocks, &mut twin));
        both(first, beside, |end| is_final(end, policy)).await
    };
    exchange.attempts += 1;
    run.tries += 1;
    draft.shape.attempt += 1;
    let mut turn = Turn::Hedge;
    if ended.second {
        mem::swap(&mut run.clocks, &mut second.clocks);
        mem::swap(&mut run.turn, &mut turn);
        mem::swap(index, &mut second.index);
        if let Some(in_flight) = &mut exchange.in_flight {
            mem::swap(in_flight, &mut second.in_flight);
        }
    }
    run.tried.push(second.index);
    second.lose(exchange, upstream, ended.loser, turn);
    ended.winner
}

impl Second {
    /// Begins one, if there is another endpoint in use and the budget allows it.
    fn begin(
        exchange: &Exchange,
        upstream: &UpstreamPool,
        policy: Option<&RetryPolicy>,
        timeout: RouteTimeout,
        (first, place): (usize, Option<Place>),
    ) -> Option<Self> {
        let now = clock::now();
        let mut rng = exchange.connection.worker.rng.borrow_mut();
        let index = upstream.pick_again(place, |index| index == first, now, &mut rng)?;
        drop(rng);
        let pool = &upstream.endpoints[index];
        if pool.0.shared.load.share() == 0 || !policy?.budget.withdraw(now) {
            return None;
        }
        let in_flight = Underway::begin(&upstream.shared, pool, now)?;
        let mut clocks = Clocks::new(exchange, timeout);
        clocks.begin(exchange, None, now);
        Some(Self { index, in_flight, clocks })
    }

    /// It does not count, or not any more: `self` is about the attempt that lost.
    fn lose(
        mut self,
        exchange: &mut Exchange,
        upstream: &UpstreamPool,
        end: Option<End>,
        turn: Turn,
    ) {
        let now = clock::now();
        match &end {
            Some(end) => blame(upstream, &mut self.in_flight, end, &self.clocks, now),
            None => {
                let waited = self.clocks.waited(now).unwrap_or_default();
                self.in_flight.give_up(&upstream.shared, waited, now);
            }
        }
        let said = end.as_ref().map_or(Said::Dropped, said);
        let trail = exchange.trail.get_or_insert_default();
        trail.note(&self.in_flight, said, turn, now);
        if let Some(Ok(received)) = end {
            discard(received, self.in_flight.load(), exchange);
        }
    }
}

/// How a race ended.
struct Ended {
    /// Whether it was the second that won.
    second: bool,
    winner: End,
    /// The other's end, if it came to one.
    loser: Option<End>,
}

/// Runs both until one comes to a final end, or both to one that is not.
async fn both(
    mut first: Pin<&mut impl Future<Output = End>>,
    mut second: Pin<&mut impl Future<Output = End>>,
    is_final: impl Fn(&End) -> bool,
) -> Ended {
    let (mut one, mut two) = (None, None);
    poll_fn(|cx| {
        if one.is_none()
            && let Poll::Ready(end) = first.as_mut().poll(cx)
        {
            if is_final(&end) || two.is_some() {
                return Poll::Ready(Ended::new(false, end, two.take()));
            }
            one = Some(end);
        }
        if two.is_none()
            && let Poll::Ready(end) = second.as_mut().poll(cx)
        {
            if is_final(&end) || one.is_some() {
                return Poll::Ready(Ended::new(true, end, one.take()));
            }
            two = Some(end);
        }
        Poll::Pending
    })
    .await
}

impl Ended {
    /// The latest end counts, or the one before where only that is a response.
    fn new(second: bool, latest: End, before: Option<End>) -> Self {
        match (latest, before) {
            (latest @ Err(_), Some(before @ Ok(_))) => {
                Self { second: !second, winner: before, loser: Some(latest) }
            }
            (winner, loser) => Self { second, winner, loser },
        }
    }
}

/// Whether no attempt could bring anything better.
fn is_final(end: &End, policy: Option<&RetryPolicy>) -> bool {
    let names = |status| policy.is_some_and(|policy| policy.names(status));
    end.as_ref().is_ok_and(|received| !names(received.head().0))
}
