//! One connection to one server, opened when it is needed and shared by all requests of a worker:
//! what they send goes out in one stream, without waiting for each other's answers.

use std::{cell::RefCell, ptr, rc::Rc, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, Shared, join},
};
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, RedisError, ServerErrorKind, Value,
    aio::MultiplexedConnection,
};
use tokio::time::timeout;

use super::{
    fault::Fault,
    script::{Call, Script},
    servers::Server,
};

/// For the way to the server, and who we are. Requests wait far less.
const CONNECT: Duration = Duration::from_secs(1);
/// Requests that wait to be written, per connection; further ones wait for room.
const QUEUE: usize = 1_024;

/// Why a server did not do its part, and what it or the system said.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {text}", fault.name())]
pub struct Trouble {
    /// What kind of failure it is.
    pub fault: Fault,
    /// In words, for people.
    pub text: Rc<str>,
    /// The node of a cluster that is to be asked instead.
    pub(super) redirect: Option<Redirect>,
}

/// Where a node of a cluster sends somebody.
#[derive(Debug, Clone)]
pub(super) struct Redirect {
    pub(super) address: Rc<str>,
    /// For this call only, and it has to say so: the slot is on its way.
    pub(super) asking: bool,
}

/// A connection that is ready, and the scripts that have been sent on it.
#[derive(Clone)]
struct Ready {
    connection: MultiplexedConnection,
    sent: Rc<RefCell<Vec<&'static Script>>>,
}

type Opening = Shared<LocalBoxFuture<'static, Result<Ready, Trouble>>>;

enum State {
    Closed,
    /// It may outlive the patience of single requests.
    Opening(Opening),
    Open(Ready, u64),
}

pub(super) struct Link {
    server: Arc<Server>,
    state: RefCell<State>,
}

impl Trouble {
    pub(super) fn new(fault: Fault, text: &str) -> Self {
        Self { fault, text: text.into(), redirect: None }
    }
}

impl From<&RedisError> for Trouble {
    fn from(error: &RedisError) -> Self {
        let redirect = error.redirect_node().map(|(address, _)| Redirect {
            address: address.into(),
            asking: error.kind() == ErrorKind::Server(ServerErrorKind::Ask),
        });
        Self { fault: error.into(), text: error.to_string().into(), redirect }
    }
}

impl Link {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, state: RefCell::new(State::Closed) }
    }

    /// Runs a script. Who gives up waiting does not take it back.
    ///
    /// A repeatable one is sent once more on a new connection when the old one turns out to be
    /// broken: if the server had read it, a bucket is charged twice, which errs on the strict side.
    pub(super) async fn run(&self, call: &Call<'_>) -> Result<Value, Trouble> {
        let (ready, fresh) = self.ready().await?;
        let error = match self.send(ready.clone(), call).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        let trouble = Trouble::from(&error);
        if is_useless(&error, &trouble) {
            self.close(&ready);
        }
        if fresh || trouble.fault != Fault::Down || !call.script.repeatable {
            return Err(trouble);
        }
        let (ready, _) = self.ready().await?;
        self.send(ready, call).await.map_err(|error| Trouble::from(&error))
    }

    /// Sends one command that can be sent again.
    pub(super) async fn query(&self, command: &redis::Cmd) -> Result<Value, Trouble> {
        let (mut ready, _) = self.ready().await?;
        let outcome = command.query_async(&mut ready.connection).await;
        outcome.map_err(|error: RedisError| {
            let trouble = Trouble::from(&error);
            if is_useless(&error, &trouble) {
                self.close(&ready);
            }
            trouble
        })
    }

    /// Gives the connection up, unless another has taken its place; the next request opens one.
    fn close(&self, broken: &Ready) {
        let mut state = self.state.borrow_mut();
        if matches!(&*state, State::Open(ready, _) if Rc::ptr_eq(&ready.sent, &broken.sent)) {
            *state = State::Closed;
        }
    }

    /// The connection, and whether it has just been opened.
    async fn ready(&self) -> Result<(Ready, bool), Trouble> {
        let epoch = self.server.health.epoch();
        let opening = {
            let mut state = self.state.borrow_mut();
            match &*state {
                State::Open(ready, since) if *since == epoch => return Ok((ready.clone(), false)),
                State::Opening(opening) => opening.clone(),
                State::Open(..) | State::Closed => {
                    let opening = open(Arc::clone(&self.server)).boxed_local().shared();
                    *state = State::Opening(opening.clone());
                    opening
                }
            }
        };
        let outcome = opening.clone().await;
        let mut state = self.state.borrow_mut();
        // The first to hear of it writes it down.
        if matches!(&*state, State::Opening(other) if other.ptr_eq(&opening)) {
            *state = match &outcome {
                Ok(ready) => State::Open(ready.clone(), epoch),
                Err(_) => State::Closed,
            };
        }
        Ok((outcome?, true))
    }

    async fn send(&self, mut ready: Ready, call: &Call<'_>) -> Result<Value, RedisError> {
        let Some(name) = ready.name(call.script) else {
            // Both at once: who asks first does not wait twice, and what is only told, not heard
            // of, is told. Whether it was loaded the next one will hear.
            let load = ready.clone().load(call.script);
            let text = ready.ask(call, "EVAL", call.script.text);
            return Box::pin(join(load, text)).await.1;
        };
        match ready.ask(call, "EVALSHA", name).await {
            // It was not run. With the text it is, and the server knows it again.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.server.counters.reload();
                ready.ask(call, "EVAL", call.script.text).await
            }
            outcome => outcome,
        }
    }
}

impl Ready {
    async fn ask(
        &mut self,
        call: &Call<'_>,
        verb: &str,
        script: &str,
    ) -> Result<Value, RedisError> {
        let command = call.command(verb, script);
        if !call.asking {
            return command.query_async(&mut self.connection).await;
        }
        // Both go out together: nobody else's command comes between.
        let mut both = redis::pipe();
        both.cmd("ASKING").ignore().add_command(command);
        let (reply,) = both.query_async(&mut self.connection).await?;
        Ok(reply)
    }

    /// What the server calls `script`; `None` if it is to be sent to it first.
    fn name(&self, script: &'static Script) -> Option<&'static str> {
        let known = self.sent.borrow().iter().any(|sent| ptr::eq(*sent, script));
        if !known {
            // At once, not when it is answered: what others send from now on comes behind it. If
            // it is lost, they will hear so and send the text.
            self.sent.borrow_mut().push(script);
            return None;
        }
        script.name.get().map(|name| &**name)
    }

    async fn load(mut self, script: &'static Script) -> Result<(), RedisError> {
        let mut load = redis::cmd("SCRIPT");
        let name: String =
            load.arg("LOAD").arg(script.text).query_async(&mut self.connection).await?;
        script.name.get_or_init(|| name);
        Ok(())
    }
}

/// Whether another connection is to be opened: after a failover the same name may lead to the
/// server that may write.
fn is_useless(error: &RedisError, trouble: &Trouble) -> bool {
    error.is_unrecoverable_error() || trouble.fault == Fault::ReadOnly
}

/// In a task: requests that wait for it may all be gone before it is over, and the next may be long
/// in coming.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate that starts a task")]
async fn open(server: Arc<Server>) -> Result<Ready, Trouble> {
    let opening = async move {
        let connection = timeout(CONNECT, connect(&server.client)).await;
        if let Ok(Ok(_)) = &connection {
            server.counters.connect();
        }
        connection
    };
    match tokio::spawn(opening).await {
        Ok(Ok(Ok(connection))) => Ok(Ready { connection, sent: Rc::default() }),
        Ok(Ok(Err(error))) => Err(Trouble::from(&error)),
        Ok(Err(_)) => Err(Trouble::new(Fault::Slow, "no connection in time")),
        Err(_) => Err(Trouble::new(Fault::Down, "nobody is left to open a connection")),
    }
}

async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    // Both are watched over above; a second clock per request would only cost.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE);
    client.get_multiplexed_async_connection_with_config(&config).await
}
