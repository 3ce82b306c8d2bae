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

use super::fiber::{self, Stopped};
use crate::task;

/// Makes a value for a script, once its context is at hand. An error rejects a promise.
pub(crate) type Make = Box<dyn for<'js> FnOnce(&Ctx<'js>) -> rquickjs::Result<Value<'js>>>;

/// Operations of one virtual user at a time; beyond it, beginning one throws.
const OPERATIONS_MAX: usize = 100_000;
/// Events that wait for the script; beyond it, who sends them waits.
const EVENTS_MAX: usize = 1024;

/// The operations of one virtual user.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    next: Cell<u32>,
    open: RefCell<BTreeMap<u32, Operation>>,
    done: Rc<Done>,
}

#[derive(Default)]
struct Done {
    queue: RefCell<VecDeque<Event>>,
    notify: Notify,
    room: Notify,
}

/// Something happened to the operation `id`.
struct Event {
    id: u32,
    kind: EventKind,
}

enum EventKind {
    /// A timer rang.
    Rang,
    /// There is a value.
    Value(Make),
    /// There will be no more.
    Ended,
}

impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Done").field("waiting", &self.queue.borrow().len()).finish_non_exhaustive()
    }
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
    /// The function is called, with the value if there is one; again each time if it repeats.
    Call { function: Persistent<Function<'static>>, repeats: bool },
    /// The promise is settled by the value.
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
                if !done.queue.borrow().iter().any(|event| event.id == id) {
                    done.push(id, EventKind::Rang);
                }
                if !repeats {
                    return;
                }
            }
        })
    }

    /// Begins something that has one value in the end.
    pub(crate) fn start_call(
        &self,
        then: Then,
        call: impl Future<Output = Make> + 'static,
    ) -> Option<u32> {
        let done = Rc::clone(&self.done);
        self.start(then, move |id| async move {
            let value = call.await;
            done.push(id, EventKind::Value(value));
        })
    }

    /// Begins something that has values until it ends. `then` repeats.
    pub(crate) fn start_source<F: Future<Output = ()> + 'static>(
        &self,
        then: Then,
        body: impl FnOnce(Events) -> F + 'static,
    ) -> Option<u32> {
        let done = Rc::clone(&self.done);
        self.start(then, move |id| async move {
            body(Events { id, done: Rc::clone(&done) }).await;
            done.push(id, EventKind::Ended);
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
        if self.is_empty() && self.done.queue.borrow().is_empty() {
            return;
        }
        let open = std::mem::take(&mut *self.open.borrow_mut());
        open.values().for_each(|operation| operation.task.abort());
        // Not while it is borrowed: what a value holds may do something as it goes.
        drop(self.done.queue.take());
        self.done.room.notify_waiters();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.borrow().is_empty()
    }

    /// Waits for the next operation to be done and does what follows it.
    pub(crate) fn run_next(&self, ctx: &Ctx<'_>) -> Result<rquickjs::Result<()>, Stopped> {
        let done = Rc::clone(&self.done);
        let event = fiber::wait(async move {
            loop {
                let next = done.queue.borrow_mut().pop_front();
                match next {
                    Some(next) => return next,
                    None => done.notify.notified().await,
                }
            }
        })?;
        self.done.room.notify_waiters();
        Ok(self.follow(ctx, event))
    }

    fn follow(&self, ctx: &Ctx<'_>, event: Event) -> rquickjs::Result<()> {
        let id = event.id;
        let is_last = matches!(event.kind, EventKind::Ended);
        let mut open = self.open.borrow_mut();
        let repeated = match open.get(&id) {
            Some(Operation { then: Then::Call { function, repeats: true }, .. }) if !is_last => {
                Some(Then::Call { function: function.clone(), repeats: true })
            }
            _ => None,
        };
        let then = repeated.or_else(|| open.remove(&id).map(|operation| operation.then));
        drop(open);
        match (then, event.kind) {
            (Some(Then::Call { function, .. }), EventKind::Rang) => {
                function.restore(ctx)?.call::<_, Value<'_>>(())?;
            }
            (Some(Then::Call { function, .. }), EventKind::Value(make)) => {
                function.restore(ctx)?.call::<_, Value<'_>>((make(ctx)?,))?;
            }
            (Some(Then::Settle { resolve, reject }), EventKind::Value(make)) => match make(ctx) {
                Ok(value) => resolve.restore(ctx)?.call::<_, ()>((value,))?,
                Err(_) => reject.restore(ctx)?.call::<_, ()>((ctx.catch(),))?,
            },
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Operations {
    fn drop(&mut self) {
        self.cancel_all();
    }
}

/// Where the values of an operation go.
pub(crate) struct Events {
    id: u32,
    done: Rc<Done>,
}

impl Events {
    /// Gives a value to the script; waits while too many wait already.
    pub(crate) async fn send(&self, value: Make) {
        while self.done.queue.borrow().len() >= EVENTS_MAX {
            self.done.room.notified().await;
        }
        self.done.push(self.id, EventKind::Value(value));
    }
}

impl Done {
    fn push(&self, id: u32, kind: EventKind) {
        self.queue.borrow_mut().push_back(Event { id, kind });
        self.notify.notify_one();
    }
}
