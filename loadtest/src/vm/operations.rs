//! What a script has begun and not awaited: timers and asynchronous requests.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    future::Future,
    rc::Rc,
    time::Duration,
};

use rquickjs::{Ctx, Function, Persistent, Value};
use tokio::{sync::Notify, task::JoinHandle};

use super::{
    fiber::{self, Stopped},
    modules::Response,
};
use crate::task;

/// Operations of one virtual user at a time; beyond it, beginning one throws.
const OPERATIONS_MAX: usize = 100_000;

/// The operations of one virtual user.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    next: Cell<u32>,
    open: RefCell<BTreeMap<u32, Operation>>,
    done: Rc<Done>,
}

#[derive(Debug, Default)]
struct Done {
    queue: RefCell<VecDeque<(u32, Option<Rc<Response>>)>>,
    notify: Notify,
}

struct Operation {
    task: JoinHandle<()>,
    then: Then,
}

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operation").finish_non_exhaustive()
    }
}

/// What happens when an operation is done.
pub(crate) enum Then {
    /// The function is called.
    Call { function: Persistent<Function<'static>>, repeats: bool },
    /// The promise is settled by a response.
    Settle { resolve: Persistent<Function<'static>>, reject: Persistent<Function<'static>> },
}

impl Operations {
    /// Begins a timer.
    pub(crate) fn start_timer(&self, delay: Duration, then: Then) -> Option<u32> {
        let repeats = matches!(then, Then::Call { repeats: true, .. });
        let done = Rc::clone(&self.done);
        self.start(then, move |id| async move {
            loop {
                tokio::time::sleep(delay).await;
                // An interval whose calls lag behind does not pile up.
                if !done.queue.borrow().iter().any(|(other, _)| *other == id) {
                    done.push(id, None);
                }
                if !repeats {
                    return;
                }
            }
        })
    }

    /// Begins a request.
    pub(crate) fn start_request(
        &self,
        then: Then,
        request: impl Future<Output = Rc<Response>> + 'static,
    ) -> Option<u32> {
        let done = Rc::clone(&self.done);
        self.start(then, move |id| async move {
            let response = request.await;
            done.push(id, Some(response));
        })
    }

    fn start<F: Future<Output = ()> + 'static>(
        &self,
        then: Then,
        body: impl FnOnce(u32) -> F,
    ) -> Option<u32> {
        if self.open.borrow().len() >= OPERATIONS_MAX {
            return None;
        }
        let id = self.next.get() + 1;
        self.next.set(id);
        let task = task::spawn("operation of a script", body(id));
        self.open.borrow_mut().insert(id, Operation { task, then });
        Some(id)
    }

    /// Forgets an operation.
    pub(crate) fn cancel(&self, id: u32) {
        let operation = self.open.borrow_mut().remove(&id);
        if let Some(operation) = operation {
            operation.task.abort();
        }
    }

    /// Forgets all of them.
    pub(crate) fn cancel_all(&self) {
        let open = std::mem::take(&mut *self.open.borrow_mut());
        open.values().for_each(|operation| operation.task.abort());
        self.done.queue.borrow_mut().clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// Waits for the next operation to be done and does what follows it.
    pub(crate) fn run_next(&self, ctx: &Ctx<'_>) -> Result<rquickjs::Result<()>, Stopped> {
        let done = Rc::clone(&self.done);
        let (id, response) = fiber::wait(async move {
            loop {
                let next = done.queue.borrow_mut().pop_front();
                match next {
                    Some(next) => return next,
                    None => done.notify.notified().await,
                }
            }
        })?;
        Ok(self.follow(ctx, id, response))
    }

    fn follow(
        &self,
        ctx: &Ctx<'_>,
        id: u32,
        response: Option<Rc<Response>>,
    ) -> rquickjs::Result<()> {
        let mut open = self.open.borrow_mut();
        let repeated = match open.get(&id) {
            None => return Ok(()),
            Some(Operation { then: Then::Call { function, repeats: true }, .. }) => {
                Some(function.clone())
            }
            Some(_) => None,
        };
        let then = match repeated {
            Some(function) => Then::Call { function, repeats: true },
            None => match open.remove(&id) {
                Some(operation) => operation.then,
                None => return Ok(()),
            },
        };
        drop(open);
        match then {
            Then::Call { function, .. } => {
                function.restore(ctx)?.call::<_, Value<'_>>(())?;
            }
            Then::Settle { resolve, reject } => {
                let Some(response) = response else { return Ok(()) };
                match response.into_value(ctx) {
                    Ok(value) => resolve.restore(ctx)?.call::<_, ()>((value,))?,
                    Err(_) => reject.restore(ctx)?.call::<_, ()>((ctx.catch(),))?,
                }
            }
        }
        Ok(())
    }
}

impl Done {
    fn push(&self, id: u32, response: Option<Rc<Response>>) {
        self.queue.borrow_mut().push_back((id, response));
        self.notify.notify_one();
    }
}
