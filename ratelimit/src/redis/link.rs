//! One connection to one server, opened when it is needed and shared by all requests of a worker:
//! what they send goes out in one stream, without waiting for each other's answers.

use std::{cell::RefCell, fmt::Write, rc::Rc, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{LocalBoxFuture, Shared},
};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, ServerErrorKind,
    aio::MultiplexedConnection,
};
use tokio::time::timeout;

use super::{fault::Fault, servers::Server};
use crate::{
    key::Key,
    remote::{GCRA, SETTLE},
};

/// For the way to the server, who we are, and the scripts. Requests wait far less.
const CONNECT: Duration = Duration::from_secs(1);
/// Requests that wait to be written, per connection; further ones wait for room.
const QUEUE: usize = 1_024;
/// What our keys begin with; the number is that of the layout of their values.
const PREFIX: &str = "weir:rl1:";

/// A failure, and what the server or the system said.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    pub(super) fault: Fault,
    pub(super) said: Rc<str>,
}

/// Which script to run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Script {
    Check,
    Settle,
}

/// A connection that is ready, and what the server calls the scripts.
#[derive(Clone)]
struct Ready {
    connection: MultiplexedConnection,
    scripts: Rc<[String; 2]>,
}

type Opening = Shared<LocalBoxFuture<'static, Result<Ready, Trouble>>>;

enum State {
    Closed,
    /// Driven on by whoever waits for it, so that it needs no task. It may outlive the patience of
    /// single requests.
    Opening(Opening),
    Open(Ready, u64),
}

pub(super) struct Link {
    server: Arc<Server>,
    state: RefCell<State>,
}

impl From<&RedisError> for Trouble {
    fn from(error: &RedisError) -> Self {
        Self { fault: error.into(), said: error.to_string().into() }
    }
}

impl Script {
    const fn text(self) -> &'static str {
        match self {
            Self::Check => GCRA,
            Self::Settle => SETTLE,
        }
    }

    fn name(self, ready: &Ready) -> &str {
        match self {
            Self::Check => &ready.scripts[0],
            Self::Settle => &ready.scripts[1],
        }
    }
}

impl Link {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self { server, state: RefCell::new(State::Closed) }
    }

    /// Runs `script`. Who gives up waiting does not take it back.
    ///
    /// On a connection that turns out to be broken it is sent once more on a new one: if the server
    /// had read it, it is charged twice, which errs on the strict side.
    pub(super) async fn run(
        &self,
        script: Script,
        keys: &[Key],
        arguments: &[i64],
    ) -> Result<Reply, Trouble> {
        let (ready, fresh) = self.ready().await?;
        let error = match self.send(ready.clone(), script, keys, arguments).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        let trouble = Trouble::from(&error);
        // After a failover the same name may lead to the server that may write.
        let useless = error.is_unrecoverable_error() || trouble.fault == Fault::ReadOnly;
        if useless {
            self.close(&ready);
        }
        if fresh || trouble.fault != Fault::Down || matches!(script, Script::Settle) {
            return Err(trouble);
        }
        let (ready, _) = self.ready().await?;
        self.send(ready, script, keys, arguments).await.map_err(|error| Trouble::from(&error))
    }

    /// Gives the connection up, unless another has taken its place; the next request opens one.
    fn close(&self, broken: &Ready) {
        let mut state = self.state.borrow_mut();
        if matches!(&*state, State::Open(ready, _) if Rc::ptr_eq(&ready.scripts, &broken.scripts)) {
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

    async fn send(
        &self,
        mut ready: Ready,
        script: Script,
        keys: &[Key],
        arguments: &[i64],
    ) -> Result<Reply, RedisError> {
        let by_name = command("EVALSHA", script.name(&ready), keys, arguments);
        match by_name.query_async(&mut ready.connection).await {
            // It was not run. With the text it is, and the server knows it again.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.server.counters.reload();
                let by_text = command("EVAL", script.text(), keys, arguments);
                by_text.query_async(&mut ready.connection).await
            }
            outcome => outcome,
        }
    }
}

/// A script's reply: one number, or a list.
#[derive(Debug)]
pub(super) struct Reply(pub(super) Vec<i64>);

impl redis::FromRedisValue for Reply {
    fn from_redis_value(value: redis::Value) -> Result<Self, redis::ParsingError> {
        match value {
            redis::Value::Int(number) => Ok(Self(vec![number])),
            other => Vec::from_redis_value(other).map(Self),
        }
    }
}

fn command(verb: &str, script: &str, keys: &[Key], arguments: &[i64]) -> Cmd {
    let parts = 3 + keys.len() + arguments.len();
    let bytes = 60 + keys.len() * (PREFIX.len() + 32) + arguments.len() * 17;
    let mut command = Cmd::with_capacity(parts, bytes);
    command.arg(verb).arg(script).arg(keys.len());
    let mut name = String::with_capacity(PREFIX.len() + 32);
    for key in keys {
        name.clear();
        // Writing to a string does not fail.
        let _ = write!(name, "{PREFIX}{key}");
        command.arg(&*name);
    }
    command.arg(arguments);
    command
}

/// Connects and loads the scripts.
async fn open(server: Arc<Server>) -> Result<Ready, Trouble> {
    let opened = timeout(CONNECT, connect(&server.client)).await;
    match opened {
        Ok(Ok(ready)) => {
            server.counters.connect();
            Ok(ready)
        }
        Ok(Err(error)) => Err(Trouble::from(&error)),
        Err(_) => Err(Trouble { fault: Fault::Slow, said: "no connection in time".into() }),
    }
}

async fn connect(client: &Client) -> Result<Ready, RedisError> {
    // Both are watched over above; a second clock per request would only cost.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut load =
        async |text| redis::cmd("SCRIPT").arg("LOAD").arg(text).query_async(&mut connection).await;
    let scripts = [load(GCRA).await?, load(SETTLE).await?];
    Ok(Ready { connection, scripts: Rc::new(scripts) })
}
