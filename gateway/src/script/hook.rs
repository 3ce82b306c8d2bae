//! The hooks of a request, one after the other, and what follows where one fails.

use std::{mem, rc::Rc};

use http::{HeaderMap, Method, Response, Version, request};
use mlua::Value;

use super::{
    Fault, Hook, RouteScript, api,
    fault::Kind,
    fields::Access,
    request::{Asked, Facts},
    response::{Made, made},
    vm::{Turn, Vm},
};
use crate::{
    error::Error,
    http::{body::Body, exchange::Exchange, guard::Checked, headers::name, reply},
    limit,
    route::join,
};

/// What a script knows of one request.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(super) vm: Rc<Vm>,
    pub(super) asked: Rc<Asked>,
    /// `on_request`, while it is under way.
    turn: Option<Turn>,
    /// What `on_request` may have changed in vain.
    before: Option<HeaderMap>,
    /// What the client was sent, for `on_log`.
    pub(super) sent: Option<HeaderMap>,
    /// Its client makes a tunnel of it.
    pub(super) tunnel: bool,
    pub(super) grpc: bool,
    /// What came of its hooks.
    outcome: Outcome,
}

/// What came of the hooks of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// They ran.
    Ran,
    /// `on_request` answered.
    Answered,
    /// One did something that does not work.
    Failed,
    /// One ran for too long.
    TimedOut,
    /// One wanted too much memory.
    OutOfMemory,
}

impl Outcome {
    /// Names in metrics and the access log, by place.
    pub(crate) const NAMES: [&str; 5] = ["ran", "answered", "error", "timeout", "memory"];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub(super) const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Error => Self::Failed,
            Kind::Time => Self::TimedOut,
            Kind::Memory => Self::OutOfMemory,
        }
    }
}

/// What of a request `on_request` may read and change.
pub(crate) struct Inbound<'a> {
    pub(crate) head: &'a mut request::Parts,
    /// Its path, as routes see it, where that is not as it stands in the head.
    pub(crate) path: &'a mut Option<String>,
    pub(crate) checked: &'a Checked,
}

/// What `on_request` makes of a request.
pub(crate) enum Met {
    /// It goes on.
    On,
    /// The hook is not over.
    Wait,
    /// The script answers.
    Answer(Response<Body>),
}

/// Shows a request to its route's script.
pub(crate) fn meet(
    exchange: &mut Exchange,
    script: &RouteScript,
    mut inbound: Inbound<'_>,
) -> Result<Met, Error> {
    let Some(route) = exchange.route else { return Err(Error::Bug) };
    let world = exchange.world.clone();
    let vm = match world.vms.of(&world.snapshot.scripts, script.index) {
        Ok(vm) => vm,
        Err(fault) => {
            let (route, id) = place(exchange);
            fault.tell(&script.script.name, (route, id), Hook::Request.name());
            return if script.passes { Ok(Met::On) } else { Err(Error::ScriptFailed) };
        }
    };
    let head = &mut *inbound.head;
    let facts = Facts {
        routed: inbound.path.clone(),
        host: inbound.checked.host.clone(),
        client: exchange.client,
        identity: exchange.identity().and_then(|identity| identity.name.clone()),
        id: exchange.request_id.clone(),
        snapshot: world.snapshot.clone(),
        route,
    };
    let asked = Asked::new(head, facts);
    let mut scripted = Scripted {
        vm,
        asked,
        turn: None,
        before: None,
        sent: None,
        tunnel: head.method == Method::CONNECT || inbound.checked.upgrade.is_some(),
        grpc: head.version >= Version::HTTP_2 && reply::is_grpc(&head.headers),
        outcome: Outcome::Ran,
    };
    if !script.script.has(Hook::Request) {
        scripted.keep(script, &head.headers);
        put(exchange, Box::new(scripted));
        return Ok(Met::On);
    }
    scripted.before = script.passes.then(|| head.headers.clone());
    *scripted.asked.fields.map.borrow_mut() = mem::take(&mut head.headers);
    scripted.asked.open(Access::Write);
    let turn = scripted.vm.begin(Hook::Request, scripted.asked.shown(None));
    let returned = match turn {
        Some(Ok(Turn::Done(returned))) => Ok(returned),
        None => Ok(Value::Nil),
        Some(Err(fault)) => Err(fault),
        Some(Ok(turn)) => {
            scripted.turn = Some(turn);
            put(exchange, Box::new(scripted));
            return Ok(Met::Wait);
        }
    };
    let met = scripted.conclude(exchange, script, &mut inbound, returned);
    put(exchange, Box::new(scripted));
    met
}

/// Waits for what `on_request` waits for, until that is over.
pub(crate) async fn go_on(
    exchange: &mut Exchange,
    script: &RouteScript,
    mut inbound: Inbound<'_>,
) -> Result<Met, Error> {
    let scripted = exchange.policy.as_mut().and_then(|policy| policy.script.as_mut());
    let turn = scripted.and_then(|scripted| scripted.turn.take()).ok_or(Error::Bug)?;
    // The exchange keeps what the script knows: a client that goes away now is told of by `on_log`.
    let returned = finish(exchange, turn).await;
    let Some(mut scripted) = take(exchange) else { return Err(Error::Bug) };
    let met = scripted.conclude(exchange, script, &mut inbound, returned);
    put(exchange, scripted);
    met
}

/// What came of the hooks of a request, where its route has a script, or of a key that failed.
pub(crate) fn outcome(exchange: &Exchange) -> Option<Outcome> {
    let failed = exchange.value_failed.get();
    failed.or_else(|| Some(exchange.policy.as_ref()?.script.as_ref()?.outcome))
}

/// Has the exchange keep what its script knows.
pub(super) fn put(exchange: &mut Exchange, scripted: Box<Scripted>) {
    if let Some(policy) = &mut exchange.policy {
        policy.script = Some(scripted);
    }
}

pub(super) fn take(exchange: &mut Exchange) -> Option<Box<Scripted>> {
    exchange.policy.as_mut()?.script.take()
}

/// Runs a hook to its end.
pub(super) async fn finish(exchange: &Exchange, mut turn: Turn) -> Result<Value, Fault> {
    loop {
        turn = match turn {
            Turn::Done(returned) => return Ok(returned),
            Turn::Aside(call) => {
                tokio::task::yield_now().await;
                call.turn(())?
            }
            Turn::Wait(call, ask) => {
                let vm = call.vm().clone();
                let answer = ask.send(exchange).await;
                let values = api::answer(&vm, answer).map_err(|error| vm.fault(&error))?;
                call.turn(values)?
            }
        };
    }
}

impl Scripted {
    /// What a hook is run with.
    pub(super) fn shown(&self) -> (Rc<Vm>, Rc<Asked>) {
        (self.vm.clone(), self.asked.clone())
    }

    /// Keeps a copy of the request's fields for the hooks to come.
    fn keep(&self, script: &RouteScript, headers: &HeaderMap) {
        if script.script.has(Hook::Response) || script.script.has(Hook::Log) {
            *self.asked.fields.map.borrow_mut() = headers.clone();
        }
    }

    /// `on_request` is over: what it changed takes effect.
    fn conclude(
        &mut self,
        exchange: &mut Exchange,
        script: &RouteScript,
        inbound: &mut Inbound<'_>,
        returned: Result<Value, Fault>,
    ) -> Result<Met, Error> {
        self.asked.close();
        inbound.head.headers = self.asked.fields.map.take();
        let done = returned.and_then(|returned| {
            let answer = made(&returned).map_err(|error| self.vm.fault(&error))?;
            if answer.is_none() {
                self.change(inbound.head, inbound.path)?;
            }
            Ok(answer)
        });
        self.keep(script, &inbound.head.headers);
        match done {
            Ok(None) => Ok(Met::On),
            // No tunnel is here, and a client that asked for one takes a 2xx for it.
            Ok(Some(made)) if self.tunnel && made.status.is_success() => {
                Err(Error::MethodNotAllowed)
            }
            Ok(Some(made)) => {
                self.outcome = Outcome::Answered;
                Ok(Met::Answer(answer(exchange, made)))
            }
            Err(fault) => {
                self.failed(exchange, Hook::Request, &fault);
                match self.before.take() {
                    Some(before) => {
                        inbound.head.headers = before;
                        self.asked.undo(&inbound.head.method);
                        self.keep(script, &inbound.head.headers);
                        Ok(Met::On)
                    }
                    None => Err(Error::ScriptFailed),
                }
            }
        }
    }

    /// Gives the request the method and the target that the script wants.
    fn change(&self, head: &mut request::Parts, path: &mut Option<String>) -> Result<(), Fault> {
        if let Some((wanted, query)) = self.asked.wanted_target() {
            let target = head.uri.path().starts_with('/').then(|| join(&wanted, query.as_deref()));
            let Some(Ok(target)) = target else {
                return Err(self.vm.blame("this request has no path to change"));
            };
            head.uri = target.into();
            *path = (head.uri.path() != wanted).then_some(wanted);
        }
        if let Some(method) = self.asked.wanted_method() {
            head.method = method;
        }
        Ok(())
    }

    /// The upstream that the script chose.
    pub(crate) fn upstream(&self) -> Option<usize> {
        self.asked.upstream.get()
    }

    /// Whether the script has set the path: then that is what goes upstream.
    pub(crate) fn sets_path(&self) -> bool {
        self.asked.path.borrow().is_some()
    }

    pub(super) fn failed(&mut self, exchange: &Exchange, hook: Hook, fault: &Fault) {
        self.outcome = Outcome::of(fault.kind);
        let (route, id) = place(exchange);
        self.vm.tell(route, id, hook, fault);
    }
}

/// Names of the route and of the request.
fn place(exchange: &Exchange) -> (&str, &str) {
    let route = exchange.route.map(|route| &*exchange.world.snapshot.routes[route].name);
    let id = exchange.request_id.as_ref().and_then(|id| id.to_str().ok());
    (route.unwrap_or_default(), id.unwrap_or_default())
}

/// The response that a script made.
fn answer(exchange: &Exchange, made: Made) -> Response<Body> {
    let mut response = Response::new(Body::full(made.body));
    *response.status_mut() = made.status;
    *response.headers_mut() = made.headers;
    let headers = response.headers_mut();
    if let Some(id) = &exchange.request_id {
        headers.insert(&name::X_REQUEST_ID, id.clone());
    }
    limit::tell(exchange, headers);
    if let Some(route) = exchange.route {
        exchange.world.snapshot.routes[route].response_edits.apply(headers);
    }
    response
}
