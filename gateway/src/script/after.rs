//! The hooks of a response, and of an exchange that is over.

use std::{mem, rc::Rc, time::Duration};

use http::{Response, StatusCode, header};
use mlua::Value;

use super::{
    Fault, Hook, RouteScript,
    fields::Access,
    hook::{Scripted, finish, put, take},
    request::Asked,
    response::{Answered, End, is_bare, kind},
    vm::{Turn, Vm},
};
use crate::{
    clock::Tick,
    error::Error,
    http::{body::Body, exchange::Exchange, headers::name, reply},
    task,
};

/// Shows a response to its route's script.
pub(crate) async fn see_off(
    exchange: &mut Exchange,
    script: &RouteScript,
    response: Response<Body>,
) -> Response<Body> {
    let Some(scripted) = exchange.policy.as_ref().and_then(|policy| policy.script.as_ref()) else {
        return response;
    };
    let response = if script.script.has(Hook::Response) && !scripted.tunnel {
        on_response(exchange, script, scripted.shown(), response).await
    } else {
        response
    };
    if script.script.has(Hook::Log)
        && let Some(mut scripted) = take(exchange)
    {
        scripted.sent = Some(response.headers().clone());
        put(exchange, scripted);
    }
    response
}

/// What the script knows stays with the exchange meanwhile.
async fn on_response(
    exchange: &mut Exchange,
    script: &RouteScript,
    (vm, asked): (Rc<Vm>, Rc<Asked>),
    response: Response<Body>,
) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let before = script.passes.then(|| head.headers.clone());
    let answered = Answered::new(head.status, mem::take(&mut head.headers));
    asked.open(Access::Read);
    let returned = match vm.begin(Hook::Response, asked.shown(Some(answered.clone()))) {
        None => Ok(Value::Nil),
        Some(Ok(Turn::Done(returned))) => Ok(returned),
        // Boxed: rare, and its state is no part of every response's.
        Some(Ok(turn)) => Box::pin(finish(exchange, turn)).await,
        Some(Err(fault)) => Err(fault),
    };
    asked.close();
    head.headers = answered.take();
    match returned.and_then(|returned| nothing(&returned, Hook::Response, &vm)) {
        Ok(()) => {
            let status = answered.status.get();
            // What a 304 says of its length is that of another response (RFC 9110 section 8.6).
            if is_bare(head.status) && !is_bare(status) {
                head.headers.remove(header::CONTENT_LENGTH);
            }
            head.status = status;
        }
        Err(fault) => {
            let Some(mut scripted) = take(exchange) else { return refuse(exchange, false) };
            scripted.failed(exchange, Hook::Response, &fault);
            let grpc = scripted.grpc;
            put(exchange, scripted);
            match before {
                Some(before) => head.headers = before,
                None => return refuse(exchange, grpc),
            }
        }
    }
    Response::from_parts(head, body)
}

/// Hooks that only look on return nothing.
fn nothing(returned: &Value, hook: Hook, vm: &Vm) -> Result<(), Fault> {
    if returned.is_nil() {
        return Ok(());
    }
    let what = format!("`{}` returned a {}: expected nothing", hook.name(), kind(returned));
    Err(vm.blame(&what))
}

/// The response in the place of one that a script could not handle.
fn refuse(exchange: &mut Exchange, grpc: bool) -> Response<Body> {
    exchange.error = Some(Error::ScriptFailed);
    let mut response = match grpc {
        true => reply::of_grpc_error(Error::ScriptFailed),
        false => reply::of_error(Error::ScriptFailed),
    };
    if let Some(id) = &exchange.request_id {
        response.headers_mut().insert(&name::X_REQUEST_ID, id.clone());
    }
    response
}

/// Tells the script of an exchange that ended at `now`.
pub(crate) fn log(exchange: &mut Exchange, now: Tick) {
    let Some(mut scripted) = take(exchange) else { return };
    let world = exchange.world.clone();
    let policies = exchange.route.and_then(|route| world.snapshot.routes[route].policies.as_ref());
    let script = policies.and_then(|policies| policies.script.as_ref());
    if script.is_some_and(|script| script.script.has(Hook::Log)) {
        on_log(exchange, &mut scripted, now);
    }
    put(exchange, scripted);
}

fn on_log(exchange: &Exchange, scripted: &mut Scripted, now: Tick) {
    let upstreams = &exchange.world.snapshot.upstreams;
    let endpoint = exchange.in_flight.as_ref().map(|asked| (&*asked.load().0.shared.name).into());
    let end = End {
        upstream: exchange.upstream.map(|index| (&*upstreams[index].name).into()),
        endpoint,
        flag: exchange.error.map(|error| error.disposition().flag),
        duration: Duration::from_nanos(now.nanos_since(exchange.began)),
        bytes: exchange.sent,
    };
    let status = StatusCode::from_u16(exchange.status).unwrap_or(StatusCode::OK);
    let headers = scripted.sent.take().unwrap_or_default();
    let answered = Answered::ended(status, headers, end);
    scripted.asked.open(Access::Read);
    let shown = scripted.asked.shown(Some(answered));
    let Some(turn) = scripted.vm.begin(Hook::Log, shown) else { return };
    if let Ok(Turn::Aside(call)) = turn {
        let (vm, asked) = (scripted.vm.clone(), scripted.asked.clone());
        task::spawn(async move {
            let mut turn = Ok(Turn::Aside(call));
            while let Ok(Turn::Aside(call)) = turn {
                tokio::task::yield_now().await;
                turn = call.turn(());
            }
            asked.close();
            if let Err(fault) = ended(turn, &vm) {
                vm.tell("", "", Hook::Log, &fault);
            }
        });
        return;
    }
    scripted.asked.close();
    if let Err(fault) = ended(turn, &scripted.vm) {
        scripted.failed(exchange, Hook::Log, &fault);
    }
}

fn ended(turn: Result<Turn, Fault>, vm: &Vm) -> Result<(), Fault> {
    match turn? {
        Turn::Done(returned) => nothing(&returned, Hook::Log, vm),
        Turn::Aside(_) | Turn::Wait(..) => Err(vm.blame("nothing can be waited for in `on_log`")),
    }
}
