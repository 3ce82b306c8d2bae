//! The steps between a route and what it does: each may turn a request away, answer it, or have
//! it wait.
//!
//! A route without policies takes only the last of them, and in [`super::stack`] itself.

use http::Response;

use super::{
    act::{Routed, act},
    stack::{Plan, Refusal},
};
use crate::{
    error::Error,
    http::{body::Body, exchange::Exchange, guard::Framing},
    limit,
    snapshot::Route,
};

/// A step, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Preflights are answered.
    Preflight,
    /// How often the route may be used, and by whom.
    Limit,
    /// The request gets the form in which its upstream takes it.
    Decode,
}

impl Step {
    const ALL: [Self; 3] = [Self::Preflight, Self::Limit, Self::Decode];

    /// The steps from this one on.
    fn on(self) -> &'static [Self] {
        let from = Self::ALL.iter().position(|step| *step == self);
        &Self::ALL[from.unwrap_or(Self::ALL.len())..]
    }
}

/// What a step makes of a request.
pub(crate) enum Pass {
    /// It goes on.
    On,
    /// The step cannot tell yet.
    Wait,
    /// It goes no further: this is the answer.
    Answer(Response<Body>),
}

/// Takes a request of a route with policies through all the steps, as far as nothing waits.
pub(super) fn enter(
    exchange: &mut Exchange,
    route: &Route,
    routed: Routed,
) -> Result<Plan, Refusal> {
    go(exchange, route, Box::new(routed), &Step::ALL)
}

fn go(
    exchange: &mut Exchange,
    route: &Route,
    mut routed: Box<Routed>,
    steps: &[Step],
) -> Result<Plan, Refusal> {
    for step in steps {
        match take(exchange, route, &mut routed, *step)? {
            Pass::On => {}
            Pass::Wait => return Ok(Plan::Wait(*step, routed)),
            Pass::Answer(response) => return Ok(Plan::Answer(response)),
        }
    }
    act(exchange, route, *routed).map_err(Into::into)
}

/// What a step can tell at once.
fn take(
    exchange: &mut Exchange,
    route: &Route,
    routed: &mut Routed,
    step: Step,
) -> Result<Pass, Refusal> {
    match step {
        Step::Preflight => {
            let web = route.policies.as_ref().and_then(|policies| policies.web.as_ref());
            let seen = exchange.policy.as_deref().map(|seen| &seen.web);
            let answer = web.zip(seen).and_then(|(web, seen)| web.preflight(exchange, seen));
            Ok(answer.map_or(Pass::On, Pass::Answer))
        }
        Step::Limit => {
            let waits = limit::check(exchange, route, &routed.head, routed.path())?;
            Ok(if waits { Pass::Wait } else { Pass::On })
        }
        Step::Decode => {
            decode(exchange, route, routed)?;
            Ok(Pass::On)
        }
    }
}

/// Gives a request the form in which its upstream takes it. What becomes a tunnel has none.
fn decode(exchange: &mut Exchange, route: &Route, routed: &mut Routed) -> Result<(), Error> {
    let web = route.policies.as_ref().and_then(|policies| policies.web.as_ref());
    let (Some(web), Some(seen)) = (web, &mut exchange.policy) else { return Ok(()) };
    if routed.checked.bridged || routed.checked.upgrade.is_some() {
        return Ok(());
    }
    let limit = exchange.world.snapshot.limits.body;
    let headers = &mut routed.head.headers;
    let changed = web.enter(&mut seen.web, headers, &mut routed.body, limit)?;
    if changed.length {
        routed.checked.framing = Framing::Unknown;
    }
    routed.trailers |= changed.trailers;
    Ok(())
}

/// What it can tell in time.
async fn wait(exchange: &mut Exchange, routed: &mut Routed, step: Step) -> Result<Pass, Refusal> {
    match step {
        Step::Limit => {
            limit::ask(exchange, &routed.head, routed.path()).await?;
            Ok(Pass::On)
        }
        // They tell at once.
        Step::Preflight | Step::Decode => Ok(Pass::On),
    }
}

/// Waits where a step has to, and goes on if the request passes.
pub(super) async fn pass(exchange: &mut Exchange, mut planned: Plan) -> Result<Plan, Refusal> {
    let world = exchange.world.clone();
    while let Plan::Wait(step, mut routed) = planned {
        planned = match wait(exchange, &mut routed, step).await? {
            Pass::On => {
                let route = &world.snapshot.routes[routed.matched.route];
                go(exchange, route, routed, &step.on()[1..])?
            }
            Pass::Wait => return Err(Error::Bug.into()),
            Pass::Answer(response) => Plan::Answer(response),
        };
    }
    Ok(planned)
}
