//! The steps between a route and what it does: each may turn a request away, answer it, or have
//! it wait.
//!
//! Before all of them, and before the request takes anybody's place, comes what is answered
//! whoever sends it: [`greet`]. A route without policies takes only the last of the steps, and in
//! [`super::stack`] itself.

use http::{Method, Response, Version, request};

use super::{
    Found, Matched,
    act::{Routed, act, dress},
    carry::own,
    stack::{Plan, Refusal},
};
use crate::{
    error::Error,
    http::{
        body::Body,
        exchange::Exchange,
        guard::Framing,
        problem,
        reply::{self, is_grpc},
    },
    limit,
    policy::{self, Asked, Auth, Passage},
    script::{self, Inbound, Met, RouteScript},
    snapshot::{Route, Snapshot},
};

/// A step, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// From where clients may come.
    Allow,
    /// Who they are.
    Authenticate,
    /// How often the route may be used, and by whom.
    Limit,
    /// What its script says.
    Script,
    /// The request gets the form in which its upstream takes it.
    Decode,
}

impl Step {
    const ALL: [Self; 5] =
        [Self::Allow, Self::Authenticate, Self::Limit, Self::Script, Self::Decode];

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
        let pass = take(exchange, route, &mut routed, *step);
        if pass.is_err() {
            exchange.takes_problem = problem::is_taken(&routed.head.headers);
        }
        match pass? {
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
        Step::Allow => {
            match route.policies.as_ref().is_none_or(|one| one.admits(exchange.client)) {
                true => Ok(Pass::On),
                false => Err(Error::Denied.into()),
            }
        }
        Step::Authenticate => {
            let Some(auth) = auth(route) else { return Ok(Pass::On) };
            let passage = auth.judge(exchange, &asked(routed));
            believe(exchange, route, routed, auth, passage)
        }
        Step::Limit => {
            let waits = limit::check(exchange, route, &routed.head, routed.path())?;
            Ok(if waits { Pass::Wait } else { Pass::On })
        }
        Step::Script => match script(route) {
            Some(script) => Ok(script::meet(exchange, script, inbound(routed))?.into()),
            None => Ok(Pass::On),
        },
        Step::Decode => {
            decode(exchange, route, routed)?;
            Ok(Pass::On)
        }
    }
}

/// Answers what is answered whoever sends it, and however much there is to do: preflights, and
/// requests of a route that is closed. In this order: a page whose preflight is turned away could
/// not read that the route is closed.
pub(super) fn greet(
    exchange: &mut Exchange,
    route: &Route,
    head: &request::Parts,
) -> Option<Response<Body>> {
    let policies = route.policies.as_deref()?;
    let seen = exchange.policy.as_deref().map(|seen| &seen.web);
    let web = policies.web.as_ref().zip(seen);
    if let Some(answer) = web.and_then(|(web, seen)| web.preflight(exchange, seen)) {
        return Some(answer);
    }
    let closed = policies.maintenance.as_ref()?;
    if closed.lets_through(exchange.client) {
        return None;
    }
    exchange.error = Some(Error::Maintenance);
    let calls = head.version >= Version::HTTP_2 && head.method != Method::CONNECT;
    let mut response = match calls && is_grpc(&head.headers) {
        true => reply::of_grpc_error(Error::Maintenance),
        false => closed.answer(problem::is_taken(&head.headers)),
    };
    dress(exchange, route, response.headers_mut());
    Some(response)
}

/// The method by which a preflight is routed, and its route: that of the request that it asks for,
/// where that answers preflights.
pub(crate) fn preflight(
    snapshot: &Snapshot,
    host: &str,
    path: &str,
    head: &request::Parts,
) -> Option<(Method, Matched)> {
    let method = policy::cors::preflight_of(head)?;
    let query = head.uri.query();
    let found = snapshot.matcher.find_announced(host, path, query, &method, &head.headers);
    let Found::Route(matched) = found else { return None };
    snapshot.routes[matched.route].answers_preflights().then_some((method, matched))
}

/// Gives a request the form in which its upstream takes it. What becomes a tunnel has none.
fn decode(exchange: &mut Exchange, route: &Route, routed: &mut Routed) -> Result<(), Error> {
    let web = route.policies.as_ref().and_then(|policies| policies.web.as_ref());
    let (Some(web), Some(seen)) = (web, &mut exchange.policy) else { return Ok(()) };
    if routed.checked.bridged || routed.checked.upgrade.is_some() {
        return Ok(());
    }
    let headers = &mut routed.head.headers;
    let changed = web.enter(&mut seen.web, headers, &mut routed.body, route.max_body)?;
    if changed.length {
        routed.checked.framing = Framing::Unknown;
    }
    routed.trailers |= changed.trailers;
    Ok(())
}

fn auth(route: &Route) -> Option<&Auth> {
    route.policies.as_ref()?.auth.as_ref()
}

/// What policies see of a request.
fn asked(routed: &Routed) -> Asked<'_> {
    Asked {
        method: &routed.head.method,
        headers: &routed.head.headers,
        path: routed.path(),
        query: routed.head.uri.query(),
        authority: routed.checked.authority(),
    }
}

/// What follows from what a client says of itself, and who believes it.
fn believe(
    exchange: &mut Exchange,
    route: &Route,
    routed: &mut Routed,
    auth: &Auth,
    passage: Passage,
) -> Result<Pass, Refusal> {
    match passage {
        Passage::On(identity) => {
            auth.tell(&mut routed.head.headers, identity.as_deref());
            exchange.identity = identity;
            Ok(Pass::On)
        }
        Passage::Wait => Ok(Pass::Wait),
        Passage::Answer(response) => {
            let (mut head, body) = response.into_parts();
            own(exchange, route, &Method::GET, None, &mut head)?;
            Ok(Pass::Answer(Response::from_parts(head, body)))
        }
        Passage::Refused(error) => Err(error.into()),
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
async fn wait(
    exchange: &mut Exchange,
    route: &Route,
    routed: &mut Routed,
    step: Step,
) -> Result<Pass, Refusal> {
    match step {
        // They tell at once.
        Step::Allow | Step::Decode => Err(Error::Bug.into()),
        Step::Authenticate => {
            let auth = auth(route).ok_or(Error::Bug)?;
            let passage = auth.judge_in_time(exchange, &asked(routed)).await;
            believe(exchange, route, routed, auth, passage)
        }
        Step::Limit => {
            limit::ask(exchange, &routed.head, routed.path()).await?;
            Ok(Pass::On)
        }
        Step::Script => match script(route) {
            Some(script) => Ok(script::go_on(exchange, script, inbound(routed)).await?.into()),
            None => Ok(Pass::On),
        },
    }
}

/// Waits where a step has to, and goes on if the request passes.
pub(super) async fn pass(exchange: &mut Exchange, mut planned: Plan) -> Result<Plan, Refusal> {
    let world = exchange.world.clone();
    while let Plan::Wait(step, mut routed) = planned {
        let route = &world.snapshot.routes[routed.matched.route];
        let passed = wait(exchange, route, &mut routed, step).await;
        if passed.is_err() {
            exchange.takes_problem = problem::is_taken(&routed.head.headers);
        }
        planned = match passed? {
            Pass::On => go(exchange, route, routed, &step.on()[1..])?,
            Pass::Wait => return Err(Error::Bug.into()),
            Pass::Answer(response) => Plan::Answer(response),
        };
    }
    Ok(planned)
}
