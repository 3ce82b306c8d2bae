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
    http::{body::Body, exchange::Exchange},
    limit,
    policy::Seen,
    script::{self, Inbound, Met, RouteScript},
    snapshot::Route,
};

/// A step, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// How often the route may be used, and by whom.
    Limit,
    /// What its script says.
    Script,
}

impl Step {
    const ALL: [Self; 2] = [Self::Limit, Self::Script];

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
    exchange.policy = Some(Box::<Seen>::default());
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
        Step::Limit => {
            let waits = limit::check(exchange, route, &routed.head, routed.path())?;
            Ok(if waits { Pass::Wait } else { Pass::On })
        }
        Step::Script => match script(route) {
            Some(script) => Ok(script::meet(exchange, script, inbound(routed))?.into()),
            None => Ok(Pass::On),
        },
    }
}

fn script(route: &Route) -> Option<&RouteScript> {
    route.policies.as_ref()?.script.as_ref()
}

/// What a script may change of a request.
const fn inbound(routed: &mut Routed) -> Inbound<'_> {
    Inbound { head: &mut routed.head, path: &mut routed.path, checked: &routed.checked }
}

impl From<Met> for Pass {
    fn from(met: Met) -> Self {
        match met {
            Met::On => Self::On,
            Met::Wait => Self::Wait,
            Met::Answer(response) => Self::Answer(response),
        }
    }
}

/// What it can tell in time.
async fn wait(exchange: &mut Exchange, routed: &mut Routed, step: Step) -> Result<Pass, Refusal> {
    match step {
        Step::Limit => {
            limit::ask(exchange, &routed.head, routed.path()).await?;
            Ok(Pass::On)
        }
        Step::Script => {
            let world = exchange.world.clone();
            match script(&world.snapshot.routes[routed.matched.route]) {
                Some(script) => Ok(script::go_on(exchange, script, inbound(routed)).await?.into()),
                None => Ok(Pass::On),
            }
        }
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
