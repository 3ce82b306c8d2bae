//! What happens to a request on its way to its upstream: which one it stays with, and what goes
//! wrong with it on purpose.

use std::rc::Rc;

use http::{HeaderMap, Method};
use tokio::sync::Semaphore;

use super::{Faulted, Policies, Struck, places::Places};
use crate::{
    clock,
    error::Error,
    files,
    http::{exchange::Exchange, headers::name},
    limit::key::Subject,
    script::Values,
};

/// What a worker has room for beside its requests.
#[derive(Debug)]
pub(crate) struct Aside {
    /// Copies under way.
    pub(super) copies: Places,
    /// Requests held back on purpose.
    delays: Places,
    /// Turns to read files.
    pub(crate) reads: Rc<Semaphore>,
}

impl Default for Aside {
    fn default() -> Self {
        let reads = Rc::new(Semaphore::new(files::READS));
        Self { copies: Places::new(COPIES), delays: Places::new(DELAYS), reads }
    }
}

/// Most copies of requests under way on one worker: each may hold a body.
const COPIES: u32 = 128;
/// Most requests that one worker holds back on purpose.
const DELAYS: u32 = 1024;

/// The upstream that a request stays with, where its route is sticky and something decides.
pub(crate) fn stay(
    exchange: &mut Exchange,
    policies: &Policies,
    (method, headers): (&Method, &HeaderMap),
    (path, query): (&str, Option<&str>),
) -> Option<usize> {
    let sticky = policies.sticky.as_ref()?;
    let (world, id) = (exchange.world.clone(), exchange.request_id.as_ref());
    let values = Values::new(&world.snapshot.scripts, &world.vms, method, id);
    let subject = Subject {
        client: exchange.client,
        headers,
        path,
        query,
        route: exchange.route.map_or("", |route| &*world.snapshot.routes[route].name),
        identity: exchange.identity(),
        lua: values.as_ref().map(|values| values as _),
    };
    let connection = &exchange.connection;
    let told = connection.peer().trusts()
        && headers.get(&name::X_FORWARDED_PROTO).is_some_and(|scheme| scheme == "https");
    let secure = told || connection.scheme() == "https";
    let choice = sticky.choose(&subject, secure, &mut exchange.connection.worker.rng.borrow_mut());
    if let Some(values) = &values {
        values.note(exchange);
    }
    if let Some(seen) = &mut exchange.policy {
        seen.cookie = choice.cookie;
    }
    choice.upstream
}

/// Draws what goes wrong on purpose with a request that is about to be forwarded.
pub(crate) fn strike(exchange: &mut Exchange, policies: &Policies, headers: &HeaderMap) {
    if let (Some(fault), Some(seen)) = (&policies.fault, &mut exchange.policy) {
        seen.struck = fault.strike(headers, &mut exchange.connection.worker.rng.borrow_mut());
    }
}

/// Whether something goes wrong on purpose.
pub(crate) fn is_struck(exchange: &Exchange) -> bool {
    exchange.policy.as_ref().is_some_and(|seen| seen.struck != Struck::default())
}

/// Has go wrong what was drawn.
pub(crate) async fn suffer(exchange: &mut Exchange) -> Result<(), Error> {
    let Some(seen) = &mut exchange.policy else { return Ok(()) };
    let Struck { delay, abort } = seen.struck;
    if let Some(delay) = delay {
        let place = exchange.connection.worker.aside.delays.take();
        let held = place.is_some();
        seen.held = held;
        count(exchange, if held { Faulted::Delay } else { Faulted::DelaySkipped });
        if held {
            let turn = clock::now() + delay;
            let route = exchange.route.map(|index| &exchange.world.snapshot.routes[index]);
            let total = route.and_then(|route| route.timeout.total);
            let end = total
                .map_or(exchange.deadline, |total| exchange.deadline.min(exchange.began + total));
            tokio::time::sleep_until(turn.min(end).instant()).await;
            if end <= turn {
                return Err(Error::DeadlinePassed);
            }
        }
    }
    match abort {
        None => Ok(()),
        Some(status) => {
            count(exchange, Faulted::Abort);
            Err(Error::FaultInjected(status))
        }
    }
}

fn count(exchange: &Exchange, faulted: Faulted) {
    exchange.world.counters(exchange.route, exchange.upstream).record_fault(faulted);
}

/// Whether a request was held back on purpose.
pub(crate) fn is_held(exchange: &Exchange) -> bool {
    exchange.policy.as_ref().is_some_and(|seen| seen.held)
}
